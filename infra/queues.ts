import { Duration } from 'aws-cdk-lib/core';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { mostReceives, visibilitySeconds } from '../functions/contracts/with-infra/queue-limits.ts';

/** Work on its way from room to room. What could not be done in many tries waits in a dead-letter queue for a person. */
export class Queues extends Construct {
  /** Launches: one message, one runner. */
  readonly jobs: Queue;
  /** What became of jobs. */
  readonly events: Queue;
  /** Tasks that stopped: EventBridge sends each event as it is. */
  readonly stops: Queue;
  /** Stops that were received too often, and stops that EventBridge could not send: the same text either way. */
  readonly stopsDeadLetters: Queue;
  /** The queues that functions read. */
  readonly work: readonly Queue[];
  /** The dead-letter queue of each. */
  readonly deadLetters: readonly Queue[];

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const jobsDeadLetters = new DeadLetterQueue(this, 'JobsDeadLetters');
    const eventsDeadLetters = new DeadLetterQueue(this, 'EventsDeadLetters');
    this.jobs = new WorkQueue(this, 'Jobs', { deadLetters: jobsDeadLetters });
    this.events = new WorkQueue(this, 'Events', { deadLetters: eventsDeadLetters });
    this.stopsDeadLetters = new DeadLetterQueue(this, 'StopsDeadLetters');
    this.stops = new WorkQueue(this, 'Stops', { deadLetters: this.stopsDeadLetters });
    this.work = [this.jobs, this.events, this.stops];
    this.deadLetters = [jobsDeadLetters, eventsDeadLetters, this.stopsDeadLetters];
  }
}

class WorkQueue extends Queue {
  constructor(scope: Construct, id: string, { deadLetters }: { readonly deadLetters: Queue }) {
    super(scope, id, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      visibilityTimeout: Duration.seconds(visibilitySeconds),
      retentionPeriod: Duration.days(4),
      deadLetterQueue: { queue: deadLetters, maxReceiveCount: mostReceives },
    });
  }
}

class DeadLetterQueue extends Queue {
  constructor(scope: Construct, id: string) {
    super(scope, id, {
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      // A dead letter keeps the age it came with, so this must be longer than the four days before.
      retentionPeriod: Duration.days(14),
    });
  }
}

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
  /** Stopped tasks that could not be settled. */
  readonly unsettledTasks: Queue;
  readonly deadLetters: readonly Queue[];

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const jobsDeadLetters = new DeadLetterQueue(this, 'JobsDeadLetters');
    const eventsDeadLetters = new DeadLetterQueue(this, 'EventsDeadLetters');
    this.jobs = new WorkQueue(this, 'Jobs', { deadLetters: jobsDeadLetters });
    this.events = new WorkQueue(this, 'Events', { deadLetters: eventsDeadLetters });
    this.unsettledTasks = new DeadLetterQueue(this, 'UnsettledTasks');
    this.deadLetters = [jobsDeadLetters, eventsDeadLetters, this.unsettledTasks];
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

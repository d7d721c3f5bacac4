import { Duration } from 'aws-cdk-lib/core';
import { Rule } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import {
  allowAppKey,
  allowFindingOpenRecords,
  allowLaunchMessages,
  allowLedger,
  allowRevokingClaims,
} from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Gives a lease back when its task is over, and lets the next job in. */
export class TaskStopped extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'task-stopped',
      description: 'Settles a stopped task: its lease, its claim, its measures',
    });
    // Every end of a profile writes the same item, and a thousand tasks may end in the same second. So ends are gathered for a second,
    // as many as one transaction takes, and few invocations meet at the item.
    this.function.readFrom(surroundings.queues.stops, {
      batchSize: 40,
      maxConcurrency: 5,
      maxBatchingWindow: Duration.seconds(1),
    });
    this.#sendStops(surroundings);

    // What its task left behind: a registration with GitHub, a claim it never fetched.
    allowAppKey(this.function, surroundings);
    allowRevokingClaims(this.function, surroundings);
    allowLedger(this.function, surroundings);
    // The place is free: which job waits for it?
    allowFindingOpenRecords(this.function, surroundings);
    allowLaunchMessages(this.function, surroundings);
  }

  /** EventBridge sends each stop to the queue. After ten retries, or an hour, an event is a dead letter. */
  #sendStops({ queues, cluster }: Surroundings): void {
    const rule = new Rule(this, 'Rule', {
      description: 'A task of this fleet stopped',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: { clusterArn: [cluster.cluster.clusterArn], lastStatus: ['STOPPED'] },
      },
      targets: [
        {
          // Bound by hand: CDK's target would let the rule look at the queue, too.
          bind: () => ({
            arn: queues.stops.queueArn,
            deadLetterConfig: { arn: queues.stopsDeadLetters.queueArn },
            retryPolicy: { maximumRetryAttempts: 10, maximumEventAgeInSeconds: Duration.hours(1).toSeconds() },
          }),
        },
      ],
    });
    for (const queue of [queues.stops, queues.stopsDeadLetters]) {
      queue.addToResourcePolicy(
        new PolicyStatement({
          sid: 'TakeStopsFromTheRule',
          principals: [new ServicePrincipal('events.amazonaws.com')],
          actions: ['sqs:SendMessage'],
          resources: [queue.queueArn],
          conditions: { ArnEquals: { 'aws:SourceArn': rule.ruleArn } },
        }),
      );
    }
  }
}

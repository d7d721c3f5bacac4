import { Duration } from 'aws-cdk-lib/core';
import { Rule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
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
    const { queues, cluster } = surroundings;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'task-stopped',
      description: 'Settles a stopped task: its lease, its claim, its measures',
      // The event came, the function failed: twice more, then to where events go that never came.
      retryAttempts: 2,
      // Bound by hand: CDK's destination may also look at the queue.
      onFailure: { bind: () => ({ destination: queues.unsettledTasks.queueArn }) },
    });
    this.function.allow({
      why: 'KeepWhatFailed',
      actions: ['sqs:SendMessage'],
      resources: [queues.unsettledTasks.queueArn],
    });
    new Rule(this, 'Rule', {
      description: 'A task of this fleet stopped',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: { clusterArn: [cluster.cluster.clusterArn], lastStatus: ['STOPPED'] },
      },
      targets: [
        new LambdaFunction(this.function, {
          deadLetterQueue: queues.unsettledTasks,
          retryAttempts: 10,
          maxEventAge: Duration.hours(1),
        }),
      ],
    });

    // What its task left behind: a registration with GitHub, a claim it never fetched.
    allowAppKey(this.function, surroundings);
    allowRevokingClaims(this.function, surroundings);
    allowLedger(this.function, surroundings);
    // The place is free: who waits for it?
    allowFindingOpenRecords(this.function, surroundings);
    allowLaunchMessages(this.function, surroundings);
  }
}

import { RecursiveLoop } from 'aws-cdk-lib/aws-lambda';
import { Construct } from 'constructs';
import {
  allowAppKey,
  allowFindingOpenRecords,
  allowLaunchMessages,
  allowLedger,
  allowListingTasks,
  allowLookingAtImages,
  allowStoppingTasks,
} from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Turns one launch message into one task. */
export class ScaleUp extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    const { tables, queues, cluster } = surroundings;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'scale-up',
      description: 'Takes a lease, writes a claim, runs the task',
      // A launch that has to wait for its turn goes back to the queue it came from. Lambda would take that for a mistake, and end it.
      recursiveLoop: RecursiveLoop.ALLOW,
    });
    // The messages of a batch run side by side: a hundred launches at once, whose turns keep RunTask at twenty a second.
    this.function.readFrom(queues.jobs, { batchSize: 10, maxConcurrency: 10 });

    // Turns, and what became of the launch.
    allowLedger(this.function, surroundings);
    // A launch begins in one transaction: a new runner record with its lease and its claim, while its scope is not on hold.
    this.function.allow({
      why: 'BeginLaunches',
      actions: ['dynamodb:PutItem', 'dynamodb:ConditionCheckItem'],
      resources: [tables.ledger.tableArn],
    });
    // Registration tokens are minted by the App and kept for the next launch; a claim is written, and taken back if no task got it.
    allowAppKey(this.function, surroundings);
    this.function.allow({
      why: 'HandOverClaims',
      actions: [
        'dynamodb:GetItem',
        'dynamodb:BatchGetItem',
        'dynamodb:PutItem',
        'dynamodb:UpdateItem',
        'dynamodb:DeleteItem',
      ],
      resources: [tables.claims.tableArn],
    });
    // Its turn has not come: the same message again, later.
    allowLaunchMessages(this.function, surroundings);

    // Until the first build is over, nothing is started.
    allowLookingAtImages(this.function, surroundings);

    this.function.allow({
      why: 'RunTheTask',
      actions: ['ecs:RunTask'],
      resources: cluster.taskDefinitionArns,
      conditions: { ArnEquals: { 'ecs:cluster': cluster.cluster.clusterArn } },
    });
    this.function.allow({
      why: 'TagTheTask',
      actions: ['ecs:TagResource'],
      resources: [cluster.taskArn],
      conditions: { StringEquals: { 'ecs:CreateAction': 'RunTask' } },
    });
    // RunTask may name any role in an override; these are the only ones that work.
    this.function.allow({
      why: 'GiveTheTaskItsRoles',
      actions: ['iam:PassRole'],
      resources: cluster.passedRoles.map((role) => role.roleArn),
      conditions: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
    });
    // RunTask's answer was lost: is there a task?
    allowListingTasks(this.function, surroundings);
    // Its record was ended while RunTask was on its way: nobody else will know of this task.
    allowStoppingTasks(this.function, surroundings);
    // AWS has room again: which job waits for it?
    allowFindingOpenRecords(this.function, surroundings);
  }
}

import type { RoomFunction, Surroundings } from './room-function.ts';

/** What several rooms need for the same reason, worded once. */

/** Every act re-reads its item and is guarded by a condition. A transaction needs the right to each of its parts, no more. */
export function allowLedger(room: RoomFunction, { tables }: Pick<Surroundings, 'tables'>): void {
  room.allow({
    why: 'KeepTheLedger',
    actions: ['dynamodb:GetItem', 'dynamodb:BatchGetItem', 'dynamodb:UpdateItem'],
    resources: [tables.ledger.tableArn],
  });
}

/** Candidates come from the index. Nothing may scan. */
export function allowFindingOpenRecords(room: RoomFunction, { tables }: Pick<Surroundings, 'tables'>): void {
  room.allow({ why: 'FindWhatIsOpen', actions: ['dynamodb:Query'], resources: [tables.openIndexArn] });
}

export function allowLaunchMessages(room: RoomFunction, { queues }: Pick<Surroundings, 'queues'>): void {
  room.allow({ why: 'AskForLaunches', actions: ['sqs:SendMessage'], resources: [queues.jobs.queueArn] });
}

/** To be the GitHub App. */
export function allowAppKey(room: RoomFunction, surroundings: Pick<Surroundings, 'parameters'>): void {
  allowReading(room, 'ActAsTheGitHubApp', ['appId', 'appKey'], surroundings);
}

/** What AWS's own key encrypts needs no permission to decrypt; a key of the operator's does, for these parameters and nothing else. */
export function allowReading(
  room: RoomFunction,
  why: string,
  names: readonly ('appId' | 'appKey' | 'webhookSecret')[],
  { parameters }: Pick<Surroundings, 'parameters'>,
): void {
  const resources = names.map((name) => parameters.arnOf(name));
  room.allow({ why, actions: ['ssm:GetParameter'], resources });
  if (parameters.key === undefined) return;
  room.allow({
    why: `${why}WithItsKey`,
    actions: ['kms:Decrypt'],
    resources: [parameters.key],
    conditions: { StringEquals: { 'kms:EncryptionContext:PARAMETER_ARN': resources } },
  });
}

/** A claim that nobody fetched is taken back by deleting it. */
export function allowRevokingClaims(room: RoomFunction, { tables }: Pick<Surroundings, 'tables'>): void {
  room.allow({ why: 'TakeClaimsBack', actions: ['dynamodb:DeleteItem'], resources: [tables.claims.tableArn] });
}

/** ListTasks has no resource to name; the condition does it. ECS has no condition on who started a task: in this cluster there are only ours. */
export function allowListingTasks(room: RoomFunction, { cluster }: Pick<Surroundings, 'cluster'>): void {
  room.allow({ why: 'ListTasks', actions: ['ecs:ListTasks'], resources: ['*'], conditions: inCluster(cluster) });
}

export function allowLookingAtTasks(room: RoomFunction, { cluster }: Pick<Surroundings, 'cluster'>): void {
  allowListingTasks(room, { cluster });
  room.allow({
    why: 'LookAtTasks',
    actions: ['ecs:DescribeTasks'],
    resources: [cluster.taskArn],
    conditions: inCluster(cluster),
  });
}

function inCluster({ cluster }: Surroundings['cluster']): Record<string, Record<string, string>> {
  return { ArnEquals: { 'ecs:cluster': cluster.clusterArn } };
}

export function allowStoppingTasks(room: RoomFunction, { cluster }: Pick<Surroundings, 'cluster'>): void {
  room.allow({
    why: 'StopTasks',
    actions: ['ecs:StopTask'],
    resources: [cluster.taskArn],
    conditions: { ArnEquals: { 'ecs:cluster': cluster.cluster.clusterArn } },
  });
}

/** Is there an image, and what is in it? */
export function allowLookingAtImages(room: RoomFunction, { image }: Pick<Surroundings, 'image'>): void {
  if (image.names === undefined) return;
  room.allow({
    why: 'LookAtImages',
    actions: ['ecr:DescribeImages'],
    resources: [image.repository.repositoryArn],
  });
}

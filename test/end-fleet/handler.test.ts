import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ECSClient, RunTaskCommand, StopTaskCommand } from '@aws-sdk/client-ecs';
import { Ecs } from '../emulators/aws/ecs.ts';
import type { LambdaFunction } from '../emulators/aws/lambda.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { bundleRooms } from '../fakes/bundled-room.ts';
import { hour } from '../fakes/clock.ts';
import { CloudFormation } from '../fakes/cloud-formation.ts';

let rooms: Awaited<ReturnType<typeof bundleRooms>>;
let clock: TurnableClock;
let ecs: Ecs;
let client: ECSClient;
let cloudFormation: CloudFormation;
let room: LambdaFunction;
let taskArns: string[];

beforeAll(async () => {
  clock = new TurnableClock();
  cloudFormation = await CloudFormation.start();
  const small = { family: 'small', revision: 1, cpu: 2048, memoryMiB: 8192 };
  const onInstances = { ...small, family: 'docker', command: ['true'], managedInstances: ['mine'] };
  ecs = await Ecs.start({ clock, taskDefinitions: [{ ...small, command: ['sleep', '3600'] }, onInstances] });
  client = new ECSClient({ endpoint: ecs.url, maxAttempts: 1 });
  rooms = await bundleRooms();
  ({ room } = rooms.start('end-fleet', {
    clock,
    names: { tasks: { cluster: ecs.clusterArn } },
    environment: { AWS_ENDPOINT_URL_ECS: ecs.url },
    // A second more than the function keeps to answer: it looks once, and never waits.
    timeoutSeconds: 31,
  }));
});
afterAll(async () => {
  await room.stop();
  await rooms.remove();
  client.destroy();
  await Promise.all([ecs.stop(), cloudFormation.stop()]);
  clock.stop();
});
beforeEach(() => {
  cloudFormation.answers.length = 0;
  taskArns = [];
});
afterEach(async () => {
  for (const task of taskArns) await client.send(new StopTaskCommand({ cluster: ecs.clusterArn, task }));
  // What is on its way down waits for the clock.
  ecs.latency.deprovisioning = 1;
  clock.advance(hour);
  await ecs.settled();
});

const deploy = async (type: 'Create' | 'Update' | 'Delete') => room.invoke(cloudFormation.ask(type));
const startTask = async (
  startedBy = `${rooms.prefix}-1-1`,
  { taskDefinition, provider } = { taskDefinition: 'small:1', provider: 'FARGATE' },
) => {
  const awsvpcConfiguration = { subnets: ['subnet-1'], securityGroups: ['sg-1'] };
  const { tasks } = await client.send(
    new RunTaskCommand({
      cluster: ecs.clusterArn,
      taskDefinition,
      startedBy,
      capacityProviderStrategy: [{ capacityProvider: provider, weight: 1 }],
      networkConfiguration: { awsvpcConfiguration },
    }),
  );
  const taskArn = tasks?.[0]?.taskArn ?? '';
  taskArns.push(taskArn);
  return ecs.find(taskArn);
};

describe('the deletion of a fleet', () => {
  test('goes on when there are no tasks', async () => {
    expect(await deploy('Delete')).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
  });

  test('fails with a sentence while tasks are left, which have been told to stop', async () => {
    ecs.latency.deprovisioning = hour - 1;
    const [own, foreign] = [await startTask(), await startTask('another-fleet-1-1')];
    expect(await deploy('Delete')).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([
      { Status: 'FAILED', Reason: 'tasks are left (they take long to stop); delete the stack again' },
    ]);
    expect(own).toMatchObject({ desiredStatus: 'STOPPED', stoppedReason: 'the fleet is being deleted' });
    expect(foreign).toMatchObject({ desiredStatus: 'RUNNING' });
  });

  test('fails with a sentence while an instance is left, where profiles have Docker', async () => {
    const docker = { subnets: ['subnet-9'], securityGroups: ['sg-9'] };
    const { room: ofDocker } = rooms.start('end-fleet', {
      clock,
      names: { tasks: { cluster: ecs.clusterArn, docker } },
      environment: { AWS_ENDPOINT_URL_ECS: ecs.url },
      timeoutSeconds: 31,
    });
    const task = await startTask('another-fleet-1-1', { taskDefinition: 'docker:1', provider: 'mine' });
    await ecs.stoppedTask(task?.arn ?? '');
    ecs.idleInstanceMs = hour;
    expect(await ofDocker.invoke(cloudFormation.ask('Delete'))).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([
      { Status: 'FAILED', Reason: expect.stringMatching(/^instances are left \(.*\); delete the stack again$/) },
    ]);
    ecs.idleInstanceMs = 0;
    expect(await ofDocker.invoke(cloudFormation.ask('Delete'))).toMatchObject({ ok: true });
    expect(cloudFormation.told.at(-1)).toMatchObject({ Status: 'SUCCESS' });
    await ofDocker.stop();
  });

  test('fails with a sentence when ECS cannot be asked, and so does the function', async () => {
    ecs.failNext('ListTasks', { type: 'AccessDeniedException', message: 'may not list' });
    expect(await deploy('Delete')).toMatchObject({ ok: false, error: { errorMessage: 'may not list' } });
    expect(cloudFormation.told).toMatchObject([
      { Status: 'FAILED', Reason: 'the tasks of the fleet could not be stopped; see the log of end-fleet' },
    ]);
  });
});

test.each(['Create', 'Update'] as const)('a deployment (%s) leaves the tasks alone, and goes on', async (type) => {
  const task = await startTask();
  expect(await deploy(type)).toMatchObject({ ok: true });
  expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
  expect(task).toMatchObject({ desiredStatus: 'RUNNING' });
});

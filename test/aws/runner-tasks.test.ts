import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ECSClient } from '@aws-sdk/client-ecs';
import { onceClientOptions, slowClientOptions } from '../../functions/aws/requests.ts';
import { runnerTasks, type RunnerTasks } from '../../functions/aws/runner-tasks.ts';
import { providersOf } from '../../functions/contracts/with-infra/providers.ts';
import type { Settings } from '../../functions/contracts/with-infra/settings.ts';
import type { TaskOrder } from '../../functions/contracts/with-tasks/task-order.ts';
import { Ecs, type TaskDefinition } from '../emulators/aws/ecs.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { until } from '../until.ts';

const bash = (family: string, script: string): TaskDefinition => ({
  family,
  revision: 1,
  cpu: 2048,
  memoryMiB: 8192,
  command: ['bash', '-c', script],
});
const settingsOf = ({ clusterArn }: Ecs): Settings['tasks'] => ({
  cluster: clusterArn,
  definitions: {},
  providers: {},
  subnets: ['subnet-1', 'subnet-2'],
  securityGroups: ['sg-1'],
  assignPublicIp: 'ENABLED',
  docker: { subnets: ['subnet-9'], securityGroups: ['sg-9'] },
});
const prefix = 'ci-1a2b3c';
const providers = providersOf('github-runners-ci', { name: 'docker', docker: true });
let clock: TurnableClock;
let ecs: Ecs;
let clients: Record<'client' | 'onceClient', ECSClient>;
let tasks: RunnerTasks;

beforeEach(async () => {
  clock = new TurnableClock();
  ecs = await Ecs.start({
    clock,
    taskDefinitions: [
      bash('quick', 'exit 64'),
      bash('small', 'trap "exit 69" TERM; while :; do sleep 0.02; done'),
      bash('telling', 'echo "claim $CLAIM_ID"'),
      {
        ...bash('docker', 'exit 64'),
        cpu: 48 * 1024,
        memoryMiB: 333 * 1024,
        managedInstances: Object.values(providers),
      },
    ],
  });
  ecs.startedByMustBeAlone = true;
  clients = {
    client: new ECSClient({ ...slowClientOptions, endpoint: ecs.url }),
    onceClient: new ECSClient({ ...onceClientOptions, endpoint: ecs.url }),
  };
  tasks = runnerTasks({ prefix, tasks: settingsOf(ecs) }, clients);
});
afterEach(async () => {
  for (const client of Object.values(clients)) client.destroy();
  await ecs.stop();
  clock.stop();
});

const order = (parts: Partial<TaskOrder> = {}): TaskOrder => ({
  runnerId: `${prefix}-1-1`,
  claimId: 'claim-1',
  provider: 'FARGATE',
  taskDefinition: 'small:1',
  scope: 'acme',
  tags: { Profile: 'small' },
  ...parts,
});
const start = async (parts: Partial<TaskOrder> = {}): Promise<string> => {
  const result = await tasks.runTask(order(parts));
  if (result.kind !== 'started') throw new Error(`the task must start, got ${JSON.stringify(result)}`);
  return result.taskArn;
};

describe('running a task', () => {
  test("hands over the id of its claim and nothing else, under its runner's name", async () => {
    const taskArn = await start({ taskDefinition: 'telling:1' });
    await ecs.stoppedTask(taskArn);
    const task = ecs.find(taskArn);
    expect(task?.log).toBe('claim claim-1\n');
    expect(task?.startedBy).toBe(`${prefix}-1-1`);
    expect(task?.tags).toEqual(
      expect.arrayContaining([
        { key: 'Profile', value: 'small' },
        { key: 'github-runners:scope', value: 'acme' },
      ]),
    );
    expect(task?.containerOverride?.environment).toEqual([{ name: 'CLAIM_ID', value: 'claim-1' }]);
  });

  test('starts one, however often it is asked for', async () => {
    const taskArn = await start();
    expect(await tasks.runTask(order())).toEqual({ kind: 'started', taskArn });
    expect(ecs.tasks.size).toBe(1);
  });

  test('says when the answer was lost on its way, and does not ask again by itself', async () => {
    ecs.failNext('RunTask', { type: 'ServerException', after: true });
    await expect(tasks.runTask(order())).rejects.toMatchObject({ name: 'ServerException' });
    expect(ecs.service.calls.get('RunTask')).toBe(1);
    const [taskArn] = ecs.tasks.keys();
    expect(await tasks.findRunning(`${prefix}-1-1`)).toBe(taskArn);
    expect(await tasks.runTask(order())).toEqual({ kind: 'started', taskArn });
  });

  test('with the other provider is another call, not a repetition with other parameters', async () => {
    ecs.capacity = (provider) => (provider === 'FARGATE_SPOT' ? 'none' : 'ok');
    ecs.failuresSpendTokens = true;
    expect(await tasks.runTask(order({ provider: 'FARGATE_SPOT' }))).toMatchObject({ kind: 'no-capacity' });
    const taskArn = await start();
    expect(ecs.find(taskArn)?.request.provider ?? 'FARGATE').toBe('FARGATE');
  });

  test('that conflicts with one begun otherwise is the one begun', async () => {
    const taskArn = await start();
    expect(await tasks.runTask(order({ claimId: 'another' }))).toEqual({ kind: 'started', taskArn });
  });

  test('that conflicts with one nobody names is not taken for started', async () => {
    ecs.failNext('RunTask', { type: 'ConflictException', fields: { resourceIds: [] } });
    await expect(tasks.runTask(order())).rejects.toMatchObject({ name: 'ConflictException' });
  });

  test.each([
    ['none', 'no-capacity', /Capacity is unavailable/],
    ['quota', 'quota', /limit on the number of vCPUs/],
  ] as const)('without room (%s) says %s', async (room, kind, detail) => {
    ecs.capacity = () => room;
    expect(await tasks.runTask(order())).toEqual({ kind, detail: expect.stringMatching(detail) as unknown });
  });

  test.each([
    ["You've reached the limit on the number of tasks you can run concurrently", 'quota'],
    ["You've reached the limit on the number of spot tasks you can run concurrently.", 'quota'],
    ['Rate exceeded', 'throttled'],
    ['RESOURCE:ENI', 'no-capacity'],
  ])('that fails for the reason %j says %s', async (reason, kind) => {
    const failing = { send: async () => Promise.resolve({ tasks: [], failures: [{ reason }] }) } as never;
    const settings = { prefix, tasks: settingsOf(ecs) };
    expect(await runnerTasks(settings, { ...clients, onceClient: failing }).runTask(order())).toEqual({
      kind,
      detail: reason,
    });
  });

  test.each([
    ['ThrottlingException', undefined, 'throttled'],
    ['InvalidParameterException', 'EC2 said RequestLimitExceeded', 'throttled'],
    ['ClientException', "You've reached the limit on the number of vCPUs you can run concurrently", 'quota'],
    ['ClientException', "You've reached the limit on the number of tasks you can run concurrently", 'quota'],
    ['InvalidParameterException', "You've reached the limit on the number of spot tasks you can run", 'quota'],
    ['ThrottlingException', "You've reached the limit on the number of vCPUs you can run concurrently", 'quota'],
    ['ClientException', 'The requested CPU configuration is above your limit', 'quota'],
    ['ClientException', 'Tasks provisioning capacity limit exceeded.', 'quota'],
    ['ClientException', 'Capacity is unavailable at this time.', 'no-capacity'],
    ['ClientException', 'You have reached the limit of tasks in the PROVISIONING state of this cluster', 'quota'],
    ['ClientException', 'TaskDefinition is inactive', 'refused'],
    ['InvalidParameterException', 'The subnet ID does not exist', 'refused'],
    ['AccessDeniedException', undefined, 'refused'],
    ['ClusterNotFoundException', 'Cluster not found.', 'refused'],
    ['BlockedException', undefined, 'refused'],
    ['PlatformUnknownException', 'no such platform', 'refused'],
    ['PlatformTaskDefinitionIncompatibilityException', 'not this platform', 'refused'],
    ['UnsupportedFeatureException', 'not in this region', 'refused'],
  ])('that ECS answers with %s (%s) is %s', async (type, message, kind) => {
    ecs.failNext('RunTask', { type, ...(message !== undefined && { message }) });
    expect(await tasks.runTask(order())).toMatchObject({ kind, detail: expect.stringContaining(type) as unknown });
  });

  test('that ECS breaks down over says nothing of what became of it', async () => {
    ecs.failNext('RunTask', { type: 'ServerException' });
    await expect(tasks.runTask(order())).rejects.toMatchObject({ name: 'ServerException' });
  });

  test('with a task definition that is not there is refused', async () => {
    expect(await tasks.runTask(order({ taskDefinition: 'gone:1' }))).toMatchObject({ kind: 'refused' });
  });
});

describe('running a task on Managed Instances', () => {
  const onInstances = { taskDefinition: 'docker:1', provider: providers.onDemand };

  test('takes the network of profiles with Docker, and asks for no public address, which ECS would refuse', async () => {
    const taskArn = await start(onInstances);
    expect(ecs.find(taskArn)?.request).toMatchObject({
      provider: 'docker_github-runners-ci_docker_on-demand',
      subnet: 'subnet-9',
    });
    expect(ecs.find(await start({ runnerId: `${prefix}-2-1` }))?.request).toMatchObject({
      provider: 'FARGATE',
      subnet: 'subnet-1',
    });
  });

  test('with the other provider is another call too', async () => {
    ecs.capacity = (provider) => (provider === providers.spot ? 'none' : 'ok');
    ecs.failuresSpendTokens = true;
    expect(await tasks.runTask(order({ ...onInstances, provider: providers.spot }))).toMatchObject({
      kind: 'no-capacity',
    });
    expect(ecs.find(await start(onInstances))?.provider).toBe(providers.onDemand);
  });

  test.each([
    ['a definition for Fargate', { provider: providers.onDemand }],
    ['a provider of Fargate', { taskDefinition: 'docker:1' }],
    ['a provider that nobody made', { ...onInstances, provider: 'docker_github-runners-ci_gone_on-demand' }],
  ])('with %s is refused', async (_, parts) => {
    expect(await tasks.runTask(order(parts))).toMatchObject({ kind: 'refused' });
  });

  test('in a fleet that has no network for it is a fault of ours, and not taken for an answer', async () => {
    const settings = { prefix, tasks: { ...settingsOf(ecs), docker: undefined } };
    await expect(runnerTasks(settings, clients).runTask(order(onInstances))).rejects.toThrow(
      'provider docker_github-runners-ci_docker_on-demand must have subnets of its own, this fleet has none',
    );
  });

  test('shows the instance that it stands on, until ECS has ended that', async () => {
    ecs.idleInstanceMs = 600_000;
    const taskArn = await start(onInstances);
    await start({ runnerId: `${prefix}-2-1` });
    await ecs.stoppedTask(taskArn);
    expect(await tasks.listInstances()).toEqual([taskArn.replace(':task/', ':container-instance/')]);
    clock.advance(600_000);
    expect(await tasks.listInstances()).toEqual([]);
  });

  test('is nothing that a fleet on Fargate asks about: it has no right to', async () => {
    ecs.failNext('ListContainerInstances', { type: 'AccessDeniedException' });
    const settings = { prefix, tasks: { ...settingsOf(ecs), docker: undefined } };
    expect(await runnerTasks(settings, clients).listInstances()).toEqual([]);
  });
});

/** What is on its way down may have begun to wait for the clock, or be about to. */
const letGo = () => {
  ecs.latency.deprovisioning = 1;
  clock.advance(600_000);
};

describe('finding the tasks of a runner', () => {
  const find = async (taskArn?: string) => tasks.findTasks({ runnerId: `${prefix}-1-1`, taskArn });

  test('finds the one that runs, with or without its ARN', async () => {
    const taskArn = await start();
    await start({ runnerId: `${prefix}-2-1` });
    const found = [{ taskArn, runnerId: `${prefix}-1-1`, stopped: undefined }];
    expect(await find()).toMatchObject(found);
    expect(await find(taskArn)).toMatchObject(found);
    expect(Math.abs(((await find())[0]?.createdAt ?? 0) - clock.now())).toBeLessThan(60_000);
  });

  test('finds the one that has stopped, with or without its ARN, and how it ended', async () => {
    const taskArn = await start({ taskDefinition: 'quick:1' });
    await ecs.stoppedTask(taskArn);
    const stopped = { runnerId: `${prefix}-1-1`, exitCode: 64, stopCode: 'EssentialContainerExited', taskArn };
    expect(await find()).toMatchObject([{ taskArn, stopped }]);
    expect(await find(taskArn)).toMatchObject([{ taskArn, stopped }]);
  });

  test('finds none of another runner', async () => {
    await ecs.stoppedTask(await start({ runnerId: `${prefix}-1-11`, taskDefinition: 'quick:1' }));
    await start({ runnerId: `${prefix}-1-12` });
    expect(await find()).toEqual([]);
  });

  test('finds both when a runner has two', async () => {
    const first = await start({ provider: 'FARGATE_SPOT' });
    const second = await start();
    expect((await find(first)).map(({ taskArn }) => taskArn).toSorted()).toEqual([first, second].toSorted());
  });

  test('finds one that is on its way down, which has not stopped yet', async () => {
    ecs.latency.deprovisioning = 600_000;
    const taskArn = await start({ taskDefinition: 'quick:1' });
    await until(() => ecs.find(taskArn)?.lastStatus === 'DEPROVISIONING');
    expect(await find(taskArn)).toMatchObject([{ taskArn, stopped: undefined }]);
    expect(await find()).toMatchObject([{ taskArn, stopped: undefined }]);
    letGo();
  });

  test('finds nothing once ECS has forgotten it', async () => {
    const taskArn = await start({ taskDefinition: 'quick:1' });
    await ecs.stoppedTask(taskArn);
    clock.advance(3_600_001);
    expect(await find(taskArn)).toEqual([]);
    expect(await find()).toEqual([]);
  });

  test('fails rather than finding nothing when ECS does not answer', async () => {
    await start();
    ecs.failNext('ListTasks', { type: 'ServerException' }, 3);
    await expect(find()).rejects.toMatchObject({ name: 'ServerException' });
  });
});

describe('the running task of a runner', () => {
  const runnerId = `${prefix}-1-1`;

  test('is found by its name alone, and not described', async () => {
    const other = await start({ runnerId: `${prefix}-1-12` });
    const taskArn = await start();
    expect(await tasks.findRunning(runnerId)).toBe(taskArn);
    expect(await tasks.findRunning(`${prefix}-1-12`)).toBe(other);
    expect(ecs.service.calls.get('DescribeTasks') ?? 0).toBe(0);
  });

  test('is none before it was started, and none when it has ended or was told to', async () => {
    expect(await tasks.findRunning(runnerId)).toBeUndefined();
    const taskArn = await start();
    await tasks.stopTask(taskArn, 'x');
    expect(await tasks.findRunning(runnerId)).toBeUndefined();
    await ecs.stoppedTask(taskArn);
    expect(await tasks.findRunning(runnerId)).toBeUndefined();
  });

  test('is not taken for none when ECS does not answer', async () => {
    await start();
    ecs.failNext('ListTasks', { type: 'ServerException' }, 3);
    await expect(tasks.findRunning(runnerId)).rejects.toMatchObject({ name: 'ServerException' });
  });
});

describe('listing the tasks of the fleet', () => {
  test('lists those that run, and of this fleet alone', async () => {
    const taskArn = await start();
    await start({ runnerId: 'ci-999999-1-1' });
    await ecs.stoppedTask(await start({ runnerId: `${prefix}-2-1`, taskDefinition: 'quick:1' }));
    expect(await tasks.listTasks()).toMatchObject([{ taskArn, runnerId: `${prefix}-1-1`, stopped: undefined }]);
  });

  test('says where the runner of each registers, though no record knows it', async () => {
    await start({ scope: 'octo/toy' });
    expect(await tasks.listTasks()).toMatchObject([{ scope: 'octo/toy' }]);
    expect(await tasks.findTasks({ runnerId: `${prefix}-1-1` })).toMatchObject([{ scope: 'octo/toy' }]);
  });

  test('says that it does not know where, of one without such a tag', async () => {
    const task = ecs.find(await start());
    if (task !== undefined) task.tags = [];
    const [listed] = await tasks.listTasks();
    expect(listed?.runnerId).toBe(`${prefix}-1-1`);
    expect(listed?.scope).toBeUndefined();
  });

  test('lists them to the last one, however many pages they take', async () => {
    ecs.latency.provisioning = 3_600_000;
    ecs.rates.runTask = undefined;
    ecs.rates.launches = undefined;
    const names = Array.from({ length: 130 }, (_, index) => `${prefix}-${index}-1`);
    await Promise.all(names.map(async (runnerId) => start({ runnerId })));
    expect((await tasks.listTasks()).map(({ runnerId }) => runnerId).toSorted()).toEqual(names.toSorted());
  });

  test('is empty without tasks, and asks for no description of nothing', async () => {
    expect(await tasks.listTasks()).toEqual([]);
    expect(ecs.service.calls.get('DescribeTasks')).toBeUndefined();
  });
});

describe('listing the tasks of the fleet that end', () => {
  test('lists those that were told to stop or ended, and are not gone', async () => {
    ecs.latency.deprovisioning = 600_000;
    await start();
    const stopping = await start({ runnerId: `${prefix}-2-1` });
    await tasks.stopTask(stopping, 'x');
    const ended = await start({ runnerId: `${prefix}-3-1`, taskDefinition: 'quick:1' });
    await start({ runnerId: 'ci-999999-1-1', taskDefinition: 'quick:1' });
    await until(() => ecs.find(ended)?.lastStatus === 'DEPROVISIONING');
    const arns = async () => (await tasks.listEnding()).map(({ taskArn }) => taskArn).toSorted();
    expect(await arns()).toEqual([stopping, ended].toSorted());
    await until(() => ecs.find(stopping)?.lastStatus === 'DEPROVISIONING');
    letGo();
    await Promise.all([ecs.stoppedTask(stopping), ecs.stoppedTask(ended)]);
    expect(await arns()).toEqual([]);
  });
});

describe('looking at tasks', () => {
  test('tells of each how far it is, whosever it is', async () => {
    const running = await start();
    const ended = await start({ runnerId: `${prefix}-2-1`, taskDefinition: 'quick:1' });
    await ecs.stoppedTask(ended);
    const foreign = await start({ runnerId: 'ci-999999-1-1' });
    expect(await tasks.lookAtTasks([running, ended, foreign])).toMatchObject([
      { taskArn: running, runnerId: `${prefix}-1-1`, stopped: undefined },
      { taskArn: ended, stopped: { exitCode: 64 } },
      { taskArn: foreign, runnerId: 'ci-999999-1-1', stopped: undefined },
    ]);
  });

  test('still sees one that was told to stop, until it is gone', async () => {
    ecs.latency.deprovisioning = 600_000;
    const taskArn = await start();
    await tasks.stopTask(taskArn, 'x');
    expect(await tasks.lookAtTasks([taskArn])).toMatchObject([{ taskArn, stopped: undefined }]);
    await until(() => ecs.find(taskArn)?.lastStatus === 'DEPROVISIONING');
    expect(await tasks.lookAtTasks([taskArn])).toMatchObject([{ taskArn, stopped: undefined }]);
    letGo();
    await ecs.stoppedTask(taskArn);
    expect(await tasks.lookAtTasks([taskArn])).toMatchObject([{ taskArn, stopped: { taskArn } }]);
  });

  test('tells nothing of one that ECS has forgotten', async () => {
    const taskArn = await start({ taskDefinition: 'quick:1' });
    await ecs.stoppedTask(taskArn);
    clock.advance(3_600_001);
    expect(await tasks.lookAtTasks([taskArn])).toEqual([]);
  });

  test('asks for a hundred at once, and not for nothing', async () => {
    ecs.latency.provisioning = 3_600_000;
    ecs.rates.runTask = undefined;
    ecs.rates.launches = undefined;
    const names = Array.from({ length: 101 }, (_, index) => `${prefix}-${index}-1`);
    const arns = await Promise.all(names.map(async (runnerId) => start({ runnerId })));
    expect((await tasks.lookAtTasks(arns)).map(({ taskArn }) => taskArn)).toEqual(arns);
    expect(ecs.service.calls.get('DescribeTasks')).toBe(2);
    await tasks.lookAtTasks([]);
    expect(ecs.service.calls.get('DescribeTasks')).toBe(2);
  });
});

describe('stopping a task', () => {
  test('stops it, with a reason that fits', async () => {
    const taskArn = await start();
    await tasks.stopTask(taskArn, `it is too old ${'!'.repeat(500)}`);
    const task = await ecs.stoppedTask(taskArn);
    expect(task?.stoppedReason).toMatch(/^it is too old !+$/);
    expect(task?.stoppedReason?.length).toBeLessThanOrEqual(255);
  });

  test('that ECS does not know is no error: it does not run', async () => {
    await expect(
      tasks.stopTask(`${ecs.clusterArn.replace(':cluster/', ':task/')}/${'0'.repeat(32)}`, 'x'),
    ).resolves.toBe(undefined);
  });

  test('that has stopped already is no error', async () => {
    const taskArn = await start({ taskDefinition: 'quick:1' });
    await ecs.stoppedTask(taskArn);
    await expect(tasks.stopTask(taskArn, 'x')).resolves.toBe(undefined);
  });

  test('fails when ECS refuses it', async () => {
    const taskArn = await start();
    ecs.failNext('StopTask', { type: 'ServerException' }, 3);
    await expect(tasks.stopTask(taskArn, 'x')).rejects.toMatchObject({ name: 'ServerException' });
  });
});

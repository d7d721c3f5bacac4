import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  ConflictException,
  DescribeTasksCommand,
  ECSClient,
  ListContainerInstancesCommand,
  ListTasksCommand,
  RunTaskCommand,
  StopTaskCommand,
  type RunTaskCommandInput,
} from '@aws-sdk/client-ecs';
import { until } from '../../until.ts';
import { TurnableClock, type Clock } from '../clock.ts';
import { Ecs, type TaskDefinition, type TaskStateChange } from './ecs.ts';

const size = { cpu: 2048, memoryMiB: 8192, revision: 1 };
const bash = (family: string, script: string, more: Partial<TaskDefinition> = {}): TaskDefinition => ({
  ...size,
  family,
  command: ['bash', '-c', script],
  ...more,
});
const taskDefinitions = [
  bash('quick', 'echo done'),
  bash('failing', 'echo wrong >&2; exit 7'),
  bash('patient', 'trap "echo asked to stop; exit 69" TERM; echo ready; while :; do sleep 0.02; done'),
  bash('stubborn', 'trap "" TERM; echo ready; while :; do sleep 0.02; done', { stopTimeout: 2 }),
  bash('littering', '(setsid sleep 600 &); (cd / && sleep 600 &); (nohup sleep 600 >/dev/null 2>&1 &); echo $HOME'),
  bash('curious', 'env -0 | sort -z | tr "\\0" "\\n"; curl -s $ECS_CONTAINER_METADATA_URI_V4/task', {
    environment: { FROM_DEFINITION: 'a', BOTH: 'definition' },
    tags: [{ key: 'from', value: 'definition' }],
  }),
  bash('image', 'cat image-file; echo $RUNNER_HOME'),
  bash('on-instances', 'echo done; curl -s $ECS_CONTAINER_METADATA_URI_V4/task', {
    cpu: 48 * 1024,
    memoryMiB: 333 * 1024,
    managedInstances: ['mine', 'mine_spot'],
  }),
  { ...size, family: 'broken', command: ['/no/such/program'] },
  bash('contained', 'echo its-id >container.id; trap "" TERM; echo ready; while :; do sleep 0.02; done', {
    stopTimeout: 2,
    cleanUp: ['bash', '-c', 'mv container.id ../removed'],
  }),
];

let clock: TurnableClock;
let ecs: Ecs;
let client: ECSClient;
let events: TaskStateChange[];

beforeEach(async () => {
  clock = new TurnableClock();
  ecs = await Ecs.start({
    clock,
    taskDefinitions,
    prepareTask: async (scratch, { family }) => {
      if (family !== 'image') return undefined;
      await writeFile(join(scratch, 'image-file'), 'laid by the image\n');
      return { RUNNER_HOME: join(scratch, 'runner') };
    },
  });
  client = new ECSClient({ endpoint: ecs.url, region: 'us-east-1', maxAttempts: 1 });
  events = [];
  ecs.onStateChange((event) => events.push(event));
});
afterEach(async () => {
  client.destroy();
  await ecs.stop();
  clock.stop();
});

const request = (taskDefinition: string, more: Partial<RunTaskCommandInput> = {}): RunTaskCommandInput => ({
  cluster: 'runners',
  taskDefinition,
  startedBy: 'runner-1',
  capacityProviderStrategy: [{ capacityProvider: 'FARGATE', weight: 1 }],
  networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'], securityGroups: ['sg-1'] } },
  ...more,
});
const run = (family: string, more: Partial<RunTaskCommandInput> = {}) =>
  client.send(new RunTaskCommand(request(family, more)));
const runOne = async (family: string, more: Partial<RunTaskCommandInput> = {}): Promise<string> =>
  (await run(family, more)).tasks?.[0]?.taskArn ?? 'none';
const describeTask = async (...tasks: string[]) =>
  client.send(new DescribeTasksCommand({ cluster: 'runners', tasks, include: ['TAGS'] }));
const stopTask = (task: string, reason?: string) =>
  client.send(new StopTaskCommand({ cluster: 'runners', task, reason }));
const list = async (filter: object = {}) => client.send(new ListTasksCommand({ cluster: 'runners', ...filter }));
const ready = async (task: string) => {
  await until(() => ecs.find(task)?.log.includes('ready') ?? false);
};
const statuses = () => events.map(({ detail }) => `${detail.lastStatus} ${String(detail['desiredStatus'])}`);

describe('a task', () => {
  test('goes its way, tells of each step, and shows its exit code', async () => {
    const arn = await runOne('failing');
    await ecs.stoppedTask(arn);
    expect(statuses()).toEqual([
      'PROVISIONING RUNNING',
      'PENDING RUNNING',
      'RUNNING RUNNING',
      'DEPROVISIONING STOPPED',
      'STOPPED STOPPED',
    ]);
    expect(events.map(({ detail }) => detail.version)).toEqual([1, 2, 3, 4, 5]);
    const { tasks } = await describeTask(arn);
    expect(tasks?.[0]).toMatchObject({
      taskArn: arn,
      startedBy: 'runner-1',
      capacityProviderName: 'FARGATE',
      lastStatus: 'STOPPED',
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      containers: [{ name: 'runner', exitCode: 7 }],
    });
    expect(tasks?.[0]?.startedAt).toBeInstanceOf(Date);
    expect(ecs.find(arn)?.log).toBe('wrong\n');
  });

  test('tells of its end as EventBridge does', async () => {
    const arn = await runOne('quick');
    await ecs.stoppedTask(arn);
    expect(events.at(-1)).toMatchObject({
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      resources: [arn],
      detail: {
        taskArn: arn,
        clusterArn: ecs.clusterArn,
        group: 'family:quick',
        stoppedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        overrides: { containerOverrides: [{ name: 'runner' }] },
      },
    });
  });

  test('takes its time by the clock', async () => {
    Object.assign(ecs.latency, { provisioning: 10_000, pull: 20_000, boot: 5_000 });
    const arn = await runOne('quick');
    clock.advance(10_000);
    expect(ecs.find(arn)?.lastStatus).toBe('PENDING');
    clock.advance(20_000);
    expect(ecs.find(arn)?.times.startedAt).toBeUndefined();
    clock.advance(5_000);
    const task = await ecs.stoppedTask(arn);
    expect((task?.times.startedAt ?? 0) - (task?.times.createdAt ?? 0)).toBeGreaterThanOrEqual(35_000);
  });

  test('sees its own environment, its metadata, and nothing of ours', async () => {
    process.env['OURS'] = 'secret';
    const arn = await runOne('curious', {
      tags: [{ key: 'pool', value: 'small' }],
      propagateTags: 'TASK_DEFINITION',
      overrides: {
        containerOverrides: [{ name: 'runner', environment: [{ name: 'BOTH', value: 'override' }] }],
      },
    });
    const task = await ecs.stoppedTask(arn);
    delete process.env['OURS'];
    expect(task?.log).toContain('FROM_DEFINITION=a\n');
    expect(task?.log).toContain('BOTH=override\n');
    expect(task?.log).toContain(`"TaskARN":"${arn}"`);
    expect(task?.log).not.toContain('OURS');
    expect((await describeTask(arn)).tasks?.[0]?.tags).toEqual([
      { key: 'from', value: 'definition' },
      { key: 'pool', value: 'small' },
    ]);
  });

  test('finds what its image brought', async () => {
    const task = await ecs.stoppedTask(await runOne('image'));
    expect(task?.log).toBe(`laid by the image\n${task?.scratch}/runner\n`);
  });

  test('leaves nothing behind', async () => {
    const task = await ecs.stoppedTask(await runOne('littering'));
    const scratch = task?.scratch ?? 'none';
    expect(task?.log).toBe(`${scratch}/home\n`);
    expect(existsSync(scratch)).toBe(false);
    expect(processesOf(scratch)).toEqual([]);
  });

  test('whose command cannot start says so', async () => {
    const task = await ecs.stoppedTask(await runOne('broken'));
    expect(task).toMatchObject({ stopCode: 'TaskFailedToStart', exitCode: undefined });
    expect(task?.stoppedReason).toMatch(/^CannotStartContainerError: .*ENOENT/);
  });

  test('whose image cannot be pulled says so', async () => {
    ecs.startFailure = () => 'CannotPullContainerError: not found';
    const task = await ecs.stoppedTask(await runOne('quick'));
    expect(task).toMatchObject({ stopCode: 'TaskFailedToStart', stoppedReason: 'CannotPullContainerError: not found' });
    expect(statuses()).not.toContain('RUNNING RUNNING');
  });

  test('is killed for its memory', async () => {
    const arn = await runOne('patient');
    await ready(arn);
    ecs.exhaustMemory(arn);
    await ecs.stoppedTask(arn);
    expect((await describeTask(arn)).tasks?.[0]).toMatchObject({
      stopCode: 'EssentialContainerExited',
      containers: [{ exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' }],
    });
  });

  test('is forgotten an hour after it stopped', async () => {
    const arn = await runOne('quick');
    await ecs.stoppedTask(arn);
    clock.advance(3_500_000);
    expect((await list({ desiredStatus: 'STOPPED' })).taskArns).toEqual([arn]);
    clock.advance(200_000);
    expect((await describeTask(arn)).failures).toEqual([{ arn, reason: 'MISSING' }]);
  });

  test('that is lost leaves no trace', async () => {
    const arn = await runOne('patient');
    await ready(arn);
    const pid = ecs.find(arn)?.process?.pid ?? 0;
    ecs.lose(arn);
    expect((await describeTask(arn)).failures?.[0]?.reason).toBe('MISSING');
    await ecs.settled();
    expect(statuses()).toEqual(['PROVISIONING RUNNING', 'PENDING RUNNING', 'RUNNING RUNNING']);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('does not outlive the emulator', async () => {
    const arn = await runOne('stubborn');
    await ready(arn);
    const scratch = ecs.find(arn)?.scratch ?? '';
    await ecs.stop();
    expect(existsSync(scratch)).toBe(false);
    expect(processesOf(scratch)).toEqual([]);
  });
});

describe('stopping a task', () => {
  test('asks its main process, and shows who and why', async () => {
    const arn = await runOne('patient', { tags: [{ key: 'pool', value: 'small' }] });
    await ready(arn);
    await stopTask(arn, 'idle');
    const again = await stopTask(arn, 'another reason');
    expect(again.task?.desiredStatus).toBe('STOPPED');
    const task = await ecs.stoppedTask(arn);
    expect(task).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'idle', exitCode: 69 });
    expect(task?.log).toContain('asked to stop');
    expect((await describeTask(arn)).tasks?.[0]?.tags).toEqual([]);
    expect(statuses()).toContain('RUNNING STOPPED');
  });

  test('kills it after its stop timeout', async () => {
    ecs.stopTimeoutScale = 0.02;
    const arn = await runOne('stubborn');
    await ready(arn);
    await stopTask(arn);
    expect(await ecs.stoppedTask(arn)).toMatchObject({ exitCode: 137, stoppedReason: 'Task stopped by user' });
  });

  test('removes what is no process of its own, however it ended', async () => {
    ecs.stopTimeoutScale = 0.02;
    const arn = await runOne('contained');
    await ready(arn);
    await stopTask(arn);
    const task = await ecs.stoppedTask(arn);
    expect(task).toMatchObject({ exitCode: 137 });
    expect(readFileSync(join(task?.scratch ?? '', '../removed'), 'utf8')).toBe('its-id\n');
  });

  test('that has not started keeps it from starting', async () => {
    ecs.latency.pull = 60_000;
    const arn = await runOne('quick');
    await stopTask(arn, 'cancelled');
    expect(await ecs.stoppedTask(arn)).toMatchObject({ stopCode: 'UserInitiated', exitCode: undefined });
    clock.advance(120_000);
    expect(ecs.find(arn)?.log).toBe('');
  });

  test('in the moment it boots ends it all the same', async () => {
    for (const pause of [0, 1, 2, 4, 6, 8]) {
      const arn = await runOne('patient');
      await new Promise((resolve) => setTimeout(resolve, pause));
      await stopTask(arn);
      expect(await ecs.stoppedTask(arn)).toMatchObject({ lastStatus: 'STOPPED', stopCode: 'UserInitiated' });
    }
  });

  test('that nobody knows is an error', async () => {
    await expect(stopTask('none')).rejects.toMatchObject({ name: 'InvalidParameterException' });
  });

  test('by taking its Spot machine looks like an interruption', async () => {
    const arn = await runOne('patient', {
      capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }],
    });
    await ready(arn);
    ecs.interrupt(arn);
    expect(events.at(-1)?.detail).toMatchObject({ lastStatus: 'RUNNING', stopCode: 'SpotInterruption' });
    expect(await ecs.stoppedTask(arn)).toMatchObject({
      stoppedReason: 'Your Spot Task was interrupted.',
      exitCode: 69,
    });
  });
});

describe('a task of Managed Instances', () => {
  const mine = { capacityProviderStrategy: [{ capacityProvider: 'mine', weight: 1 }] };
  const instances = async (): Promise<unknown> =>
    (await client.send(new ListContainerInstancesCommand({ cluster: 'runners' }))).containerInstanceArns;

  test('may have sizes that Fargate does not, and says where it runs', async () => {
    const arn = await runOne('on-instances', mine);
    await ecs.stoppedTask(arn);
    const { tasks } = await describeTask(arn);
    expect(tasks?.[0]).toMatchObject({ launchType: 'MANAGED_INSTANCES', capacityProviderName: 'mine' });
    expect(tasks?.[0]).not.toHaveProperty('platformVersion');
    expect(ecs.find(arn)?.log).toContain('"LaunchType":"MANAGED_INSTANCES"');
  });

  test('stands on an instance, which stays for a while after it', async () => {
    ecs.idleInstanceMs = 400_000;
    expect(await instances()).toEqual([]);
    const arn = await runOne('on-instances', mine);
    await runOne('quick');
    const own = [arn.replace(':task/', ':container-instance/')];
    expect(await instances()).toEqual(own);
    await ecs.stoppedTask(arn);
    expect(await instances()).toEqual(own);
    clock.advance(400_000);
    expect(await instances()).toEqual([]);
  });

  test.each<[string, string, Partial<RunTaskCommandInput>]>([
    [
      'a public address',
      'on-instances',
      { ...mine, networkConfiguration: { awsvpcConfiguration: { subnets: ['s'], assignPublicIp: 'ENABLED' } } },
    ],
    ['a provider of Fargate', 'on-instances', {}],
    ['a definition for Fargate', 'quick', mine],
  ])('is refused with %s', async (_, family, more) => {
    await expect(run(family, more)).rejects.toMatchObject({ name: 'InvalidParameterException' });
    expect(ecs.tasks.size).toBe(0);
  });
});

describe('RunTask', () => {
  const network = { awsvpcConfiguration: { subnets: ['subnet-1'] } };
  test.each<[string, Partial<RunTaskCommandInput>, string]>([
    ['more than ten', { count: 11 }, 'InvalidParameterException'],
    ['a launch type beside a strategy', { launchType: 'FARGATE' }, 'InvalidParameterException'],
    [
      'an unknown provider',
      { capacityProviderStrategy: [{ capacityProvider: 'NONE', weight: 1 }] },
      'InvalidParameterException',
    ],
    [
      'weights of nothing',
      { capacityProviderStrategy: [{ capacityProvider: 'FARGATE' }] },
      'InvalidParameterException',
    ],
    ['neither launch type nor strategy', { capacityProviderStrategy: undefined }, 'InvalidParameterException'],
    ['a long startedBy', { startedBy: 'x'.repeat(129) }, 'InvalidParameterException'],
    ['a startedBy with odd characters', { startedBy: 'job#1' }, 'InvalidParameterException'],
    [
      'long overrides',
      {
        overrides: { containerOverrides: [{ name: 'runner', environment: [{ name: 'A', value: 'x'.repeat(8192) }] }] },
      },
      'InvalidParameterException',
    ],
    [
      'an override of no container',
      { overrides: { containerOverrides: [{ name: 'x' }] } },
      'InvalidParameterException',
    ],
    ['a reserved tag', { tags: [{ key: 'aws:x', value: '' }] }, 'InvalidParameterException'],
    ['no network', { networkConfiguration: undefined }, 'InvalidParameterException'],
    ['tags of a service', { propagateTags: 'SERVICE' }, 'InvalidParameterException'],
    ['a long client token', { clientToken: 'x'.repeat(65) }, 'InvalidParameterException'],
    ['an unknown task definition', { taskDefinition: 'none:1' }, 'ClientException'],
    ['a size Fargate does not have', { overrides: { cpu: '2048', memory: '1024' } }, 'ClientException'],
    ['an unknown cluster', { cluster: 'none' }, 'ClusterNotFoundException'],
    ['no cluster', { cluster: undefined }, 'ClusterNotFoundException'],
  ])('refuses %s', async (_, more, name) => {
    await expect(run('quick', more)).rejects.toMatchObject({ name });
    expect(ecs.tasks.size).toBe(0);
  });

  test('takes a launch type alone, and the newest revision of a family', async () => {
    ecs.registerTaskDefinition(bash('quick', 'echo newer', { revision: 2 }));
    const arn = await runOne('quick', {
      launchType: 'FARGATE',
      capacityProviderStrategy: undefined,
      networkConfiguration: network,
    });
    expect((await ecs.stoppedTask(arn))?.log).toBe('newer\n');
  });

  test('without capacity succeeds with failures and no task', async () => {
    ecs.capacity = (provider) => (provider === 'FARGATE_SPOT' ? 'none' : 'quota');
    const spot = await run('quick', { capacityProviderStrategy: [{ capacityProvider: 'FARGATE_SPOT', weight: 1 }] });
    expect(spot.tasks).toEqual([]);
    expect(spot.failures?.[0]?.reason).toMatch(/^Capacity is unavailable at this time/);
    expect((await run('quick')).failures?.[0]?.reason).toMatch(/reached the limit on the number of vCPUs/);
  });

  test('with the same token and parameters gives the same task', async () => {
    const first = await runOne('quick', { clientToken: 'token' });
    await ecs.stoppedTask(first);
    expect(await runOne('quick', { clientToken: 'token' })).toBe(first);
    expect(ecs.tasks.size).toBe(1);
  });

  test('with the same token and other parameters conflicts, and names the task', async () => {
    const first = await runOne('quick', { clientToken: 'token' });
    const conflict = await run('quick', { clientToken: 'token', startedBy: 'other' }).catch((error: unknown) => error);
    expect(conflict).toBeInstanceOf(ConflictException);
    expect((conflict as ConflictException).resourceIds).toEqual([first]);
  });

  test('frees a token an hour after its task stopped, and 24 hours after its use', async () => {
    const first = await runOne('quick', { clientToken: 'short' });
    await ecs.stoppedTask(first);
    const long = await runOne('patient', { clientToken: 'long' });
    await ready(long);
    clock.advance(3_601_000);
    expect(await runOne('quick', { clientToken: 'short' })).not.toBe(first);
    expect(await runOne('patient', { clientToken: 'long' })).toBe(long);
    clock.advance(23 * 3_600_000);
    expect(await runOne('patient', { clientToken: 'long' })).not.toBe(long);
  });

  test.each([
    [false, 1],
    [true, 0],
  ])('after failures leaves its token unless told otherwise (%s)', async (failuresSpendTokens, tasks) => {
    ecs.failuresSpendTokens = failuresSpendTokens;
    ecs.capacity = () => 'none';
    await run('quick', { clientToken: 'token' });
    ecs.capacity = () => 'ok';
    expect((await run('quick', { clientToken: 'token' })).tasks).toHaveLength(tasks);
  });

  test('is limited to twenty a second', async () => {
    let now = clock.now();
    // Stands still: the buckets would fill while the calls are made.
    const still: Clock = { now: () => now, after: () => () => undefined };
    await ecs.stop();
    ecs = await Ecs.start({ clock: still, taskDefinitions });
    client.destroy();
    client = new ECSClient({ endpoint: ecs.url, region: 'us-east-1', maxAttempts: 1 });
    const calls = await Promise.allSettled(Array.from({ length: 30 }, () => run('quick')));
    const refused = calls.filter((call) => call.status === 'rejected');
    expect(refused).toHaveLength(10);
    expect(refused[0]?.reason).toMatchObject({ name: 'ThrottlingException', message: 'Rate exceeded' });
    now += 1000;
    await run('quick');
  });

  test('fails as told, even after the act', async () => {
    ecs.failNext('RunTask', { type: 'BlockedException' });
    await expect(run('quick')).rejects.toMatchObject({ name: 'BlockedException' });
    ecs.failNext('RunTask', { type: 'ServerException', after: true });
    await expect(run('quick', { clientToken: 'token' })).rejects.toMatchObject({ name: 'ServerException' });
    expect(ecs.tasks.size).toBe(1);
    await run('quick', { clientToken: 'token' });
    expect(ecs.tasks.size).toBe(1);
  });
});

describe('looking for tasks', () => {
  test('finds them by who started them, by family, by what they ought to be', async () => {
    const done = await runOne('quick', { startedBy: 'a' });
    await ecs.stoppedTask(done);
    const live = await runOne('patient', { startedBy: 'b' });
    expect((await list()).taskArns).toEqual([live]);
    expect((await list({ startedBy: 'b' })).taskArns).toEqual([live]);
    expect((await list({ startedBy: 'a' })).taskArns).toEqual([]);
    expect((await list({ startedBy: 'a', desiredStatus: 'STOPPED' })).taskArns).toEqual([done]);
    expect((await list({ family: 'quick', desiredStatus: 'STOPPED' })).taskArns).toEqual([done]);
    await expect(list({ startedBy: 'a', family: 'quick' })).rejects.toMatchObject({
      name: 'InvalidParameterException',
    });
  });

  test('holds callers to the letter of the reference when told to', async () => {
    ecs.startedByMustBeAlone = true;
    await expect(list({ startedBy: 'a', desiredStatus: 'STOPPED' })).rejects.toMatchObject({
      name: 'InvalidParameterException',
    });
  });

  test('goes page by page', async () => {
    ecs.latency.provisioning = 60_000;
    await run('quick', { count: 5 });
    const first = await list({ maxResults: 2 });
    const second = await list({ maxResults: 2, nextToken: first.nextToken });
    const third = await list({ maxResults: 2, nextToken: second.nextToken });
    expect(third.nextToken).toBeUndefined();
    const pages = [first, second, third].map(({ taskArns = [] }) => taskArns);
    expect(pages.map(({ length }) => length)).toEqual([2, 2, 1]);
    expect(pages.flat()).toEqual([...ecs.tasks.keys()]);
  });

  test('misses a new task for a while, when consistency is eventual', async () => {
    ecs.invisibleMs = 30_000;
    ecs.latency.provisioning = 60_000;
    const arn = await runOne('quick');
    expect((await describeTask(arn)).failures).toEqual([{ arn, reason: 'MISSING' }]);
    expect((await list()).taskArns).toEqual([]);
    clock.advance(30_000);
    expect((await describeTask(arn)).tasks).toHaveLength(1);
  });
});

describe('state changes', () => {
  test('come twice, late, or never, as told', async () => {
    ecs.deliver = ({ detail }) => {
      if (detail.lastStatus === 'PENDING') return [];
      return detail.lastStatus === 'STOPPED' ? [0, 60_000] : [0];
    };
    await ecs.stoppedTask(await runOne('quick'));
    expect(statuses().filter((status) => status.startsWith('STOPPED'))).toHaveLength(1);
    expect(statuses()).not.toContain('PENDING RUNNING');
    clock.advance(60_000);
    expect(statuses().filter((status) => status.startsWith('STOPPED'))).toHaveLength(2);
  });
});

/** The processes that work in a directory or have it in their environment. */
function processesOf(scratch: string): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .filter((pid) => {
      try {
        const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
        return environment.includes(scratch) || readlinkSync(`/proc/${pid}/cwd`).startsWith(scratch);
      } catch {
        return false;
      }
    });
}

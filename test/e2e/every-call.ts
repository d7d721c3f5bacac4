import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FleetCall } from '../emulators/local-fleet.ts';
import { impatient, minute, plainJob, startScenario, until, type Scenario } from './scenario.ts';

/** What one fleet did. */
export type Played = {
  readonly calls: readonly FleetCall[];
  /** What its functions wrote. */
  readonly lines: readonly string[];
  /** What its functions were told when they were deployed. */
  readonly environment: Readonly<Record<string, string>>;
};

type Options = NonNullable<Parameters<typeof startScenario>[0]>;
type Act = (scenario: Scenario) => Promise<void>;

const day = 24 * 60 * minute;
/** Processes of another pace, on whatever machine this is. */
const withinMs = 120_000;
/** GitHub must not lose patience only because the clock was turned. */
const patient = { lostAfterMs: 300 * day, offlineAfterMs: 300 * day, unservedAfterMs: 300 * day };
const secretParameter = '/github-runners/local/webhook-secret';
const keyParameter = '/github-runners/local/app-key';

/** Lets everything happen to some fleets that makes one call AWS or count something. Two play at a time: mostly they wait for processes. */
export async function playEverything(): Promise<Played[]> {
  const played: Played[] = [];
  const left = [...fleets];
  const playOn = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) played.push(await play(...next));
  };
  await Promise.all([playOn(), playOn()]);
  return played;
}

async function play(options: Options, acts: readonly Act[]): Promise<Played> {
  const calls: FleetCall[] = [];
  const scenario = await startScenario({ ...options, github: patient, onCall: (call) => calls.push(call) });
  try {
    for (const act of acts) {
      await act(scenario).catch((cause: unknown) => {
        throw new Error(`${act.name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      });
    }
  } finally {
    // Only then has every function said what it had to say.
    await scenario.stop();
  }
  const lines = scenario.logs.map((line) => line.slice(line.indexOf(' ') + 1));
  return { calls, lines, environment: scenario.fleet.environment };
}

const days = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'] as const;
const always = { scope: 'acme', count: 1, days: [...days], from: '12:00', to: '11:59', timezone: 'UTC' };

/** One fleet a line, and what happens to it, each when all before is over. */
const fleets: readonly (readonly [Options, readonly Act[]])[] = [
  [{ visibilitySeconds: 35, profile: { capacity: 'spot-preferred' } }, [ecsSaysNoInEveryWay, aLaunchComesADayLate]],
  [
    {
      profile: { ...impatient, runnerGroup: 'nobody' },
      arrange: (github) => github.addRunnerGroup('acme', { name: 'nobody', visibility: 'selected', repositories: [] }),
    },
    [sixRunnersServeNobody],
  ],
  [
    { buildsImages: true, profile: { maxRunners: 1 } },
    [
      theImageIsBuilt,
      aFullProfileLetsTheNextJobIn,
      aJobIsCancelledWhileItsTaskBoots,
      aJobIsCancelledWhileItsTaskIsAskedFor,
      aTaskIsLost,
      githubFailsTheSweeps,
    ],
  ],
  [{}, [aRunnerIsStolen, githubAnnouncesNothing, deliveriesFail, theStackIsDeleted]],
  [{ profile: { idleMinutes: 5, warm: [always] } }, [anIdleRunnerHangs, aRunnerIsKeptWarm]],
];

async function theImageIsBuilt(scenario: Scenario): Promise<void> {
  const { clock, functions, images } = scenario.fleet;
  const job = scenario.github.queueJob(plainJob);
  await reasonIs(scenario, job.id, 'image-building');
  const look = async (): Promise<boolean> => (await functions['build-image'].invoke({})).ok;
  await patiently(look, 'a build is started');
  for (const _ of images?.running ?? []) images?.endBuild();
  clock.advance(2 * minute);
  await patiently(look, 'the age of the image is told');
  await run(scenario, 'replenish');
  await jobIs(scenario, job.id, 'completed');
  await allGone(scenario);
}

async function aFullProfileLetsTheNextJobIn(scenario: Scenario): Promise<void> {
  await run(scenario, 'redeliver');
  const { script, release } = await scenario.gate();
  const first = scenario.github.queueJob({ ...plainJob, script });
  await jobIs(scenario, first.id, 'in_progress');
  const second = scenario.github.queueJob(plainJob);
  await reasonIs(scenario, second.id, 'profile-full');
  await run(scenario, 'replenish');
  await run(scenario, 'scale-down');
  await release();
  await jobIs(scenario, second.id, 'completed');
  await allGone(scenario);
  await run(scenario, 'redeliver');
}

async function aRunnerIsStolen(scenario: Scenario): Promise<void> {
  const { script, release } = await scenario.gate();
  const thief = scenario.github.queueJob({ ...plainJob, script, unannounced: true });
  const robbed = scenario.github.queueJob(plainJob);
  await jobIs(scenario, thief.id, 'in_progress');
  await jobIs(scenario, robbed.id, 'completed');
  await release();
  await allGone(scenario);
}

async function aJobIsCancelledWhileItsTaskBoots(scenario: Scenario): Promise<void> {
  scenario.fleet.ecs.latency.pull = day;
  const job = scenario.github.queueJob(plainJob);
  await runnerIs(scenario, { jobId: job.id, launch: 1 }, ({ taskArn }) => taskArn !== undefined);
  scenario.github.cancelJob(job.id);
  await allGone(scenario);
  scenario.fleet.ecs.latency.pull = 1;
}

async function aJobIsCancelledWhileItsTaskIsAskedFor(scenario: Scenario): Promise<void> {
  const { service } = scenario.fleet.ecs;
  const asked = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<void>();
  service.beforeCall = async ({ operation }) => {
    if (operation !== 'RunTask') return;
    asked.resolve();
    await answered.promise;
  };
  const job = scenario.github.queueJob(plainJob);
  await asked.promise;
  scenario.github.cancelJob(job.id);
  await runnerIs(scenario, { jobId: job.id, launch: 1 }, ({ revoked }) => revoked === true);
  service.beforeCall = undefined;
  answered.resolve();
  await allGone(scenario);
}

async function ecsSaysNoInEveryWay(scenario: Scenario): Promise<void> {
  const { ecs, clock, parameters } = scenario.fleet;
  const queue = async (reason: string): Promise<string> => {
    const { id } = scenario.github.queueJob(plainJob);
    await reasonIs(scenario, id, reason);
    return id;
  };
  const key = parameters.value(keyParameter) ?? '';
  parameters.put(keyParameter, '');
  const waiting = [await queue('scope-held')];
  parameters.put(keyParameter, key);
  clock.advance(2 * minute);

  ecs.capacity = () => 'none';
  waiting.push(await queue('no-capacity'));
  // One launch a minute asks AWS again.
  clock.advance(2 * minute);
  ecs.capacity = () => 'quota';
  waiting.push(await queue('quota'));
  clock.advance(2 * minute);
  ecs.capacity = (provider) => (provider === 'FARGATE_SPOT' ? 'none' : 'ok');
  ecs.failNext('RunTask', { type: 'ClientException' });
  waiting.push(await queue('launch-refused'));

  // The message comes back later.
  ecs.failNext('RunTask', { type: 'ThrottlingException' });
  waiting.push(scenario.github.queueJob(plainJob).id);
  await said(scenario, 'launch: returned');
  clock.advance(3000);
  await allGone(scenario);
  ecs.failNext('RunTask', { type: 'ServerException', status: 500 });
  waiting.push(scenario.github.queueJob(plainJob).id);
  await said(scenario, 'launch: failed');
  for (const id of waiting) {
    await patiently(async () => {
      clock.advance(2 * minute);
      await run(scenario, 'replenish');
      await quiet(scenario);
      return scenario.github.job(id).status === 'completed';
    }, `job ${id} is done`);
  }
  await allGone(scenario);
  ecs.capacity = () => 'ok';
}

async function aLaunchComesADayLate(scenario: Scenario): Promise<void> {
  scenario.fleet.ecs.capacity = () => 'none';
  const job = scenario.github.queueJob(plainJob);
  await reasonIs(scenario, job.id, 'no-capacity');
  await quiet(scenario);
  await scenario.fleet.eventSources['scale-up'].pause();
  scenario.fleet.clock.advance(2 * minute);
  await run(scenario, 'replenish');
  scenario.fleet.clock.advance(day);
  scenario.fleet.eventSources['scale-up'].resume();
  await patiently(async () => (await scenario.ledgerOf(job.id))?.['state'] === 'expired', 'it is given up');
  scenario.github.cancelJob(job.id);
  await allGone(scenario);
  scenario.fleet.ecs.capacity = () => 'ok';
}

async function sixRunnersServeNobody(scenario: Scenario): Promise<void> {
  const job = scenario.github.queueJob(plainJob);
  for (let unserved = 1; unserved <= 6; unserved += 1) {
    await patiently(
      async () => (await scenario.ledgerOf(job.id))?.['unserved'] === unserved,
      `${unserved} runners served nobody`,
    );
    await quiet(scenario);
    scenario.fleet.clock.advance(31 * minute);
    if (unserved < 6) await run(scenario, 'replenish');
  }
  await reasonIs(scenario, job.id, 'parked');
}

async function anIdleRunnerHangs(scenario: Scenario): Promise<void> {
  const { ecs, clock } = scenario.fleet;
  scenario.github.addRunnerGroup('acme', { name: 'nobody', visibility: 'selected', repositories: [] });
  const job = scenario.github.queueJob({ ...plainJob, runnerGroup: 'nobody' });
  await patiently(() => scenario.github.runners.some(({ online }) => online), 'its runner listens');
  scenario.github.cancelJob(job.id);
  await quiet(scenario);
  const [task] = ecs.tasks.values();
  if (task?.process?.pid !== undefined) process.kill(-task.process.pid, 'SIGSTOP');
  clock.advance(21 * minute);
  await run(scenario, 'scale-down');
  ecs.stopTimeoutScale = 0.001;
  clock.advance(4 * minute);
  await run(scenario, 'scale-down');
  await allGone(scenario);
}

async function aTaskIsLost(scenario: Scenario): Promise<void> {
  const { ecs, clock } = scenario.fleet;
  ecs.latency.boot = day;
  const job = scenario.github.queueJob(plainJob);
  await runnerIs(scenario, { jobId: job.id, launch: 1 }, ({ taskArn }) => taskArn !== undefined);
  await quiet(scenario);
  ecs.deliver = () => [];
  ecs.lose([...ecs.tasks.keys()].at(-1) ?? '');
  ecs.latency.boot = 1;
  clock.advance(11 * minute);
  await run(scenario, 'scale-down');
  clock.advance(minute);
  await run(scenario, 'scale-down');
  clock.advance(minute);
  await run(scenario, 'replenish');
  await jobIs(scenario, job.id, 'completed');
  // Nobody hears that this one stops either: the sweep asks ECS.
  await patiently(() => scenario.liveTasks === 0, 'its task has ended');
  await quiet(scenario);
  await run(scenario, 'scale-down');
  await allGone(scenario);
  ecs.deliver = () => [0];
}

async function githubAnnouncesNothing(scenario: Scenario): Promise<void> {
  scenario.github.behave({ deliver: () => 'lose' });
  const { script, release } = await scenario.gate();
  const job = scenario.github.queueJob({ ...plainJob, script });
  scenario.fleet.clock.advance(3 * minute);
  await run(scenario, 'replenish');
  await jobIs(scenario, job.id, 'in_progress');
  scenario.fleet.clock.advance(6 * minute);
  await run(scenario, 'replenish');
  await quiet(scenario);
  await release();
  await allGone(scenario);
}

async function deliveriesFail(scenario: Scenario): Promise<void> {
  const { clock, parameters } = scenario.fleet;
  const { github } = scenario;
  github.behave({ deliver: () => 'fail' });
  await run(scenario, 'redeliver');
  clock.advance(6 * minute);
  const job = github.queueJob(plainJob);
  await github.deliveriesSettled();
  // It cannot be read, then there is no secret, then it is another one: 503, 503, 401.
  const payload = github.describeJob(job.id, 'queued');
  const secret = parameters.value(secretParameter) ?? '';
  scenario.fleet.functions.webhook.chill();
  parameters.failNext('GetParameter', { type: 'AccessDeniedException' });
  await github.post('workflow_job', payload);
  parameters.put(secretParameter, '');
  await github.post('workflow_job', payload);
  parameters.put(secretParameter, 'another secret');
  clock.advance(2 * minute);
  github.behave({ deliver: () => 'now' });
  const refused = github.queueJob(plainJob);
  await github.deliveriesSettled();
  clock.advance(minute);
  parameters.put(secretParameter, secret);
  clock.advance(2 * minute);
  await run(scenario, 'redeliver');
  await jobIs(scenario, job.id, 'completed');
  await jobIs(scenario, refused.id, 'completed');
  await allGone(scenario);
}

/** The function's time is soon over, and CloudFormation told so: a real deletion has ten minutes. */
async function theStackIsDeleted(scenario: Scenario): Promise<void> {
  const { script } = await scenario.gate();
  const job = scenario.github.queueJob({ ...plainJob, script });
  await jobIs(scenario, job.id, 'in_progress');
  const cloudFormation = createServer((request, response) => {
    request.resume();
    response.end();
  });
  await once(cloudFormation.listen(0, '127.0.0.1'), 'listening');
  const { port } = cloudFormation.address() as AddressInfo;
  await scenario.fleet.functions['end-fleet'].invoke({
    RequestType: 'Delete',
    ResponseURL: `http://127.0.0.1:${port}/`,
    PhysicalResourceId: 'tasks',
  });
  cloudFormation.close();
  await patiently(() => scenario.liveTasks === 0, 'no task is left');
  await quiet(scenario);
}

async function githubFailsTheSweeps(scenario: Scenario): Promise<void> {
  scenario.github.behave({ failRequests: ({ path }) => (/runners|actions\/runs/.test(path) ? 500 : undefined) });
  scenario.fleet.clock.advance(6 * minute);
  for (const sweep of ['replenish', 'scale-down'] as const) await scenario.fleet.schedules[sweep].runNow();
}

async function aRunnerIsKeptWarm(scenario: Scenario): Promise<void> {
  await run(scenario, 'replenish');
  await patiently(() => scenario.github.runners.some(({ online }) => online), 'a runner listens for nobody');
  const job = scenario.github.queueJob(plainJob);
  await jobIs(scenario, job.id, 'completed');
}

async function patiently(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => Promise<string>),
): Promise<void> {
  await until(holds, what, withinMs);
}

/** Runs a sweep until it goes well: on a machine that has other things to do, GitHub's answer may come too late. */
async function run(scenario: Scenario, sweep: keyof Scenario['fleet']['schedules']): Promise<void> {
  await patiently(async () => (await scenario.fleet.schedules[sweep].runNow()).ok, `${sweep} goes well`);
}

async function quiet(scenario: Scenario): Promise<void> {
  await inAFewTries(async () => scenario.quiet());
}

async function allGone(scenario: Scenario): Promise<void> {
  await inAFewTries(async () => scenario.expectAllGone());
}

/** What a scenario waits for it gives up after some seconds. */
async function inAFewTries(wait: () => Promise<void>): Promise<void> {
  const end = Date.now() + withinMs;
  for (;;) {
    try {
      return await wait();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

async function jobIs(scenario: Scenario, id: string, status: 'in_progress' | 'completed'): Promise<void> {
  await patiently(() => scenario.github.job(id).status === status, `job ${id} is ${status}`);
}

async function reasonIs(scenario: Scenario, id: string, reason: string): Promise<void> {
  const now = async (): Promise<unknown> => (await scenario.ledgerOf(id))?.['reason'];
  await patiently(
    async () => (await now()) === reason,
    async () => `job ${id} waits: ${reason}, not ${String(await now())}`,
  );
}

async function runnerIs(
  scenario: Scenario,
  { jobId, launch }: { readonly jobId: string; readonly launch: number },
  holds: (item: Record<string, unknown>) => boolean,
): Promise<void> {
  await patiently(
    async () =>
      (await scenario.fleet.ledger()).some(
        (item) => item['jobId'] === jobId && item['launch'] === launch && holds(item),
      ),
    `launch ${launch} of job ${jobId} is as it should be`,
  );
}

async function said(scenario: Scenario, message: string): Promise<void> {
  await patiently(() => scenario.logs.some((line) => line.includes(`"message":"${message}"`)), `it says ${message}`);
}

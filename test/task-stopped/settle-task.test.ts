import { describe, expect, test } from '@jest/globals';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decodeStoppedTask } from '../../functions/contracts/with-tasks/stopped-task.ts';
import { settleTask } from '../../functions/task-stopped/settle-task.ts';
import { aJobRecord, aLaunchedRunner, aProfile, aRunner, aStoppedTask, prefix } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { exitCodeOf, type TaskEnd } from '../fakes/tasks.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const first = '81230000001';
const own = `${prefix}-${first}-1`;

/** A job that waits, and its first runner, registered and at work. */
function begin(options: WorldOptions & { readonly runner?: Partial<RunnerRecord> } = {}) {
  const world = fakeWorld({ jobs: [aJobRecord({ launches: 1, reason: 'starting' })], ...options });
  world.ledger.putRunner(aLaunchedRunner(options.runner));
  world.claims.items.set(`claim#claim-of-${own}`, { id: `claim#claim-of-${own}`, body: '', expiresAt: Infinity });
  world.github.register('acme', own);
  return world;
}
const settle = async (world: FakeWorld, { outcome = 'ran-a-job', ...end }: TaskEnd & { runnerId?: string } = {}) =>
  settleTask(aStoppedTask({ exitCode: exitCodeOf(outcome), ...end }), world.ports);
const breakerOf = async (world: FakeWorld) => world.ledger.readBreaker({ profile: 'small', scope: 'acme' });
/** Another job that waits in the same profile, in some scope. */
const wait = (world: FakeWorld, id: string, fullName = 'acme/web') =>
  world.ledger.putJob(
    aJobRecord({
      job: { id, repository: { fullName, ownerType: fullName.startsWith('acme/') ? 'Organization' : 'User' } },
    }),
  );
const launched = (world: FakeWorld) =>
  world.queues
    .takeLaunches()
    .map((message) => (message.kind === 'launch' ? `${message.jobId} ${message.launch}` : '?'));

describe('a task that stopped', () => {
  test.each([
    ['ran-a-job', {}, 'ran-a-job'],
    ['idle', {}, 'idle'],
    ['idle', { busyJobId: '5' }, 'interrupted-in-a-job'],
    ['no-claim', {}, 'no-claim'],
    ['no-claim', { revoked: true }, 'revoked'],
    ['registration-refused', {}, 'registration-refused'],
    ['github-unreachable', {}, 'failed-to-start'],
    ['version-deprecated', {}, 'failed-to-start'],
    ['no-claim-server', {}, 'failed-to-start'],
    ['broken-image', {}, 'failed-to-start'],
    ['interrupted-before-a-job', {}, 'interrupted-before-a-job'],
    ['interrupted-before-a-job', { deregisteredAt: '2026-11-21T09:00:00.000Z' }, 'reaped'],
    ['interrupted-in-a-job', {}, 'interrupted-in-a-job'],
    ['over-max-hours', {}, 'over-max-hours'],
    ['ended-without-a-job', {}, 'failed-before-a-job'],
    ['ended-without-a-job', { deregisteredAt: '2026-11-21T09:00:00.000Z' }, 'reaped'],
  ] as const)('with "%s" by a runner with %j gives its place back as %s', async (outcome, runner, ending) => {
    const world = begin({ runner });
    const verdict = await settle(world, { outcome });
    expect(verdict).toMatchObject({ kind: 'ended', runner: own, profile: 'small', ending });
    expect(world.ledger.runner(own)).toMatchObject({ endedAt: world.clock.iso(), ending });
    expect(world.ledger.countLeases('small')).toBe(0);
    expect(world.claims.open().size).toBe(0);
  });

  test.each([
    [{ awsFault: 'spot-interruption', exitCode: 143 }, 'spot-interrupted'],
    [{ awsFault: 'start-failure', exitCode: undefined, started: false }, 'not-started-by-aws'],
    [{ outOfMemory: true, exitCode: 137 }, 'out-of-memory'],
    [{ stopCode: 'TaskFailedToStart', exitCode: undefined }, 'failed-to-start'],
    [{ exitCode: 137 }, 'failed-to-start'],
  ] as const)('of which ECS says %j gives its place back as %s', async (end, ending) => {
    const world = begin();
    expect(await settleTask(aStoppedTask(end), world.ports)).toMatchObject({ kind: 'ended', ending });
    expect(world.ledger.live()).toEqual([]);
  });

  test('because its Docker daemon never answered is a failed start, with a reason to read', async () => {
    const world = begin();
    const task = decodeStoppedTask({
      taskArn: `arn:task/${own}`,
      clusterArn: 'arn:cluster',
      lastStatus: 'STOPPED',
      startedBy: own,
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      capacityProviderName: 'docker_github-runners-ci_small_on-demand',
      containers: [{ name: 'runner' }, { name: 'docker', exitCode: 0, reason: 'unhealthy' }],
    });
    if (task === undefined) throw new Error('the task must be over');
    expect(await settleTask(task, world.ports)).toMatchObject({
      kind: 'ended',
      ending: 'failed-to-start',
      note: 'EssentialContainerExited, no exit code, Essential container in task exited: container docker ended with 0, unhealthy',
    });
    // Not filled at once, and counted by the breaker: a daemon that cannot start is no hot loop.
    expect(launched(world)).toEqual([]);
    expect(await breakerOf(world)).toMatchObject({ failures: 1 });
  });

  test('is settled once: a second event changes nothing', async () => {
    const world = begin();
    await settle(world, { outcome: 'idle' });
    const held = structuredClone([...world.ledger.items]);
    world.clock.turn(minute);
    expect(await settle(world, { outcome: 'idle' })).toMatchObject({ kind: 'known', note: 'ended before: idle' });
    expect([...world.ledger.items]).toEqual(held);
  });

  test('gives one place back when two events for it are handled at the same moment', async () => {
    const world = begin();
    world.ledger.putRunner(aLaunchedRunner({ jobId: 'other', runnerId: `${prefix}-other-1` }));
    const verdicts = await Promise.all([settle(world, { outcome: 'idle' }), settle(world, { outcome: 'idle' })]);
    expect(verdicts.map(({ kind }) => kind).toSorted()).toEqual(['ended', 'known']);
    expect(world.ledger.countLeases('small')).toBe(1);
    expect(world.ledger.job(first).unserved).toBe(1);
  });

  test('may crash at any step and be settled by the second event or the sweep, with the same result', async () => {
    const whole = begin();
    const task = aStoppedTask({ exitCode: exitCodeOf('idle') });
    const counted = recordCalls(whole.ports);
    await settleTask(task, counted.ports);
    expect(counted.calls.names).toEqual([
      'readRunner',
      'readJob',
      'changeJob',
      'endRunnerRecord',
      'readBreaker',
      'readCapacity',
      'topUp',
      'findRegistered',
      'deleteRegistered',
    ]);
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < counted.calls.names.length; crashAt += 1) {
        const world = begin();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        const outcome = await settleTask(task, ports).then(({ kind }) => kind, String);
        // What fails at GitHub is the sweep's, and no reason to settle once more.
        const isAtGitHub = counted.calls.names[crashAt]?.endsWith('Registered');
        expect(outcome).toMatch(isAtGitHub ? /^ended$/ : /the process died/);
        await settleTask(task, world.ports);
        expect(world.ledger.countLeases('small')).toBe(0);
        expect(world.claims.open().size).toBe(0);
        expect(world.ledger.runner(own)).toEqual(whole.ledger.runner(own));
        expect(world.ledger.job(first)).toEqual(whole.ledger.job(first));
      }
    }
  });

  test('may crash at any step though AWS did not start it: its job is not blamed, and does without Spot next', async () => {
    const task = aStoppedTask({
      exitCode: undefined,
      started: false,
      awsFault: 'start-failure',
      provider: 'FARGATE_SPOT',
    });
    const onSpot = () => begin({ runner: { provider: 'FARGATE_SPOT' } });
    const whole = onSpot();
    const counted = recordCalls(whole.ports);
    await settleTask(task, counted.ports);
    expect(counted.calls.names).toEqual([
      'readRunner',
      'readJob',
      'changeJob',
      'endRunnerRecord',
      'readCapacity',
      'changeCapacity',
    ]);
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < counted.calls.names.length; crashAt += 1) {
        const world = onSpot();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        await expect(settleTask(task, ports)).rejects.toThrow('the process died');
        await settleTask(task, world.ports);
        expect(world.ledger.countLeases('small')).toBe(0);
        expect(world.ledger.job(first)).toEqual(whole.ledger.job(first));
        expect(world.ledger.job(first)).toMatchObject({ unserved: 0, withoutSpot: true, notBefore: after(minute) });
      }
    }
  });

  test('of another fleet is not touched', async () => {
    const world = begin();
    for (const runnerId of ['ci-999999-1-1', `${prefix}x-1-1`, 'somebody']) {
      expect(await settle(world, { runnerId })).toEqual({
        kind: 'not-ours',
        note: 'another fleet started the task',
      });
    }
    const { runnerId: _starter, ...withoutStarter } = aStoppedTask();
    expect(await settleTask(withoutStarter, world.ports)).toMatchObject({
      kind: 'not-ours',
    });
    expect(world.ledger.live()).toHaveLength(1);
  });

  test('of a runner that the ledger does not know is left to the sweep', async () => {
    const world = begin();
    expect(await settle(world, { runnerId: `${prefix}-5-1` })).toEqual({
      kind: 'not-ours',
      note: 'the ledger does not know the runner',
      runner: `${prefix}-5-1`,
    });
    expect(world.github.calls).toEqual([]);
  });

  test('is not the end of a runner whose task is another', async () => {
    const world = begin();
    expect(await settle(world, { taskArn: 'arn:task/first-provider' })).toMatchObject({ kind: 'known' });
    expect(world.ledger.live()).toHaveLength(1);
  });

  test('is the end of a runner whose task was not recorded yet', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 1 })] });
    world.ledger.putRunner(aRunner());
    expect(await settle(world, { outcome: 'no-claim' })).toMatchObject({ kind: 'ended', ending: 'no-claim' });
  });
});

describe('a runner that ended without a job', () => {
  test('leaves its job waiting, for twice as long each time', async () => {
    const pauses: number[] = [];
    const world = begin();
    for (let launch = 1; launch <= 5; launch += 1) {
      const runnerId = `${prefix}-${first}-${launch}`;
      world.ledger.putRunner(aLaunchedRunner({ runnerId, launch }));
      const verdict = await settle(world, { outcome: 'idle', runnerId });
      expect(verdict.parked).toBe(false);
      const job = world.ledger.job(first);
      expect(job).toMatchObject({ state: 'waiting', unserved: launch, reason: 'backing-off' });
      pauses.push((Date.parse(job.notBefore ?? '') - world.clock.now()) / minute);
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16]);
  });

  test('is the sixth: the job is parked', async () => {
    const world = begin({ jobs: [aJobRecord({ launches: 6, unserved: 5, unservedLaunch: 5 })], runner: { launch: 6 } });
    const runnerId = `${prefix}-${first}-6`;
    expect(await settle(world, { outcome: 'idle', runnerId })).toMatchObject({ kind: 'ended', parked: true });
    expect(world.ledger.job(first)).toMatchObject({ parked: true, reason: 'parked', unserved: 6 });
    expect(launched(world)).toEqual([]);
  });

  test('counts nothing against a job that another runner has taken meanwhile', async () => {
    const world = begin({ jobs: [aJobRecord({ launches: 1, state: 'in_progress', runnerName: 'other' })] });
    await settle(world, { outcome: 'idle' });
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0 });
  });

  test('counts nothing against a job when the runner was stolen: it ran another', async () => {
    const world = begin({ runner: { busyJobId: 'stolen-for' } });
    const verdict = await settle(world);
    expect(verdict).toMatchObject({ ending: 'ran-a-job', job: 'stolen-for' });
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0 });
    expect(launched(world)).toEqual([`${first} 2`]);
  });

  test('and was warm counts against nobody', async () => {
    const runnerId = `${prefix}-w0-1-0`;
    const world = begin({ runner: { runnerId, jobId: undefined, launch: undefined } });
    expect(await settle(world, { outcome: 'idle', runnerId })).toMatchObject({ kind: 'ended', ending: 'idle' });
    expect(world.ledger.job(first).unserved).toBe(0);
  });
});

describe('the place of a runner that is over', () => {
  test('goes to the next job at once after a healthy end', async () => {
    const world = begin({ profiles: [aProfile({ maxRunners: 1 })], runner: { busyJobId: first } });
    world.ledger.putJob(aJobRecord({ launches: 1, state: 'completed' }));
    wait(world, '2');
    expect(await settle(world)).toMatchObject({ letIn: 1 });
    expect(launched(world)).toEqual(['2 1']);
  });

  test.each([
    ['no-claim', {}],
    ['broken-image', {}],
    ['ended-without-a-job', {}],
    ['interrupted-before-a-job', {}],
    ['idle', { outOfMemory: true }],
  ] as const)('is left to the sweep after a bad end, so that no start is a hot loop: %s %j', async (outcome, end) => {
    const world = begin({ profiles: [aProfile({ maxRunners: 1 })] });
    wait(world, '2');
    expect(await settle(world, { outcome, ...end })).toMatchObject({ letIn: 0 });
    expect(launched(world)).toEqual([]);
  });

  test('goes to the pool with the fewest runners when the cap is full', async () => {
    const world = begin({ profiles: [aProfile({ maxRunners: 4 })], runner: { busyJobId: first } });
    for (const id of ['a1', 'a2', 'a3']) {
      world.ledger.putRunner(aLaunchedRunner({ jobId: id, runnerId: `${prefix}-${id}-1`, busyJobId: id }));
    }
    world.ledger.putJob(aJobRecord({ launches: 1, state: 'completed' }));
    wait(world, '2');
    wait(world, '3', 'octo/toy');
    expect(await settle(world)).toMatchObject({ letIn: 1 });
    expect(launched(world)).toEqual(['3 1']);
  });

  test('goes to the oldest waiting job of a pool', async () => {
    const world = begin({ profiles: [aProfile({ maxRunners: 1 })], runner: { busyJobId: first } });
    world.ledger.putJob(aJobRecord({ launches: 1, state: 'completed' }));
    world.ledger.putJob(aJobRecord({ job: { id: '2', createdAt: '2026-11-21T08:59:00.000Z' } }));
    world.ledger.putJob(aJobRecord({ job: { id: '3', createdAt: '2026-11-21T08:58:00.000Z' } }));
    await settle(world);
    expect(launched(world)).toEqual(['3 1']);
  });

  test('goes to nobody while the pool has runners enough on their way', async () => {
    const world = begin({ runner: { busyJobId: first } });
    world.ledger.putJob(aJobRecord({ launches: 1, state: 'completed' }));
    world.ledger.putRunner(aLaunchedRunner({ jobId: '2', runnerId: `${prefix}-2-1` }));
    wait(world, '2');
    expect(await settle(world)).toMatchObject({ letIn: 0 });
  });

  test('goes to nobody while the profile is paused or still above a lowered cap', async () => {
    for (const maxRunners of [0, 1]) {
      const world = begin({ profiles: [aProfile({ maxRunners })], runner: { busyJobId: first } });
      for (const id of ['a1', 'a2']) {
        world.ledger.putRunner(aLaunchedRunner({ jobId: id, runnerId: `${prefix}-${id}-1`, busyJobId: id }));
      }
      wait(world, '2');
      expect(await settle(world)).toMatchObject({ kind: 'ended', letIn: 0 });
    }
  });

  test('goes to nobody in a scope that is held, and to another pool instead', async () => {
    const world = begin({ profiles: [aProfile({ maxRunners: 1 })], runner: { busyJobId: first } });
    world.ledger.putJob(aJobRecord({ launches: 1, state: 'completed' }));
    wait(world, '2');
    await world.ledger.holdScope('acme', { until: world.clock.now() + minute, note: 'suspended' });
    wait(world, '3', 'octo/toy');
    expect(await settle(world)).toMatchObject({ letIn: 1 });
    expect(launched(world)).toEqual(['3 1']);
  });

  test('comes back when its profile is gone from the settings', async () => {
    const world = begin({ profiles: [aProfile({ name: 'other', labels: ['other'] })] });
    expect(await settle(world)).toMatchObject({ kind: 'ended', letIn: 0 });
    expect(world.ledger.countLeases('small')).toBe(0);
  });
});

describe('starts that fail', () => {
  const fail = async (
    world: FakeWorld,
    launch: number,
    outcome: 'broken-image' | 'no-claim' | 'idle' = 'broken-image',
  ) => {
    const runnerId = `${prefix}-${first}-${launch}`;
    world.ledger.putRunner(aLaunchedRunner({ runnerId, launch }));
    await settle(world, { outcome, runnerId });
    return breakerOf(world);
  };

  test("open the profile's breaker when three come in a row", async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 3 })] });
    expect(await fail(world, 1)).toMatchObject({ failures: 1 });
    expect((await fail(world, 2, 'no-claim')).until).toBeUndefined();
    expect(await fail(world, 3)).toMatchObject({ failures: 3, until: after(minute) });
  });

  test('while it is open are not counted: they were begun before', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 6 })] });
    for (const launch of [1, 2, 3]) await fail(world, launch);
    for (const launch of [4, 5, 6]) {
      expect(await fail(world, launch)).toMatchObject({ failures: 3, until: after(minute) });
    }
  });

  test('let nobody in by a healthy end while the breaker is open, and one once its pause is over', async () => {
    const letIn = async (passed: number) => {
      const world = begin();
      for (const id of ['2', '3']) wait(world, id);
      await world.ledger.changeBreaker(
        { profile: 'small', scope: 'acme' },
        { revision: 0, failures: 3, until: after(minute) },
      );
      world.clock.turn(passed);
      // A runner that had listened closes it: of one that Spot took nobody knows.
      return settleTask(aStoppedTask({ awsFault: 'spot-interruption', exitCode: 69 }), world.ports);
    };
    expect(await letIn(minute - 1)).toMatchObject({ letIn: 0 });
    expect(await letIn(minute)).toMatchObject({ letIn: 1 });
  });

  test('are no fault of the job: it waits a minute each time, and is never held for them', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 8 })] });
    for (let launch = 1; launch <= 8; launch += 1) {
      await fail(world, launch, launch % 2 === 0 ? 'no-claim' : 'broken-image');
      expect(world.ledger.job(first)).toMatchObject({
        unserved: 0,
        unservedLaunch: launch,
        parked: false,
        reason: 'backing-off',
        notBefore: after(minute),
        note: expect.stringMatching(
          launch % 2 === 0
            ? /^its runner ended: no-claim \(.*exit 65/
            : /^its runner ended: failed-to-start \(.*exit 74/,
        ),
      });
    }
  });

  test('because GitHub refused the registration are no fault of the job, and make the next launch use another token', async () => {
    const world = begin();
    expect(await settle(world, { outcome: 'registration-refused' })).toMatchObject({ letIn: 0 });
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0, reason: 'backing-off', notBefore: after(minute) });
    expect(await breakerOf(world)).toMatchObject({ failures: 1 });
    expect(await world.ledger.readScope('acme')).toMatchObject({ tokenRefusedAt: after(0) });
    expect(world.github.calls).toEqual([]);
  });

  test('are not forgotten for a runner that was reaped: whether it ever listened nobody knows', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 2 })] });
    await fail(world, 1);
    const runnerId = `${prefix}-${first}-2`;
    world.ledger.putRunner(aLaunchedRunner({ runnerId, launch: 2, deregisteredAt: after(0) }));
    expect(await settle(world, { outcome: 'ended-without-a-job', runnerId })).toMatchObject({ ending: 'reaped' });
    expect(await breakerOf(world)).toMatchObject({ failures: 1 });
  });

  test('leave the count of those that ended without a job as it is', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 6, unserved: 5, unservedLaunch: 5 })] });
    await fail(world, 6);
    expect(world.ledger.job(first)).toMatchObject({ unserved: 5, parked: false, notBefore: after(minute) });
  });

  test('are also those of a runner that gave up before a job, warm or not', async () => {
    const runnerId = `${prefix}-w0-1-0`;
    const warm = begin({ runner: { runnerId, jobId: undefined, launch: undefined } });
    await settle(warm, { outcome: 'ended-without-a-job', runnerId });
    expect(await breakerOf(warm)).toMatchObject({ failures: 1 });
    const ofAJob = begin();
    await settle(ofAJob, { outcome: 'ended-without-a-job' });
    expect(await breakerOf(ofAJob)).toMatchObject({ failures: 1 });
    expect(ofAJob.ledger.job(first)).toMatchObject({ unserved: 0 });
  });

  test('are forgotten as soon as one runner has listened', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 3 })] });
    for (const launch of [1, 2, 3]) await fail(world, launch);
    const breaker = await fail(world, 4, 'idle');
    expect(breaker).toMatchObject({ failures: 0 });
    expect(breaker.until).toBeUndefined();
  });

  test('are not those whose claim was taken back, whose Spot machine went, or that AWS did not start', async () => {
    const revoked = begin({ runner: { revoked: true } });
    await settle(revoked, { outcome: 'no-claim' });
    expect(await breakerOf(revoked)).toMatchObject({ failures: 0 });
    for (const end of [
      { awsFault: 'spot-interruption', exitCode: 69 },
      { awsFault: 'start-failure', exitCode: undefined, started: false },
      { awsFault: 'no-capacity', exitCode: undefined, started: false },
    ] as const) {
      const world = begin();
      await settleTask(aStoppedTask(end), world.ports);
      expect(await breakerOf(world)).toMatchObject({ failures: 0 });
      expect(world.ledger.job(first)).toMatchObject({ unserved: 0, parked: false });
    }
  });

  test('by AWS say in the record of the job what AWS said', async () => {
    const world = begin();
    const reason = 'Timeout waiting for network interface provisioning to complete.';
    await settleTask(
      aStoppedTask({
        awsFault: 'start-failure',
        stopCode: 'TaskFailedToStart',
        exitCode: undefined,
        started: false,
        reason,
      }),
      world.ports,
    );
    expect(world.ledger.job(first)).toMatchObject({
      note: `its runner ended: not-started-by-aws (TaskFailedToStart, no exit code, ${reason})`,
    });
  });

  test('are also those of a task that never started until the reaper stopped it', async () => {
    const world = begin({ runner: { deregisteredAt: after(0) } });
    const task = aStoppedTask({ stopCode: 'UserInitiated', exitCode: undefined, started: false });
    expect(await settleTask(task, world.ports)).toMatchObject({ ending: 'failed-to-start', letIn: 0 });
    expect(await breakerOf(world)).toMatchObject({ failures: 1 });
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0 });
  });
});

describe('the top-up after an end', () => {
  test('is asked for with when the pool was served, if the runner had a job', async () => {
    const asked: unknown[] = [];
    const topUp: FakeWorld['ports']['topUp'] = async (one) => {
      asked.push(one.profile.name, one.served);
      return 3;
    };
    const busy = begin({ runner: { busyJobId: first, busyAt: after(-minute) } });
    expect(await settleTask(aStoppedTask(), { ...busy.ports, topUp })).toMatchObject({ letIn: 3 });
    const idle = begin();
    await settleTask(aStoppedTask({ exitCode: exitCodeOf('idle') }), { ...idle.ports, topUp });
    expect(asked).toEqual(['small', [{ pool: 'small@acme', at: after(-minute) }], 'small', []]);
  });

  test('lets the parked jobs of the pool in when the runner had a job', async () => {
    const world = begin({ runner: { busyJobId: 'x', busyAt: after(0) } });
    const parked = { parked: true, unserved: 6, parkedAt: after(-minute) };
    world.ledger.putJob(aJobRecord({ launches: 6, ...parked }));
    world.ledger.putJob(aJobRecord({ launches: 6, ...parked, job: { id: '2' } }));
    expect(await settle(world)).toMatchObject({ letIn: 2 });
    expect(launched(world)).toEqual(['2 7', `${first} 7`]);
  });

  test('that fails is told, after the place came back', async () => {
    const world = begin({ runner: { busyJobId: first } });
    const topUp = async () => Promise.reject(new Error('the table is throttled'));
    await expect(settleTask(aStoppedTask(), { ...world.ports, topUp })).rejects.toThrow('the table is throttled');
    expect(world.ledger.countLeases('small')).toBe(0);
  });
});

describe('the registration of a runner that is over', () => {
  test('is deleted where GitHub may still list it', async () => {
    const world = begin();
    expect(await settle(world, { outcome: 'idle' })).toMatchObject({ registration: 'deleted' });
    expect(world.github.registrations.get('acme')).toEqual([]);
  });

  test('costs no call after a job, for an ephemeral runner takes it along', async () => {
    const world = begin({ runner: { busyJobId: first } });
    expect((await settle(world)).registration).toBeUndefined();
    expect(world.github.calls).toEqual([]);
  });

  test('is left to the sweep while GitHub believes it busy', async () => {
    const world = begin({ runner: { busyJobId: first } });
    world.github.registrations.set('acme', [{ id: '9', name: own, online: false, busy: true }]);
    expect(await settle(world, { outcome: 'idle' })).toMatchObject({ kind: 'ended', registration: 'busy' });
  });

  test.each(['unavailable', 'rate-limited', 'not-installed', 'suspended'] as const)(
    'is left to the sweep when GitHub is %s; the place comes back all the same',
    async (kind) => {
      const world = begin();
      world.github.failNext('findRegistered', aGitHubError(kind));
      expect(await settle(world, { outcome: 'idle' })).toMatchObject({
        kind: 'ended',
        registration: `left to the sweep: GET /somewhere: ${kind}`,
      });
      expect(world.ledger.countLeases('small')).toBe(0);
    },
  );
});

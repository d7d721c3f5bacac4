import { describe, expect, test } from '@jest/globals';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { decideLoss } from '../../functions/fleet/decide-ending.ts';
import { sweepFleet } from '../../functions/scale-down/sweep-fleet.ts';
import { aJob, aJobRecord, aLaunchedRunner, aProfile, prefix } from '../fakes/builders.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const first = '81230000001';
const own = `${prefix}-${first}-1`;
const pastIdle = 20 * minute;

/** Starts a task and says its ARN. */
async function startTask(world: FakeWorld, runnerId: string, scope = 'acme'): Promise<string> {
  const result = await world.tasks.runTask({
    runnerId,
    claimId: 'claim',
    provider: 'FARGATE',
    taskDefinition: 'small:1',
    scope,
    tags: {},
  });
  if (result.kind !== 'started') throw new Error('the task must start');
  return result.taskArn;
}
/** A runner that has its task and its registration, and a repository whose jobs GitHub is asked for. */
async function begin(runner: Partial<RunnerRecord> = {}): Promise<FakeWorld> {
  const world = fakeWorld({ jobs: [aJobRecord({ launches: 1 })] });
  await world.ledger.noteRepository(aJob().repository);
  const record = world.ledger.putRunner(aLaunchedRunner(runner));
  await startTask(world, record.runnerId);
  world.github.register('acme', record.runnerId);
  return world;
}
const setBusy = (world: FakeWorld, name = own) => {
  const runners = world.github.registrations.get('acme') ?? [];
  world.github.registrations.set(
    'acme',
    runners.map((runner) => (runner.name === name ? { ...runner, busy: true } : runner)),
  );
};
const giveJob = (world: FakeWorld, runnerName: string) =>
  world.github.tell(aJob({ id: 'its-job' }), { state: 'in_progress', runnerName });
const sweep = async (world: FakeWorld, turn = 0) => {
  world.clock.turn(turn);
  return sweepFleet(world.ports);
};
const done = async (world: FakeWorld, turn = 0) =>
  (await sweep(world, turn)).swept.map(({ kind, result, ending }) =>
    [kind, result ?? ending].filter((word) => word !== undefined).join(': '),
  );
/** Starts in a row that failed, as the breaker of the profile in the scope has counted them. */
const failedStarts = async (world: FakeWorld) =>
  (await world.ledger.readBreaker({ profile: 'small', scope: 'acme' })).failures;
const unregister = (world: FakeWorld) => void world.github.registrations.set('acme', []);

describe('a runner past its idle limit', () => {
  test('loses its registration first, and its task minutes later', async () => {
    const world = await begin();
    expect(await done(world, pastIdle - 1)).toEqual([]);
    expect(await done(world, 1)).toEqual(['deregister: deleted']);
    expect(world.tasks.stops).toEqual([]);
    expect(world.ledger.runner(own).deregisteredAt).toBe(world.clock.iso());
    expect(await done(world, minute)).toEqual([]);
    expect(await done(world, 2 * minute)).toEqual(['stop-if-jobless: stopped']);
    expect(world.tasks.stops).toEqual([
      { taskArn: `arn:task/${own}`, reason: 'its registration is gone and it still runs' },
    ]);
    expect(await done(world, minute)).toEqual(['settle: reaped']);
    expect(world.ledger.live()).toEqual([]);
  });

  test('is left alone while GitHub says that it has a job, at the time of the list or of the deletion', async () => {
    const listed = await begin();
    setBusy(listed);
    expect(await done(listed, hour)).toEqual([]);
    const raced = await begin();
    raced.clock.turn(hour);
    const ports = { ...raced.ports, deleteRegistered: async () => Promise.resolve('busy' as const) };
    expect((await sweepFleet(ports)).swept).toMatchObject([{ kind: 'deregister', result: 'busy' }]);
    expect(raced.ledger.runner(own).deregisteredAt).toBeUndefined();
    expect([listed, raced].flatMap((world) => world.tasks.stops)).toEqual([]);
  });

  test('is not stopped when GitHub shows a job on it after all', async () => {
    const world = await begin();
    await sweep(world, pastIdle);
    giveJob(world, own);
    expect(await done(world, 3 * minute)).toEqual(['stop-if-jobless: it has a job']);
    expect(await done(world, hour)).toEqual(['stop-if-jobless: it has a job']);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is not stopped while GitHub does not say whether it has a job, and the sweep says so', async () => {
    const world = await begin();
    await sweep(world, pastIdle);
    world.github.failNext('listUnfinishedJobs', aGitHubError('unavailable'));
    const { failures } = await sweep(world, 3 * minute);
    expect(failures).toEqual([`${own}: GET /somewhere: unavailable`]);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is stopped at once when it has no registration and no job', async () => {
    const world = await begin();
    unregister(world);
    expect(await done(world, pastIdle)).toEqual(['stop-if-jobless: stopped']);
  });

  test('is asked for by name before its absence from the list counts', async () => {
    const world = await begin();
    world.clock.turn(pastIdle);
    const verdict = await sweepFleet({ ...world.ports, listRegistered: async () => Promise.resolve([]) });
    expect(verdict.swept).toMatchObject([{ kind: 'deregister', result: 'deleted' }]);
    expect(world.tasks.stops).toEqual([]);
  });

  test.each(['unavailable', 'rate-limited', 'suspended'] as const)(
    'is left alone while GitHub is %s, and the sweep says so',
    async (kind) => {
      const world = await begin();
      world.github.failNext('findRegistered', aGitHubError(kind), 3);
      for (const turn of [pastIdle, minute, minute]) {
        expect(await sweep(world, turn)).toEqual({
          swept: [],
          putOff: 0,
          failures: [`${own}: GET /somewhere: ${kind}`],
        });
      }
      expect(world.tasks.stops).toEqual([]);
    },
  );

  test('is left alone while less than 20 percent of the rate limit is left', async () => {
    const world = await begin();
    world.github.limits.set('acme', { limit: 5000, remaining: 999, spent: 0 });
    expect(await sweep(world, pastIdle)).toEqual({ swept: [], putOff: 0, failures: [] });
    expect(world.github.calls).toEqual([]);
  });

  test('is left alone when an event has named it with a job', async () => {
    const world = await begin({ busyJobId: 'stolen', busyAt: after(minute) });
    unregister(world);
    expect(await done(world, 2 * hour)).toEqual([]);
  });
});

describe('a runner past the hours of its profile', () => {
  test('is stopped whatever it does', async () => {
    const world = await begin({ busyJobId: first, busyAt: beginning });
    setBusy(world);
    giveJob(world, own);
    expect(await done(world, 6 * hour + 5 * minute)).toEqual([]);
    expect(await done(world, 1)).toEqual(['stop: stopped']);
    expect(world.tasks.running()).toEqual([]);
  });

  test('is stopped after six hours when its profile is gone from the settings', async () => {
    const world = await begin({ profile: 'gone', busyJobId: first, busyAt: beginning });
    expect(await done(world, 6 * hour + 5 * minute + 1)).toEqual(['stop: stopped']);
  });
});

describe('a runner that its claim told 72 hours', () => {
  const told = { maxHours: 72, busyJobId: first, busyAt: beginning };
  const withProfiles = (world: FakeWorld, profiles: Profile[]) => ({
    ...world.ports,
    fleet: { ...world.ports.fleet, profiles },
  });
  const renamed = [aProfile({ name: 'renamed' })];
  const lowered = [aProfile({ maxHours: 1 })];

  test.each<[string, Profile[]]>([
    ['renamed', renamed],
    ['removed', []],
    ['lowered to an hour', lowered],
  ])('is left alone when its profile is %s, and stopped when its own hours are over', async (_what, profiles) => {
    const world = await begin(told);
    setBusy(world);
    const ports = withProfiles(world, profiles);
    for (const turn of [6 * hour + 7 * minute, 65 * hour + 58 * minute]) {
      world.clock.turn(turn);
      expect((await sweepFleet(ports)).swept).toEqual([]);
    }
    world.clock.turn(1);
    expect((await sweepFleet(ports)).swept).toMatchObject([
      { kind: 'stop', note: 'its job runs for more than 72 hours', result: 'stopped' },
    ]);
  });

  test('is stopped no later because its profile was raised since', async () => {
    const world = await begin({ ...told, maxHours: 1 });
    const ports = withProfiles(world, [aProfile({ maxHours: 72 })]);
    world.clock.turn(hour + 5 * minute + 1);
    expect((await sweepFleet(ports)).swept).toMatchObject([{ kind: 'stop' }]);
  });
});

describe('a runner whose task never started', () => {
  /** ECS ends a task that it had not brought up: no exit code, no start. */
  const stopsAsEcsDoes = (world: FakeWorld) => ({
    ...world.ports,
    stopTask: async (taskArn: string, reason: string) => {
      const stuck = world.tasks.running().find((task) => task.taskArn === taskArn);
      if (stuck === undefined) throw new Error(`the task ${taskArn} must run`);
      world.tasks.end(stuck.runnerId, { exitCode: undefined, started: false, stopCode: 'UserInitiated', reason });
    },
  });

  test('is stopped past its idle limit and is a failed start, and no fault of its job', async () => {
    const world = await begin();
    unregister(world);
    const ports = stopsAsEcsDoes(world);
    world.clock.turn(pastIdle);
    expect((await sweepFleet(ports)).swept).toMatchObject([{ kind: 'stop-if-jobless', result: 'stopped' }]);
    world.clock.turn(minute);
    expect((await sweepFleet(ports)).swept).toEqual([
      {
        kind: 'settle',
        runner: own,
        profile: 'small',
        ending: 'failed-to-start',
        parked: false,
        note: 'UserInitiated, no exit code, it is not registered and past its idle limit',
      },
    ]);
    expect(await failedStarts(world)).toBe(1);
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0, parked: false, reason: 'backing-off' });
  });

  test('opens the breaker when two others did the same, and parks no job', async () => {
    const ids = ['1', '2', '3', '4', '5', '6'];
    const world = fakeWorld({ jobs: ids.map((id) => aJobRecord({ launches: 1, job: { id } })) });
    for (const id of ids) {
      const { runnerId } = world.ledger.putRunner(aLaunchedRunner({ jobId: id }));
      await startTask(world, runnerId);
    }
    const ports = stopsAsEcsDoes(world);
    for (const turn of [pastIdle, minute]) {
      world.clock.turn(turn);
      await sweepFleet(ports);
    }
    expect(world.ledger.live()).toEqual([]);
    expect(await world.ledger.readBreaker({ profile: 'small', scope: 'acme' })).toMatchObject({
      failures: 3,
      until: new Date(world.clock.now() + minute).toISOString(),
    });
    expect(world.ledger.jobs().map(({ unserved, parked }) => [unserved, parked])).toEqual(ids.map(() => [0, false]));
  });

  test('and that had come up before it was reaped counts against its job, and for no breaker', async () => {
    const world = await begin();
    unregister(world);
    await sweep(world, pastIdle);
    expect(await done(world, minute)).toEqual(['settle: reaped']);
    expect(await failedStarts(world)).toBe(0);
    expect(world.ledger.job(first)).toMatchObject({ unserved: 1 });
  });
});

describe('the end of a runner that ECS knows no task of', () => {
  const loss = (runner: Partial<RunnerRecord>) => {
    const { ending, start, counts, unserved, lostTask, note } = decideLoss(aLaunchedRunner(runner), 'no task');
    return { ending, start, counts, unserved, lostTask, note };
  };
  const common = { counts: false, lostTask: undefined, note: 'no task' };

  test.each([
    ['had its claim', {}, { ending: 'lost', start: 'bad', unserved: true }],
    ['had a job', { busyJobId: '5' }, { ending: 'interrupted-in-a-job', start: 'good', unserved: false }],
    ['had its claim revoked', { revoked: true }, { ending: 'revoked', start: 'unknown', unserved: false }],
    ['never had a claim', { claimId: undefined }, { ending: 'not-launched', start: 'unknown', unserved: false }],
  ] as const)('that %s never counts against its job', (_what, runner, end) => {
    expect(loss(runner)).toEqual({ ...common, ...end });
  });
});

describe('a runner whose task is not to be found', () => {
  const withoutTask = async (runner: Partial<RunnerRecord> = {}) => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 1 })] });
    world.ledger.putRunner(aLaunchedRunner(runner));
    return world;
  };

  test('is lost when two sweeps past the boot limit agree', async () => {
    const world = await withoutTask();
    expect(await done(world, 10 * minute - 1)).toEqual([]);
    expect(await done(world, 1)).toEqual(['miss']);
    expect(world.ledger.live()).toHaveLength(1);
    expect(await done(world, 29_999)).toEqual([]);
    expect(await done(world, 1)).toEqual(['lose: lost']);
    expect(world.ledger.runner(own)).toMatchObject({ ending: 'lost', endedAt: world.clock.iso() });
    expect(world.ledger.countLeases('small')).toBe(0);
    // No fault of the job's: it waits a minute and is never parked for it.
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0, parked: false, reason: 'backing-off' });
    expect(world.ledger.job(first).notBefore).toBe(new Date(world.clock.now() + minute).toISOString());
    expect(await failedStarts(world)).toBe(1);
  });

  test('is found again when its task shows itself between the two', async () => {
    const world = await withoutTask();
    await sweep(world, 10 * minute);
    await startTask(world, own);
    expect(await done(world, minute)).toEqual(['found-again']);
    expect(world.ledger.runner(own).missingSince).toBeUndefined();
    expect(await done(world, minute)).toEqual([]);
  });

  test('that never got a claim was never launched, and its job did nothing wrong', async () => {
    const world = await withoutTask({ claimId: undefined, taskArn: undefined });
    await sweep(world, 10 * minute);
    expect(await done(world, minute)).toEqual(['lose: not-launched']);
    expect(world.ledger.runner(own).ending).toBe('not-launched');
    expect(world.ledger.job(first).unserved).toBe(0);
    expect(await failedStarts(world)).toBe(0);
  });

  test('and whose claim was revoked before has done nothing wrong, nor has its job', async () => {
    const world = await withoutTask({ revoked: true });
    await sweep(world, 10 * minute);
    expect(await done(world, minute)).toEqual(['lose: revoked']);
    expect(world.ledger.job(first)).toMatchObject({ unserved: 0 });
    expect(world.ledger.job(first).notBefore).toBeUndefined();
    expect(await failedStarts(world)).toBe(0);
  });

  // It had listened, or GitHub could not have given it a job.
  test('and that an event had named with a job is no failed start', async () => {
    const world = await withoutTask({ busyJobId: first, busyAt: after(minute) });
    await sweep(world, 10 * minute);
    expect(await done(world, minute)).toEqual(['lose: interrupted-in-a-job']);
    expect(await failedStarts(world)).toBe(0);
  });

  test('has its claim taken back, so that a task that comes late cannot become a runner', async () => {
    const world = await withoutTask({ taskArn: undefined });
    expect([...world.claims.open().keys()]).toEqual([`claim-of-${own}`]);
    await sweep(world, 10 * minute);
    await sweep(world, minute);
    expect(world.claims.open().size).toBe(0);
  });

  test('is settled when ECS knows it as stopped: its event was lost', async () => {
    const world = await begin();
    world.tasks.end(own, { outcome: 'idle' });
    expect(await done(world, minute)).toEqual(['settle: idle']);
    expect(world.ledger.runner(own)).toMatchObject({ ending: 'idle' });
    expect(world.ledger.job(first).unserved).toBe(1);
    expect(await done(world, minute)).toEqual(['delete-registration: deleted']);
    expect(await done(world, minute)).toEqual([]);
  });
});

describe('a place that is free', () => {
  const slowGitHub = (world: FakeWorld) => ({
    ...world.ports,
    findRegistered: async () => {
      world.clock.turn(5000);
      return Promise.reject(aGitHubError('unavailable'));
    },
    listRegistered: async () => Promise.reject(aGitHubError('unavailable')),
  });

  test('comes back without a call to GitHub: by a stop nobody told of, and by a loss', async () => {
    const world = await begin();
    world.tasks.end(own, { outcome: 'idle' });
    world.ledger.putRunner(aLaunchedRunner({ jobId: '2', runnerId: `${prefix}-2-1` }));
    await sweep(world, 10 * minute);
    world.github.calls.length = 0;
    world.clock.turn(minute);
    const deaf = { ...world.ports, isScarce: () => true };
    expect((await sweepFleet(deaf)).swept).toMatchObject([{ kind: 'lose', ending: 'lost' }]);
    expect(world.ledger.live()).toEqual([]);
    expect(world.github.calls).toEqual([]);
  });

  test('comes back while GitHub answers nothing', async () => {
    const world = await begin();
    world.tasks.end(own, { outcome: 'idle' });
    const { swept, failures } = await sweepFleet(slowGitHub(world));
    expect(swept).toMatchObject([{ kind: 'settle', ending: 'idle' }]);
    expect(failures).toEqual(['acme: GET /somewhere: unavailable']);
  });

  // Four calls of five seconds use the sweep up, and the same four come first in the next one.
  test('comes back though runners before it wait for a GitHub that answers nothing, sweep for sweep', async () => {
    const world = await begin();
    for (const id of ['2', '3', '4', '5', '6']) {
      world.ledger.putRunner(aLaunchedRunner({ jobId: id, runnerId: `${prefix}-${id}-1` }));
      await startTask(world, `${prefix}-${id}-1`);
    }
    const behind = aLaunchedRunner({ jobId: '9', runnerId: `${prefix}-9-1`, createdAt: after(minute) });
    world.ledger.putRunner(behind);
    await startTask(world, behind.runnerId);
    world.tasks.end(behind.runnerId, { outcome: 'idle' });
    world.clock.turn(pastIdle);
    for (let count = 0; count < 3; count += 1) {
      await sweepFleet(slowGitHub(world));
      world.clock.turn(minute);
    }
    expect(world.ledger.runner(behind.runnerId).ending).toBe('idle');
  });
});

describe('a registration that bears our name', () => {
  test('of a runner that is over is deleted', async () => {
    const world = await begin({ endedAt: beginning, ending: 'ran-a-job' });
    world.tasks.end(own);
    expect(await done(world)).toEqual(['delete-registration: deleted']);
    expect(world.github.registrations.get('acme')).toEqual([]);
  });

  test('of a runner that is over is left while GitHub believes it busy', async () => {
    const world = await begin({ endedAt: beginning, ending: 'ran-a-job' });
    world.tasks.end(own);
    setBusy(world);
    expect(await done(world)).toEqual(['delete-registration: busy']);
  });

  const withStranger = async (online: boolean, name = `${prefix}-unknown-1`) => {
    const world = fakeWorld();
    await world.ledger.noteRepository(aJob().repository);
    world.github.register('acme', name, { online });
    return world;
  };

  test('without a record goes when two sweeps ten minutes apart saw it offline', async () => {
    const world = await withStranger(false);
    expect(await done(world)).toEqual([]);
    expect(await done(world, 10 * minute - 1)).toEqual([]);
    expect(await done(world, 1)).toEqual(['delete-registration: deleted']);
  });

  test('without a record stays while it is online, however long', async () => {
    const world = await withStranger(true);
    for (const turn of [0, 10 * minute, hour]) expect(await done(world, turn)).toEqual([]);
  });

  const setOnline = (world: FakeWorld, online: boolean) =>
    void world.github.registrations.set('acme', [{ id: '1', name: `${prefix}-unknown-1`, online, busy: false }]);

  test('without a record that was online until now is not taken for one that was offline all the time', async () => {
    const world = await withStranger(true);
    await sweep(world);
    setOnline(world, false);
    expect(await done(world, 11 * minute)).toEqual([]);
  });

  test('without a record that comes online in between is counted from anew', async () => {
    const world = await withStranger(false);
    await sweep(world);
    setOnline(world, true);
    await sweep(world, 9 * minute);
    setOnline(world, false);
    expect(await done(world, minute)).toEqual([]);
    expect(await done(world, 10 * minute - 1)).toEqual([]);
    expect(await done(world, 1)).toEqual(['delete-registration: deleted']);
  });

  test('without a record that nobody looked at for more than an hour is counted from anew', async () => {
    const world = await withStranger(false);
    await sweep(world);
    expect(await done(world, hour + 1)).toEqual([]);
    expect(await done(world, 10 * minute)).toEqual(['delete-registration: deleted']);
  });

  test('of a runner that lives is no stranger, also when the list of the living does not show it yet', async () => {
    const world = await begin();
    world.github.registrations.set('acme', [{ id: '1', name: own, online: false, busy: false }]);
    const unseen = {
      ...world.ports,
      listLive: async () => Promise.resolve([]),
      listTasks: async () => Promise.resolve([]),
    };
    for (const turn of [0, 5 * minute, 5 * minute]) {
      world.clock.turn(turn);
      expect((await sweepFleet(unseen)).swept).toEqual([]);
    }
  });

  test('of another fleet, or of nobody, is not touched', async () => {
    for (const name of ['ci-999999-1-1', 'build-server', `${prefix}0-1-1`]) {
      const world = await withStranger(false, name);
      for (const turn of [0, hour, hour]) expect(await done(world, turn)).toEqual([]);
    }
  });
});

describe('a task that bears our name without a live record', () => {
  const stranger = `${prefix}-unknown-1`;
  const withStranger = async (registered: 'idle' | 'busy' | 'absent') => {
    const world = fakeWorld();
    await world.ledger.noteRepository(aJob().repository);
    await startTask(world, stranger);
    if (registered !== 'absent') world.github.register('acme', stranger, { busy: registered === 'busy' });
    return world;
  };

  test('is left alone until it has booted', async () => {
    const world = await withStranger('idle');
    expect(await done(world, 10 * minute - 1)).toEqual([]);
  });

  test('loses its registration when two sweeps ten minutes apart saw it at rest, and is stopped in a later one', async () => {
    const world = await withStranger('idle');
    expect(await done(world, 10 * minute)).toEqual([]);
    expect(await done(world, 10 * minute - 1)).toEqual([]);
    expect(await done(world, 1)).toEqual(['deregister: deleted']);
    expect(world.tasks.stops).toEqual([]);
    expect(await done(world, minute)).toEqual([]);
    expect(await done(world, 10 * minute)).toEqual(['stop-stranger: stopped']);
    expect(world.tasks.running()).toEqual([]);
  });

  // DESIGN 8, and as with a runner that has a record: what it was given at the last moment must have begun by then.
  test('is not stopped within three minutes of losing its registration', async () => {
    const world = await withStranger('idle');
    await sweep(world, 10 * minute);
    expect(await done(world, 10 * minute)).toEqual(['deregister: deleted']);
    expect(await done(world, minute)).toEqual([]);
  });

  test('is counted from anew when it was seen at work in between', async () => {
    const world = await withStranger('idle');
    await sweep(world, 10 * minute);
    setBusy(world, stranger);
    await sweep(world, 9 * minute);
    world.github.registrations.set('acme', [{ id: '1', name: stranger, online: true, busy: false }]);
    expect(await done(world, minute)).toEqual([]);
    expect(await done(world, 10 * minute)).toEqual(['deregister: deleted']);
  });

  test('is counted from anew when GitHub would not let its registration go', async () => {
    const world = await withStranger('idle');
    await sweep(world, 10 * minute);
    world.clock.turn(10 * minute);
    const raced = { ...world.ports, deleteRegistered: async () => Promise.resolve('busy' as const) };
    expect((await sweepFleet(raced)).swept).toMatchObject([{ kind: 'deregister', result: 'busy' }]);
    unregister(world);
    expect(await done(world, minute)).toEqual([]);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is asked for in the scope that its own tag names, though no repository or runner of it is known', async () => {
    const world = fakeWorld();
    await startTask(world, stranger, 'octo/toy');
    world.github.register('octo/toy', stranger);
    await sweep(world, 10 * minute);
    expect(world.github.calls).toEqual([`findRegistered octo/toy ${stranger}`]);
    expect(await done(world, 10 * minute)).toEqual(['deregister: deleted']);
    expect(world.github.registrations.get('octo/toy')).toEqual([]);
  });

  test('and no tag that says where it registers is left alone: nobody knows whether it works', async () => {
    const world = fakeWorld();
    await startTask(world, stranger);
    const untagged = {
      ...world.ports,
      listTasks: async () => (await world.ports.listTasks()).map((task) => ({ ...task, scope: undefined })),
    };
    for (let count = 0; count < 4; count += 1) {
      world.clock.turn(10 * minute);
      expect(await sweepFleet(untagged)).toEqual({ swept: [], putOff: 0, failures: [] });
    }
    expect(world.tasks.stops).toEqual([]);
  });

  test('is no stranger when its record was written since the list of the living was read', async () => {
    const world = await begin();
    const late = { ...world.ports, listLive: async () => Promise.resolve([]) };
    for (const turn of [10 * minute, 10 * minute, 10 * minute]) {
      world.clock.turn(turn);
      expect((await sweepFleet(late)).swept).toEqual([]);
    }
  });

  test('of a runner whose record has ended is taken down like any other: its place was given back', async () => {
    const world = await begin({ endedAt: beginning, ending: 'lost' });
    unregister(world);
    await sweep(world, 10 * minute);
    expect(await done(world, 10 * minute)).toEqual(['stop-stranger: stopped']);
  });

  test('is left alone while it has a job', async () => {
    const world = await withStranger('busy');
    for (const turn of [10 * minute, hour, 10 * hour]) expect(await done(world, turn)).toEqual([]);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is not stopped when GitHub shows a job on it', async () => {
    const world = await withStranger('absent');
    giveJob(world, stranger);
    await sweep(world, 10 * minute);
    expect(await done(world, 10 * minute)).toEqual(['stop-stranger: it has a job']);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is left alone while GitHub does not answer: that proves no registration gone', async () => {
    const world = await withStranger('busy');
    giveJob(world, stranger);
    world.github.failNext('findRegistered', aGitHubError('unavailable'), 10);
    for (const turn of [10 * minute, 10 * minute, 10 * minute]) {
      expect((await sweep(world, turn)).failures).toEqual([`${stranger}: GET /somewhere: unavailable`]);
    }
    expect(world.tasks.stops).toEqual([]);
  });

  test('costs no call while the rate limit is kept for tokens', async () => {
    const world = await withStranger('idle');
    world.github.limits.set('acme', { limit: 5000, remaining: 100, spent: 0 });
    for (const turn of [10 * minute, 10 * minute]) await sweep(world, turn);
    expect(world.github.calls).toEqual([]);
  });

  test('is left alone while the rate limit keeps us from asking', async () => {
    const world = await withStranger('busy');
    giveJob(world, stranger);
    world.github.limits.set('acme', { limit: 5000, remaining: 100, spent: 0 });
    for (const turn of [10 * minute, 10 * minute, 10 * minute]) await sweep(world, turn);
    expect(world.tasks.stops).toEqual([]);
  });

  test('is left alone after the ledger was lost with all it knew: it may be at work', async () => {
    const world = fakeWorld();
    await startTask(world, stranger);
    world.github.register('acme', stranger, { busy: true });
    giveJob(world, stranger);
    for (const turn of [10 * minute, 10 * minute, 10 * minute]) await sweep(world, turn);
    expect(world.tasks.stops).toEqual([]);
  });

  test('of another fleet is not even listed', async () => {
    const world = fakeWorld();
    await startTask(world, 'ci-999999-1-1');
    for (const turn of [hour, hour]) expect(await done(world, turn)).toEqual([]);
  });
});

describe('a sweep', () => {
  test('goes on when an act fails, and tells of each that did', async () => {
    const world = await begin();
    const second = `${prefix}-2-1`;
    world.ledger.putRunner(aLaunchedRunner({ jobId: '2', runnerId: second }));
    await startTask(world, second);
    world.github.register('acme', second);
    world.github.failNext('deleteRegistered', aGitHubError('unavailable'));
    const { swept, failures } = await sweep(world, pastIdle);
    expect(failures).toHaveLength(1);
    expect(swept).toMatchObject([{ kind: 'deregister', result: 'deleted' }]);
    expect(await done(world, minute)).toEqual(['deregister: deleted']);
  });

  test('goes on to what does not need GitHub when the App key is missing, and tells of it', async () => {
    const world = await begin();
    world.tasks.end(own, { outcome: 'idle' });
    const failing = {
      ...world.ports,
      listRegistered: async () => Promise.reject(new Error('the parameter must hold a secret')),
    };
    const { swept, failures } = await sweepFleet(failing);
    expect(swept).toMatchObject([{ kind: 'settle' }]);
    expect(failures).toHaveLength(1);
  });

  test('goes on when ECS refuses one of its questions', async () => {
    const world = await begin();
    world.ledger.putRunner(aLaunchedRunner({ jobId: '2', runnerId: `${prefix}-2-1` }));
    world.clock.turn(pastIdle);
    const { swept, failures } = await sweepFleet({
      ...world.ports,
      findTasks: async (runner) => {
        if (runner.runnerId === own) throw new Error('Rate exceeded');
        return world.ports.findTasks(runner);
      },
    });
    expect(failures).toEqual([`${own}: Rate exceeded`]);
    expect(swept).toMatchObject([{ kind: 'miss' }]);
  });

  test('of young and working runners asks GitHub for nothing but its lists', async () => {
    const world = await begin();
    const second = `${prefix}-2-1`;
    world.ledger.putRunner(aLaunchedRunner({ jobId: '2', runnerId: second, busyJobId: '2', busyAt: beginning }));
    await startTask(world, second);
    expect(await sweep(world, pastIdle - 1)).toEqual({ swept: [], putOff: 0, failures: [] });
    expect(world.github.calls).toEqual(['listRegistered acme']);
  });

  test('ends in time to tell what it did, and the next one comes to the rest', async () => {
    const world = await begin();
    for (const id of ['2', '3']) {
      world.ledger.putRunner(aLaunchedRunner({ jobId: id, runnerId: `${prefix}-${id}-1` }));
      await startTask(world, `${prefix}-${id}-1`);
      world.github.register('acme', `${prefix}-${id}-1`);
    }
    world.clock.turn(pastIdle);
    const slow = {
      ...world.ports,
      deleteRegistered: async (scope: string, id: string) => {
        world.clock.turn(15_000);
        return world.ports.deleteRegistered(scope, id);
      },
    };
    const cut = await sweepFleet(slow);
    expect(cut.swept).toHaveLength(2);
    // The third runner, and the list of the scope.
    expect(cut.putOff).toBe(2);
    expect(cut.failures).toEqual([]);
    expect(await sweepFleet(slow)).toMatchObject({ swept: [{ kind: 'deregister' }], putOff: 0 });
  });

  test('acts on what the ledger says now, not on what its index said', async () => {
    const world = await begin();
    const stale = await world.ports.listLive();
    await world.ledger.endRunnerRecord(world.ledger.runner(own), 'idle');
    unregister(world);
    world.clock.turn(pastIdle);
    expect(await sweepFleet({ ...world.ports, listLive: async () => Promise.resolve(stale) })).toEqual({
      swept: [],
      putOff: 0,
      failures: [],
    });
  });
});

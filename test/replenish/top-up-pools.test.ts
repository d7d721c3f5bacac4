import { describe, expect, test } from '@jest/globals';
import type { BreakerRecord, RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import type { Profile, WarmWindow } from '../../functions/contracts/with-infra/profile.ts';
import { topUpPools, type PoolPorts } from '../../functions/replenish/top-up-pools.ts';
import { aJobRecord, aLaunchedRunner, aProfile, prefix } from '../fakes/builders.ts';
import { after, hour, minute, second } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const waiting = (id: string, parts: Parameters<typeof aJobRecord>[0] = {}) =>
  aJobRecord({ ...parts, job: { id, ...parts.job } });
const many = (count: number) => Array.from({ length: count }, (_, index) => waiting(`job-${index + 1}`));
const put = (world: FakeWorld, id: string, parts: Partial<RunnerRecord> = {}) =>
  world.ledger.putRunner(aLaunchedRunner({ jobId: id, runnerId: `${prefix}-${id}-1`, ...parts }));
const pass = async (options: WorldOptions, arrange: (world: FakeWorld) => unknown = () => undefined) => {
  const world = fakeWorld(options);
  await arrange(world);
  const verdict = await topUpPools(world.ports);
  return { world, verdict, report: verdict.profiles[0], launches: world.queues.takeLaunches() };
};
const noRoom = async (world: FakeWorld, provider: string, until = after(minute)) =>
  world.ledger.changeCapacity(
    { profile: 'small', provider },
    { revision: 0, failures: 0, reason: 'no-capacity', refusedAt: after(0), until },
  );
const reasonsOf = (report: Awaited<ReturnType<typeof topUpPools>>['profiles'][number] | undefined) =>
  Object.fromEntries((report?.waiting ?? []).map(({ reason, jobs }) => [reason, jobs]));
const openBreaker = async (world: FakeWorld, parts: Partial<BreakerRecord>, scope = 'acme') =>
  world.ledger.changeBreaker({ profile: 'small', scope }, { revision: 0, failures: 3, ...parts });
const named = (launches: readonly LaunchMessage[]) =>
  launches.map((message) => (message.kind === 'launch' ? `${message.jobId} ${message.launch}` : message.kind));

describe('demand and supply', () => {
  test('are compared in each pool: what is missing is asked for', async () => {
    const { launches } = await pass({ jobs: many(3) }, (world) => void put(world, 'job-1'));
    expect(named(launches)).toEqual(['job-2 1', 'job-3 1']);
  });

  test('are compared by number alone: a runner that was started for another job counts', async () => {
    const { launches } = await pass({ jobs: many(2) }, (world) => {
      put(world, 'gone-1');
      put(world, 'gone-2');
    });
    expect(launches).toEqual([]);
  });

  test('of one pool do not help another', async () => {
    const there = waiting('there', { job: { repository: { fullName: 'octo/toy', ownerType: 'User' } } });
    const { launches } = await pass({ jobs: [there] }, (world) => void put(world, 'here'));
    expect(named(launches)).toEqual(['there 1']);
  });

  test.each([
    ['is busy', { busyJobId: '9' }],
    ['had its claim taken back', { revoked: true }],
    ['lost its registration', { deregisteredAt: after(0) }],
    ['is so old that it must be busy', { createdAt: after(-15 * minute) }],
  ])('leave out a runner that %s', async (_what, parts) => {
    const { launches } = await pass({ jobs: many(1) }, (world) => void put(world, 'other', parts));
    expect(named(launches)).toEqual(['job-1 1']);
  });

  test('leave out a runner that is over', async () => {
    const { launches } = await pass(
      { jobs: [waiting('job-1', { launches: 1 })] },
      (world) => void put(world, 'job-1', { endedAt: after(0), ending: 'lost' }),
    );
    expect(named(launches)).toEqual(['job-1 2']);
  });

  test('leave out a job that is parked, and one that waits out its pause', async () => {
    const jobs = [
      waiting('parked', { parked: true, parkedAt: after(0) }),
      waiting('later', { notBefore: after(1) }),
      waiting('now', { notBefore: after(0) }),
    ];
    expect(named((await pass({ jobs })).launches)).toEqual(['now 1']);
  });

  test('ask for the next launch of a job, as the ledger has counted them', async () => {
    expect(named((await pass({ jobs: [waiting('a', { launches: 3 })] })).launches)).toEqual(['a 4']);
  });

  test('stop at the room that the profile has left', async () => {
    const { launches } = await pass(
      { jobs: many(5), profiles: [aProfile({ maxRunners: 3 })] },
      (world) => void put(world, 'busy', { busyJobId: 'busy' }),
    );
    expect(named(launches)).toEqual(['job-1 1', 'job-2 1']);
  });

  test.each([0, 1])('ask for nothing when the cap is %d and two run', async (maxRunners) => {
    const { launches, report } = await pass({ jobs: many(2), profiles: [aProfile({ maxRunners })] }, (world) => {
      for (const id of ['a', 'b']) put(world, id, { busyJobId: id });
      world.clock.turn(hour);
    });
    expect(launches).toEqual([]);
    expect(report).toMatchObject({ live: 2, oldestWaiting: 3600, oldestRunnable: 0 });
  });

  test('ask for nothing twice once the launches have taken their leases', async () => {
    const { world } = await pass({ jobs: many(2) });
    for (const id of ['job-1', 'job-2']) put(world, id);
    await topUpPools(world.ports);
    expect(world.queues.takeLaunches()).toEqual([]);
  });

  test('ask once in fifty seconds before that, with the same launch numbers, so that nothing starts twice', async () => {
    const { world, launches } = await pass({ jobs: many(2) });
    world.clock.turn(50_000);
    await topUpPools(world.ports);
    expect(world.queues.takeLaunches()).toEqual([]);
    world.clock.turn(1);
    await topUpPools(world.ports);
    expect(world.queues.takeLaunches()).toEqual(launches);
  });

  test('ask once in two passes at the same moment', async () => {
    const world = fakeWorld({ jobs: many(5) });
    await Promise.all([topUpPools(world.ports), topUpPools(world.ports)]);
    expect(world.queues.takeLaunches()).toHaveLength(5);
  });

  test('count a launch that was asked for and has no lease yet as a place taken', async () => {
    const world = fakeWorld({ jobs: many(4), profiles: [aProfile({ maxRunners: 2 })] });
    await topUpPools(world.ports);
    await topUpPools(world.ports);
    expect(named(world.queues.takeLaunches())).toEqual(['job-1 1', 'job-2 1']);
  });
});

describe('a breaker that is open', () => {
  const withBreaker = async (passed: number, options: WorldOptions = { jobs: many(5) }) =>
    pass(options, async (world) => {
      await openBreaker(world, { failures: 4, until: after(2 * minute) });
      world.clock.turn(passed);
    });

  test('lets nothing be asked for: each would only be told to wait', async () => {
    const { launches, report } = await withBreaker(2 * minute - 1);
    expect(launches).toEqual([]);
    expect(report).toMatchObject({ breakerOpen: true, launches: 0 });
  });

  test('lets one be asked for when its pause is over: the probe', async () => {
    const { launches, report } = await withBreaker(2 * minute);
    expect(named(launches)).toEqual(['job-1 1']);
    expect(report).toMatchObject({ breakerOpen: true, oldestRunnable: 0 });
  });

  test('lets a warm runner be the probe where no job waits', async () => {
    const always = { scope: 'acme', count: 3, days: ['SAT' as const], from: '08:00', to: '18:00', timezone: 'UTC' };
    const profiles = [aProfile({ warm: [always] })];
    expect(named((await withBreaker(2 * minute - 1, { profiles })).launches)).toEqual([]);
    expect(named((await withBreaker(2 * minute, { profiles })).launches)).toEqual(['warm']);
  });

  test('lets no probe through where the profile has no room either', async () => {
    const { launches } = await withBreaker(2 * minute, { jobs: many(1), profiles: [aProfile({ maxRunners: 0 })] });
    expect(launches).toEqual([]);
  });

  test('holds up no other profile', async () => {
    const other = waiting('other', { profile: 'large', job: { labels: ['large'] } });
    const profiles = [aProfile(), aProfile({ name: 'large', labels: ['large'] })];
    expect(named((await withBreaker(0, { jobs: [...many(2), other], profiles })).launches)).toEqual(['other 1']);
  });
});

describe('a scope that is held', () => {
  const there = waiting('there', { job: { repository: { fullName: 'octo/toy', ownerType: 'User' } } });
  const held = async (passed: number, options: WorldOptions) => {
    const world = fakeWorld(options);
    await world.ledger.holdScope('acme', { until: world.clock.now() + minute, note: 'suspended' });
    world.clock.turn(passed);
    await topUpPools(world.ports);
    return named(world.queues.takeLaunches());
  };

  test('has nothing asked for, and takes no place from the others', async () => {
    const options = { jobs: [...many(3), there], profiles: [aProfile({ maxRunners: 1 })] };
    expect(await held(minute - 1, options)).toEqual(['there 1']);
  });

  test('has its jobs asked for as soon as the hold is over', async () => {
    expect(await held(minute, { jobs: many(2) })).toEqual(['job-1 1', 'job-2 1']);
  });

  test('gets no warm runners', async () => {
    const always = { scope: 'acme', count: 2, days: ['SAT' as const], from: '08:00', to: '18:00', timezone: 'UTC' };
    const profiles = [aProfile({ warm: [always] })];
    expect(await held(0, { profiles })).toEqual([]);
    expect(await held(minute, { profiles })).toEqual(['warm', 'warm']);
  });
});

describe('warm runners', () => {
  const window = (parts: Partial<WarmWindow> = {}): WarmWindow => ({
    scope: 'acme',
    count: 2,
    days: ['SAT'],
    from: '08:00',
    to: '18:00',
    timezone: 'UTC',
    ...parts,
  });
  const warm = (...windows: readonly WarmWindow[]): Profile[] => [aProfile({ warm: [...windows] })];
  const warmOf = (launches: readonly LaunchMessage[]) => launches.filter((message) => message.kind === 'warm');
  const namesOf = (launches: readonly LaunchMessage[]) => warmOf(launches).map(({ runnerId }) => runnerId);
  const minutesOf = (launches: readonly LaunchMessage[]) =>
    warmOf(launches).map(({ until }) => (Date.parse(until) - Date.parse(after(0))) / minute);

  test('are started up to their count inside their window', async () => {
    const { launches, report } = await pass({ profiles: warm(window()) });
    expect(launches).toEqual([
      {
        version: 1,
        kind: 'warm',
        runnerId: expect.stringMatching(new RegExp(`^${prefix}-w[0-9a-f]{8}-[0-9a-z]+-0$`)) as unknown,
        profile: 'small',
        scope: 'acme',
        until: after(360 * minute),
        returns: 0,
      },
      expect.objectContaining({ kind: 'warm', until: after(359 * minute) }),
    ]);
    expect(report).toMatchObject({ launches: 0, warm: 2 });
  });

  test('have names short enough for GitHub and ECS', async () => {
    const { launches } = await pass({ profiles: warm(window({ count: 10 })) });
    expect(Math.max(...warmOf(launches).map(({ runnerId }) => runnerId.length))).toBeLessThanOrEqual(64);
  });

  test('are not started outside of their window', async () => {
    expect((await pass({ profiles: warm(window({ days: ['SUN'] })) })).launches).toEqual([]);
    expect((await pass({ profiles: warm(window({ from: '09:01' })) })).launches).toEqual([]);
  });

  test.each([
    // waiting jobs, runners that may take one, warm launches, launches for jobs: max(0, waiting + count - supply)
    [0, 0, 2, 0],
    [0, 1, 1, 0],
    [0, 2, 0, 0],
    [0, 5, 0, 0],
    [1, 0, 2, 1],
    [1, 2, 1, 0],
    [3, 2, 2, 1],
    [2, 5, 0, 0],
  ])(
    'are topped up beyond %d waiting jobs and %d idle runners: %d, and %d for jobs',
    async (jobs, idle, warmed, started) => {
      const { launches } = await pass({ jobs: many(jobs), profiles: warm(window()) }, (world) => {
        for (let index = 0; index < idle; index += 1) put(world, `idle-${index}`);
      });
      expect(warmOf(launches)).toHaveLength(warmed);
      expect(launches.length - warmOf(launches).length).toBe(started);
    },
  );

  test('come after the jobs that wait when there is not room for all', async () => {
    const profiles = [aProfile({ maxRunners: 2, warm: [window()] })];
    expect(named((await pass({ jobs: many(1), profiles })).launches)).toEqual(['job-1 1', 'warm']);
    expect(named((await pass({ jobs: many(4), profiles })).launches)).toEqual(['job-1 1', 'job-2 1']);
  });

  test('are the same runners in two passes of one minute, others in the next', async () => {
    const { world, launches } = await pass({ profiles: warm(window()) });
    world.clock.turn(minute - 1);
    await topUpPools(world.ports);
    expect(namesOf(world.queues.takeLaunches())).toEqual(namesOf(launches));
    world.clock.turn(1);
    await topUpPools(world.ports);
    const next = warmOf(world.queues.takeLaunches()).map(({ runnerId }) => runnerId);
    expect(warmOf(launches).map(({ runnerId }) => runnerId)).not.toEqual(expect.arrayContaining([next[0]]));
  });

  test('wait no longer than their window, at other minutes each', async () => {
    const { launches } = await pass({ profiles: warm(window({ to: '10:00', count: 3 })) });
    expect(minutesOf(launches)).toEqual([60, 59, 58]);
  });

  test('of two scopes and two profiles are started each in its own', async () => {
    const { launches } = await pass({
      profiles: [
        aProfile({ warm: [window({ count: 1 }), window({ count: 1, scope: 'octo/toy' })] }),
        aProfile({ name: 'large', labels: ['large'], warm: [window({ count: 1 })] }),
      ],
    });
    expect(warmOf(launches).map(({ profile, scope }) => `${profile} ${scope}`)).toEqual([
      'small acme',
      'small octo/toy',
      'large acme',
    ]);
    expect(new Set(warmOf(launches).map(({ runnerId }) => runnerId)).size).toBe(3);
  });

  test('of two windows of one pool are added up, and end each with its own window', async () => {
    const { launches } = await pass({ profiles: warm(window({ count: 1 }), window({ count: 1, to: '09:30' })) });
    expect(launches).toHaveLength(2);
    expect(Math.min(...minutesOf(launches))).toBeLessThanOrEqual(30);
  });
});

describe('a profile that changes while jobs wait', () => {
  test('and is renamed takes them along, and they get their runners in the same pass', async () => {
    const { world, launches } = await pass({ jobs: many(1), profiles: [aProfile({ name: 'renamed' })] });
    expect(world.ledger.job('job-1')).toMatchObject({ profile: 'renamed', pool: 'renamed@acme' });
    expect(named(launches)).toEqual(['job-1 1']);
  });

  test('and is removed leaves them refused, with the reason', async () => {
    const { world, verdict, launches } = await pass({
      jobs: many(1),
      profiles: [aProfile({ name: 'other', labels: ['other'] })],
    });
    const note = 'no profile has the labels ["fargate-small"]';
    expect(verdict.gaveUp).toEqual([{ job: 'job-1', note }]);
    expect(world.ledger.job('job-1')).toMatchObject({ state: 'refused', note });
    expect(launches).toEqual([]);
  });

  test('and excludes their repository leaves them refused', async () => {
    const { world } = await pass({
      jobs: many(1),
      profiles: [aProfile({ repositories: { allow: [], deny: ['acme/*'] } })],
    });
    expect(world.ledger.job('job-1').state).toBe('refused');
  });

  test('counts no job in a pass whose move lost to somebody else', async () => {
    const world = fakeWorld({ jobs: many(1), profiles: [aProfile({ name: 'renamed' })] });
    const { profiles } = await topUpPools({ ...world.ports, changeJob: async () => Promise.resolve(false) });
    expect(profiles[0]).toMatchObject({ waiting: [], launches: 0 });
  });
});

describe('a job that waited for 24 hours', () => {
  test('is given up, as GitHub has', async () => {
    const world = fakeWorld({ jobs: many(1) });
    world.clock.turn(24 * hour + 1);
    expect((await topUpPools(world.ports)).gaveUp).toEqual([
      { job: 'job-1', note: 'GitHub gives a job up after 24 hours' },
    ]);
    expect(world.ledger.job('job-1').state).toBe('expired');
    expect(world.queues.takeLaunches()).toEqual([]);
    expect((await topUpPools(world.ports)).gaveUp).toEqual([]);
  });
});

describe('the report of a profile', () => {
  test('tells its runners apart, and its waiting jobs by what keeps them waiting now', async () => {
    const jobs = [
      waiting('a', { notBefore: after(1), reason: 'not-found' }),
      waiting('b', { notBefore: after(1) }),
      waiting('c', { parked: true, parkedAt: after(0), reason: 'parked' }),
      waiting('d', { notBefore: after(1), reason: 'not-found' }),
      waiting('e'),
    ];
    const { report } = await pass({ jobs }, (world) => {
      put(world, 'busy', { busyJobId: 'busy' });
      put(world, 'old', { createdAt: after(-hour) });
      put(world, 'idle');
    });
    expect(report).toMatchObject({ profile: 'small', live: 3, busy: 1, idle: 1, launches: 0 });
    expect(reasonsOf(report)).toEqual({ 'not-found': 2, 'backing-off': 1, parked: 1, starting: 1 });
  });

  const spot = [aProfile({ capacity: 'spot', maxRunners: 2 })];
  test.each([
    ['no-capacity', 'AWS has no room', spot, async (world: FakeWorld) => noRoom(world, 'FARGATE_SPOT')],
    [
      'profile-full',
      'its cap is reached',
      spot,
      (world: FakeWorld) => ['x', 'y'].map((id) => put(world, id, { busyJobId: id })),
    ],
    ['profile-paused', 'it is paused', [aProfile({ maxRunners: 0 })], () => undefined],
    [
      'breaker-open',
      'its breaker is open',
      spot,
      async (world: FakeWorld) => openBreaker(world, { until: after(minute) }),
    ],
    [
      'scope-held',
      'its scope is on hold',
      spot,
      async (world: FakeWorld) => world.ledger.holdScope('acme', { until: world.clock.now() + 1, note: 'suspended' }),
    ],
    ['starting', 'nothing does', spot, () => undefined],
  ] as const)(
    'tells %s of all its jobs when %s, whatever their records say',
    async (reason, _what, profiles, arrange) => {
      const jobs = [waiting('a', { reason: 'github-unavailable' }), waiting('b', { reason: 'starting' }), waiting('c')];
      const { report } = await pass({ jobs, profiles: [...profiles] }, arrange);
      expect(reasonsOf(report)).toEqual({ [reason]: 3 });
      expect(report?.oldestRunnable).toBe(0);
    },
  );

  test('tells the age of the oldest job that waits, and of the oldest that could run', async () => {
    const world = fakeWorld({
      jobs: [
        waiting('parked', { parked: true, parkedAt: after(0), job: { createdAt: after(-600_000) } }),
        waiting('pausing', { notBefore: after(hour), reason: 'backing-off', job: { createdAt: after(-500_000) } }),
        waiting('in a held scope', {
          reason: 'scope-held',
          job: { createdAt: after(-400_000), repository: { fullName: 'octo/toy', ownerType: 'User' } },
        }),
        waiting('runnable', { job: { createdAt: after(-90_000) } }),
      ],
    });
    await world.ledger.holdScope('octo/toy', { until: world.clock.now() + minute, note: 'suspended' });
    expect((await topUpPools(world.ports)).profiles[0]).toMatchObject({ oldestWaiting: 600, oldestRunnable: 90 });
    world.clock.turn(minute);
    expect((await topUpPools(world.ports)).profiles[0]).toMatchObject({ oldestRunnable: 460 });
  });

  test('counts what could run from when the last thing that kept it was over', async () => {
    const jobs = [
      waiting('had to pause', { notBefore: after(-20_000), job: { createdAt: after(-hour) } }),
      waiting('was full', { reason: 'profile-full', decidedAt: after(-30_000), job: { createdAt: after(-hour) } }),
    ];
    expect((await pass({ jobs })).report).toMatchObject({ oldestWaiting: 3600, oldestRunnable: 30 });
  });

  test.each<[string, Parameters<typeof aJobRecord>[0], number]>([
    ['since its creation', {}, 3600],
    ['since its pause was over', { notBefore: after(-20 * second) }, 20],
    ['since it was last told to wait', { decidedAt: after(-30 * second) }, 30],
    ['since the later of both', { notBefore: after(-30 * second), decidedAt: after(-20 * second) }, 20],
    ['since its approval', { wasBlocked: true, waitingSince: after(-45 * second) }, 45],
    ['not at all while its pause lasts', { notBefore: after(1) }, 0],
    ['not at all while it is parked', { parked: true, parkedAt: after(-minute) }, 0],
  ])('counts a job that could run %s', async (_what, parts, seconds) => {
    const jobs = [waiting('a', { ...parts, seenAt: after(-hour), job: { createdAt: after(-hour) } })];
    expect((await pass({ jobs })).report?.oldestRunnable).toBe(seconds);
  });

  test('tells one job that probes, and that the others wait for what it finds out', async () => {
    const jobs = many(5);
    const broken = await pass({ jobs }, async (world) => openBreaker(world, { until: after(-second) }));
    expect(reasonsOf(broken.report)).toEqual({ starting: 1, 'breaker-open': 4 });
    const full = await pass({ jobs }, async (world) => noRoom(world, 'FARGATE', after(-second)));
    expect(reasonsOf(full.report)).toEqual({ starting: 1, 'no-capacity': 4 });
    expect([broken, full].map(({ launches, report }) => [named(launches), report?.oldestRunnable])).toEqual([
      [['job-1 1'], 0],
      [['job-1 1'], 0],
    ]);
    full.world.clock.turn(2 * minute);
    const [later] = (await topUpPools(full.world.ports)).profiles;
    // Nothing has come of the probe: now it counts, from when the job might have started.
    expect(later?.oldestRunnable).toBe(120);
  });

  test('counts the wait of a job that an approval held back from its release', async () => {
    const jobs = [waiting('a', { wasBlocked: true, waitingSince: after(-45_000), job: { createdAt: after(-hour) } })];
    expect((await pass({ jobs })).report).toMatchObject({ oldestWaiting: 45, oldestRunnable: 45 });
  });

  test('knows nothing that could run while the breaker is open', async () => {
    const { report } = await pass({ jobs: many(1) }, async (world) => {
      await openBreaker(world, { until: after(minute) });
      world.clock.turn(30_000);
    });
    expect(report).toMatchObject({ breakerOpen: true, oldestWaiting: 30, oldestRunnable: 0 });
  });

  test('is there for an idle profile too, so that its graphs fall to zero', async () => {
    expect((await pass({})).verdict).toEqual({
      profiles: [
        {
          profile: 'small',
          live: 0,
          busy: 0,
          idle: 0,
          waiting: [],
          oldestWaiting: 0,
          oldestRunnable: 0,
          breakerOpen: false,
          launches: 0,
          warm: 0,
        },
      ],
      gaveUp: [],
      failures: [],
    });
  });
});

describe('five thousand waiting jobs with room for all', () => {
  const begin = () => {
    const world = fakeWorld({ jobs: many(5000), profiles: [aProfile({ maxRunners: 5000 })] });
    const steps: string[] = [];
    let atOnce = 0;
    let most = 0;
    const ports: PoolPorts = {
      ...world.ports,
      askLaunch: async (...given) => {
        atOnce += 1;
        most = Math.max(most, atOnce);
        steps.push('ask');
        await Promise.resolve();
        atOnce -= 1;
        return world.ports.askLaunch(...given);
      },
      sendLaunches: async (messages) => {
        steps.push(`send ${messages.length}`);
        return world.ports.sendLaunches(messages);
      },
    };
    return { world, ports, steps, most: () => most };
  };

  test('are asked for and sent ten at a time, so that what was asked for is on its way', async () => {
    const { world, ports, steps, most } = begin();
    const { profiles, failures } = await topUpPools(ports);
    expect(profiles[0]?.launches).toBe(5000);
    expect(failures).toEqual([]);
    expect(world.queues.launches).toHaveLength(5000);
    expect(most()).toBe(10);
    expect(steps.slice(0, 22)).toEqual([
      ...Array.from({ length: 10 }, () => 'ask'),
      'send 10',
      ...Array.from({ length: 10 }, () => 'ask'),
      'send 10',
    ]);
  });

  test('are asked for as far as the time of a pass goes, and the rest in the next one', async () => {
    const { world, ports } = begin();
    const slow = {
      ...ports,
      sendLaunches: async (messages: readonly LaunchMessage[]) => {
        world.clock.turn(100);
        return ports.sendLaunches(messages);
      },
    };
    const [first] = (await topUpPools(slow)).profiles;
    expect(first?.launches).toBe(1810);
    const [next] = (await topUpPools(slow)).profiles;
    expect(next?.launches).toBe(1810);
    expect(new Set(named(world.queues.takeLaunches())).size).toBe(3620);
  });

  test('are asked for but for those that fail, which the pass tells when all is done', async () => {
    const { world, ports } = begin();
    const failing = {
      ...ports,
      askLaunch: async (jobId: string, launch: number) => {
        if (jobId === 'job-7') throw new Error('a request timed out');
        return ports.askLaunch(jobId, launch);
      },
    };
    world.queues.failNext(new Error('the queue is away'));
    const { profiles, failures } = await topUpPools(failing);
    expect(failures).toEqual(['profile small: the queue is away', 'profile small: a request timed out']);
    expect(profiles[0]?.launches).toBe(4989);
  });
});

describe('a pass in which something fails', () => {
  const profiles = [aProfile(), aProfile({ name: 'large', labels: ['large'] })];
  const jobs = [waiting('a'), waiting('b', { profile: 'large', job: { labels: ['large'] } })];

  test('tops up the other profiles, and tells what failed', async () => {
    const world = fakeWorld({ jobs, profiles });
    const { profiles: reports, failures } = await topUpPools({
      ...world.ports,
      readProfile: async (profile) => {
        if (profile === 'small') throw new Error('the table is away');
        return world.ports.readProfile(profile);
      },
    });
    expect(failures).toEqual(['profile small: the table is away']);
    expect(reports.map(({ profile, launches }) => `${profile} ${launches}`)).toEqual(['large 1']);
    expect(named(world.queues.takeLaunches())).toEqual(['b 1']);
  });

  test('reports the profile whose launches the queue refuses, and tells of that', async () => {
    const world = fakeWorld({ jobs: many(1) });
    world.queues.failNext(new Error('the queue is away'));
    const { profiles: reports, failures } = await topUpPools(world.ports);
    expect(failures).toEqual(['profile small: the queue is away']);
    expect(reports).toMatchObject([{ oldestWaiting: 0, launches: 0, waiting: [{ reason: 'starting', jobs: 1 }] }]);
  });

  test('goes on when the queue refuses warm runners, and tells of that', async () => {
    const always = { scope: 'acme', count: 2, days: ['SAT' as const], from: '08:00', to: '18:00', timezone: 'UTC' };
    const world = fakeWorld({ jobs, profiles: [aProfile({ warm: [always] }), ...profiles.slice(1)] });
    const { failures } = await topUpPools({
      ...world.ports,
      sendLaunches: async (messages) => {
        if (messages.some(({ kind }) => kind === 'warm')) throw new Error('the queue is away');
        return world.ports.sendLaunches(messages);
      },
    });
    expect(failures).toEqual(['profile small: the queue is away']);
    expect(named(world.queues.takeLaunches())).toEqual(['a 1', 'b 1']);
  });
});

describe('parked jobs of a pool', () => {
  const parked = (id: string, parts: Parameters<typeof aJobRecord>[0] = {}) =>
    waiting(id, { parked: true, reason: 'parked', unserved: 6, launches: 6, parkedAt: after(0), ...parts });

  test('are probed one an hour: it gets one more launch', async () => {
    const world = fakeWorld({ jobs: [parked('a', { parkedAt: after(-second) }), parked('b')] });
    world.clock.turn(hour - 1);
    await topUpPools(world.ports);
    expect(world.queues.takeLaunches()).toEqual([]);
    world.clock.turn(1);
    await topUpPools(world.ports);
    expect(named(world.queues.takeLaunches())).toEqual(['a 7']);
    expect(world.ledger.job('a')).toMatchObject({ parked: false, releases: 1 });
    expect(world.ledger.job('b')).toMatchObject({ parked: true, releases: 0 });
    world.clock.turn(minute);
    await topUpPools(world.ports);
    expect(named(world.queues.takeLaunches())).toEqual(['a 7']);
  });

  test('are all let in when a runner of the pool got a job after they were parked', async () => {
    const jobs = [
      parked('a'),
      parked('b'),
      parked('elsewhere', { job: { repository: { fullName: 'octo/toy', ownerType: 'User' } } }),
    ];
    const { launches } = await pass({ jobs }, (world) => {
      world.clock.turn(minute);
      put(world, 'served', { busyJobId: 'served', busyAt: after(30 * second) });
    });
    expect(named(launches)).toEqual(['a 7', 'b 7']);
  });

  test('take no place while they are parked: the jobs beside them start', async () => {
    const jobs = [parked('a'), parked('b'), waiting('c')];
    expect(named((await pass({ jobs, profiles: [aProfile({ maxRunners: 1 })] })).launches)).toEqual(['c 1']);
  });
});

describe('sixty jobs that back off', () => {
  test('hide none of five that may start', async () => {
    const jobs = [
      ...Array.from({ length: 60 }, (_, index) => waiting(`off-${index}`, { notBefore: after(hour) })),
      ...many(5),
    ];
    const { launches, report } = await pass({ jobs });
    expect(named(launches)).toEqual(many(5).map(({ job }) => `${job.id} 1`));
    expect(reasonsOf(report)).toEqual({ 'backing-off': 60, starting: 5 });
  });
});

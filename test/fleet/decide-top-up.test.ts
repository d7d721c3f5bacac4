import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { askedForMs } from '../../functions/contracts/with-infra/limits.ts';
import { decideTopUp, whyItWaits, type PoolView, type ProfileView } from '../../functions/fleet/decide-top-up.ts';
import { isSupply } from '../../functions/fleet/supply.ts';
import { aJobRecord, aLaunchedRunner, aProfile, prefix } from '../fakes/builders.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';

const now = Date.parse(beginning) + hour;

const job = (id: string, parts: Parameters<typeof aJobRecord>[0] = {}) => aJobRecord({ ...parts, job: { id } });
/** A job of a repository of acme. */
const jobOf = (repository: string, id: string, parts: Parameters<typeof aJobRecord>[0] = {}) =>
  aJobRecord({ ...parts, job: { id, repository: { id: repository, fullName: `acme/${repository}` } } });
/** A runner that waits for a job. */
const idle = (jobId: string, parts: Parameters<typeof aLaunchedRunner>[0] = {}) =>
  aLaunchedRunner({ jobId, createdAt: after(hour - minute), ...parts });
const busy = (jobId: string, parts: Parameters<typeof aLaunchedRunner>[0] = {}) =>
  idle(jobId, { busyJobId: 'another', ...parts });
/** A pool, in a scope of the same name. */
const pool = (name: string, parts: Partial<PoolView> = {}): PoolView => ({
  pool: name,
  jobs: [],
  runners: [],
  warm: 0,
  scope: { scope: name },
  breaker: { revision: 0, failures: 0 },
  ...parts,
});
const roomy = { revision: 0, failures: 0 };
const profileView = (pools: readonly PoolView[], parts: Partial<ProfileView> = {}): ProfileView => ({
  profile: aProfile({ maxRunners: 100 }),
  record: { leases: 0 },
  room: { 'on-demand': roomy, spot: roomy },
  now,
  ...parts,
  pools,
});
/** So many places are free. */
const withPlaces = (count: number): Partial<ProfileView> => ({ record: { leases: 100 - count } });
const topUp = (pools: readonly PoolView[], free = 100) => {
  const { launches, warm } = decideTopUp(profileView(pools, withPlaces(free)));
  return { launches: launches.map(({ jobId, launch }) => ({ jobId, launch })), warm };
};
const launched = (pools: readonly PoolView[], free?: number) => topUp(pools, free).launches.map(({ jobId }) => jobId);

describe('a pool', () => {
  test('that lacks runners gets one for each waiting job, oldest first, under the next launch number', () => {
    expect(topUp([pool('a', { jobs: [job('1'), job('2', { launches: 2 })] })])).toEqual({
      launches: [
        { jobId: '1', launch: 1 },
        { jobId: '2', launch: 3 },
      ],
      warm: [],
    });
  });

  test('that has a runner for each job gets none', () => {
    expect(topUp([pool('a', { jobs: [job('1'), job('2')], runners: [idle('1'), idle('9')] })])).toEqual({
      launches: [],
      warm: [],
    });
  });

  test('counts no runner that is busy', () => {
    expect(launched([pool('a', { jobs: [job('1')], runners: [busy('1'), busy('2')] })])).toEqual(['1']);
  });

  test('starts a runner for the job that has none on its way', () => {
    const jobs = [job('1', { launches: 1 }), job('2')];
    expect(launched([pool('a', { jobs, runners: [idle('1')] })])).toEqual(['2']);
  });

  test('gets nothing for jobs that must not start yet', () => {
    const jobs = [
      job('parked', { parked: true, parkedAt: after(hour - minute) }),
      job('later', { notBefore: new Date(now + 1).toISOString() }),
      job('now', { notBefore: new Date(now).toISOString() }),
    ];
    expect(launched([pool('a', { jobs })])).toEqual(['now']);
  });

  test('gets nothing for a job whose launch was asked for a moment ago, and keeps its place free', () => {
    const asked = job('asked', { askedAt: new Date(now - askedForMs).toISOString() });
    const forgotten = job('forgotten', { askedAt: new Date(now - askedForMs - 1).toISOString() });
    expect(launched([pool('a', { jobs: [asked, forgotten] })])).toEqual(['forgotten']);
    expect(launched([pool('a', { jobs: [asked] }), pool('b', { jobs: [job('1'), job('2')] })], 2)).toEqual(['1']);
  });

  test('gets no more than there is room for', () => {
    const jobs = ['1', '2', '3'].map((id) => job(id));
    expect(launched([pool('a', { jobs })], 2)).toEqual(['1', '2']);
    expect(launched([pool('a', { jobs })], 0)).toEqual([]);
    expect(launched([pool('a', { jobs })], -3)).toEqual([]);
  });

  test('with the fewest live runners comes first, busy ones counted', () => {
    const poor = pool('poor', { jobs: ['p1', 'p2', 'p3'].map((id) => job(id)), runners: [busy('8')] });
    const rich = pool('rich', { jobs: [job('r1')], runners: [busy('5'), busy('6'), busy('7')] });
    expect(launched([rich, poor], 2)).toEqual(['p1', 'p2']);
    expect(launched([rich, poor], 3)).toEqual(['p1', 'p2', 'r1']);
    expect(launched([poor, rich], 3)).toEqual(['p1', 'p2', 'p3']);
  });

  test('keeps its warm runners beyond its waiting jobs', () => {
    expect(topUp([pool('a', { warm: 2 })]).warm).toEqual([{ pool: 'a', count: 2 }]);
    expect(topUp([pool('a', { warm: 2, runners: [idle('w1')] })]).warm).toEqual([{ pool: 'a', count: 1 }]);
    expect(topUp([pool('a', { warm: 2, runners: [idle('w1'), idle('w2'), idle('w3')] })]).warm).toEqual([]);
    expect(topUp([pool('a', { warm: 2, runners: [idle('w1'), idle('w2')], jobs: [job('1')] })])).toEqual({
      launches: [],
      warm: [{ pool: 'a', count: 1 }],
    });
  });

  test('gets its warm runners only once the jobs of every pool have theirs', () => {
    const pools = [pool('warm', { warm: 2 }), pool('jobs', { jobs: [job('1'), job('2')] })];
    expect(topUp(pools, 2)).toMatchObject({ launches: [{ jobId: '1' }, { jobId: '2' }], warm: [] });
    expect(topUp(pools, 3).warm).toEqual([{ pool: 'warm', count: 1 }]);
  });
});

describe('a pool of a scope that is held', () => {
  const until = (ms: number) => new Date(now + ms).toISOString();

  test('gets nothing, and its places go to the others', () => {
    const held = pool('held', { jobs: [job('1')], warm: 2, scope: { scope: 'held', holdUntil: until(1) } });
    expect(topUp([held, pool('open', { jobs: [job('2')] })])).toEqual({
      launches: [{ jobId: '2', launch: 1 }],
      warm: [],
    });
  });

  test('gets its runners once the hold is over', () => {
    expect(launched([pool('held', { jobs: [job('1')], scope: { scope: 'held', holdUntil: until(0) } })])).toEqual([
      '1',
    ]);
  });
});

describe('the room of a profile', () => {
  const jobs = Array.from({ length: 8 }, (_, n) => job(String(n)));
  const asked = (leases: number, maxRunners = 5) =>
    decideTopUp(profileView([pool('a', { jobs })], { profile: aProfile({ maxRunners }), record: { leases } })).launches
      .length;

  test('is what its leases leave, and never less than none', () => {
    expect([asked(0), asked(3), asked(5), asked(9)]).toEqual([5, 2, 0, 0]);
  });

  test('is none while the profile is paused', () => {
    expect(asked(0, 0)).toBe(0);
    expect(decideTopUp(profileView([pool('a', { warm: 2 })], { profile: aProfile({ maxRunners: 0 }) })).warm).toEqual(
      [],
    );
  });

  test('is filled by no more than is asked for at once', () => {
    expect(decideTopUp(profileView([pool('a', { jobs, warm: 3 })]), 2)).toMatchObject({
      launches: [{ jobId: '0' }, { jobId: '1' }],
      warm: [],
    });
  });
});

describe('a launch that is asked for', () => {
  test('says where its job stands, so that all can be read at once', () => {
    expect(decideTopUp(profileView([pool('acme', { jobs: [job('1')] })])).launches).toEqual([
      { jobId: '1', launch: 1, profile: 'small', scope: 'acme', parked: undefined },
    ]);
  });
});

describe('the repositories of a pool', () => {
  const many = (repository: string, count: number) =>
    Array.from({ length: count }, (_, n) => jobOf(repository, `${repository}${n}`));

  test('are served in turn, oldest job first in each, however many jobs one of them has', () => {
    const jobs = [...many('evil', 10_000), ...many('victim', 1), ...many('other', 2)];
    expect(launched([pool('a', { jobs })], 6)).toEqual(['evil0', 'victim0', 'other0', 'evil1', 'other1', 'evil2']);
  });

  test('are served by who has the fewest live runners, whatever they run', () => {
    const runners = [
      busy('x1', { repository: 'acme/evil' }),
      busy('x2', { repository: 'acme/evil' }),
      busy('x3', { repository: 'acme/victim' }),
    ];
    const jobs = [...many('evil', 9), ...many('victim', 9)];
    expect(launched([pool('a', { jobs, runners })], 4)).toEqual(['victim0', 'evil0', 'victim1', 'evil1']);
  });

  test('get a place each while others wait with thousands: the one of them at its first launch', () => {
    const runners = Array.from({ length: 50 }, (_, n) => busy(`x${n}`, { repository: 'acme/evil' }));
    expect(launched([pool('a', { jobs: [...many('evil', 10_000), ...many('victim', 1)], runners })], 1)).toEqual([
      'victim0',
    ]);
  });

  test('have their jobs without any runner served before those whose own is on its way', () => {
    const jobs = [jobOf('web', 'w1', { launches: 1 }), jobOf('api', 'a1')];
    const runners = [
      idle('w1', { repository: 'acme/web' }),
      ...['x1', 'x2'].map((id) => busy(id, { repository: 'acme/api' })),
    ];
    expect(launched([pool('a', { jobs, runners })])).toEqual(['a1']);
    expect(launched([pool('a', { jobs: [...jobs, jobOf('api', 'a2')], runners })])).toEqual(['a1', 'a2']);
  });
});

describe('a job that a live runner is busy with', () => {
  test('is no demand, though its own record says so only a moment later', () => {
    const jobs = [job('1'), job('2')];
    expect(launched([pool('a', { jobs, runners: [busy('9', { busyJobId: '1' })] })])).toEqual(['2']);
    expect(launched([pool('a', { jobs: [job('1')], runners: [busy('9', { busyJobId: '1' }), busy('1')] })])).toEqual(
      [],
    );
  });

  test('is no demand when that runner is of another pool, either', () => {
    const other = pool('b', { runners: [busy('9', { busyJobId: '1' })] });
    expect(launched([pool('a', { jobs: [job('1')] }), other])).toEqual([]);
  });
});

describe('a breaker whose pause is over', () => {
  const breaker = { revision: 0, failures: 3, until: after(hour) };
  const jobs = ['1', '2', '3'].map((id) => job(id));
  const broken = (name: string, parts: Partial<PoolView> = {}) => pool(name, { jobs, breaker, ...parts });
  const named = (name: string) => ['1', '2'].map((id) => job(`${name}${id}`));

  test('lets one probe through, and none while it is open', () => {
    expect(launched([broken('a')])).toEqual(['1']);
    expect(launched([broken('a', { breaker: { ...breaker, until: new Date(now + 1).toISOString() } })])).toEqual([]);
  });

  test('lets one through in each scope: a breaker belongs to a profile in a scope', () => {
    expect(launched([broken('a', { jobs: named('a') }), broken('b', { jobs: named('b') })])).toEqual(['a1', 'b1']);
    const scope = { scope: 'same' };
    expect(launched([broken('a', { jobs: named('a'), scope }), broken('b', { jobs: named('b'), scope })])).toEqual([
      'a1',
    ]);
  });

  test('keeps nobody in another scope', () => {
    expect(launched([broken('a'), pool('b', { jobs: named('b') })])).toEqual(['1', 'b1', 'b2']);
  });

  test('lets none through while one is asked for', () => {
    const asked = job('asked', { askedAt: after(hour) });
    expect(launched([broken('a', { jobs: [asked, ...jobs] })])).toEqual([]);
    expect(launched([broken('a'), pool('b', { jobs: [asked] })])).toEqual(['1']);
  });

  test('lets one warm runner find out where no job waits', () => {
    expect(topUp([broken('a', { jobs: [], warm: 3 })])).toEqual({ launches: [], warm: [{ pool: 'a', count: 1 }] });
    expect(topUp([broken('a', { warm: 3 })])).toEqual({ launches: [{ jobId: '1', launch: 1 }], warm: [] });
  });
});

describe('AWS without room', () => {
  const until = (ms: number) => ({
    revision: 0,
    failures: 0,
    reason: 'no-capacity' as const,
    until: new Date(now + ms).toISOString(),
  });
  const jobs = ['1', '2', '3'].map((id) => job(id));
  const asked = (
    capacity: 'on-demand' | 'spot' | 'spot-preferred',
    room: { onDemand?: number; spot?: number },
    pools: readonly PoolView[] = [pool('a', { jobs }), pool('b', { jobs: [job('b1')] })],
  ) => {
    const { onDemand, spot } = room;
    return decideTopUp(
      profileView(pools, {
        profile: aProfile({ capacity, maxRunners: 100 }),
        room: {
          'on-demand': onDemand === undefined ? roomy : until(onDemand),
          spot: spot === undefined ? roomy : until(spot),
        },
      }),
    ).launches.map(({ jobId }) => jobId);
  };

  test('is asked for by one launch of all scopes together when its minute is over', () => {
    expect(asked('on-demand', { onDemand: 1 })).toEqual([]);
    expect(asked('on-demand', { onDemand: 0 })).toEqual(['1']);
    expect(asked('spot', { spot: 0, onDemand: 1 })).toEqual(['1']);
  });

  test('is asked for by none while another launch is on its way', () => {
    const pools = [pool('a', { jobs: [job('asked', { askedAt: after(hour) }), ...jobs] })];
    expect(asked('on-demand', { onDemand: 0 }, pools)).toEqual([]);
  });

  test('of one kind keeps nobody from the other', () => {
    expect(asked('spot-preferred', { spot: 1 })).toEqual(['1', 'b1', '2', '3']);
    expect(asked('on-demand', { spot: 1 })).toHaveLength(4);
  });

  test('keeps nobody from finding out about a breaker, though an organisation is called spot', () => {
    const breaker = { revision: 0, failures: 3, until: after(hour) };
    const pools = [pool('b', { jobs: [job('b1')] }), pool('spot', { jobs: [job('s1')], breaker })];
    expect(asked('spot-preferred', { spot: 0 }, pools)).toEqual(['b1', 's1']);
  });

  test('of both kinds is probed for each by one launch', () => {
    const lost = { withoutSpot: true, launches: 1 };
    const pools = [pool('a', { jobs: [job('s1'), job('s2'), job('d1', lost), job('d2', lost)] })];
    expect(asked('spot-preferred', { onDemand: 0, spot: 0 }, pools)).toEqual(['s1', 'd1']);
  });
});

describe('a parked job', () => {
  const parked = (id: string, at: number, parts: Parameters<typeof aJobRecord>[0] = {}) =>
    job(id, { parked: true, unserved: 6, launches: 6, parkedAt: after(at), ...parts });

  test('is demand again when it is released, and says that it must be released first', () => {
    const one = parked('1', 0);
    expect(decideTopUp(profileView([pool('acme', { jobs: [one] })])).launches).toEqual([
      { jobId: '1', launch: 7, profile: 'small', scope: 'acme', parked: one },
    ]);
    expect(launched([pool('a', { jobs: [parked('1', 1)] })])).toEqual([]);
  });

  test('is released one at a time in a pool, and in each pool by itself', () => {
    const jobs = ['1', '2', '3'].map((id) => parked(id, 0));
    expect(launched([pool('a', { jobs }), pool('b', { jobs: [parked('b1', 0)] })])).toEqual(['1', 'b1']);
  });

  test('is released with all others when a runner of the pool got a job, alive or over by now', () => {
    const jobs = ['1', '2'].map((id) => parked(id, 30 * minute));
    const busyAt = after(31 * minute);
    expect(launched([pool('a', { jobs, runners: [busy('9', { busyAt })] })])).toEqual(['1', '2']);
    expect(launched([pool('a', { jobs, served: [busyAt] })])).toEqual(['1', '2']);
    expect(launched([pool('a', { jobs, served: [after(29 * minute)] })])).toEqual([]);
    expect(launched([pool('a', { jobs }), pool('b', { runners: [busy('9', { busyAt })] })])).toEqual([]);
  });

  test('that nothing releases takes no place', () => {
    const jobs = [parked('p', hour), job('1')];
    expect(launched([pool('a', { jobs })], 1)).toEqual(['1']);
  });
});

describe('why a job waits', () => {
  const a = pool('a', { scope: { scope: 'a', holdUntil: new Date(now + 1).toISOString() } });

  test('is what keeps it from starting now', () => {
    expect(whyItWaits(job('1'), a, profileView([a]))).toBe('scope-held');
    expect(whyItWaits(job('1', { parked: true }), a, profileView([a]))).toBe('parked');
    expect(whyItWaits(job('1'), pool('b'), profileView([pool('b')], withPlaces(0)))).toBe('profile-full');
  });

  test('is nothing when it may start', () => {
    expect(whyItWaits(job('1', { reason: 'no-capacity' }), pool('b'), profileView([pool('b')]))).toBeUndefined();
  });
});

describe('any profile', () => {
  const aPool = fc.record({
    jobs: fc.array(
      fc.record({
        launches: fc.nat(3),
        parked: fc.boolean(),
        wait: fc.constantFrom(undefined, after(0), after(2 * hour)),
        hasRunner: fc.boolean(),
        asked: fc.constantFrom(undefined, undefined, after(hour), after(0)),
      }),
      { maxLength: 6 },
    ),
    idle: fc.nat(4),
    busy: fc.nat(4),
    warm: fc.nat(3),
  });
  const views = fc.array(aPool, { maxLength: 4 }).map((pools) =>
    pools.map(({ jobs, idle: idles, busy: busies, warm }, index): PoolView => {
      const name = `pool${index}`;
      const ids = jobs.map((_, place) => `${index}${place}`);
      return {
        ...pool(name),
        warm,
        jobs: jobs.map(({ launches, parked, wait, asked }, place) =>
          job(ids[place] ?? '', {
            launches,
            parked,
            parkedAt: after(hour),
            ...(wait && { notBefore: wait }),
            ...(asked && { askedAt: asked }),
          }),
        ),
        runners: [
          ...Array.from({ length: idles }, (_, n) => idle(jobs[n]?.hasRunner ? (ids[n] ?? '') : `${prefix}-i${n}`)),
          ...Array.from({ length: busies }, (_, n) => busy(`${prefix}-b${n}`)),
        ],
      };
    }),
  );
  const isLaunchable = ({ parked, notBefore }: PoolView['jobs'][number]) =>
    !parked && (notBefore === undefined || Date.parse(notBefore) <= now);
  const isAsked = ({ askedAt }: PoolView['jobs'][number]) => askedAt === after(hour);
  const lacks = ({ jobs, runners }: PoolView) =>
    Math.max(
      0,
      jobs.filter((one) => isLaunchable(one) && !isAsked(one)).length -
        runners.filter((runner) => isSupply(runner, now)).length,
    );
  const given = (view: PoolView, { launches, warm }: ReturnType<typeof topUp>) => {
    const ids = new Set(view.jobs.map(({ job: { id } }) => id));
    return {
      launches: launches.filter(({ jobId }) => ids.has(jobId)),
      warm: warm.find(({ pool: name }) => name === view.pool)?.count ?? 0,
    };
  };

  test('is given as many runners as its jobs lack, or as there is room for, and not one more', () => {
    fc.assert(
      fc.property(views, fc.integer({ min: -1, max: 12 }), (pools, room) => {
        const lacking = pools.reduce((sum, view) => sum + lacks(view), 0);
        const places = Math.max(0, room - pools.flatMap(({ jobs }) => jobs.filter((one) => isAsked(one))).length);
        const { launches, warm } = topUp(pools, room);
        expect(launches).toHaveLength(Math.min(lacking, places));
        const warmed = warm.reduce((sum, { count }) => sum + count, 0);
        expect(launches.length + warmed).toBeLessThanOrEqual(places);
      }),
    );
  });

  test('has no pool that is given more than it lacks, or two launches of one job', () => {
    fc.assert(
      fc.property(views, fc.nat(12), (pools, room) => {
        const verdict = topUp(pools, room);
        expect(new Set(verdict.launches.map(({ jobId }) => jobId)).size).toBe(verdict.launches.length);
        for (const view of pools) {
          const { launches, warm } = given(view, verdict);
          const launchable = view.jobs.filter((one) => isLaunchable(one));
          const supply = view.runners.filter((runner) => isSupply(runner, now)).length;
          expect(launches.length).toBeLessThanOrEqual(lacks(view));
          expect(launches.length + warm).toBeLessThanOrEqual(Math.max(0, launchable.length + view.warm - supply));
          for (const { jobId, launch } of launches) {
            expect(launchable.find((one) => one.job.id === jobId)?.launches).toBe(launch - 1);
          }
        }
      }),
    );
  });

  test('starves no pool: none that goes short has more live runners than it must', () => {
    fc.assert(
      fc.property(views, fc.nat(12), (pools, room) => {
        const verdict = topUp(pools, room);
        const pressed = pools.map((view) => {
          const count = given(view, verdict).launches.length;
          return { isShort: count < lacks(view), gained: count > 0, live: view.runners.length + count };
        });
        for (const short of pressed.filter(({ isShort }) => isShort)) {
          for (const other of pressed.filter(({ gained }) => gained)) {
            expect(other.live).toBeLessThanOrEqual(short.live + 1);
          }
        }
      }),
    );
  });
});

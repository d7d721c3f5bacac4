import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { askedForMs } from '../../functions/contracts/with-infra/limits.ts';
import { decideRoom, decideTopUp, isLaunchable, type PoolView } from '../../functions/fleet/decide-top-up.ts';
import { isSupply } from '../../functions/fleet/supply.ts';
import { aJobRecord, aLaunchedRunner, aProfile, prefix } from '../fakes/builders.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';

const now = Date.parse(beginning) + hour;

const job = (id: string, parts: Parameters<typeof aJobRecord>[0] = {}) => aJobRecord({ ...parts, job: { id } });
/** A runner that waits for a job. */
const idle = (jobId: string, parts: Parameters<typeof aLaunchedRunner>[0] = {}) =>
  aLaunchedRunner({ jobId, createdAt: after(hour - minute), ...parts });
const busy = (jobId: string) => idle(jobId, { busyJobId: 'another' });
const pool = (name: string, parts: Partial<PoolView> = {}): PoolView => ({
  pool: name,
  jobs: [],
  runners: [],
  warm: 0,
  ...parts,
});
const topUp = (pools: readonly PoolView[], room = 100) => decideTopUp({ pools, room, now });
const launched = (pools: readonly PoolView[], room?: number) => topUp(pools, room).launches.map(({ jobId }) => jobId);

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
      job('held', { held: true }),
      job('later', { notBefore: new Date(now + 1).toISOString() }),
      job('gone', { state: 'in_progress' }),
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
    const held = pool('held', { jobs: [job('1')], warm: 2, holdUntil: until(1) });
    expect(topUp([held, pool('open', { jobs: [job('2')] })])).toEqual({
      launches: [{ jobId: '2', launch: 1 }],
      warm: [],
    });
  });

  test('gets its runners once the hold is over', () => {
    expect(launched([pool('held', { jobs: [job('1')], holdUntil: until(0) })])).toEqual(['1']);
  });
});

describe('the room of a profile', () => {
  const profile = aProfile({ maxRunners: 5 });
  const room = (leases: number, breaks?: number) =>
    decideRoom(
      profile,
      { leases, failures: 0, ...(breaks !== undefined && { breakerUntil: new Date(now + breaks).toISOString() }) },
      now,
    );

  test('is what its leases leave, and never less than none', () => {
    expect([room(0), room(3), room(5), room(9)]).toEqual([5, 2, 0, 0]);
  });

  test('is none while its breaker is open, and one for the probe after that', () => {
    expect([room(0, 1), room(0, 0), room(4, -minute), room(5, -minute)]).toEqual([0, 1, 1, 0]);
  });
});

describe('any profile', () => {
  const aPool = fc.record({
    jobs: fc.array(
      fc.record({
        launches: fc.nat(3),
        held: fc.boolean(),
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
        pool: name,
        warm,
        jobs: jobs.map(({ launches, held, wait, asked }, place) =>
          job(ids[place] ?? '', { launches, held, ...(wait && { notBefore: wait }), ...(asked && { askedAt: asked }) }),
        ),
        runners: [
          ...Array.from({ length: idles }, (_, n) => idle(jobs[n]?.hasRunner ? (ids[n] ?? '') : `${prefix}-i${n}`)),
          ...Array.from({ length: busies }, (_, n) => busy(`${prefix}-b${n}`)),
        ],
      };
    }),
  );
  const isAsked = ({ askedAt }: PoolView['jobs'][number]) => askedAt === after(hour);
  const lacks = ({ jobs, runners }: PoolView) =>
    Math.max(
      0,
      jobs.filter((one) => isLaunchable(one, now) && !isAsked(one)).length -
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
          const launchable = view.jobs.filter((one) => isLaunchable(one, now));
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

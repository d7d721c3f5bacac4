import { describe, expect, test } from '@jest/globals';
import {
  afterUnserved,
  allowedByBackOff,
  busySinceOf,
  releasable,
  release,
} from '../../../functions/fleet/waits/back-off.ts';
import { aJobRecord, aLaunchedRunner } from '../../fakes/builders.ts';
import { after, beginning, hour, minute } from '../../fakes/clock.ts';

const now = Date.parse(beginning);
type Job = ReturnType<typeof aJobRecord>;
const unserved = (job: Job, parts: Partial<Parameters<typeof afterUnserved>[1]> = {}) =>
  afterUnserved(job, { launch: 7, counts: true, note: 'its runner ended', lostSpot: false, ...parts }, now);
/** What every end without a job writes. */
const counted = { unservedLaunch: 7, decidedAt: after(0) };

describe('a waiting job', () => {
  test('may start when nothing says otherwise, or when its time has come', () => {
    expect(allowedByBackOff(aJobRecord(), now)).toEqual({ kind: 'go' });
    expect(allowedByBackOff(aJobRecord({ notBefore: after(0) }), now)).toEqual({ kind: 'go' });
  });

  test('waits until its time, for the reason in its record', () => {
    const wait = { kind: 'wait', until: now + 1 };
    expect(allowedByBackOff(aJobRecord({ notBefore: after(1), reason: 'not-found' }), now)).toEqual({
      ...wait,
      reason: 'not-found',
    });
    expect(allowedByBackOff(aJobRecord({ notBefore: after(1) }), now)).toEqual({ ...wait, reason: 'backing-off' });
  });

  test('that is parked waits without an end of its own', () => {
    expect(allowedByBackOff(aJobRecord({ parked: true, notBefore: after(-1) }), now)).toEqual({
      kind: 'wait',
      reason: 'parked',
    });
  });
});

describe('an end that can be the fault of the job', () => {
  test.each([
    [0, 1],
    [1, 2],
    [2, 4],
    [3, 8],
    [4, 16],
  ])('after %i others lets it wait for %i minutes', (before, minutes) => {
    const job = aJobRecord({ unserved: before });
    expect(unserved(job)).toEqual({
      ...job,
      ...counted,
      unserved: before + 1,
      reason: 'backing-off',
      note: `${before + 1} of 6 runners started for it ended without a job`,
      notBefore: after(minutes * minute),
    });
  });

  test('parks it the sixth time', () => {
    const job = aJobRecord({ unserved: 5, notBefore: after(-1) });
    expect(unserved(job)).toEqual({
      ...job,
      ...counted,
      unserved: 6,
      parked: true,
      parkedAt: after(0),
      reason: 'parked',
      note: '6 runners started for it ended without a job',
      notBefore: undefined,
    });
  });

  test('parks it the first time when the job was old when we first heard of it', () => {
    const old = aJobRecord({ job: { createdAt: after(-30 * 24 * hour) } });
    expect(unserved(old)).toMatchObject({
      unserved: 1,
      parked: true,
      note: '1 runners started for it ended without a job',
    });
  });

  test('keeps since when the job is parked, when it was parked before', () => {
    const job = aJobRecord({ unserved: 6, parked: true, parkedAt: after(-hour) });
    expect(unserved(job)).toMatchObject({ unserved: 7, parked: true, parkedAt: after(-hour) });
  });

  test('counts once for a launch, and not at all when a later launch was counted or the job waits no more', () => {
    expect(unserved(aJobRecord({ unservedLaunch: 6 }))).toMatchObject({ unservedLaunch: 7 });
    expect(unserved(aJobRecord({ unservedLaunch: 7 }))).toBeUndefined();
    expect(unserved(aJobRecord({ unservedLaunch: 8 }))).toBeUndefined();
    expect(unserved(aJobRecord({ state: 'in_progress' }))).toBeUndefined();
    expect(unserved(aJobRecord({ state: 'blocked' }))).toBeUndefined();
  });
});

describe("an end that cannot be the job's fault", () => {
  test('costs the job a minute and is forgotten, however often it comes', () => {
    for (const before of [0, 5, 60]) {
      const job = aJobRecord({ unserved: before });
      expect(unserved(job, { counts: false })).toEqual({
        ...job,
        ...counted,
        reason: 'backing-off',
        note: 'its runner ended',
        notBefore: after(minute),
      });
    }
  });

  test('does not park a job that was old when seen, either', () => {
    const old = aJobRecord({ job: { createdAt: after(-30 * 24 * hour) } });
    expect(unserved(old, { counts: false })).toMatchObject({ unserved: 0, parked: false });
  });

  test('leaves a parked job parked', () => {
    const job = aJobRecord({ unserved: 6, parked: true, parkedAt: after(-hour), reason: 'parked' });
    expect(unserved(job, { counts: false })).toEqual({ ...job, ...counted, note: 'its runner ended' });
  });
});

describe('a lost Spot task', () => {
  test('makes the next launch of its job do without Spot, whether it counts or not', () => {
    for (const counts of [true, false]) {
      expect(unserved(aJobRecord(), { counts, lostSpot: true })).toMatchObject({ withoutSpot: true });
      expect(unserved(aJobRecord(), { counts })).toMatchObject({ withoutSpot: false });
      expect(unserved(aJobRecord({ withoutSpot: true }), { counts })).toMatchObject({ withoutSpot: true });
    }
    expect(unserved(aJobRecord({ unserved: 5 }), { lostSpot: true })).toMatchObject({
      parked: true,
      withoutSpot: true,
    });
  });
});

describe('parking ends', () => {
  const parked = (id: string, parkedAt: number, parts: Partial<Omit<Job, 'job'>> = {}) =>
    aJobRecord({ parked: true, unserved: 6, parkedAt: after(parkedAt), ...parts, job: { id } });
  const released = (jobs: readonly Job[], at: number, busySince: readonly number[] = []) =>
    releasable(
      jobs,
      busySince.map((ms) => after(ms)),
      now + at,
    ).map(({ job }) => job.id);

  test('with one more launch before the job is parked again', () => {
    const job = parked('a', 0, { releases: 2, notBefore: after(0), reason: 'parked' });
    const freed = release(job, now + hour);
    expect(freed).toEqual({
      ...job,
      parked: false,
      unserved: 5,
      releases: 3,
      notBefore: undefined,
      reason: undefined,
      note: 'released: one more runner is started for it',
      decidedAt: after(hour),
    });
    expect(unserved(freed)).toMatchObject({ parked: true, parkedAt: after(0) });
  });

  test('for nobody where nobody is parked', () => {
    expect(released([aJobRecord()], 9 * hour, [hour])).toEqual([]);
  });

  test('for one job of the pool after an hour, the one that is parked longest', () => {
    const jobs = [parked('b', 10), parked('a', 0), parked('c', 20)];
    expect(released(jobs, hour + 19)).toEqual([]);
    expect(released(jobs, hour + 20)).toEqual(['a']);
  });

  test('for no second job while the first one is being tried', () => {
    const tried = aJobRecord({ releases: 1, unserved: 5, job: { id: 'a' } });
    expect(released([tried, parked('b', 0)], 5 * hour)).toEqual([]);
    expect(released([{ ...tried, releases: 0 }, parked('b', 0)], 5 * hour)).toEqual(['b']);
  });

  test('for the next job an hour after the one before was parked again', () => {
    const jobs = [parked('a', hour + 10 * minute, { releases: 1 }), parked('b', 0)];
    expect(released(jobs, 2 * hour + 10 * minute - 1)).toEqual([]);
    expect(released(jobs, 2 * hour + 10 * minute)).toEqual(['b']);
  });

  test('at once for all whose pool is served: a runner got a job after they were parked', () => {
    const jobs = [parked('a', 0), parked('b', minute), parked('c', 3 * minute)];
    expect(released(jobs, 3 * minute, [-minute, 2 * minute])).toEqual(['a', 'b']);
    expect(released(jobs, 3 * minute, [0])).toEqual([]);
    expect(released(jobs, 3 * minute, [1])).toEqual(['a']);
  });

  test.each([
    [1, 5],
    [2, 10],
    [3, 20],
    [4, 40],
    [5, 60],
    [9, 60],
  ])('for a job released %i times not within %i minutes, though its pool is served', (releases, minutes) => {
    const job = parked('a', 0, { releases });
    expect(released([job], minutes * minute - 1, [1])).toEqual([]);
    expect(released([job], minutes * minute, [1])).toEqual(['a']);
  });

  test('by the hour as well for a job whose pool was served before it was parked', () => {
    expect(released([parked('a', minute)], hour + minute, [0])).toEqual(['a']);
  });

  test('also for a job of the first release, which did not write when it was parked', () => {
    const job = aJobRecord({ parked: true, seenAt: after(0), decidedAt: after(minute) });
    expect(released([job], hour + minute - 1)).toEqual([]);
    expect(released([job], hour + minute)).toHaveLength(1);
    expect(released([{ ...job, decidedAt: undefined }], hour)).toHaveLength(1);
  });

  test('by what is known of the runners that have a job', () => {
    const runners = [aLaunchedRunner(), aLaunchedRunner({ busyJobId: '7', busyAt: after(5) })];
    expect(busySinceOf(runners)).toEqual([after(5)]);
  });
});

import { expect, test } from '@jest/globals';
import type { JobState } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../../../functions/contracts/with-infra/limits.ts';
import { aJob } from '../../fakes/builders.ts';
import { after, minute } from '../../fakes/clock.ts';
import { describeLedgers, together, type Ledger } from './ledgers.ts';

type JobNews = Parameters<Ledger['recordJob']>[1];

const news = (state: JobState, parts: Partial<JobNews> = {}): JobNews => ({
  state,
  pool: 'small@acme',
  profile: 'small',
  scope: 'acme',
  ...parts,
});
const job = aJob();

describeLedgers('the record of a job', (open) => {
  test('begins with the first news of it', async () => {
    const ledger = open();
    const recorded = await ledger.recordJob(job, news('waiting'));
    expect(recorded).toEqual({
      before: undefined,
      moved: true,
      record: {
        version: 1,
        state: 'waiting',
        order: 11,
        job,
        pool: 'small@acme',
        profile: 'small',
        scope: 'acme',
        seenAt: after(0),
        decidedAt: after(0),
        waitingSince: after(0),
        wasBlocked: false,
        launches: 0,
        unserved: 0,
        unservedLaunch: 0,
        held: false,
      },
    });
    expect(await ledger.readJob(job.id)).toEqual(recorded.record);
  });

  test('is not there before', async () => {
    expect(await open().readJob('1')).toBeUndefined();
  });

  test('is moved forward by later news and keeps when it was first seen', async () => {
    const ledger = open();
    await ledger.recordJob(job, news('waiting'));
    ledger.clock.turn(minute);
    const { before, moved } = await ledger.recordJob(
      job,
      news('in_progress', { runnerName: 'r', startedAt: after(0) }),
    );
    expect([before?.state, moved]).toEqual(['waiting', true]);
    expect(await ledger.readJob(job.id)).toMatchObject({
      state: 'in_progress',
      runnerName: 'r',
      startedAt: after(0),
      seenAt: after(0),
      decidedAt: after(minute),
    });
  });

  test.each<[JobState, JobState]>([
    ['in_progress', 'waiting'],
    ['completed', 'in_progress'],
    ['completed', 'waiting'],
    ['waiting', 'blocked'],
    ['refused', 'waiting'],
    ['expired', 'waiting'],
    ['waiting', 'waiting'],
  ])('is not moved from %s by news of %s, and says what it was', async (state, late) => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news(state));
    ledger.clock.turn(minute);
    expect(await ledger.recordJob(job, news(late, { pool: 'large@acme' }))).toEqual({
      before: record,
      record,
      moved: false,
    });
    expect(await ledger.readJob(job.id)).toEqual(record);
  });

  test.each<JobState>(['refused', 'expired'])('that we %s still hears of its run', async (state) => {
    const ledger = open();
    await ledger.recordJob(job, news(state));
    expect(await ledger.recordJob(job, news('in_progress'))).toMatchObject({ moved: true });
  });

  test('is completed in the end, whatever the order of its news', async () => {
    const ledger = open();
    const orders = permutations<JobState>(['blocked', 'waiting', 'in_progress', 'completed']);
    const ends = await Promise.all(
      orders.map(async (order, index) => {
        const one = aJob({ id: String(index) });
        for (const state of order) await ledger.recordJob(one, news(state));
        return (await ledger.readJob(one.id))?.state;
      }),
    );
    expect(ends).toEqual(orders.map(() => 'completed'));
    expect(orders).toHaveLength(24);
    expect([...(await ledger.listWaiting()), ...(await ledger.listBlocked())]).toEqual([]);
  });

  test('remembers since when it waits, and that it was blocked before', async () => {
    const ledger = open();
    await ledger.recordJob(job, news('blocked'));
    expect(await ledger.readJob(job.id)).toMatchObject({ wasBlocked: true, seenAt: after(0) });
    expect(await ledger.readJob(job.id)).not.toHaveProperty('waitingSince');
    ledger.clock.turn(minute);
    const { record } = await ledger.recordJob(job, news('waiting'));
    expect(record).toMatchObject({ wasBlocked: true, waitingSince: after(minute), seenAt: after(0) });
    expect(await ledger.readJob(job.id)).toEqual(record);
  });

  test('starts anew with the next attempt', async () => {
    const ledger = open();
    await ledger.recordJob(job, news('completed'));
    expect(await ledger.recordJob({ ...job, attempt: 2 }, news('waiting'))).toMatchObject({ moved: true });
    expect(await ledger.recordJob(job, news('completed'))).toMatchObject({ moved: false });
    expect((await ledger.listWaiting()).map((one) => one.job.attempt)).toEqual([2]);
  });

  test('is moved once by the same news told fifty times at once', async () => {
    const ledger = open();
    const told = await together(50, async () => ledger.recordJob(job, news('waiting')));
    expect(told.filter(({ moved }) => moved)).toHaveLength(1);
  });

  test('says why it waits only while it does', async () => {
    const ledger = open();
    await ledger.recordJob(job, news('waiting'));
    await ledger.explainWait(job.id, {
      reason: 'no-capacity',
      note: 'full up',
      notBefore: ledger.clock.now() + minute,
    });
    const explained = { reason: 'no-capacity', note: 'full up', notBefore: after(minute) };
    expect(await ledger.readJob(job.id)).toMatchObject(explained);

    const { record } = await ledger.recordJob(job, news('in_progress'));
    const known = await ledger.readJob(job.id);
    for (const part of Object.keys(explained)) expect(known).not.toHaveProperty(part);
    expect(record).toEqual(known);
    await ledger.explainWait(job.id, { reason: 'quota', note: 'no' });
    expect(await ledger.readJob(job.id)).toEqual(known);
  });

  test('keeps the moment before which nothing is launched when a later reason names none', async () => {
    const ledger = open();
    await ledger.recordJob(job, news('waiting'));
    await ledger.explainWait(job.id, { reason: 'quota', note: '', notBefore: ledger.clock.now() + minute });
    await ledger.explainWait(job.id, { reason: 'profile-full', note: 'full' });
    expect(await ledger.readJob(job.id)).toMatchObject({ reason: 'profile-full', notBefore: after(minute) });
  });

  test('is not made by explaining a job that nobody knows', async () => {
    const ledger = open();
    await ledger.explainWait('1', { reason: 'quota', note: '' });
    expect(await ledger.readJob('1')).toBeUndefined();
  });

  test('is given up while it waits, and is no demand from then on', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    await ledger.explainWait(job.id, { reason: 'quota', note: '', notBefore: ledger.clock.now() + minute });
    expect(await ledger.giveUpJob(record, 'expired', 'too old')).toBe(true);
    expect(await ledger.giveUpJob(record, 'expired', 'too old')).toBe(false);
    const known = await ledger.readJob(job.id);
    expect(known).toMatchObject({ state: 'expired', note: 'too old', order: 13 });
    expect(known).not.toHaveProperty('notBefore');
    expect(known).not.toHaveProperty('reason');
    expect(await ledger.listWaiting()).toEqual([]);
  });

  test('is not given up when it has moved on since it was read', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    await ledger.recordJob(job, news('in_progress'));
    expect(await ledger.giveUpJob(record, 'refused', '')).toBe(false);
    expect(await ledger.readJob(job.id)).toMatchObject({ state: 'in_progress' });
  });

  test.each<JobState>(['in_progress', 'completed'])(
    'is not given up when it is %s: it only moves forward',
    async (state) => {
      const ledger = open();
      const { record } = await ledger.recordJob(job, news(state));
      expect(await ledger.giveUpJob(record, 'refused', 'its launch failed 10 times')).toBe(false);
      expect(await ledger.readJob(job.id)).toMatchObject({ state });
    },
  );

  test('counts each launch that served nobody once, and only upwards', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    const raise = { launch: 1, unserved: 1, held: false, notBefore: ledger.clock.now() + minute, note: 'idle' };
    const raised = await together(10, async () => ledger.raiseUnserved(record, raise));
    expect(raised.filter(Boolean)).toHaveLength(1);
    expect(await ledger.readJob(job.id)).toMatchObject({
      unserved: 1,
      unservedLaunch: 1,
      held: false,
      notBefore: after(minute),
      reason: 'backing-off',
      note: 'idle',
    });
    const again = await ledger.readJob(job.id);
    expect(again && (await ledger.raiseUnserved(again, { launch: 2, unserved: 2, held: true, note: '' }))).toBe(true);
    expect(await ledger.readJob(job.id)).toMatchObject({ unserved: 2, unservedLaunch: 2, held: true, reason: 'held' });
    expect(again && (await ledger.raiseUnserved(again, { launch: 1, unserved: 1, held: false, note: '' }))).toBe(false);
  });

  test('counts no launch once the job has moved on', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    await ledger.recordJob(job, news('in_progress'));
    expect(await ledger.raiseUnserved(record, { launch: 1, unserved: 1, held: false, note: '' })).toBe(false);
  });

  test('moves to another pool once', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    const to = { pool: 'large@acme', profile: 'large' };
    const moved = await together(5, async () => ledger.moveJob(record, to));
    expect(moved.filter(Boolean)).toHaveLength(1);
    expect(await ledger.listWaitingPools('small')).toEqual([]);
    expect((await ledger.listWaitingJobs('large@acme', 5)).map(({ profile }) => profile)).toEqual(['large']);
  });

  test('does not move to another pool when it waits no more', async () => {
    const ledger = open();
    const { record } = await ledger.recordJob(job, news('waiting'));
    await ledger.recordJob(job, news('completed'));
    expect(await ledger.moveJob(record, { pool: 'large@acme', profile: 'large' })).toBe(false);
    expect(await ledger.listWaiting()).toEqual([]);
  });
});

describeLedgers('a launch that is asked for', (open) => {
  const lease = { runnerId: 'r-1', pool: 'small@acme', profile: 'small', scope: 'acme', idleMinutes: 5 };
  const waiting = async () => open().recordJob(job, news('waiting'));

  test('is asked for by one of twenty who would at the same time', async () => {
    await waiting();
    const asked = await together(20, async () => open().askLaunch(job.id, 1));
    expect(asked.filter(Boolean)).toHaveLength(1);
    expect(await open().readJob(job.id)).toMatchObject({ askedAt: after(0), launches: 0 });
  });

  test('is asked for again when it came to nothing in a while', async () => {
    await waiting();
    expect(await open().askLaunch(job.id, 1)).toBe(true);
    open().clock.turn(askedForMs);
    expect(await open().askLaunch(job.id, 1)).toBe(false);
    open().clock.turn(1);
    expect(await open().askLaunch(job.id, 1)).toBe(true);
  });

  test('is asked for again at once when its job was told why it waits', async () => {
    await waiting();
    await open().askLaunch(job.id, 1);
    await open().explainWait(job.id, { reason: 'profile-full', note: 'full' });
    expect(await open().readJob(job.id)).not.toHaveProperty('askedAt');
    expect(await open().askLaunch(job.id, 1)).toBe(true);
  });

  test('is the one that follows the last, and no other', async () => {
    await waiting();
    expect(await open().askLaunch(job.id, 2)).toBe(false);
    await open().askLaunch(job.id, 1);
    await open().takeLease({ runner: { ...lease, jobId: job.id, launch: 1 }, cap: 1 });
    expect(await open().readJob(job.id)).not.toHaveProperty('askedAt');
    expect(await open().askLaunch(job.id, 1)).toBe(false);
    expect(await open().askLaunch(job.id, 2)).toBe(true);
  });

  test.each<JobState>(['blocked', 'in_progress', 'completed', 'refused'])(
    'is none for a job that is %s',
    async (state) => {
      await open().recordJob(job, news(state));
      expect(await open().askLaunch(job.id, 1)).toBe(false);
      expect(await open().askLaunch('unknown', 1)).toBe(false);
      expect(await open().readJob('unknown')).toBeUndefined();
    },
  );

  test('is forgotten when its job begins', async () => {
    await waiting();
    await open().askLaunch(job.id, 1);
    await open().recordJob(job, news('in_progress'));
    expect(await open().readJob(job.id)).not.toHaveProperty('askedAt');
  });
});

describeLedgers('the list of what waits', (open) => {
  const record = async (id: string, pool: string, createdAt: string, state: JobState = 'waiting') =>
    open().recordJob(aJob({ id, createdAt }), news(state, { pool, profile: pool.slice(0, pool.indexOf('@')) }));

  test('names the oldest of a pool first, and no more than it was asked for', async () => {
    await record('3', 'small@acme', after(3));
    await record('1', 'small@acme', after(1));
    await record('2', 'small@acme', after(2));
    await record('4', 'small@beta', after(0));
    expect((await open().listWaitingJobs('small@acme', 2)).map(({ job: { id } }) => id)).toEqual(['1', '2']);
    expect((await open().listWaitingJobs('small@acme', 9)).map(({ job: { id } }) => id)).toEqual(['1', '2', '3']);
  });

  test('keeps blocked jobs apart', async () => {
    await record('1', 'small@acme', after(0), 'blocked');
    expect(await open().listWaiting()).toEqual([]);
    expect((await open().listBlocked()).map(({ job: { id } }) => id)).toEqual(['1']);
    await record('1', 'small@acme', after(0), 'waiting');
    expect(await open().listBlocked()).toEqual([]);
    expect(await open().listWaiting()).toHaveLength(1);
  });

  test("names each of a profile's pools once, and none of a profile whose name begins alike", async () => {
    const pools = ['small@acme', 'small@acme+gpu', 'small@beta', 'small@octo/tools', 'small@Octo/a', 'small-arm@acme'];
    for (const [index, pool] of pools.entries()) {
      await record(`${index}a`, pool, after(0));
      await record(`${index}b`, pool, after(1));
    }
    expect((await open().listWaitingPools('small')).toSorted()).toEqual(pools.slice(0, 5).toSorted());
    expect(await open().listWaitingPools('small-arm')).toEqual(['small-arm@acme']);
    expect(await open().listWaitingPools('smal')).toEqual([]);
  });

  test('names only the jobs of the one pool, not of one whose name begins alike', async () => {
    await record('1', 'small@acme', after(0));
    await record('2', 'small@acme+gpu', after(0));
    await record('3', 'small@acme-labs', after(0));
    expect((await open().listWaitingJobs('small@acme', 9)).map(({ job: { id } }) => id)).toEqual(['1']);
  });
});

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

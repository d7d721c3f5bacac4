import { expect, test } from '@jest/globals';
import type { JobSighting } from '../../../functions/contracts/between-rooms/job-sighting.ts';
import type { JobRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../../../functions/contracts/with-infra/limits.ts';
import { giveUp } from '../../../functions/fleet/decide-move.ts';
import { aJob } from '../../fakes/builders.ts';
import { after, hour, minute } from '../../fakes/clock.ts';
import { aLaunch, aWaitingJob, begun, describeLedgers, together, type OpenLedger } from './ledgers.ts';

type SightedState = JobSighting['state'];

const job = aJob();
const ids = (jobs: readonly JobRecord[]) => jobs.map((one) => one.job.id);

describeLedgers('the record of a job', (open) => {
  test('begins with the first sighting of it', async () => {
    const ledger = open();
    const recorded = await ledger.record(job, 'queued');
    const record = {
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
      inferred: false,
      launches: 0,
      unserved: 0,
      unservedLaunch: 0,
      parked: false,
      releases: 0,
      withoutSpot: false,
    };
    expect(recorded).toEqual({ before: undefined, moved: true, record });
    expect(await ledger.readJob(job.id)).toEqual(record);
  });

  test('has no count before its first launch: the first release, which a rollback brings back, would begin none', async () => {
    const ledger = open();
    await ledger.record(job, 'queued');
    const [item] = await ledger.items();
    expect(item).toMatchObject({ id: `job#${job.id}`, state: 'waiting' });
    expect(item).not.toHaveProperty('launches');
  });

  test('is not there before', async () => {
    expect(await open().readJob('1')).toBeUndefined();
  });

  test('is moved forward by a later sighting and keeps when it was first seen', async () => {
    const ledger = open();
    await ledger.record(job, 'queued');
    ledger.clock.turn(minute);
    const { before, moved } = await ledger.record(job, 'in_progress', { runnerName: 'r', startedAt: after(0) });
    expect([before?.state, moved]).toEqual(['waiting', true]);
    expect(await ledger.readJob(job.id)).toMatchObject({
      state: 'in_progress',
      runnerName: 'r',
      startedAt: after(0),
      seenAt: after(0),
      decidedAt: after(minute),
    });
  });

  test.each<[SightedState, SightedState]>([
    ['in_progress', 'queued'],
    ['completed', 'in_progress'],
    ['completed', 'queued'],
    ['queued', 'blocked'],
    ['queued', 'queued'],
  ])('is not moved from %s by a sighting as %s, and says what it was', async (state, late) => {
    const ledger = open();
    await ledger.record(job, state);
    const known = await ledger.readJob(job.id);
    ledger.clock.turn(minute);
    expect(await ledger.record(job, late, {}, { pool: 'large@acme', profile: 'large' })).toEqual({
      before: known,
      record: known,
      moved: false,
    });
    expect(await ledger.readJob(job.id)).toEqual(known);
  });

  test.each(['refused', 'expired'] as const)('that we %s still hears of its run', async (state) => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    await ledger.changeJob(record, giveUp(record, { state, note: 'enough' }, ledger.clock.now()));
    expect(await ledger.record(job, 'in_progress')).toMatchObject({ moved: true });
    expect(await ledger.readJob(job.id)).toMatchObject({ state: 'in_progress' });
  });

  test('is completed in the end, whatever the order of its sightings', async () => {
    const ledger = open();
    const orders = permutations<SightedState>(['blocked', 'queued', 'in_progress', 'completed']);
    const ends = await Promise.all(
      orders.map(async (order, index) => {
        const one = aJob({ id: String(index) });
        for (const state of order) await ledger.record(one, state);
        return (await ledger.readJob(one.id))?.state;
      }),
    );
    expect(ends).toEqual(orders.map(() => 'completed'));
    expect(orders).toHaveLength(24);
    expect([...(await ledger.listWaiting()), ...(await ledger.listBlocked())]).toEqual([]);
  });

  test('remembers since when it waits, and that it was blocked before', async () => {
    const ledger = open();
    await ledger.record(job, 'blocked');
    expect(await ledger.readJob(job.id)).toMatchObject({ wasBlocked: true, seenAt: after(0) });
    expect(await ledger.readJob(job.id)).not.toHaveProperty('waitingSince');
    ledger.clock.turn(minute);
    await ledger.record(job, 'queued');
    expect(await ledger.readJob(job.id)).toMatchObject({
      wasBlocked: true,
      waitingSince: after(minute),
      seenAt: after(0),
    });
  });

  test('starts anew with the next attempt', async () => {
    const ledger = open();
    await ledger.record(job, 'completed');
    expect(await ledger.record({ ...job, attempt: 2 }, 'queued')).toMatchObject({ moved: true });
    expect(await ledger.record(job, 'completed')).toMatchObject({ moved: false });
    expect((await ledger.listWaiting()).map((one) => one.job.attempt)).toEqual([2]);
  });

  test('is moved once by the same sighting told fifty times at once', async () => {
    const ledger = open();
    const told = await together(50, async () => ledger.record(job, 'queued'));
    expect(told.filter(({ moved }) => moved)).toHaveLength(1);
  });

  test('says why it waits only while it does', async () => {
    const ledger = open();
    await ledger.record(job, 'queued');
    await ledger.explainWait(job.id, { reason: 'no-capacity', note: 'full up', until: ledger.clock.now() + minute });
    const explained = { reason: 'no-capacity', note: 'full up', notBefore: after(minute) };
    expect(await ledger.readJob(job.id)).toMatchObject(explained);

    await ledger.record(job, 'in_progress');
    const known = await ledger.readJob(job.id);
    expect([known?.reason, known?.note, known?.notBefore]).toEqual([undefined, undefined, undefined]);
    await ledger.explainWait(job.id, { reason: 'quota', note: 'no' });
    expect(await ledger.readJob(job.id)).toEqual(known);
  });

  test('keeps the moment before which nothing is launched when a later reason names none', async () => {
    const ledger = open();
    await ledger.record(job, 'queued');
    await ledger.explainWait(job.id, { reason: 'quota', note: '', until: ledger.clock.now() + minute });
    await ledger.explainWait(job.id, { reason: 'profile-full', note: 'full' });
    expect(await ledger.readJob(job.id)).toMatchObject({ reason: 'profile-full', notBefore: after(minute) });
  });

  test('is not made by explaining or remembering a job that nobody knows', async () => {
    const ledger = open();
    await ledger.explainWait('1', { reason: 'quota', note: '' });
    await ledger.rememberJob('1');
    expect(await ledger.items()).toEqual([]);
  });

  test('is kept for eight days after its last change, and for longer while GitHub shows it', async () => {
    const ledger = open();
    const expiry = async () => (await ledger.items()).find(({ id }) => id === `job#${job.id}`)?.['expiresAt'];
    const eightDays = () => ledger.clock.now() / 1000 + 8 * 24 * 3600;
    await ledger.record(job, 'queued');
    ledger.clock.turn(minute);
    await ledger.record(job, 'completed');
    expect(await expiry()).toBe(eightDays());
    const known = await ledger.readJob(job.id);
    ledger.clock.turn(minute);
    await ledger.rememberJob(job.id);
    expect(await expiry()).toBe(eightDays());
    expect(await ledger.readJob(job.id)).toEqual(known);
  });
});

describeLedgers('a change of a job', (open) => {
  test('writes what differs, and takes away what is gone', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    const moment = { notBefore: after(minute), note: 'later' };
    expect(await ledger.changeJob(record, { ...record, ...moment })).toBe(true);
    expect(await ledger.readJob(job.id)).toEqual({ ...record, ...moment });
    expect(await ledger.changeJob({ ...record, ...moment }, { ...record, ...moment, notBefore: undefined })).toBe(true);
    expect(await ledger.readJob(job.id)).toEqual({ ...record, note: 'later' });
  });

  test('leaves what others wrote beside it meanwhile', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    await ledger.askLaunch(job.id, 1);
    expect(await ledger.changeJob(record, { ...record, note: 'later' })).toBe(true);
    expect(await ledger.readJob(job.id)).toEqual({ ...record, note: 'later', askedAt: after(0) });
  });

  test.each<[string, (ledger: OpenLedger, record: JobRecord) => Promise<unknown>]>([
    ['it has moved on', async (ledger) => ledger.record(job, 'in_progress')],
    ['a launch of it began', async (ledger, record) => begun(ledger, aLaunch(record))],
    ['it moved to another pool', async (ledger, record) => ledger.changeJob(record, { ...record, pool: 'large@acme' })],
    [
      'a launch of it was counted',
      async (ledger, record) => ledger.changeJob(record, { ...record, unservedLaunch: 1 }),
    ],
  ])('is refused when %s since it was read', async (_, happen) => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    await happen(ledger, record);
    const known = await ledger.readJob(job.id);
    expect(await ledger.changeJob(record, { ...record, note: 'mine' })).toBe(false);
    expect(await ledger.readJob(job.id)).toEqual(known);
    expect(await ledger.changeJob(known, { ...known!, note: 'mine' })).toBe(true);
  });

  test('of a job that was new is refused when somebody else has written it', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    expect(await ledger.changeJob(undefined, { ...record, note: 'mine' })).toBe(false);
    expect(await ledger.readJob(job.id)).toEqual(record);
  });

  test('of a job that is not there any more is refused, and does not make it', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    await ledger.table.remove(`job#${job.id}`);
    expect(await ledger.changeJob(record, { ...record, note: 'mine' })).toBe(false);
    expect(await ledger.items()).toEqual([]);
  });

  test('gives a waiting job up once, and it is no demand from then on', async () => {
    const ledger = open();
    await ledger.record(job, 'queued');
    await ledger.explainWait(job.id, { reason: 'quota', note: '', until: ledger.clock.now() + minute });
    const record = (await ledger.readJob(job.id))!;
    const given = giveUp(record, { state: 'expired', note: 'too old' }, ledger.clock.now());
    expect(await ledger.changeJob(record, given)).toBe(true);
    expect(await ledger.changeJob(record, given)).toBe(false);
    const known = await ledger.readJob(job.id);
    expect(known).toMatchObject({ state: 'expired', note: 'too old', order: 13 });
    expect([known?.notBefore, known?.reason]).toEqual([undefined, undefined]);
    expect(await ledger.listWaiting()).toEqual([]);
  });

  test.each<SightedState>(['in_progress', 'completed'])(
    'does not give up a job that is %s by now: it only moves forward',
    async (state) => {
      const ledger = open();
      const record = await aWaitingJob(ledger, job);
      await ledger.record(job, state);
      expect(
        await ledger.changeJob(record, giveUp(record, { state: 'refused', note: 'enough' }, ledger.clock.now())),
      ).toBe(false);
      expect(await ledger.readJob(job.id)).toMatchObject({ state });
    },
  );

  test('counts a launch that served nobody once, of ten who would', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    const counted = { ...record, unserved: 1, unservedLaunch: 1, reason: 'backing-off', note: 'idle' } as const;
    const raised = await together(10, async () => ledger.changeJob(record, counted));
    expect(raised.filter(Boolean)).toHaveLength(1);
    expect(await ledger.readJob(job.id)).toEqual(counted);
    const parked = { ...counted, unserved: 2, unservedLaunch: 2, parked: true, parkedAt: after(0) };
    expect(await ledger.changeJob(counted, parked)).toBe(true);
    expect(await ledger.changeJob(counted, { ...counted, unservedLaunch: 1, note: 'late' })).toBe(false);
    expect(await ledger.readJob(job.id)).toEqual(parked);
  });

  test('moves a job to another pool once', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    const there = { ...record, pool: 'large@acme', profile: 'large' };
    const moved = await together(5, async () => ledger.changeJob(record, there));
    expect(moved.filter(Boolean)).toHaveLength(1);
    expect(await ledger.listWaitingPools('small')).toEqual([]);
    expect((await listAll(ledger, 'large@acme')).map(({ profile }) => profile)).toEqual(['large']);
  });

  test('does not move a job to another pool when it waits no more', async () => {
    const ledger = open();
    const record = await aWaitingJob(ledger, job);
    await ledger.record(job, 'completed');
    expect(await ledger.changeJob(record, { ...record, pool: 'large@acme', profile: 'large' })).toBe(false);
    expect(await ledger.listWaiting()).toEqual([]);
  });
});

describeLedgers('a launch that is asked for', (open) => {
  const waiting = async () => aWaitingJob(open(), job);

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
    const record = await waiting();
    expect(await open().askLaunch(job.id, 2)).toBe(false);
    await open().askLaunch(job.id, 1);
    await begun(open(), aLaunch(record));
    expect(await open().readJob(job.id)).not.toHaveProperty('askedAt');
    expect(await open().askLaunch(job.id, 1)).toBe(false);
    expect(await open().askLaunch(job.id, 2)).toBe(true);
  });

  test.each<SightedState>(['blocked', 'in_progress', 'completed'])('is none for a job that is %s', async (state) => {
    await open().record(job, state);
    expect(await open().askLaunch(job.id, 1)).toBe(false);
    expect(await open().askLaunch('unknown', 1)).toBe(false);
    expect(await open().readJob('unknown')).toBeUndefined();
  });

  test('is none for a job that we gave up', async () => {
    const record = await waiting();
    await open().changeJob(record, giveUp(record, { state: 'refused', note: 'enough' }, open().clock.now()));
    expect(await open().askLaunch(job.id, 1)).toBe(false);
  });

  test('is forgotten when its job begins', async () => {
    await waiting();
    await open().askLaunch(job.id, 1);
    await open().record(job, 'in_progress');
    expect(await open().readJob(job.id)).not.toHaveProperty('askedAt');
  });
});

describeLedgers('the list of what waits', (open) => {
  const record = async (id: string, pool: string, createdAt: string, state: SightedState = 'queued') =>
    open().record(aJob({ id, createdAt }), state, {}, { pool, profile: pool.slice(0, pool.indexOf('@')) });

  test('keeps blocked jobs apart', async () => {
    await record('1', 'small@acme', after(0), 'blocked');
    expect(await open().listWaiting()).toEqual([]);
    expect(ids(await open().listBlocked())).toEqual(['1']);
    await record('1', 'small@acme', after(0), 'queued');
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
    expect(ids(await listAll(open(), 'small@acme'))).toEqual(['1']);
  });
});

describeLedgers('the list of the jobs that wait in a pool', (open) => {
  /** So many jobs of a repository, named `a1`, `a2` and so on, the oldest first. */
  const jobsOf = async (repository: string, count: number) => {
    const names = Array.from({ length: count }, (_, index) => `${repository}${index + 1}`);
    // In another order than that of their age.
    for (const [index, id] of [...names.entries()].toReversed()) {
      await aWaitingJob(open(), aJob({ id, createdAt: after(index), repository: { id: repository } }));
    }
    return names;
  };
  const list = async (ofEach: number, repositories: number) =>
    ids(await open().listWaitingJobs('small@acme', { ofEach, repositories }));

  test('is empty where none waits', async () => {
    expect(await list(2, 2)).toEqual([]);
  });

  test('has the oldest of each repository, and so many of each', async () => {
    await jobsOf('a', 4);
    await jobsOf('b', 1);
    await jobsOf('c', 3);
    expect(await list(2, 9)).toEqual(['a1', 'a2', 'b1', 'c1', 'c2']);
    expect(await list(1, 9)).toEqual(['a1', 'b1', 'c1']);
    expect(await list(9, 9)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1', 'c1', 'c2', 'c3']);
  });

  test('has so many of a repository also when a page ends in the middle of it', async () => {
    await jobsOf('a', 3);
    await jobsOf('b', 9);
    await jobsOf('c', 9);
    expect(await list(5, 9)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'b4', 'b5', 'c1', 'c2', 'c3', 'c4', 'c5']);
    expect(await list(4, 2)).toEqual(['a1', 'a2', 'a3', 'b1', 'b2', 'b3', 'b4']);
  });

  test('has no more repositories than were asked for, also when a page has more', async () => {
    for (const repository of ['a', 'b', 'c', 'd', 'e', 'f']) await jobsOf(repository, 1);
    expect(await list(5, 2)).toEqual(['a1', 'b1']);
    expect(await list(2, 3)).toEqual(['a1', 'b1', 'c1']);
    expect(await list(3, 6)).toEqual(['a1', 'b1', 'c1', 'd1', 'e1', 'f1']);
  });

  test('gets past a repository with very many', async () => {
    await jobsOf('a', 40);
    await jobsOf('b', 1);
    expect(await list(3, 2)).toEqual(['a1', 'a2', 'a3', 'b1']);
  });

  test('has parked jobs last, so many of each repository too', async () => {
    await jobsOf('a', 3);
    await jobsOf('b', 1);
    for (const id of ['a1', 'a2', 'b1']) {
      const record = (await open().readJob(id))!;
      await open().changeJob(record, { ...record, parked: true, parkedAt: after(hour) });
    }
    await jobsOf('c', 1);
    expect(await list(5, 9)).toEqual(['a3', 'c1', 'a1', 'a2', 'b1']);
    expect(await list(1, 9)).toEqual(['a3', 'c1', 'a1', 'b1']);
    expect(await list(1, 2)).toEqual(['a3', 'c1']);
    const released = (await open().readJob('a1'))!;
    await open().changeJob(released, { ...released, parked: false });
    expect(await list(5, 9)).toEqual(['a1', 'a3', 'c1', 'a2', 'b1']);
  });
});

async function listAll(ledger: OpenLedger, pool: string): Promise<readonly JobRecord[]> {
  return ledger.listWaitingJobs(pool, { ofEach: 99, repositories: 99 });
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item, ...rest]));
}

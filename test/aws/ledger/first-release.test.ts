import { beforeEach, expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import type { Item } from '../../../functions/aws/ledger/table.ts';
import { aJob, prefix } from '../../fakes/builders.ts';
import { after, minute } from '../../fakes/clock.ts';
import { aLaunch, aWaitingJob, aWarmLaunch, begun, describeTables, ledgerOver, type OpenLedger } from './ledgers.ts';

/**
 * What the code of the first release wrote (commit 6cc5f00), run over the emulator. 1 waits; 2 is held; 3 has a lease and no claim
 * yet; 4 has its claim; 5 runs; 6 is blocked; 7 is completed; 8 backs off; beside them a warm runner.
 */
const firstRelease = JSON.parse(
  readFileSync(new URL('../../fixtures/first-release-ledger.json', import.meta.url), 'utf8'),
) as { readonly ledger: readonly Item[]; readonly claims: readonly Item[] };
const idOf = (number: number) => `8123000000${number}`;
const runnerOf = (number: number) => `${prefix}-${idOf(number)}-1`;
const warm = `${prefix}-wdeadbeef-abc-0`;
const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };

describeTables('a ledger that the first release wrote', (open) => {
  let ledger: OpenLedger;
  beforeEach(async () => {
    ledger = ledgerOver(open());
    for (const { id, ...attributes } of firstRelease.ledger) {
      await open().table.change<Item>({ id: String(id), set: attributes });
    }
    for (const { id, ...attributes } of firstRelease.claims) {
      await open().other.change<Item>({ id: String(id), set: attributes });
    }
  });
  const job = async (number: number) => {
    const record = await ledger.readJob(idOf(number));
    if (record === undefined) throw new Error(`there must be a job ${number}`);
    return record;
  };
  const runner = async (runnerId: string) => {
    const record = await ledger.readRunner(runnerId);
    if (record === undefined) throw new Error(`there must be a runner ${runnerId}`);
    return record;
  };
  const list = async (ofEach: number, repositories: number) =>
    (await ledger.listWaitingJobs('small@acme', { ofEach, repositories })).map((one) => Number(one.job.id.slice(-1)));

  test('has jobs that are read with what they lack', async () => {
    expect(await job(1)).toEqual({
      version: 1,
      state: 'waiting',
      order: 11,
      job: aJob({ id: idOf(1), runId: '71230000001', createdAt: after(-3 * minute) }),
      ...place,
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
      reason: undefined,
    });
    expect(await job(8)).toMatchObject({ parked: false, unserved: 1, reason: 'backing-off', notBefore: after(minute) });
    expect(await job(5)).toMatchObject({ state: 'in_progress', runnerName: runnerOf(5), startedAt: after(0) });
    expect(await job(6)).toMatchObject({ state: 'blocked', wasBlocked: true });
    expect(await job(7)).toMatchObject({ state: 'completed', conclusion: 'success', completedAt: after(0) });
  });

  test('has jobs that were held: now they are parked', async () => {
    expect(await job(2)).toMatchObject({ parked: true, reason: 'parked', unserved: 6, unservedLaunch: 1, launches: 1 });
  });

  test('has a list of pools and of jobs, the oldest first and the held ones last', async () => {
    expect(await ledger.listWaitingPools('small')).toEqual(['small@acme']);
    expect(await list(9, 9)).toEqual([8, 4, 1, 3, 2]);
    expect(await list(2, 9)).toEqual([8, 4, 1, 3, 2]);
    expect(await list(2, 3)).toEqual([8, 4, 1, 3]);
    expect((await ledger.listWaiting()).map((one) => one.job.id)).toEqual([8, 4, 1, 3, 2].map((one) => idOf(one)));
    expect((await ledger.listBlocked()).map((one) => one.job.id)).toEqual([idOf(6)]);
  });

  test('has a list that new jobs join', async () => {
    await aWaitingJob(ledger, aJob({ id: '9', repository: { id: '1' } }));
    await aWaitingJob(ledger, aJob({ id: '7', repository: { id: '31230000001' } }));
    expect(await ledger.listWaitingPools('small')).toEqual(['small@acme']);
    expect(await list(9, 9)).toEqual([9, 8, 4, 1, 3, 7, 2]);
  });

  test('has jobs that are changed as any other', async () => {
    for (const number of [1, 2, 8]) {
      const before = await job(number);
      expect(await ledger.changeJob(before, { ...before, note: 'seen' })).toBe(true);
      expect(await job(number)).toEqual({ ...before, note: 'seen' });
    }
    // A changed job has its place by its repository, as new ones have.
    expect(await list(9, 9)).toEqual([4, 3, 8, 1, 2]);
  });

  test('has held jobs that can be released, and parked again', async () => {
    const before = await job(2);
    expect(await ledger.changeJob(before, { ...before, parked: false, reason: undefined, releases: 1 })).toBe(true);
    const released = await job(2);
    expect(released).toEqual({ ...before, parked: false, reason: undefined, releases: 1 });
    expect((await list(9, 9)).at(-1)).toBe(2);
    expect(await ledger.askLaunch(idOf(2), 2)).toBe(true);
    await begun(ledger, aLaunch(released));
    const started = await job(2);
    const parked = { ...started, parked: true, parkedAt: after(minute), unservedLaunch: 2, reason: 'parked' } as const;
    expect(await ledger.changeJob(started, parked)).toBe(true);
    expect(await job(2)).toEqual(parked);
  });

  test('has jobs that move on', async () => {
    await ledger.record(aJob({ id: idOf(6) }), 'queued');
    await ledger.record(aJob({ id: idOf(5) }), 'completed', { conclusion: 'success' });
    await ledger.record(aJob({ id: idOf(2) }), 'in_progress');
    expect([(await job(6)).state, (await job(5)).state]).toEqual(['waiting', 'completed']);
    expect((await list(9, 9)).toSorted((a, b) => a - b)).toEqual([1, 3, 4, 6, 8]);
  });

  test('has jobs whose launches begin: the old breaker of the profile is no hindrance', async () => {
    await begun(ledger, aLaunch(await job(1)));
    await begun(ledger, aLaunch(await job(8)));
    expect([(await job(1)).launches, (await job(8)).launches]).toEqual([1, 2]);
    expect(await ledger.readProfile('small')).toEqual({ leases: 6 });
    expect(await ledger.readBreaker({ profile: 'small', scope: 'acme' })).toEqual({ revision: 0, failures: 0 });
    expect(await ledger.begin(aLaunch(await job(1), { cap: 6 }))).toEqual({ kind: 'full' });
  });

  test('has runners that are listed and read with what they lack', async () => {
    const live = await ledger.listRunners('small');
    expect(live.map(({ runnerId }) => runnerId)).toEqual([runnerOf(3), runnerOf(4), runnerOf(5), warm]);
    expect(await ledger.listLive()).toHaveLength(4);
    expect(await runner(runnerOf(3))).toEqual({
      version: 1,
      runnerId: runnerOf(3),
      ...place,
      createdAt: after(0),
      idleMinutes: 5,
      jobId: idOf(3),
      launch: 1,
      revoked: false,
    });
    expect(await runner(runnerOf(2))).toMatchObject({ ending: 'idle', endedAt: after(0) });
  });

  test('has runners that end, each with its place', async () => {
    const ends = [
      [runnerOf(3), 'not-launched', true],
      [runnerOf(4), 'not-launched', true],
      [runnerOf(5), 'not-launched', false],
      [runnerOf(5), 'ran-a-job', true],
      [warm, 'lost', true],
      [runnerOf(2), 'lost', false],
    ] as const;
    const found: boolean[] = [];
    for (const [id, ending] of ends) found.push(await ledger.endRunnerRecord(await runner(id), ending));
    expect(found).toEqual(ends.map(([, , ended]) => ended));
    expect(await ledger.readProfile('small')).toEqual({ leases: 0 });
    expect(await ledger.listClaims()).toEqual([]);
    expect(await ledger.listLive()).toEqual([]);
  });

  test('has runners that end together', async () => {
    const runners = await Promise.all([3, 4, 5].map(async (number) => runner(runnerOf(number))));
    expect(await Promise.all(runners.map(async (one) => ledger.endRunnerRecord(one, 'lost')))).toEqual([
      true,
      true,
      true,
    ]);
    expect(await ledger.readProfile('small')).toEqual({ leases: 1 });
  });

  test('has claims that can be taken back, where there is one', async () => {
    expect(await ledger.revokeClaim(await runner(runnerOf(3)))).toBe(false);
    expect(await ledger.revokeClaim(await runner(runnerOf(4)))).toBe(true);
    expect(await ledger.revokeClaim(await runner(runnerOf(5)))).toBe(false);
    expect(await ledger.listClaims()).toEqual([]);
  });

  test('has runners that are marked as any other', async () => {
    expect(await ledger.recordTask(runnerOf(4), 'arn:4')).toMatchObject({ taskArn: 'arn:4' });
    expect(await ledger.markBusy(warm, idOf(1), after(minute))).toMatchObject({ busyJobId: idOf(1) });
    await ledger.markMissing(runnerOf(3), true);
    expect(await runner(runnerOf(3))).toMatchObject({ missingSince: after(0) });
  });

  test('has scopes, paces and memories that still count', async () => {
    const beta = aWarmLaunch('w1', { scope: 'beta', pool: 'small@beta' });
    expect(await ledger.begin(beta)).toEqual({ kind: 'held' });
    await ledger.endHold('beta');
    expect(await ledger.begin(beta)).toEqual({ kind: 'begun' });
    expect(await ledger.takeTurn('acme')).toBe(ledger.clock.now());
    expect(await ledger.table.read('pace#run-task')).toMatchObject({ nextFree: ledger.clock.now() + 100 });
    expect(await ledger.listRepositories()).toEqual([{ ...aJob().repository, seenAt: after(0), askedAt: after(0) }]);
    expect(await ledger.readCursor()).toEqual({ begunAt: after(0), scannedTo: after(0), failed: [] });
    expect(await ledger.readSeeded('acme')).toBe(true);
    expect(await ledger.noteStranger('task#x')).toBe(ledger.clock.now());
  });
});

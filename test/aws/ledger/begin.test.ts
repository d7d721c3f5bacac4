import { describe, expect, test } from '@jest/globals';
import type { LaunchToBegin } from '../../../functions/fleet/ledger.ts';
import { decideMove } from '../../../functions/fleet/decide-move.ts';
import { aJob, aJobRecord, prefix } from '../../fakes/builders.ts';
import { after, hour, minute } from '../../fakes/clock.ts';
import {
  aLaunch,
  aWaitingJob,
  aWarmLaunch,
  begun,
  callsOf,
  describedDynamo,
  describeLedgers,
  ledgerOver,
  together,
  type OpenLedger,
} from './ledgers.ts';

const kinds = async (ledger: OpenLedger, launches: readonly LaunchToBegin[]) =>
  Promise.all(launches.map(async (launch) => (await ledger.begin(launch)).kind));
const waitingJobs = async (ledger: OpenLedger, count: number, parts: Parameters<typeof aJob>[0] = {}) =>
  together(count, async (index) => aWaitingJob(ledger, aJob({ ...parts, id: String(index + 1) })));

/** Nothing of the launch is there: no runner, no claim, no place, and its job as it was. */
async function expectNothingOf(ledger: OpenLedger, { runner, job }: LaunchToBegin, leases: number): Promise<void> {
  expect(await ledger.readRunner(runner.runnerId)).toBeUndefined();
  expect((await ledger.listClaims()).map(({ id }) => id)).not.toContain(runner.claimId);
  expect(await ledger.countLeases(runner.profile)).toBe(leases);
  expect(job && (await ledger.readJob(job.job.id))).toEqual(job);
}

describeLedgers('a launch that begins', (open) => {
  test('is a place in the profile, a runner, its claim and the launch number of its job, all in one', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    await ledger.askLaunch('1', 1);
    await ledger.explainWait('1', { reason: 'quota', note: 'no', until: ledger.clock.now() });
    const launch = aLaunch(job);
    expect(await ledger.begin(launch)).toEqual({ kind: 'begun' });
    expect(await ledger.readRunner(`${prefix}-1-1`)).toEqual(launch.runner);
    expect((await ledger.listLive()).map(({ runnerId }) => runnerId)).toEqual([`${prefix}-1-1`]);
    expect(await ledger.listClaims()).toEqual([
      { id: launch.runner.claimId, body: 'Ym9keQ==', expiresAt: Date.parse(after(hour)) / 1000 },
    ]);
    expect(await ledger.countLeases('small')).toBe(1);
    const { notBefore: _, ...rest } = job;
    expect(await ledger.readJob('1')).toEqual({
      ...rest,
      launches: 1,
      reason: 'starting',
      note: `runner ${prefix}-1-1 is starting`,
      decidedAt: after(0),
    });
  });

  test('keeps its claim no longer than it may, by the second', async () => {
    const launch = aWarmLaunch('w1', {}, { claim: { body: 'x', expiresAt: Date.parse(after(minute)) + 999 } });
    await begun(open(), launch);
    expect(await open().listClaims()).toMatchObject([{ expiresAt: Date.parse(after(minute)) / 1000 }]);
  });

  test('of a warm runner has no job', async () => {
    await begun(open(), aWarmLaunch('w1'));
    expect(await open().readRunner('w1')).not.toHaveProperty('jobId');
    expect(await open().countLeases('small')).toBe(1);
  });

  test('follows one after the other', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    await begun(ledger, aLaunch(job));
    await begun(ledger, aLaunch({ ...job, launches: 1 }));
    expect(await ledger.readJob('1')).toMatchObject({ launches: 2 });
    expect(await ledger.countLeases('small')).toBe(2);
  });

  test('forgets since when GitHub did not know its job', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    await ledger.changeJob(job, { ...job, goneSince: after(0) });
    await begun(ledger, aLaunch(job));
    expect(await ledger.readJob('1')).not.toHaveProperty('goneSince');
  });
});

describeLedgers('a launch with the news of its job', (open) => {
  const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };
  const sighting = { job: aJob({ id: '1' }), state: 'queued', by: 'delivery-1' } as const;
  const newsOf = (before: LaunchToBegin['before']): LaunchToBegin => {
    const job = decideMove(before, sighting, place, Date.parse(after(0)));
    if (job === undefined) throw new Error('it must be news');
    return aLaunch(job, { before, isNews: true });
  };

  test('writes the whole job, which waits from then on', async () => {
    const launch = newsOf(undefined);
    await begun(open(), launch);
    const started = { launches: 1, reason: 'starting', note: `runner ${prefix}-1-1 is starting`, decidedAt: after(0) };
    expect(await open().readJob('1')).toEqual({ ...launch.job, ...started });
    expect((await open().listWaiting()).map(({ job }) => job.id)).toEqual(['1']);
    const [item] = (await open().items()).filter(({ id }) => id === 'job#1');
    expect(item).toMatchObject({ expiresAt: Date.parse(after(8 * 24 * hour)) / 1000 });
  });

  test('of a job that was blocked takes it off the list of those', async () => {
    const { record: before } = await open().record(aJob({ id: '1' }), 'blocked');
    open().clock.turn(minute);
    await begun(open(), newsOf(before));
    expect(await open().listBlocked()).toEqual([]);
    expect(await open().readJob('1')).toMatchObject({
      state: 'waiting',
      wasBlocked: true,
      launches: 1,
      seenAt: after(0),
    });
  });

  test('is overtaken when the ledger has heard more of the job meanwhile', async () => {
    const launch = newsOf(undefined);
    const { record } = await open().record(aJob({ id: '1' }), 'completed');
    expect(await open().begin(launch)).toEqual({ kind: 'overtaken' });
    await expectNothingOf(open(), { ...launch, job: record }, 0);
  });

  test('that does not begin writes no job', async () => {
    const launch = { ...newsOf(undefined), cap: 0 };
    expect(await open().begin(launch)).toEqual({ kind: 'full' });
    expect(await open().readJob('1')).toBeUndefined();
    await expectNothingOf(open(), { ...launch, job: undefined }, 0);
  });
});

describeLedgers('a launch does not begin', (open) => {
  test('when its profile is full', async () => {
    const ledger = open();
    const [one, two] = await waitingJobs(ledger, 2);
    await begun(ledger, aLaunch(one!, { cap: 1 }));
    const launch = aLaunch(two!, { cap: 1 });
    expect(await ledger.begin(launch)).toEqual({ kind: 'full' });
    await expectNothingOf(ledger, launch, 1);
  });

  test('when its profile is paused and has had no launch yet', async () => {
    const launch = aWarmLaunch('w1', {}, { cap: 0 });
    expect(await open().begin(launch)).toEqual({ kind: 'full' });
    await expectNothingOf(open(), launch, 0);
  });

  test('while its scope is on hold, and does when the hold is over', async () => {
    const ledger = open();
    const launch = aLaunch(await aWaitingJob(ledger, aJob({ id: '1' })));
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, note: 'suspended' });
    ledger.clock.turn(minute);
    expect(await ledger.begin(launch)).toEqual({ kind: 'held' });
    await expectNothingOf(ledger, launch, 0);
    ledger.clock.turn(1);
    expect(await ledger.begin(launch)).toEqual({ kind: 'begun' });
  });

  test('for a hold of its own scope alone', async () => {
    await open().holdScope('acme', { until: open().clock.now() + minute, note: 'suspended' });
    expect(await open().begin(aWarmLaunch('w1', { scope: 'beta' }))).toEqual({ kind: 'begun' });
  });

  test.each(['blocked', 'in_progress', 'completed'] as const)('when its job is %s', async (state) => {
    const ledger = open();
    const { record } = await ledger.record(aJob({ id: '1' }), state);
    const launch = aLaunch(record!);
    expect(await ledger.begin(launch)).toEqual({ kind: 'overtaken' });
    await expectNothingOf(ledger, launch, 0);
  });

  test('for a job that nobody knows', async () => {
    const launch = aLaunch(aJobRecord({ job: { id: '9' } }));
    expect(await open().begin(launch)).toEqual({ kind: 'overtaken' });
    await expectNothingOf(open(), { ...launch, job: undefined }, 0);
    expect(await open().readJob('9')).toBeUndefined();
  });

  test.each([
    ['later', 1],
    ['earlier', -1],
  ])('when another launch of its job is due: a %s one', async (_, off) => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    await begun(ledger, aLaunch(job));
    const known = (await ledger.readJob('1'))!;
    const launch = aLaunch({ ...known, launches: known.launches + off });
    expect(await ledger.begin({ ...launch, runner: { ...launch.runner, runnerId: 'other' } })).toEqual({
      kind: 'overtaken',
    });
    await expectNothingOf(
      ledger,
      { ...launch, runner: { ...launch.runner, runnerId: 'other', claimId: 'o' }, job: known },
      1,
    );
  });

  test('when its runner is known, live or ended', async () => {
    const ledger = open();
    const runner = await begun(ledger, aWarmLaunch('w1'));
    expect(await ledger.begin(aWarmLaunch('w1', { claimId: 'another' }))).toEqual({ kind: 'overtaken' });
    await ledger.endRunnerRecord(runner, 'idle');
    expect(await ledger.begin(aWarmLaunch('w1', { claimId: 'another' }))).toEqual({ kind: 'overtaken' });
    expect(await ledger.countLeases('small')).toBe(0);
    expect(await ledger.listClaims()).toEqual([]);
  });

  test('and says first that it is overtaken, then that it is held, then that it is full', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, note: 'suspended' });
    expect(await ledger.begin(aLaunch({ ...job, launches: 3 }, { cap: 0 }))).toEqual({ kind: 'overtaken' });
    expect(await ledger.begin(aLaunch(job, { cap: 0 }))).toEqual({ kind: 'held' });
  });
});

describeLedgers('launches that begin together', (open) => {
  test('keep to the cap, also on a profile that never had one', async () => {
    const ledger = open();
    const jobs = await waitingJobs(ledger, 5);
    expect(
      await kinds(
        ledger,
        jobs.map((job) => aLaunch(job, { cap: 3 })),
      ),
    ).toEqual(['begun', 'begun', 'begun', 'full', 'full']);
    expect(await ledger.countLeases('small')).toBe(3);
  });

  test('fill what is left below the cap, and the others hear that it is full', async () => {
    const ledger = open();
    for (const id of ['a', 'b', 'c']) await begun(ledger, aWarmLaunch(id));
    const jobs = await waitingJobs(ledger, 4);
    const launches = jobs.map((job) => aLaunch(job, { cap: 5 }));
    expect(await kinds(ledger, launches)).toEqual(['begun', 'begun', 'full', 'full']);
    await expectNothingOf(ledger, launches[3]!, 5);
  });

  test('begin but for those that something hinders, and each of those hears its own reason', async () => {
    const ledger = open();
    const [one, two, three] = await waitingJobs(ledger, 3);
    const held = await aWaitingJob(ledger, aJob({ id: '4', repository: { fullName: 'beta/web' } }));
    await ledger.holdScope('beta', { until: ledger.clock.now() + minute, note: 'suspended' });
    await ledger.record(aJob({ id: '2' }), 'completed');
    const launches = [one!, two!, held, three!].map((job) => aLaunch(job));
    expect(await kinds(ledger, launches)).toEqual(['begun', 'overtaken', 'held', 'begun']);
    expect(await ledger.countLeases('small')).toBe(2);
    expect((await ledger.listLive()).map(({ jobId }) => String(jobId)).toSorted()).toEqual(['1', '3']);
    expect(await ledger.listClaims()).toHaveLength(2);
    await expectNothingOf(ledger, launches[2]!, 2);
  });

  test('begin one of two for the same launch of a job, and all others', async () => {
    const ledger = open();
    const [one, two] = await waitingJobs(ledger, 2);
    const again = aLaunch(one!);
    const launches = [aLaunch(one!), { ...again, runner: { ...again.runner, claimId: 'again' } }, aLaunch(two!)];
    expect(await kinds(ledger, launches)).toEqual(['begun', 'overtaken', 'begun']);
    expect(await ledger.countLeases('small')).toBe(2);
    expect((await ledger.listClaims()).map(({ id }) => id)).not.toContain('again');
  });

  test('count in their own profiles', async () => {
    const ledger = open();
    const launches = [
      aWarmLaunch('w1', {}, { cap: 1 }),
      aWarmLaunch('w2', { profile: 'large', pool: 'large@acme' }, { cap: 1 }),
      aWarmLaunch('w3', {}, { cap: 1 }),
    ];
    expect(await kinds(ledger, launches)).toEqual(['begun', 'begun', 'full']);
    expect([await ledger.countLeases('small'), await ledger.countLeases('large')]).toEqual([1, 1]);
  });

  test('begin in as many scopes as there are launches', async () => {
    const ledger = open();
    const launches = Array.from({ length: 60 }, (_, index) =>
      aWarmLaunch(`w${index}`, { scope: `octo/${index}` }, { cap: 100 }),
    );
    expect(await kinds(ledger, launches)).toEqual(launches.map(() => 'begun'));
    expect(await ledger.countLeases('small')).toBe(60);
  });

  test('take seven places when fifty ask for seven', async () => {
    const ledger = open();
    const jobs = await waitingJobs(ledger, 50);
    const found = await kinds(
      ledger,
      jobs.map((job) => aLaunch(job)),
    );
    expect(found.filter((kind) => kind === 'begun')).toHaveLength(7);
    expect(found.filter((kind) => kind === 'full')).toHaveLength(43);
    expect(await ledger.countLeases('small')).toBe(7);
    expect(await ledger.listLive()).toHaveLength(7);
    expect(await ledger.listClaims()).toHaveLength(7);
    expect((await ledger.listWaiting()).filter(({ launches }) => launches === 1)).toHaveLength(7);
  });

  test('are one of fifty deliveries of the same launch', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    const found = await together(50, async () => (await ledger.begin(aLaunch(job))).kind);
    expect(found.filter((kind) => kind === 'begun')).toHaveLength(1);
    expect(found.filter((kind) => kind === 'overtaken')).toHaveLength(49);
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('are one of fifty deliveries of one warm runner', async () => {
    const found = await together(50, async () => (await open().begin(aWarmLaunch('w1'))).kind);
    expect(found.filter((kind) => kind === 'begun')).toHaveLength(1);
    expect(found.filter((kind) => kind === 'overtaken')).toHaveLength(49);
    expect(await open().countLeases('small')).toBe(1);
  });
});

describe('launches of several function instances', () => {
  const dynamo = describedDynamo();

  test('of one profile go out as one transaction each, and keep to the cap together', async () => {
    const tables = await dynamo().createTables();
    const [here, there] = [ledgerOver(tables), ledgerOver(tables)];
    const jobs = await waitingJobs(here, 6);
    const calls = callsOf(dynamo(), 'TransactWriteItems');
    expect(
      await kinds(
        here,
        jobs.slice(0, 3).map((job) => aLaunch(job, { cap: 4 })),
      ),
    ).toEqual(['begun', 'begun', 'begun']);
    expect(calls.map(({ input }) => (input['TransactItems'] as unknown[]).length)).toEqual([1 + 1 + 3 * 3]);
    const rest = jobs.slice(3).map((job) => aLaunch(job, { cap: 4 }));
    const found = await Promise.all([kinds(here, rest.slice(0, 2)), kinds(there, rest.slice(2))]);
    expect(found.flat().toSorted()).toEqual(['begun', 'full', 'full']);
    expect(await here.countLeases('small')).toBe(4);
  });

  test('of two profiles go out as two transactions', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    const calls = callsOf(dynamo(), 'TransactWriteItems');
    const large = { profile: 'large', pool: 'large@acme' };
    await kinds(ledger, [aWarmLaunch('w1'), aWarmLaunch('w2', large), aWarmLaunch('w3'), aWarmLaunch('w4', large)]);
    expect(calls).toHaveLength(2);
  });

  test('that cannot be asked for all fail, and nothing of them is written', async () => {
    const tables = await dynamo().createTables();
    const ledger = ledgerOver(tables);
    dynamo().tables.failNext('TransactWriteItems', { type: 'ValidationException', message: 'no', status: 400 });
    const launches = [aWarmLaunch('w1'), aWarmLaunch('w2')];
    const results = await Promise.allSettled(launches.map(async (launch) => ledger.begin(launch)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await tables.items()).toEqual([]);
    expect(await kinds(ledger, launches)).toEqual(['begun', 'begun']);
  });

  test('fail alone where several were tried one after the other', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    await begun(ledger, aWarmLaunch('w1'));
    let seen = 0;
    dynamo().tables.service.beforeCall = ({ operation }) => {
      if (operation !== 'TransactWriteItems') return;
      seen += 1;
      // The first is all three together, and is hindered; then comes w1, then w2.
      if (seen === 3)
        dynamo().tables.failNext('TransactWriteItems', { type: 'ValidationException', message: 'no', status: 400 });
    };
    const results = await Promise.allSettled(['w1', 'w2', 'w3'].map(async (id) => ledger.begin(aWarmLaunch(id))));
    dynamo().tables.service.beforeCall = undefined;
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value.kind : 'failed'))).toEqual([
      'overtaken',
      'failed',
      'begun',
    ]);
  });
});

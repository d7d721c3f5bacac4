import { expect, test } from '@jest/globals';
import type { LeaseRequest } from '../../../functions/contracts/between-rooms/lease.ts';
import { aJob, prefix } from '../../fakes/builders.ts';
import { after, hour, minute, second } from '../../fakes/clock.ts';
import { describeLedgers, together, type Ledger } from './ledgers.ts';

async function aWaitingJob(ledger: Ledger, id = '1'): Promise<void> {
  await ledger.recordJob(aJob({ id }), { state: 'waiting', pool: 'small@acme', profile: 'small', scope: 'acme' });
}

function request(jobId = '1', launch = 1, parts: Partial<LeaseRequest> = {}): LeaseRequest {
  const runnerId = `${prefix}-${jobId}-${launch}`;
  const runner = { runnerId, pool: 'small@acme', profile: 'small', scope: 'acme', idleMinutes: 5, jobId, launch };
  return { runner, cap: 7, ...parts };
}

function warm(runnerId: string, parts: Partial<LeaseRequest['runner']> = {}): LeaseRequest {
  return {
    runner: { runnerId, pool: 'small@acme', profile: 'small', scope: 'acme', idleMinutes: 60, ...parts },
    cap: 7,
  };
}

async function taken(ledger: Ledger, one: LeaseRequest) {
  const lease = await ledger.takeLease(one);
  if (lease.kind !== 'taken') throw new Error(`no lease: ${lease.kind}`);
  return lease.runner;
}

const launch = (parts: Partial<Parameters<Ledger['issueClaim']>[1]> = {}) => ({
  claimId: 'c1',
  provider: 'FARGATE',
  taskDefinition: 'small:1',
  claim: 'Ym9keQ==',
  expiresAt: Date.parse(after(hour)),
  ...parts,
});

describeLedgers('a lease', (open) => {
  test('is a place in the profile, a record of the runner and the launch number of the job, in one', async () => {
    const ledger = open();
    await aWaitingJob(ledger);
    expect(await ledger.takeLease(request())).toEqual({
      kind: 'taken',
      runner: {
        version: 1,
        runnerId: `${prefix}-1-1`,
        pool: 'small@acme',
        profile: 'small',
        scope: 'acme',
        idleMinutes: 5,
        jobId: '1',
        launch: 1,
        createdAt: after(0),
        revoked: false,
      },
    });
    expect(await ledger.readRunner(`${prefix}-1-1`)).toMatchObject({ jobId: '1', launch: 1, revoked: false });
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await ledger.readJob('1')).toMatchObject({ launches: 1, reason: 'starting', decidedAt: after(0) });
  });

  test('is taken seven times when fifty ask at once for seven places', async () => {
    const ledger = open();
    await together(50, async (index) => aWaitingJob(ledger, String(index)));
    const leases = await together(50, async (index) => ledger.takeLease(request(String(index))));
    expect(leases.filter(({ kind }) => kind === 'taken')).toHaveLength(7);
    expect(leases.filter(({ kind }) => kind === 'full')).toHaveLength(43);
    expect(await ledger.countLeases('small')).toBe(7);
    expect(await ledger.listLive()).toHaveLength(7);
    const jobs = await ledger.listWaiting();
    expect(jobs.filter(({ launches }) => launches === 1)).toHaveLength(7);
  });

  test('is taken once by fifty deliveries of one launch', async () => {
    const ledger = open();
    await aWaitingJob(ledger);
    const leases = await together(50, async () => ledger.takeLease(request()));
    expect(leases.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('is taken once by fifty deliveries of one warm runner, which say that it was begun', async () => {
    const ledger = open();
    const leases = await together(50, async () => ledger.takeLease(warm('w1')));
    expect(leases.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
    expect(leases.filter(({ kind }) => kind === 'begun')).toHaveLength(49);
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('is refused when the profile is full, and says how full', async () => {
    const ledger = open();
    await aWaitingJob(ledger, '1');
    await aWaitingJob(ledger, '2');
    await taken(ledger, request('1', 1, { cap: 1 }));
    expect(await ledger.takeLease(request('2', 1, { cap: 1 }))).toEqual({ kind: 'full', leases: 1 });
    expect(await ledger.readRunner(`${prefix}-2-1`)).toBeUndefined();
    expect(await ledger.readJob('2')).toMatchObject({ launches: 0 });
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test.each([
    ['a job that nobody knows', 1, undefined],
    ['a launch that does not follow the last', 2, 'waiting' as const],
    ['a job that is completed', 1, 'completed' as const],
    ['a job that is blocked', 1, 'blocked' as const],
  ])('is refused for %s', async (_, number, state) => {
    const ledger = open();
    if (state !== undefined) {
      await ledger.recordJob(aJob({ id: '1' }), { state, pool: 'small@acme', profile: 'small', scope: 'acme' });
    }
    expect(await ledger.takeLease(request('1', number))).toEqual({ kind: 'overtaken' });
    expect(await ledger.countLeases('small')).toBe(0);
    expect(await ledger.listLive()).toEqual([]);
  });

  test('is taken for one launch after the other', async () => {
    const ledger = open();
    await aWaitingJob(ledger);
    await taken(ledger, request('1', 1));
    expect(await ledger.takeLease(request('1', 1))).toEqual({ kind: 'overtaken' });
    await taken(ledger, request('1', 2));
    expect(await ledger.readJob('1')).toMatchObject({ launches: 2 });
    expect(await ledger.countLeases('small')).toBe(2);
  });

  test('is refused in a scope that is held, until the hold is over', async () => {
    const ledger = open();
    await aWaitingJob(ledger);
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, reason: 'rate-limited' });
    expect(await ledger.readScope('acme')).toMatchObject({ holdReason: 'rate-limited', holdUntil: after(minute) });
    expect(await ledger.takeLease(request())).toEqual({ kind: 'held' });
    ledger.clock.turn(minute + 1);
    expect(await ledger.takeLease(request())).toMatchObject({ kind: 'taken' });
  });

  test('of another scope knows nothing of the hold', async () => {
    const ledger = open();
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, reason: 'suspended' });
    expect(await ledger.takeLease(warm('w1', { scope: 'beta' }))).toMatchObject({ kind: 'taken' });
    expect(await ledger.readScope('beta')).toEqual({ scope: 'beta' });
  });

  test('comes back once, however many say that the runner ended', async () => {
    const ledger = open();
    const runner = await taken(ledger, warm('w1'));
    await taken(ledger, warm('w2'));
    ledger.clock.turn(minute);
    const ended = await together(20, async () => ledger.endRunnerRecord(runner, 'idle'));
    expect(ended.filter(Boolean)).toHaveLength(1);
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await ledger.readRunner('w1')).toMatchObject({ endedAt: after(minute), ending: 'idle' });
    expect((await ledger.listLive()).map(({ runnerId }) => runnerId)).toEqual(['w2']);
  });

  test('does not come back for a runner that nobody knows', async () => {
    const ledger = open();
    const runner = await taken(ledger, warm('w1'));
    expect(await ledger.endRunnerRecord({ ...runner, runnerId: 'w9' }, 'lost')).toBe(false);
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await ledger.readRunner('w9')).toBeUndefined();
  });

  test('of a launch that came to nothing does not come back when somebody else went on with the launch', async () => {
    const ledger = open();
    const asLeased = await taken(ledger, warm('w1'));
    await ledger.issueClaim(asLeased, launch());
    expect(await ledger.endRunnerRecord(asLeased, 'not-launched')).toBe(false);
    const asClaimed = await ledger.readRunner('w1');
    await ledger.recordTask('w1', 'arn:1');
    expect(asClaimed && (await ledger.endRunnerRecord(asClaimed, 'not-launched'))).toBe(false);
    expect(await ledger.countLeases('small')).toBe(1);
    expect(asClaimed && (await ledger.endRunnerRecord(asClaimed, 'idle'))).toBe(true);
  });

  test('of a launch that came to nothing comes back, with its claim and without', async () => {
    const ledger = open();
    const first = await taken(ledger, warm('w1'));
    const other = await taken(ledger, warm('w2'));
    await ledger.issueClaim(other, launch());
    expect(await ledger.endRunnerRecord(first, 'not-launched')).toBe(true);
    expect(await ledger.endRunnerRecord({ ...other, claimId: 'c1' }, 'not-launched')).toBe(true);
    expect(await ledger.countLeases('small')).toBe(0);
  });

  test('given back makes room for exactly one more', async () => {
    const ledger = open();
    const runner = await taken(ledger, { ...warm('w0'), cap: 1 });
    await ledger.endRunnerRecord(runner, 'idle');
    const leases = await together(5, async (index) => ledger.takeLease({ ...warm(`n${index}`), cap: 1 }));
    expect(leases.filter(({ kind }) => kind === 'taken')).toHaveLength(1);
  });

  test('is not given twice to a runner that has ended', async () => {
    const ledger = open();
    await ledger.endRunnerRecord(await taken(ledger, warm('w1')), 'idle');
    expect(await ledger.takeLease(warm('w1'))).toEqual({ kind: 'begun' });
  });
});

describeLedgers('the breaker of a profile', (open) => {
  const failTimes = async (ledger: Ledger, times: number) => {
    for (let time = 0; time < times; time += 1) await ledger.noteStartFailure('small');
  };

  test('stays shut after two failed starts', async () => {
    const ledger = open();
    await failTimes(ledger, 2);
    expect(await ledger.readProfile('small')).toEqual({ leases: 0, failures: 2 });
    expect(await ledger.takeLease(warm('w1'))).toMatchObject({ kind: 'taken' });
  });

  test('opens after three failed starts for a minute', async () => {
    const ledger = open();
    await failTimes(ledger, 3);
    expect(await ledger.readProfile('small')).toEqual({ leases: 0, failures: 3, breakerUntil: after(minute) });
    expect(await ledger.takeLease(warm('w1'))).toEqual({ kind: 'breaker', until: after(minute), failures: 3 });
  });

  test('that is open is not moved by what was started before', async () => {
    const ledger = open();
    await failTimes(ledger, 3);
    ledger.clock.turn(30 * second);
    await failTimes(ledger, 5);
    expect(await ledger.readProfile('small')).toEqual({ leases: 0, failures: 3, breakerUntil: after(minute) });
  });

  test('pauses twice as long after each probe, up to half an hour, until one is good', async () => {
    const ledger = open();
    await failTimes(ledger, 3);
    const pauses: number[] = [];
    for (let probe = 0; probe < 7; probe += 1) {
      const { breakerUntil = '', failures } = await ledger.readProfile('small');
      ledger.clock.turnTo(breakerUntil);
      const next = await ledger.claimProbe('small', { until: breakerUntil, failures });
      pauses.push((Date.parse(String(next)) - ledger.clock.now()) / minute);
      await ledger.noteStartFailure('small');
    }
    expect(pauses).toEqual([2, 4, 8, 16, 30, 30, 30]);
  });

  test('lets one of twenty probe it, and the others wait anew', async () => {
    const ledger = open();
    await failTimes(ledger, 3);
    const breaker = { until: after(minute), failures: 3 };
    ledger.clock.turn(minute);
    const probes = await together(20, async () => ledger.claimProbe('small', breaker));
    expect(probes.filter((probe) => probe !== undefined)).toEqual([after(3 * minute)]);
    expect(await ledger.takeLease(warm('w1'))).toMatchObject({ kind: 'breaker', until: after(3 * minute) });
    expect(await ledger.takeLease({ ...warm('w1'), probe: after(minute) })).toMatchObject({ kind: 'breaker' });
    expect(await ledger.takeLease({ ...warm('w1'), probe: after(3 * minute) })).toMatchObject({ kind: 'taken' });
  });

  test('that is open has no probe under another moment', async () => {
    const ledger = open();
    await failTimes(ledger, 3);
    expect(await ledger.claimProbe('small', { until: after(0), failures: 3 })).toBeUndefined();
    expect(await ledger.claimProbe('large', { until: after(minute), failures: 3 })).toBeUndefined();
    expect(await ledger.readProfile('large')).toEqual({ leases: 0, failures: 0 });
  });

  test('shuts with the first good start', async () => {
    const ledger = open();
    await failTimes(ledger, 4);
    await ledger.noteGoodStart('small');
    expect(await ledger.readProfile('small')).toEqual({ leases: 0, failures: 0 });
    await failTimes(ledger, 2);
    expect(await ledger.takeLease(warm('w1'))).toMatchObject({ kind: 'taken' });
  });

  test('does not touch the count of leases', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await failTimes(ledger, 3);
    await ledger.noteGoodStart('small');
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('counts failures that come together', async () => {
    const ledger = open();
    await together(2, async () => ledger.noteStartFailure('small'));
    expect(await ledger.readProfile('small')).toMatchObject({ failures: 2 });
    await together(10, async () => ledger.noteStartFailure('small'));
    expect(await ledger.readProfile('small')).toHaveProperty('breakerUntil', after(minute));
  });
});

describeLedgers('the claim of a runner', (open) => {
  test('is issued once, with the record of what is launched', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    const issued = await together(20, async (index) =>
      ledger.issueClaim({ runnerId: 'w1' }, launch({ claimId: `c${index}` })),
    );
    expect(issued.filter((one) => one === 'begun')).toHaveLength(19);
    const claimId = `c${issued.indexOf('issued')}`;
    expect(await ledger.listClaims()).toEqual([
      { id: claimId, body: 'Ym9keQ==', expiresAt: Date.parse(after(15 * minute)) / 1000 },
    ]);
    expect(await ledger.readRunner('w1')).toMatchObject({
      claimId,
      claimedAt: after(0),
      provider: 'FARGATE',
      taskDefinition: 'small:1',
    });
  });

  test('lives no longer than it may', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.issueClaim({ runnerId: 'w1' }, launch({ expiresAt: Date.parse(after(10 * minute)) + 999 }));
    expect(await ledger.listClaims()).toMatchObject([{ expiresAt: Date.parse(after(10 * minute)) / 1000 }]);
  });

  test.each(['w1', 'w9'])('is not issued to a runner that is over or unknown: %s', async (runnerId) => {
    const ledger = open();
    await ledger.endRunnerRecord(await taken(ledger, warm('w1')), 'not-launched');
    expect(await ledger.issueClaim({ runnerId }, launch())).toBe('begun');
    expect(await ledger.listClaims()).toEqual([]);
    expect((await ledger.readRunner(runnerId))?.claimId).toBeUndefined();
  });

  test('is issued only while the job of its runner waits', async () => {
    const ledger = open();
    await aWaitingJob(ledger, '1');
    await aWaitingJob(ledger, '2');
    const [over, waiting] = [await taken(ledger, request('1')), await taken(ledger, request('2'))];
    const news = { pool: 'small@acme', profile: 'small', scope: 'acme' };
    await ledger.recordJob(aJob({ id: '1' }), { ...news, state: 'completed' });
    expect(await ledger.issueClaim(over, launch())).toBe('job-over');
    expect(await ledger.listClaims()).toEqual([]);
    expect(await ledger.readRunner(over.runnerId)).not.toHaveProperty('claimId');
    expect(await ledger.issueClaim(waiting, launch())).toBe('issued');
    await ledger.recordJob(aJob({ id: '2' }), { ...news, state: 'completed' });
    expect(await ledger.issueClaim(waiting, launch({ claimId: 'c2' }))).toBe('begun');
  });

  test('is taken back once', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.issueClaim({ runnerId: 'w1' }, launch());
    const revoked = await together(10, async () => ledger.revokeClaim('c1'));
    expect(revoked.filter(Boolean)).toHaveLength(1);
    expect(await ledger.listClaims()).toEqual([]);
  });
});

describeLedgers('the record of a runner', (open) => {
  test('keeps its first task', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    ledger.clock.turn(second);
    expect(await ledger.recordTask('w1', 'arn:1')).toMatchObject({ taskArn: 'arn:1', launchedAt: after(second) });
    ledger.clock.turn(second);
    expect(await ledger.recordTask('w1', 'arn:2')).toMatchObject({ taskArn: 'arn:1', launchedAt: after(second) });
  });

  test('keeps its first job', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    const marked = await together(5, async (index) => ledger.markBusy('w1', `job-${index}`, after(index)));
    const { busyJobId, busyAt } = (await ledger.readRunner('w1')) ?? {};
    expect(marked).toHaveLength(5);
    expect(busyAt).toBe(after(Number(busyJobId?.replace('job-', ''))));
    expect(await ledger.markBusy('w1', 'late', after(hour))).toMatchObject({ busyJobId });
  });

  test('takes another provider', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.issueClaim({ runnerId: 'w1' }, launch({ provider: 'FARGATE_SPOT' }));
    await ledger.changeProvider('w1', 'FARGATE');
    expect(await ledger.readRunner('w1')).toMatchObject({ provider: 'FARGATE' });
  });

  test('remembers that its claim was revoked', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.markRevoked('w1');
    expect(await ledger.readRunner('w1')).toMatchObject({ revoked: true });
  });

  test('remembers since when its task is missing, and forgets it', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.markMissing('w1', true);
    ledger.clock.turn(minute);
    await ledger.markMissing('w1', true);
    expect(await ledger.readRunner('w1')).toMatchObject({ missingSince: after(0) });
    await ledger.markMissing('w1', false);
    await ledger.markMissing('w1', false);
    expect(await ledger.readRunner('w1')).not.toHaveProperty('missingSince');
  });

  test('remembers when its registration went', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await ledger.markDeregistered('w1');
    ledger.clock.turn(minute);
    await ledger.markDeregistered('w1');
    expect(await ledger.readRunner('w1')).toMatchObject({ deregisteredAt: after(0) });
  });

  test('is not made by a mark on a runner that nobody knows', async () => {
    const ledger = open();
    await ledger.changeProvider('w9', 'FARGATE');
    await ledger.markRevoked('w9');
    await ledger.markMissing('w9', true);
    await ledger.markMissing('w9', false);
    await ledger.markDeregistered('w9');
    expect(await ledger.markBusy('w9', '1', after(0))).toBeUndefined();
    expect(await ledger.recordTask('w9', 'arn:1')).toBeUndefined();
    expect(await ledger.readRunner('w9')).toBeUndefined();
  });

  test('is listed with its profile, not with one whose name begins alike', async () => {
    const ledger = open();
    await taken(ledger, warm('w1'));
    await taken(ledger, warm('w2', { pool: 'small@beta', scope: 'beta' }));
    await taken(ledger, warm('w3', { pool: 'small-arm@acme', profile: 'small-arm' }));
    const ids = async (runners: ReturnType<Ledger['listLive']>) => (await runners).map(({ runnerId }) => runnerId);
    expect(await ids(ledger.listRunners('small'))).toEqual(['w1', 'w2']);
    expect(await ids(ledger.listRunners('small-arm'))).toEqual(['w3']);
    expect((await ids(ledger.listLive())).toSorted()).toEqual(['w1', 'w2', 'w3']);
  });
});

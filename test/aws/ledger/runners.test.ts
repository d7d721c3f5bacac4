import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RunnerRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import type { Ending } from '../../../functions/contracts/with-infra/reasons.ts';
import { aJob, prefix } from '../../fakes/builders.ts';
import { after, hour, minute, second } from '../../fakes/clock.ts';
import {
  aLaunch,
  aWaitingJob,
  aWarmLaunch,
  begun,
  callsOf,
  describedDynamo,
  describeLedgers,
  ledgerOver,
  memoryTables,
  together,
  type OpenLedger,
} from './ledgers.ts';

const warm = async (ledger: OpenLedger, id: string, parts: Partial<RunnerRecord> = {}) =>
  begun(ledger, aWarmLaunch(id, parts));
const endAll = async (ledger: OpenLedger, runners: readonly RunnerRecord[], ending: Ending) =>
  Promise.all(runners.map(async (runner) => ledger.endRunnerRecord(runner, ending)));
const claimIds = async (ledger: OpenLedger) => (await ledger.listClaims()).map(({ id }) => id);

describeLedgers('the end of a runner', (open) => {
  test('gives its place back, removes its claim and takes it off the list', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await warm(ledger, 'w2');
    ledger.clock.turn(minute);
    expect(await ledger.endRunnerRecord(runner, 'idle')).toBe(true);
    expect(await ledger.readRunner('w1')).toEqual({ ...runner, endedAt: after(minute), ending: 'idle' });
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await claimIds(ledger)).toEqual(['c-w2']);
    expect((await ledger.listLive()).map(({ runnerId }) => runnerId)).toEqual(['w2']);
  });

  test('happens once, however many say so', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await warm(ledger, 'w2');
    const ended = await together(20, async () => ledger.endRunnerRecord(runner, 'idle'));
    expect(ended.filter(Boolean)).toHaveLength(1);
    expect(await ledger.countLeases('small')).toBe(1);
    ledger.clock.turn(minute);
    expect(await ledger.endRunnerRecord(runner, 'lost')).toBe(false);
    expect(await ledger.readRunner('w1')).toMatchObject({ endedAt: after(0), ending: 'idle' });
  });

  test('is none for a runner that nobody knows', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    expect(await ledger.endRunnerRecord({ ...runner, runnerId: 'w9' }, 'lost')).toBe(false);
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await ledger.readRunner('w9')).toBeUndefined();
    expect(await claimIds(ledger)).toEqual(['c-w1']);
  });

  test('needs no claim: its task has fetched it', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await ledger.fetchClaim('c-w1');
    expect(await ledger.endRunnerRecord(runner, 'ran-a-job')).toBe(true);
    expect(await ledger.countLeases('small')).toBe(0);
  });

  test('makes room for exactly one more', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w0');
    await ledger.endRunnerRecord(runner, 'idle');
    const launches = await together(5, async (index) => ledger.begin(aWarmLaunch(`n${index}`, {}, { cap: 1 })));
    expect(launches.filter(({ kind }) => kind === 'begun')).toHaveLength(1);
  });

  test('is remembered for a week, where a live runner is kept for ever', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    const item = async () => (await ledger.items()).find(({ id }) => id === 'runner#w1');
    expect(await item()).not.toHaveProperty('expiresAt');
    await ledger.endRunnerRecord(runner, 'idle');
    expect(await item()).toMatchObject({ expiresAt: ledger.clock.now() / 1000 + 7 * 24 * 3600 });
    expect(await item()).not.toHaveProperty('open');
    expect(await item()).not.toHaveProperty('openKey');
  });
});

describeLedgers('a launch that came to nothing', (open) => {
  test('gives everything back while nobody has seen its claim', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    expect(await ledger.endRunnerRecord(runner, 'not-launched')).toBe(true);
    expect(await ledger.countLeases('small')).toBe(0);
    expect(await claimIds(ledger)).toEqual([]);
    expect(await ledger.readRunner('w1')).toMatchObject({ ending: 'not-launched' });
  });

  test.each<[string, (ledger: OpenLedger) => Promise<unknown>]>([
    ['its claim was fetched', async (ledger) => ledger.fetchClaim('c-w1')],
    ['its task is known', async (ledger) => ledger.recordTask('w1', 'arn:1')],
    ['a job was seen with it', async (ledger) => ledger.markBusy('w1', '81230000001', after(0))],
  ])('is refused when %s: it was launched after all', async (_, prove) => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await prove(ledger);
    const known = await ledger.readRunner('w1');
    const claims = await claimIds(ledger);
    expect(await ledger.endRunnerRecord(runner, 'not-launched')).toBe(false);
    expect(await ledger.endRunnerRecord(known!, 'not-launched')).toBe(false);
    expect(await ledger.readRunner('w1')).toEqual(known);
    expect(await claimIds(ledger)).toEqual(claims);
    expect(await ledger.countLeases('small')).toBe(1);
    expect(await ledger.endRunnerRecord(runner, 'ran-a-job')).toBe(true);
    expect(await ledger.countLeases('small')).toBe(0);
  });

  test('is refused to somebody who read another claim', async () => {
    const ledger = open();
    const [one] = [await warm(ledger, 'w1'), await warm(ledger, 'w2')];
    expect(await ledger.endRunnerRecord({ ...one, claimId: 'c-w2' }, 'not-launched')).toBe(false);
    expect(await claimIds(ledger)).toEqual(['c-w1', 'c-w2']);
    expect(await ledger.countLeases('small')).toBe(2);
  });

  test('gives its place back though its claim was taken back before', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await ledger.revokeClaim(runner);
    expect(await ledger.endRunnerRecord(runner, 'not-launched')).toBe(true);
    expect(await ledger.endRunnerRecord(runner, 'not-launched')).toBe(false);
    expect(await ledger.countLeases('small')).toBe(0);
  });

  test('is refused with a task, though its claim was taken back before', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await ledger.revokeClaim(runner);
    await ledger.recordTask('w1', 'arn:1');
    expect(await ledger.endRunnerRecord(runner, 'not-launched')).toBe(false);
    expect(await ledger.countLeases('small')).toBe(1);
  });
});

describeLedgers('runners that end together', (open) => {
  test('end each once, those of one profile with those of another', async () => {
    const ledger = open();
    const runners = await together(6, async (index) => warm(ledger, `w${index}`));
    const large = await warm(ledger, 'l1', { profile: 'large', pool: 'large@acme' });
    const asked = [...runners.slice(0, 4), large, runners[0]!];
    expect(await endAll(ledger, asked, 'idle')).toEqual([true, true, true, true, true, false]);
    expect([await ledger.countLeases('small'), await ledger.countLeases('large')]).toEqual([2, 0]);
    expect(await claimIds(ledger)).toEqual(['c-w4', 'c-w5']);
  });

  test('end but for those that ended before or were launched after all', async () => {
    const ledger = open();
    const runners = await together(4, async (index) => warm(ledger, `w${index}`));
    await ledger.endRunnerRecord(runners[1]!, 'idle');
    await ledger.fetchClaim('c-w2');
    expect(await endAll(ledger, runners, 'not-launched')).toEqual([true, false, false, true]);
    expect(await ledger.countLeases('small')).toBe(1);
    expect((await ledger.listLive()).map(({ runnerId }) => runnerId)).toEqual(['w2']);
  });

  test('are counted exactly after any mix of beginnings, ends, fetches and revocations', async () => {
    type Act = 'begin' | 'fetch' | 'idle' | 'not-launched' | 'revoke' | 'busy';
    const act = fc.tuple(
      fc.constantFrom<Act>('begin', 'begin', 'fetch', 'idle', 'not-launched', 'revoke', 'busy'),
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom('small', 'large'),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(act, { minLength: 1, maxLength: 6 }), { maxLength: 12 }), async (batches) => {
        const ledger = ledgerOver(memoryTables());
        for (const batch of batches) {
          await Promise.all(
            batch.map(async ([what, number, profile]) => {
              const launch = aWarmLaunch(`${profile}-${number}`, { profile, pool: `${profile}@acme` }, { cap: 3 });
              switch (what) {
                case 'begin':
                  return ledger.begin(launch);
                case 'fetch':
                  return ledger.fetchClaim(launch.runner.claimId);
                case 'revoke':
                  return ledger.revokeClaim(launch.runner);
                case 'busy':
                  return ledger.markBusy(launch.runner.runnerId, '1', after(0));
                case 'idle':
                case 'not-launched':
                  return ledger.endRunnerRecord(launch.runner, what);
              }
            }),
          );
          const live = await ledger.listLive();
          for (const profile of ['small', 'large']) {
            const leases = await ledger.countLeases(profile);
            expect(live.filter((runner) => runner.profile === profile)).toHaveLength(leases);
            expect(leases).toBeLessThanOrEqual(3);
          }
          const liveClaims = new Set(live.map(({ claimId }) => claimId));
          expect((await claimIds(ledger)).filter((id) => !liveClaims.has(id))).toEqual([]);
        }
      }),
    );
  });
});

describeLedgers('a claim that is taken back', (open) => {
  test('is gone, and its runner says so', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await warm(ledger, 'w2');
    expect(await ledger.revokeClaim(runner)).toBe(true);
    expect(await claimIds(ledger)).toEqual(['c-w2']);
    expect(await ledger.readRunner('w1')).toEqual({ ...runner, revoked: true });
    expect(await ledger.countLeases('small')).toBe(2);
  });

  test('is taken back once', async () => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    const revoked = await together(10, async () => ledger.revokeClaim(runner));
    expect(revoked.filter(Boolean)).toHaveLength(1);
  });

  test.each<[string, (ledger: OpenLedger, runner: RunnerRecord) => Promise<unknown>]>([
    ['a task has fetched it', async (ledger) => ledger.fetchClaim('c-w1')],
    ['its runner has ended', async (ledger, runner) => ledger.endRunnerRecord(runner, 'idle')],
    [
      'its runner has ended and somebody left the claim',
      async (ledger) => ledger.table.change<RunnerRecord>({ id: 'runner#w1', set: { endedAt: after(0) } }),
    ],
    ['a job was seen with its runner', async (ledger) => ledger.markBusy('w1', '1', after(0))],
  ])('is not, when %s', async (_, happen) => {
    const ledger = open();
    const runner = await warm(ledger, 'w1');
    await happen(ledger, runner);
    const [known, claims] = [await ledger.readRunner('w1'), await claimIds(ledger)];
    expect(await ledger.revokeClaim(runner)).toBe(false);
    expect(await ledger.readRunner('w1')).toEqual(known);
    expect(await claimIds(ledger)).toEqual(claims);
  });

  test('is none for a runner without one, nor for one that nobody knows', async () => {
    const ledger = open();
    const { claimId: _, ...runner } = await warm(ledger, 'w1');
    expect(await ledger.revokeClaim(runner)).toBe(false);
    expect(await ledger.revokeClaim({ ...runner, runnerId: 'w9', claimId: 'c-w1' })).toBe(false);
    expect(await claimIds(ledger)).toEqual(['c-w1']);
    expect(await ledger.readRunner('w9')).toBeUndefined();
  });
});

describeLedgers('the record of a runner', (open) => {
  test('keeps its first task', async () => {
    const ledger = open();
    await warm(ledger, 'w1');
    ledger.clock.turn(second);
    expect(await ledger.recordTask('w1', 'arn:1')).toMatchObject({ taskArn: 'arn:1', launchedAt: after(second) });
    ledger.clock.turn(second);
    expect(await ledger.recordTask('w1', 'arn:2')).toMatchObject({ taskArn: 'arn:1', launchedAt: after(second) });
  });

  test('comes back with its task though its lease has ended meanwhile', async () => {
    const ledger = open();
    await ledger.endRunnerRecord(await warm(ledger, 'w1'), 'lost');
    expect(await ledger.recordTask('w1', 'arn:1')).toMatchObject({
      taskArn: 'arn:1',
      endedAt: after(0),
      ending: 'lost',
    });
  });

  test('keeps its first job', async () => {
    const ledger = open();
    await warm(ledger, 'w1');
    const marked = await together(5, async (index) => ledger.markBusy('w1', `job-${index}`, after(index)));
    const { busyJobId, busyAt } = (await ledger.readRunner('w1')) ?? {};
    expect(marked.map((runner) => runner?.busyJobId)).toEqual(marked.map(() => busyJobId));
    expect(busyAt).toBe(after(Number(busyJobId?.replace('job-', ''))));
    expect(await ledger.markBusy('w1', 'late', after(hour))).toMatchObject({ busyJobId });
  });

  test('takes another provider', async () => {
    const ledger = open();
    await warm(ledger, 'w1', { provider: 'FARGATE_SPOT' });
    await ledger.changeProvider('w1', 'FARGATE');
    expect(await ledger.readRunner('w1')).toMatchObject({ provider: 'FARGATE' });
  });

  test('remembers since when its task is missing, and forgets it', async () => {
    const ledger = open();
    await warm(ledger, 'w1');
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
    await warm(ledger, 'w1');
    await ledger.markDeregistered('w1');
    ledger.clock.turn(minute);
    await ledger.markDeregistered('w1');
    expect(await ledger.readRunner('w1')).toMatchObject({ deregisteredAt: after(0) });
  });

  test('is not made by a mark on a runner that nobody knows', async () => {
    const ledger = open();
    await ledger.changeProvider('w9', 'FARGATE');
    await ledger.markMissing('w9', true);
    await ledger.markMissing('w9', false);
    await ledger.markDeregistered('w9');
    expect(await ledger.markBusy('w9', '1', after(0))).toBeUndefined();
    expect(await ledger.recordTask('w9', 'arn:1')).toBeUndefined();
    expect(await ledger.readRunner('w9')).toBeUndefined();
    expect(await ledger.items()).toEqual([]);
  });

  test('is listed with its profile, not with one whose name begins alike', async () => {
    const ledger = open();
    await warm(ledger, 'w1');
    await warm(ledger, 'w2', { pool: 'small@beta', scope: 'beta' });
    await warm(ledger, 'w3', { pool: 'small-arm@acme', profile: 'small-arm' });
    const ids = async (runners: ReturnType<OpenLedger['listLive']>) => (await runners).map(({ runnerId }) => runnerId);
    expect(await ids(ledger.listRunners('small'))).toEqual(['w1', 'w2']);
    expect(await ids(ledger.listRunners('small-arm'))).toEqual(['w3']);
    expect((await ids(ledger.listLive())).toSorted()).toEqual(['w1', 'w2', 'w3']);
  });

  test('has what its own end needs: its repository and how long its job may run', async () => {
    const ledger = open();
    const job = await aWaitingJob(ledger, aJob({ id: '1' }));
    const launch = aLaunch(job);
    const runner = { ...launch.runner, repository: 'acme/web', maxHours: 72 };
    await begun(ledger, { ...launch, runner });
    expect(await ledger.readRunner(`${prefix}-1-1`)).toEqual(runner);
  });
});

describe('the transactions that end runners', () => {
  const dynamo = describedDynamo();

  test('are one for several of a profile, and one for each profile', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    const runners = await together(5, async (index) => warm(ledger, `w${index}`));
    const large = await warm(ledger, 'l1', { profile: 'large', pool: 'large@acme' });
    const calls = callsOf(dynamo(), 'TransactWriteItems');
    expect(await endAll(ledger, [...runners, large], 'idle')).toEqual([true, true, true, true, true, true]);
    const acts = calls.map(({ input }) => (input['TransactItems'] as unknown[]).length);
    expect(acts.toSorted((a, b) => a - b)).toEqual([3, 1 + 2 * 5]);
  });

  test('take more runners than fit into one, in several', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    const launches = Array.from({ length: 60 }, (_, index) => aWarmLaunch(`w${index}`, {}, { cap: 100 }));
    await Promise.all(launches.map(async (launch) => ledger.begin(launch)));
    const ended = await endAll(
      ledger,
      launches.map(({ runner }) => runner),
      'idle',
    );
    expect(ended).toEqual(launches.map(() => true));
    expect(await ledger.countLeases('small')).toBe(0);
  });

  test('give one lease back when the answer was lost', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    await warm(ledger, 'w1');
    const two = await warm(ledger, 'w2');
    dynamo().tables.failNext('TransactWriteItems', { type: 'InternalServerError', status: 500, after: true });
    expect(await ledger.endRunnerRecord(two, 'idle')).toBe(true);
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('take a claim back when the answer was lost, and say so', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    const runner = await warm(ledger, 'w1');
    const calls = callsOf(dynamo(), 'TransactWriteItems');
    dynamo().tables.failNext('TransactWriteItems', { type: 'InternalServerError', status: 500, after: true });
    expect(await ledger.revokeClaim(runner)).toBe(true);
    expect(await ledger.readRunner('w1')).toMatchObject({ revoked: true });
    expect(await ledger.listClaims()).toEqual([]);
    const tokens = calls.map(({ input }) => input['ClientRequestToken']);
    expect(tokens).toHaveLength(2);
    expect(new Set(tokens).size).toBe(1);
  });
});

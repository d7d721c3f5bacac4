import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobState } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { endings } from '../../../functions/contracts/with-infra/reasons.ts';
import { aJob, prefix } from '../../fakes/builders.ts';
import { minute } from '../../fakes/clock.ts';
import { describedDynamo, dynamoLedger, memoryLedger, type Ledger } from './ledgers.ts';

type Step = { readonly what: string; readonly act: (ledger: Ledger) => Promise<unknown> };

const jobId = fc.constantFrom('1', '2');
const launch = fc.integer({ min: 1, max: 2 });
const runnerId = fc.tuple(jobId, launch).map(([job, number]) => `${prefix}-${job}-${number}`);
const step = (what: string, act: Step['act']): Step => ({ what, act });

/** Everything that can be asked of a ledger, of few jobs and runners, so that steps meet. */
const steps: fc.Arbitrary<Step>[] = [
  fc
    .tuple(
      jobId,
      fc.constantFrom<JobState>('blocked', 'waiting', 'waiting', 'in_progress', 'completed'),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom('small@acme', 'small@beta'),
    )
    .map(([id, state, attempt, pool]) =>
      step(`job ${id} is ${state} in attempt ${attempt}`, async (ledger) => {
        const news = { state, pool, profile: 'small', scope: 'acme' };
        const { before, moved } = await ledger.recordJob(aJob({ id, attempt }), news);
        return { before, moved };
      }),
    ),
  fc.tuple(jobId, launch, fc.integer({ min: 0, max: 3 }), fc.boolean()).map(([id, number, cap, isProbe]) =>
    step(`lease ${number} for job ${id}, cap ${cap}${isProbe ? ', as a probe' : ''}`, async (ledger) => {
      const { breakerUntil } = await ledger.readProfile('small');
      const runner = { runnerId: `${prefix}-${id}-${number}`, pool: 'small@acme', profile: 'small', scope: 'acme' };
      return ledger.takeLease({
        runner: { ...runner, idleMinutes: 5, jobId: id, launch: number },
        cap,
        ...(isProbe && breakerUntil !== undefined && { probe: breakerUntil }),
      });
    }),
  ),
  fc.tuple(runnerId, fc.nat(3)).map(([runner, claim]) =>
    step(`claim ${claim} for ${runner}`, async (ledger) =>
      ledger.issueClaim(
        { runnerId: runner, ...(claim > 0 && { jobId: runner.split('-')[2] ?? '' }) },
        {
          claimId: `c${runner}-${claim}`,
          provider: 'FARGATE',
          taskDefinition: 'small:1',
          claim: 'eA==',
          expiresAt: ledger.clock.now() + claim * 10 * minute,
        },
      ),
    ),
  ),
  fc
    .tuple(runnerId, fc.nat(1))
    .map(([runner, n]) => step(`task ${n} of ${runner}`, async (ledger) => ledger.recordTask(runner, `arn:${n}`))),
  fc
    .tuple(runnerId, jobId)
    .map(([runner, job]) =>
      step(`${runner} runs ${job}`, async (ledger) => ledger.markBusy(runner, job, ledger.clock.iso())),
    ),
  runnerId.map((runner) => step(`${runner} is revoked`, async (ledger) => ledger.markRevoked(runner))),
  fc
    .tuple(runnerId, fc.boolean())
    .map(([runner, missing]) =>
      step(`${runner} is ${missing ? 'missing' : 'found'}`, async (ledger) => ledger.markMissing(runner, missing)),
    ),
  runnerId.map((runner) => step(`${runner} is deregistered`, async (ledger) => ledger.markDeregistered(runner))),
  fc.tuple(runnerId, fc.constantFrom(...endings)).map(([runner, ending]) =>
    step(`${runner} ends: ${ending}`, async (ledger) => {
      const known = await ledger.readRunner(runner);
      return known && (await ledger.endRunnerRecord(known, ending));
    }),
  ),
  fc.tuple(runnerId, fc.boolean()).map(([runner, hasClaim]) =>
    step(`${runner}, ${hasClaim ? 'with its claim' : 'as leased'}, is not launched`, async (ledger) => {
      const known = await ledger.readRunner(runner);
      if (known === undefined) return undefined;
      const { claimId, ...leased } = known;
      return ledger.endRunnerRecord(hasClaim && claimId !== undefined ? known : leased, 'not-launched');
    }),
  ),
  fc.constant(step('a start failed', async (ledger) => ledger.noteStartFailure('small'))),
  fc.constant(step('a start was good', async (ledger) => ledger.noteGoodStart('small'))),
  fc.constant(
    step('probe', async (ledger) => {
      const { breakerUntil, failures } = await ledger.readProfile('small');
      return breakerUntil && (await ledger.claimProbe('small', { until: breakerUntil, failures }));
    }),
  ),
  fc
    .integer({ min: 0, max: 90 })
    .map((seconds) => step(`time passes: ${seconds} s`, async (ledger) => ledger.clock.turn(seconds * 1000))),
  fc
    .integer({ min: -1, max: 2 })
    .map((minutes) =>
      step(`acme is held for ${minutes} minutes`, async (ledger) =>
        ledger.holdScope('acme', { until: ledger.clock.now() + minutes * minute, reason: 'suspended' }),
      ),
    ),
  fc.tuple(jobId, fc.boolean()).map(([id, hasMoment]) =>
    step(`job ${id} waits for capacity`, async (ledger) =>
      ledger.explainWait(id, {
        reason: 'no-capacity',
        note: 'full up',
        ...(hasMoment && { notBefore: ledger.clock.now() + minute }),
      }),
    ),
  ),
  fc
    .tuple(jobId, launch)
    .map(([id, number]) =>
      step(`launch ${number} of job ${id} is asked for`, async (ledger) => ledger.askLaunch(id, number)),
    ),
  fc.tuple(jobId, launch, fc.boolean()).map(([id, number, held]) =>
    step(`launch ${number} of job ${id} served nobody`, async (ledger) => {
      const job = await ledger.readJob(id);
      return (
        job && (await ledger.raiseUnserved(job, { launch: number, unserved: job.unserved + 1, held, note: 'idle' }))
      );
    }),
  ),
  fc.tuple(jobId, fc.constantFrom('refused' as const, 'expired' as const)).map(([id, state]) =>
    step(`job ${id} is given up: ${state}`, async (ledger) => {
      const job = await ledger.readJob(id);
      return job?.state === 'waiting' && (await ledger.giveUpJob(job, state, 'enough'));
    }),
  ),
  fc
    .tuple(fc.constantFrom('note' as const, 'forget' as const), jobId)
    .map(([what, id]) =>
      step(`${what} the stranger ${id}`, async (ledger) =>
        what === 'note' ? ledger.noteStranger(id) : ledger.forgetStranger(id),
      ),
    ),
  fc
    .nat(3)
    .map((bursts) =>
      step(`take a turn, in ${bursts} minutes at most`, async (ledger) =>
        ledger.takeTurn({ key: 'p', intervalMs: 40_000, burst: 2 }, ledger.clock.now(), bursts * minute),
      ),
    ),
  jobId.map((id) =>
    step(`job ${id} moves to large`, async (ledger) => {
      const job = await ledger.readJob(id);
      return job && (await ledger.moveJob(job, { pool: 'large@acme', profile: 'large' }));
    }),
  ),
];

const look = async (ledger: Ledger) => ({
  waiting: await ledger.listWaiting(),
  blocked: await ledger.listBlocked(),
  pools: (await ledger.listWaitingPools('small')).toSorted(),
  live: await ledger.listLive(),
  profile: await ledger.readProfile('small'),
  scope: await ledger.readScope('acme'),
  claims: (await ledger.listClaims()).toSorted((a, b) => a.id.localeCompare(b.id)),
  jobs: await Promise.all(['1', '2'].map(async (id) => ledger.readJob(id))),
});

describe('the ledger in memory', () => {
  const dynamo = describedDynamo();

  test('answers whatever is asked of it as the one in DynamoDB does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...steps), { minLength: 20, maxLength: 40 }), async (sequence) => {
        const [fake, real] = [memoryLedger(), dynamoLedger(await dynamo().createTables())];
        for (const { what, act } of sequence) {
          expect({ what, answer: (await act(fake)) ?? null }).toEqual({ what, answer: (await act(real)) ?? null });
        }
        expect(await look(fake)).toEqual(await look(real));
        const { leases } = await fake.readProfile('small');
        expect(await fake.listLive()).toHaveLength(leases);
      }),
      { numRuns: 12 },
    );
  }, 60_000);
});

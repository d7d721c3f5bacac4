import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { JobRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import type { JobSighting } from '../../../functions/contracts/between-rooms/job-sighting.ts';
import { endings } from '../../../functions/contracts/with-infra/reasons.ts';
import { changeBreaker, changeCapacity } from '../../../functions/fleet/change-records.ts';
import { decideMove, giveUp } from '../../../functions/fleet/decide-move.ts';
import { afterBadStart, afterGoodStart, withProbe } from '../../../functions/fleet/waits/breaker.ts';
import { afterRefusal } from '../../../functions/fleet/waits/capacity.ts';
import { aJob, prefix } from '../../fakes/builders.ts';
import { minute } from '../../fakes/clock.ts';
import { aLaunch, aWarmLaunch, describedDynamo, ledgerOver, memoryTables, type OpenLedger } from './ledgers.ts';

type Step = { readonly what: string; readonly act: (ledger: OpenLedger) => Promise<unknown> };

const jobId = fc.constantFrom('1', '2');
const launch = fc.integer({ min: 1, max: 2 });
const runnerId = fc
  .tuple(fc.constantFrom('1', '2', 'w'), launch)
  .map(([job, number]) => (job === 'w' ? `w${number}` : `${prefix}-${job}-${number}`));
const step = (what: string, act: Step['act']): Step => ({ what, act });
const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };
const breaker = { profile: 'small', scope: 'acme' };
const room = { profile: 'small', provider: 'FARGATE' };

async function changeKnown(
  ledger: OpenLedger,
  id: string,
  change: (job: JobRecord) => Partial<JobRecord>,
): Promise<unknown> {
  const job = await ledger.readJob(id);
  return job && ledger.changeJob(job, { ...job, ...change(job) });
}

/** Everything that can be asked of a ledger, of few jobs and runners, so that steps meet. */
const steps: fc.Arbitrary<Step>[] = [
  fc
    .tuple(
      jobId,
      fc.constantFrom<JobSighting['state']>('blocked', 'queued', 'queued', 'in_progress', 'completed'),
      fc.integer({ min: 1, max: 2 }),
      fc.constantFrom('small@acme', 'small@beta'),
    )
    .map(([id, state, attempt, pool]) =>
      step(`job ${id} is ${state} in attempt ${attempt}`, async (ledger) => {
        const { moved } = await ledger.record(aJob({ id, attempt }), state, {}, { pool, profile: 'small' });
        return moved;
      }),
    ),
  fc
    .tuple(fc.subarray(['1', '2'], { minLength: 1 }), fc.integer({ min: 0, max: 3 }), fc.boolean())
    .map(([ids, cap, isNews]) =>
      step(`launches of ${ids.join(' and ')} begin, cap ${cap}${isNews ? ', with their news' : ''}`, async (ledger) =>
        Promise.all(
          ids.map(async (id) => {
            const before = await ledger.readJob(id);
            const news = decideMove(before, { job: aJob({ id }), state: 'queued', by: 'd' }, place, ledger.clock.now());
            const job = isNews ? news : before;
            return job && ledger.begin(aLaunch(job, { cap, before, isNews }));
          }),
        ),
      ),
    ),
  fc
    .tuple(launch, fc.integer({ min: 0, max: 3 }))
    .map(([number, cap]) =>
      step(`warm runner w${number} begins, cap ${cap}`, async (ledger) =>
        ledger.begin(aWarmLaunch(`w${number}`, {}, { cap })),
      ),
    ),
  runnerId.map((runner) => step(`the task of ${runner} comes`, async (ledger) => ledger.fetchClaim(`c-${runner}`))),
  fc
    .tuple(runnerId, fc.nat(1))
    .map(([runner, n]) => step(`task ${n} of ${runner}`, async (ledger) => ledger.recordTask(runner, `arn:${n}`))),
  fc
    .tuple(runnerId, jobId)
    .map(([runner, job]) =>
      step(`${runner} runs ${job}`, async (ledger) => ledger.markBusy(runner, job, ledger.clock.iso())),
    ),
  runnerId.map((runner) =>
    step(`${runner} is revoked`, async (ledger) => {
      const known = await ledger.readRunner(runner);
      return known && ledger.revokeClaim(known);
    }),
  ),
  fc
    .tuple(runnerId, fc.boolean())
    .map(([runner, missing]) =>
      step(`${runner} is ${missing ? 'missing' : 'found'}`, async (ledger) => ledger.markMissing(runner, missing)),
    ),
  runnerId.map((runner) => step(`${runner} is deregistered`, async (ledger) => ledger.markDeregistered(runner))),
  runnerId.map((runner) =>
    step(`${runner} is on Spot`, async (ledger) => ledger.changeProvider(runner, 'FARGATE_SPOT')),
  ),
  fc.tuple(fc.uniqueArray(runnerId, { minLength: 1, maxLength: 3 }), fc.constantFrom(...endings)).map(([ids, ending]) =>
    step(`${ids.join(' and ')} end: ${ending}`, async (ledger) =>
      Promise.all(
        ids.map(async (runner) => {
          const known = await ledger.readRunner(runner);
          return known && ledger.endRunnerRecord(known, ending);
        }),
      ),
    ),
  ),
  runnerId.map((runner) =>
    step(`${runner} is not launched`, async (ledger) => {
      const known = await ledger.readRunner(runner);
      return known && ledger.endRunnerRecord(known, 'not-launched');
    }),
  ),
  fc
    .constantFrom('r1', 'r2')
    .map((runner) =>
      step(`the start of ${runner} failed`, async (ledger) =>
        changeBreaker(
          breaker,
          (record) => afterBadStart(record, { runnerId: runner, createdAt: ledger.clock.iso() }, ledger.clock.now()),
          ledger,
        ),
      ),
    ),
  fc.constant(step('a start was good', async (ledger) => changeBreaker(breaker, afterGoodStart, ledger))),
  fc.constant(
    step('a probe begins', async (ledger) => {
      const known = await ledger.readBreaker(breaker);
      return ledger.changeBreaker(breaker, withProbe(known, 'r1', ledger.clock.now()));
    }),
  ),
  fc.constant(
    step('AWS has no room', async (ledger) =>
      changeCapacity(room, (known) => afterRefusal(known, { reason: 'quota', note: 'no' }, ledger.clock.now()), ledger),
    ),
  ),
  fc
    .integer({ min: 0, max: 90 })
    .map((seconds) => step(`time passes: ${seconds} s`, async (ledger) => ledger.clock.turn(seconds * 1000))),
  fc
    .integer({ min: -1, max: 2 })
    .map((minutes) =>
      step(`acme is held for ${minutes} minutes`, async (ledger) =>
        ledger.holdScope('acme', { until: ledger.clock.now() + minutes * minute, note: 'suspended' }),
      ),
    ),
  fc.constant(step('the hold of acme ends', async (ledger) => ledger.endHold('acme'))),
  fc.tuple(jobId, fc.boolean()).map(([id, hasMoment]) =>
    step(`job ${id} waits for capacity`, async (ledger) =>
      ledger.explainWait(id, {
        reason: 'no-capacity',
        note: 'full up',
        ...(hasMoment && { until: ledger.clock.now() + minute }),
      }),
    ),
  ),
  fc
    .tuple(jobId, launch)
    .map(([id, number]) =>
      step(`launch ${number} of job ${id} is asked for`, async (ledger) => ledger.askLaunch(id, number)),
    ),
  fc.tuple(jobId, launch, fc.boolean()).map(([id, number, parked]) =>
    step(`launch ${number} of job ${id} served nobody`, async (ledger) =>
      changeKnown(ledger, id, ({ unserved }) => ({
        unservedLaunch: number,
        unserved: unserved + 1,
        parked,
        note: 'idle',
      })),
    ),
  ),
  fc
    .tuple(jobId, fc.constantFrom('refused' as const, 'expired' as const))
    .map(([id, state]) =>
      step(`job ${id} is given up: ${state}`, async (ledger) =>
        changeKnown(ledger, id, (job) => giveUp(job, { state, note: 'enough' }, ledger.clock.now())),
      ),
    ),
  jobId.map((id) =>
    step(`job ${id} moves to large`, async (ledger) =>
      changeKnown(ledger, id, () => ({ pool: 'large@acme', profile: 'large' })),
    ),
  ),
  fc
    .tuple(fc.constantFrom('note' as const, 'forget' as const), jobId)
    .map(([what, id]) =>
      step(`${what} the stranger ${id}`, async (ledger) =>
        what === 'note' ? ledger.noteStranger(id) : ledger.forgetStranger(id),
      ),
    ),
  fc
    .tuple(fc.integer({ min: 1, max: 3 }), fc.nat(3))
    .map(([turns, minutes]) =>
      step(`take ${turns} turns, in ${minutes} minutes at most`, async (ledger) =>
        ledger.takeTurns({ key: 'p', intervalMs: 40_000, burst: 2 }, turns, minutes * minute),
      ),
    ),
  fc
    .integer({ min: 1, max: 3 })
    .map((launches) =>
      step(`${launches} launches take their turns`, async (ledger) =>
        Promise.all(Array.from({ length: launches }, async () => ledger.takeTurn('acme'))),
      ),
    ),
];

const look = async (ledger: OpenLedger) => ({
  waiting: await ledger.listWaiting(),
  blocked: await ledger.listBlocked(),
  pools: (await ledger.listWaitingPools('small')).toSorted(),
  jobsOfPool: await ledger.listWaitingJobs('small@acme', { ofEach: 1, repositories: 5 }),
  live: await ledger.listLive(),
  profile: await ledger.readProfile('small'),
  scope: await ledger.readScope('acme'),
  breaker: await ledger.readBreaker(breaker),
  room: await ledger.readCapacity(room),
  claims: await ledger.listClaims(),
  jobs: await Promise.all(['1', '2'].map(async (id) => ledger.readJob(id))),
  items: (await ledger.items()).toSorted((a, b) => String(a['id']).localeCompare(String(b['id']))),
});

describe('the ledger in memory', () => {
  const dynamo = describedDynamo();

  test('answers whatever is asked of it as the one in DynamoDB does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(...steps), { minLength: 20, maxLength: 40 }), async (sequence) => {
        const [fake, real] = [ledgerOver(memoryTables()), ledgerOver(await dynamo().createTables())];
        for (const { what, act } of sequence) {
          expect({ what, answer: (await act(fake)) ?? null }).toEqual({ what, answer: (await act(real)) ?? null });
        }
        expect(await look(fake)).toEqual(await look(real));
        const live = (await fake.listLive()).filter(({ profile }) => profile === 'small');
        expect(live).toHaveLength(await fake.countLeases('small'));
      }),
      { numRuns: 20 },
    );
  }, 60_000);
});

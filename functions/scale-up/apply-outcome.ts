import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { changeBreaker, changeCapacity } from '../fleet/change-records.ts';
import { giveUp } from '../fleet/decide-move.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { findNamedRunner, noteBusy, recordSighting } from '../fleet/record-sighting.ts';
import { afterBadStart } from '../fleet/waits/breaker.ts';
import { afterRefusal } from '../fleet/waits/capacity.ts';
import type { Seen } from './look.ts';
import type { Outcome } from './outcome.ts';

export type ApplyPorts = Pick<
  Ledger,
  | 'readJob'
  | 'changeJob'
  | 'explainWait'
  | 'endRunnerRecord'
  | 'holdScope'
  | 'markBusy'
  | 'readRunner'
  | 'readBreaker'
  | 'changeBreaker'
  | 'readCapacity'
  | 'changeCapacity'
> & {
  readonly now: () => number;
  readonly fleet: Pick<Fleet, 'prefix'>;
  readonly sendBack: (message: LaunchMessage, delayMs: number) => Promise<void>;
};

/** The job of a launch, as it was read; none for a warm runner. */
export type SeenJob = Pick<Seen, 'job' | 'before' | 'isNews'>;

/**
 * Writes the outcome of a launch. No other step of a launch writes waits, gives leases back, gives jobs up or sends messages back.
 *
 * @returns the outcome; where its lease cannot be given back, that the launch is at work after all
 */
export async function applyOutcome(outcome: Outcome, seen: SeenJob, ports: ApplyPorts): Promise<Outcome> {
  switch (outcome.kind) {
    case 'launched':
      return outcome;
    case 'returned':
      // Before the message is sent: then the ledger says why the job waits, and until the message is back nobody else asks for the launch.
      await writeWait(
        seen,
        {
          reason: 'pacing',
          note: outcome.note,
          until: ports.now() + outcome.delayMs,
        },
        ports,
      );
      await ports.sendBack(outcome.message, outcome.delayMs);
      return outcome;
    case 'wait':
      return applyWait(outcome, seen, ports);
    case 'give-up': {
      if (seen.job !== undefined) await ports.changeJob(seen.before, giveUp(seen.job, outcome, ports.now()));
      return outcome;
    }
    case 'drop':
      return applyDrop(outcome, seen, ports);
  }
}

async function applyWait(
  outcome: Extract<Outcome, { kind: 'wait' }>,
  seen: SeenJob,
  ports: ApplyPorts,
): Promise<Outcome> {
  const { reason, note, until, goneSince, hold, giveBack } = outcome;
  if (giveBack !== undefined) {
    const { runner, noRoomOn, isBadStart } = giveBack;
    if (!(await ports.endRunnerRecord(runner, 'not-launched'))) return atWork;
    const now = ports.now();
    if (noRoomOn !== undefined) {
      const key = { profile: runner.profile, provider: noRoomOn };
      await changeCapacity(key, (room) => afterRefusal(room, { reason, note }, now), ports);
    }
    if (isBadStart) await changeBreaker(runner, (breaker) => afterBadStart(breaker, runner, now), ports);
  }
  if (hold !== undefined) await ports.holdScope(hold.scope, hold);
  await writeWait(seen, { reason, note, until, goneSince }, ports);
  return outcome;
}

async function applyDrop(
  outcome: Extract<Outcome, { kind: 'drop' }>,
  seen: SeenJob,
  ports: ApplyPorts,
): Promise<Outcome> {
  const { closed, giveBack } = outcome;
  if (giveBack !== undefined && !(await ports.endRunnerRecord(giveBack.runner, 'not-launched'))) return atWork;
  if (closed === undefined || seen.job === undefined) return outcome;
  const { sighting, inferred } = closed;
  const runner = await findNamedRunner(sighting, ports);
  if (runner !== undefined) await noteBusy(runner, sighting, ports);
  await recordSighting(sighting, seen.job, ports, { inferred });
  return outcome;
}

const atWork: Outcome = {
  kind: 'drop',
  note: 'another delivery of this message goes on with the launch, or its task has fetched the claim',
};

type Written = Pick<Extract<Outcome, { kind: 'wait' }>, 'reason' | 'note' | 'until' | 'goneSince'>;

/** Says in the job's record why it waits. A job that the ledger does not hold in this state yet is written with it. */
async function writeWait(
  { job, before, isNews }: SeenJob,
  { goneSince, ...wait }: Written,
  ports: ApplyPorts,
): Promise<void> {
  if (job === undefined) return;
  const { reason, note, until } = wait;
  const mustBeWritten = isNews || goneSince !== undefined;
  const isWritten =
    mustBeWritten &&
    (await ports.changeJob(before, {
      ...job,
      reason,
      note,
      notBefore: until === undefined ? job.notBefore : new Date(until).toISOString(),
      goneSince: goneSince === undefined ? undefined : new Date(goneSince).toISOString(),
      decidedAt: new Date(ports.now()).toISOString(),
      askedAt: undefined,
    }));
  // The ledger holds the job: it did before, or the launch was begun meanwhile.
  if (!isWritten) await ports.explainWait(job.job.id, wait);
}

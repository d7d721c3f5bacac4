import { runnerOf, type JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { scopeOf } from '../contracts/between-rooms/job.ts';
import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { changeJob } from './change-records.ts';
import { decideMove, type Place } from './decide-move.ts';
import type { Ledger } from './ledger.ts';

export type RecordedSighting = {
  /** The record before; undefined for a job that the ledger did not know. */
  readonly before: JobRecord | undefined;
  readonly record: JobRecord | undefined;
  /** False when the ledger knew as much or more. */
  readonly moved: boolean;
};

/**
 * Writes a sighting into the job's record. Sightings that come at the same time are written one after the other.
 *
 * @param inferred nobody said so: it is our own conclusion
 */
export async function recordSighting(
  sighting: JobSighting,
  place: Place,
  ports: Pick<Ledger, 'readJob' | 'changeJob'> & { readonly now: () => number },
  { inferred }: { readonly inferred: boolean } = { inferred: false },
): Promise<RecordedSighting> {
  const rule = (before: JobRecord | undefined): JobRecord | undefined => {
    const after = decideMove(before, sighting, place, ports.now());
    return after && { ...after, inferred };
  };
  const { before, after } = await changeJob(sighting.job.id, rule, ports);
  return { before, record: after ?? before, moved: after !== undefined && after.order !== before?.order };
}

/** The runner of ours that a sighting names, in the job's own scope: elsewhere anybody may register a runner under any name. */
export async function findNamedRunner(
  sighting: JobSighting,
  { fleet, readRunner }: Pick<Ledger, 'readRunner'> & { readonly fleet: Pick<Fleet, 'prefix'> },
): Promise<RunnerRecord | undefined> {
  const runnerId = runnerOf(sighting, fleet.prefix);
  const runner = runnerId === undefined ? undefined : await readRunner(runnerId);
  return runner?.scope === scopeOf(sighting.job.repository) ? runner : undefined;
}

/** Notes on a runner's record which job a sighting names it with. */
export async function noteBusy(
  { runnerId }: RunnerRecord,
  { job, startedAt }: JobSighting,
  { markBusy, now }: Pick<Ledger, 'markBusy'> & { readonly now: () => number },
): Promise<void> {
  await markBusy(runnerId, job.id, startedAt ?? new Date(now()).toISOString());
}

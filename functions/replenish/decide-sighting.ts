import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import type { JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import { isUndoable } from '../fleet/decide-move.ts';
import { restOf } from '../fleet/waits/back-off.ts';

export type SightingDecision =
  /** The ledger knows as much. */
  | 'known'
  /** GitHub shows a job as queued that it has given up: its record is kept, so that the job is not found anew. */
  | 'remember'
  /** A look did not find the job, and now GitHub shows it after all. */
  | 'found-again'
  | 'launch'
  | 'track';

/** What follows from GitHub's own word on a job, beside what the ledger knows of it. */
export function decideSighting(
  { state }: JobSighting,
  {
    known,
    isAdmitted,
    namesIdle,
    now,
  }: {
    readonly known: JobRecord | undefined;
    readonly isAdmitted: boolean;
    /** It names a runner of ours that the ledger knows no job of. */
    readonly namesIdle: boolean;
    readonly now: number;
  },
): SightingDecision {
  if (state === 'queued') {
    if (known?.state === 'expired') return 'remember';
    const isNews = known === undefined || known.state === 'blocked' || mayBeUndone(known, now);
    if (isAdmitted && isNews) return 'launch';
    return wasMissed(known) ? 'found-again' : 'known';
  }
  if (state === 'blocked') return wasMissed(known) ? 'found-again' : 'known';
  // A job that we would start nothing for may run on one of ours: then that runner is no supply.
  if (known === undefined) return namesIdle ? 'track' : 'known';
  // The same news, but this time with our runner's name.
  if (namesIdle && known.runnerName === undefined) return 'track';
  const isOpen =
    known.state === 'waiting' || known.state === 'blocked' || known.state === 'in_progress' || known.inferred;
  return isOpen && known.state !== state ? 'track' : 'known';
}

/** GitHub's word that the job is queued undoes our own conclusion, after the rest that the job was given. */
function mayBeUndone(known: JobRecord, now: number): boolean {
  return isUndoable(known) && restOf(known, now) === undefined;
}

function wasMissed(known: JobRecord | undefined): boolean {
  return known?.goneSince !== undefined && (known.state === 'waiting' || known.state === 'blocked');
}

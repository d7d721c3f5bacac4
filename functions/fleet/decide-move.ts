import { jobOrder, recordVersion, type JobRecord, type JobState } from '../contracts/between-rooms/ledger-records.ts';
import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';

/** Where a job is served: decided by the fleet's profiles, not by GitHub. */
export type Place = Pick<JobRecord, 'pool' | 'profile' | 'scope'>;

const states: Readonly<Record<JobSighting['state'], JobState>> = {
  queued: 'waiting',
  blocked: 'blocked',
  in_progress: 'in_progress',
  completed: 'completed',
};

/**
 * The job's record after a sighting. The record only moves forward, as sightings come late, twice and out of order. One exception: our
 * own conclusion is undone when GitHub says that the job is queued.
 *
 * @returns undefined when the ledger knew as much
 */
export function decideMove(
  before: JobRecord | undefined,
  sighting: JobSighting,
  { pool, profile, scope }: Place,
  now: number,
): JobRecord | undefined {
  const { job, runnerName, conclusion, startedAt, completedAt } = sighting;
  const state = states[sighting.state];
  const order = jobOrder(job.attempt, state);
  const at = new Date(now).toISOString();
  // We concluded the same before: now GitHub has said it, and no late `queued` undoes it.
  const isConfirmed = before !== undefined && before.inferred && order === before.order;
  if (before !== undefined && order <= before.order && !isConfirmed && !isUndone(before, sighting)) {
    // The same news again, but this time with the runner.
    const isNamed = order === before.order && before.runnerName === undefined && runnerName !== undefined;
    return isNamed ? { ...before, runnerName } : undefined;
  }

  const told = { version: recordVersion, state, order, job, pool, profile, scope, decidedAt: at } as const;
  const kept = {
    seenAt: before?.seenAt ?? at,
    wasBlocked: before?.wasBlocked || state === 'blocked',
    launches: before?.launches ?? 0,
    releases: 0,
    inferred: false,
    waitingSince: before?.waitingSince,
  };
  if (state === 'waiting' || state === 'blocked') {
    // A wait that begins anew has a clean count. A wait that goes on, as its end was our mistake, keeps its age.
    const began = isUndoable(before) ? (kept.waitingSince ?? at) : at;
    return {
      ...kept,
      ...told,
      waitingSince: state === 'waiting' ? began : kept.waitingSince,
      notBefore: before?.notBefore,
      reason: before?.reason,
      note: before?.note,
      ...cleanCount,
    };
  }
  return {
    ...kept,
    ...told,
    unserved: before?.unserved ?? 0,
    unservedLaunch: before?.unservedLaunch ?? 0,
    parked: before?.parked ?? false,
    withoutSpot: before?.withoutSpot ?? false,
    // GitHub tells of a start also where a job never ran.
    startedAt: state === 'in_progress' ? (startedAt ?? at) : before?.startedAt,
    completedAt: completedAt ?? (state === 'completed' ? at : undefined),
    runnerName: runnerName ?? before?.runnerName,
    conclusion,
  };
}

const cleanCount = { unserved: 0, unservedLaunch: 0, parked: false, withoutSpot: false } as const;

/** Is the job over only by our own conclusion? `expired` stays: by then GitHub has given the job up, too. */
export function isUndoable(record: JobRecord | undefined): boolean {
  return record !== undefined && record.inferred && record.state !== 'expired';
}

function isUndone(before: JobRecord, { state, job }: JobSighting): boolean {
  return state === 'queued' && isUndoable(before) && Math.floor(before.order / 10) === job.attempt;
}

/**
 * The record of a job that we give up. GitHub has not said so: its later word undoes `refused`.
 *
 * @param until nothing is launched for the job before, even when GitHub says again that it is queued
 */
export function giveUp(
  job: JobRecord,
  { state, note, until }: { readonly state: 'refused' | 'expired'; readonly note: string; readonly until?: number },
  now: number,
): JobRecord {
  return {
    ...job,
    state,
    note,
    order: jobOrder(job.job.attempt, state),
    inferred: true,
    decidedAt: new Date(now).toISOString(),
    notBefore: until === undefined ? undefined : new Date(until).toISOString(),
    askedAt: undefined,
    reason: undefined,
  };
}

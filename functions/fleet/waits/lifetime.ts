import type { JobRecord } from '../../contracts/between-rooms/ledger-records.ts';
import { jobLifetimeMs } from '../../contracts/with-infra/limits.ts';

/** The sentence that a job's record keeps when it has expired. */
export const expiredNote = 'GitHub gives a job up after 24 hours';

/** A job waits for 24 hours from when we heard that it waits: an approval may have held it back for weeks before. */
export function isExpired({ waitingSince, seenAt }: JobRecord, now: number): boolean {
  return now - Date.parse(waitingSince ?? seenAt) > jobLifetimeMs;
}

/**
 * Was the job old already when we first heard of it? GitHub shows some jobs as queued for weeks, and a delivery may be replayed:
 * such a job gets one runner, and only after GitHub has said that it waits.
 */
export function wasOldWhenSeen({ job, seenAt }: JobRecord): boolean {
  return Date.parse(seenAt) - Date.parse(job.createdAt) > jobLifetimeMs;
}

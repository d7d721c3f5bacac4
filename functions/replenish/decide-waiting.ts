import type { JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import { jobLifetimeMs } from '../contracts/with-infra/limits.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import type { Admission } from '../fleet/admit-job.ts';

export type WaitingDecision =
  | { readonly kind: 'keep' }
  | { readonly kind: 'move'; readonly pool: string; readonly profile: string }
  | { readonly kind: 'give-up'; readonly state: 'refused' | 'expired'; readonly reason: string };

/** A waiting job's profile is decided anew each pass: an operator may have renamed, changed or removed it. */
export function decideWaiting(job: JobRecord, admission: Admission, now: number): WaitingDecision {
  if (now - Date.parse(job.waitingSince ?? job.seenAt) > jobLifetimeMs) {
    return { kind: 'give-up', state: 'expired', reason: 'GitHub gives a job up after 24 hours' };
  }
  if (admission.kind === 'not-ours') return { kind: 'give-up', state: 'refused', reason: admission.reason };
  const pool = poolOf(admission.profile, job.scope);
  return pool === job.pool ? { kind: 'keep' } : { kind: 'move', pool, profile: admission.profile.name };
}

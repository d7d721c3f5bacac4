import type { JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import type { Admission } from '../fleet/admit-job.ts';
import { expiredNote, isExpired } from '../fleet/waits/lifetime.ts';

export type WaitingDecision =
  | { readonly kind: 'keep' }
  | { readonly kind: 'move'; readonly pool: string; readonly profile: string }
  | { readonly kind: 'give-up'; readonly state: 'refused' | 'expired'; readonly note: string };

/** A waiting job's profile is decided anew each pass: an operator may have renamed, changed or removed it. */
export function decideWaiting(job: JobRecord, admission: Admission, now: number): WaitingDecision {
  if (isExpired(job, now)) return { kind: 'give-up', state: 'expired', note: expiredNote };
  if (admission.kind === 'not-ours') return { kind: 'give-up', state: 'refused', note: admission.note };
  const pool = poolOf(admission.profile, job.scope);
  return pool === job.pool ? { kind: 'keep' } : { kind: 'move', pool, profile: admission.profile.name };
}

import type { CapacityRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { WaitReason } from '../../contracts/with-infra/reasons.ts';

const minute = 60_000;
/** One launch probes in this time; the other jobs stay in the ledger and cost no call. */
const probedEveryMs = minute;
/** After this time without a refusal AWS has room again. Until then one launch follows another, not all at once. */
const quietForMs = 5 * minute;
/** Launches that were under way together are refused together: the first refusal says it for all. */
const refusedTogetherMs = 5000;
/** AWS may fail to start this many tasks in a row before that counts as a lack of room. One task in a hundred is usual. */
const failuresAllowed = 2;

export type CapacityVerdict =
  | { readonly kind: 'go' }
  /** Exactly one launch may find out. */
  | { readonly kind: 'probe' }
  | { readonly kind: 'wait'; readonly until: number; readonly reason: WaitReason; readonly note: string };

/** Has AWS room for a task of this profile on this capacity provider? */
export function allowedByCapacity({ until, reason, note }: CapacityRecord, now: number): CapacityVerdict {
  if (until === undefined) return { kind: 'go' };
  if (Date.parse(until) <= now) return { kind: 'probe' };
  return { kind: 'wait', until: Date.parse(until), reason: reason ?? 'no-capacity', note: note ?? 'AWS had no room' };
}

/** The record while one launch probes. */
export function whileProbed(record: CapacityRecord, now: number): CapacityRecord {
  return { ...record, until: later(now) };
}

/**
 * The record after AWS said no: no capacity, a quota, or a throttle that lasted.
 *
 * @returns undefined when nothing changes
 */
export function afterRefusal(
  record: CapacityRecord,
  { reason, note }: { readonly reason: WaitReason; readonly note: string },
  now: number,
): CapacityRecord | undefined {
  const { refusedAt, until } = record;
  const isWaiting = until !== undefined && Date.parse(until) > now;
  if (isWaiting && refusedAt !== undefined && now - Date.parse(refusedAt) < refusedTogetherMs) return undefined;
  return { ...record, reason, note, refusedAt: new Date(now).toISOString(), until: later(now) };
}

/**
 * The record after AWS took a task and did not start it, or took its capacity back before it did any work.
 *
 * @returns undefined when nothing changes
 */
export function afterLostTask(
  record: CapacityRecord,
  { note, certain }: { readonly note: string; readonly certain: boolean },
  now: number,
): CapacityRecord | undefined {
  const failures = record.failures + 1;
  if (!certain && failures <= failuresAllowed) return { ...record, failures };
  const after = afterRefusal(record, { reason: 'no-capacity', note }, now);
  return after && { ...after, failures };
}

/**
 * The record after AWS took a task. Shortly after a refusal the next launch may follow, and no more than one.
 *
 * @returns undefined when nothing changes
 */
export function afterRoom(record: CapacityRecord, now: number): CapacityRecord | undefined {
  if (record.until === undefined) return undefined;
  const isQuiet = record.refusedAt === undefined || now - Date.parse(record.refusedAt) >= quietForMs;
  if (isQuiet) return { ...record, reason: undefined, note: undefined, refusedAt: undefined, until: undefined };
  return { ...record, until: new Date(now).toISOString() };
}

/**
 * The record after a task of the provider came up.
 *
 * @returns undefined when nothing changes
 */
export function afterStart(record: CapacityRecord): CapacityRecord | undefined {
  return record.failures === 0 ? undefined : { ...record, failures: 0 };
}

function later(now: number): string {
  return new Date(now + probedEveryMs).toISOString();
}

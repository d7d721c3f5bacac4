import type { BreakerRecord, RunnerRecord } from '../../contracts/between-rooms/ledger-records.ts';

/** Starts in a row that must fail to open the breaker. */
const threshold = 3;
const minute = 60_000;
const longestPauseMs = 30 * minute;

/** May a runner of this profile be started in this scope? `probe`: exactly one may, to find out. */
export type BreakerVerdict =
  { readonly kind: 'go' } | { readonly kind: 'probe' } | { readonly kind: 'wait'; readonly until: number };

export function allowedByBreaker({ until }: BreakerRecord, now: number): BreakerVerdict {
  if (until === undefined) return { kind: 'go' };
  return Date.parse(until) <= now ? { kind: 'probe' } : { kind: 'wait', until: Date.parse(until) };
}

/** The record while this runner probes. Others wait as long as they would after one more failure. */
export function withProbe(record: BreakerRecord, runnerId: string, now: number): BreakerRecord {
  return { ...record, probe: runnerId, until: later(now, pauseMs(record.failures + 1)) };
}

/**
 * The record after a start that failed by our fault or the image's. While the breaker is open only its probes count: the other starts
 * that fail now began before it opened. A task that never comes up ends after twenty minutes, and other probes have begun by then.
 *
 * @returns undefined when nothing changes
 */
export function afterBadStart(
  record: BreakerRecord,
  runner: Pick<RunnerRecord, 'runnerId' | 'createdAt'>,
  now: number,
): BreakerRecord | undefined {
  if (record.until !== undefined && !isProbe(runner, record)) return undefined;
  const failures = record.failures + 1;
  const pause = pauseMs(failures);
  if (pause === 0) return { ...record, failures };
  const openedAt = record.openedAt ?? new Date(now).toISOString();
  return { ...record, failures, openedAt, probe: undefined, until: later(now, pause) };
}

function isProbe(
  { runnerId, createdAt }: Pick<RunnerRecord, 'runnerId' | 'createdAt'>,
  { probe, openedAt }: BreakerRecord,
): boolean {
  return runnerId === probe || (openedAt !== undefined && Date.parse(createdAt) > Date.parse(openedAt));
}

/**
 * The record after a runner listened: image, network and registration are sound.
 *
 * @returns undefined when nothing changes
 */
export function afterGoodStart(record: BreakerRecord): BreakerRecord | undefined {
  if (record.failures === 0 && record.until === undefined) return undefined;
  return { ...record, failures: 0, openedAt: undefined, probe: undefined, until: undefined };
}

/** @returns how long the breaker stays open after so many failed starts in a row, in ms; 0 for not at all */
export function pauseMs(failures: number): number {
  return failures < threshold ? 0 : Math.min(2 ** (failures - threshold) * minute, longestPauseMs);
}

function later(now: number, ms: number): string {
  return new Date(now + ms).toISOString();
}

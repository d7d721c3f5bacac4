import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { bootLimitMs } from '../contracts/with-infra/limits.ts';

/** Two sweeps this far apart must have seen a thing that the ledger does not know before it is touched. */
const apartMs = 10 * 60_000;

/**
 * May a registration that bears one of our names go? Only when its runner's record is ended, or when there is none and
 * it was offline in two sweeps: a record that is just being written must not lose its runner.
 */
export function decideRegistration({
  record,
  offlineSince,
  now,
}: {
  readonly record: RunnerRecord | undefined;
  /** Since when every sweep has seen it offline and without a record; undefined while it is online. */
  readonly offlineSince: number | undefined;
  readonly now: number;
}): 'keep' | 'delete' {
  if (record !== undefined) return record.endedAt === undefined ? 'keep' : 'delete';
  return offlineSince !== undefined && now - offlineSince >= apartMs ? 'delete' : 'keep';
}

/**
 * What to do with a task that bears one of our names and has no live record: its lease was given back, so it runs
 * beyond the cap. First its registration goes, which GitHub refuses while it has a job; then the task.
 */
export function decideTask({
  age,
  registration,
  restingSince,
  now,
}: {
  readonly age: number;
  readonly registration: 'idle' | 'busy' | 'absent' | 'unknown';
  /** Since when every sweep has seen it without a job; undefined while it has one, or nobody knows. */
  readonly restingSince: number | undefined;
  readonly now: number;
}): 'keep' | 'deregister' | 'stop-if-jobless' {
  if (age < bootLimitMs || registration === 'unknown' || registration === 'busy') return 'keep';
  if (restingSince === undefined || now - restingSince < apartMs) return 'keep';
  return registration === 'idle' ? 'deregister' : 'stop-if-jobless';
}

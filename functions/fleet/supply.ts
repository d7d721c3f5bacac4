import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { bootLimitMs } from '../contracts/with-infra/limits.ts';

/**
 * May this runner still take a job? The one definition of supply: live, not known to be busy, not on its way out, and
 * young enough. An older runner without a job would have ended itself, so it must have a job that we did not hear of.
 */
export function isSupply(runner: RunnerRecord, now: number): boolean {
  if (runner.endedAt !== undefined || runner.busyJobId !== undefined) return false;
  if (runner.revoked || runner.deregisteredAt !== undefined) return false;
  return now - Date.parse(runner.createdAt) < bootLimitMs + runner.idleMinutes * 60_000;
}

import type { RunnerRecord } from './ledger-records.ts';

export type LeaseRequest = {
  readonly runner: Omit<RunnerRecord, 'version' | 'createdAt' | 'revoked'>;
  /** The profile's `maxRunners`. */
  readonly cap: number;
  /** The pause of the breaker that this launch may probe. */
  readonly probe?: string;
};

export type LeaseResult =
  | { readonly kind: 'taken'; readonly runner: RunnerRecord }
  | { readonly kind: 'full'; readonly leases: number }
  | { readonly kind: 'breaker'; readonly until: string; readonly failures: number }
  | { readonly kind: 'held' }
  /** The runner's record is there: this launch was begun before. */
  | { readonly kind: 'begun' }
  /** The job no longer waits, or another launch has overtaken this one. */
  | { readonly kind: 'overtaken' };

import type { JobRecord, JobState } from './ledger-records.ts';
import type { WaitReason } from '../with-infra/reasons.ts';

/** What the ledger is told of a job. */
export type JobNews = {
  readonly state: JobState;
  readonly pool: string;
  readonly profile: string;
  readonly scope: string;
  readonly runnerName?: string;
  readonly conclusion?: string;
  readonly startedAt?: string;
  readonly completedAt?: string;
};

export type RecordedJob = {
  /** What the ledger knew before; undefined for a job it had not heard of. */
  readonly before: JobRecord | undefined;
  readonly record: JobRecord;
  /** False when the ledger knew as much or more. */
  readonly moved: boolean;
};

/** Why a job waits, and until when at least; times are milliseconds since the epoch. */
export type ExplainedWait = { readonly reason: WaitReason; readonly note: string; readonly notBefore?: number };

/** A launch that served nobody, and what follows from it for its job. */
export type UnservedLaunch = {
  readonly launch: number;
  /** What the count is from now on; a launch that failed for no reason of the job's leaves it. */
  readonly unserved: number;
  readonly held: boolean;
  readonly notBefore?: number;
  readonly note: string;
};

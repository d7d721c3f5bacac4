import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';

export type TransitionView = {
  readonly sighting: JobSighting;
  /** What the ledger knew of the job before; what it knows now. */
  readonly before: JobRecord | undefined;
  readonly record: JobRecord | undefined;
  /** The sighting moved the job's record forward. */
  readonly moved: boolean;
  /** The runner of ours that the sighting names, as it was before. */
  readonly runner: RunnerRecord | undefined;
};

export type Transition = {
  /** The runner was started for another job and took this one. */
  readonly stolen: boolean;
  /**
   * The job ended without ever having a runner: what was started for it may not be needed. Also true when the same news comes again, as
   * what follows from it may not have been finished.
   */
  readonly cancelledEarly: boolean;
  /** The job began just now, as far as we have heard. */
  readonly started: boolean;
  readonly completed: boolean;
};

/** What a sighting means beyond the job's own state. */
export function decideTransition({ sighting, before, record, moved, runner }: TransitionView): Transition {
  const { state, runnerName, job } = sighting;
  const neverRan = before === undefined || before.state === 'waiting' || before.state === 'blocked';
  return {
    stolen:
      runner !== undefined && runner.busyJobId === undefined && runner.jobId !== undefined && runner.jobId !== job.id,
    cancelledEarly:
      state === 'completed' &&
      record?.state === 'completed' &&
      record.launches > 0 &&
      runnerName === undefined &&
      record.runnerName === undefined &&
      record.startedAt === undefined,
    started: moved && (state === 'in_progress' || (state === 'completed' && neverRan && runnerName !== undefined)),
    completed: moved && state === 'completed',
  };
}

export type CancelView = {
  readonly runner: RunnerRecord | undefined;
  /** Runners of the pool that may take a job, this one included. */
  readonly supply: number;
  /** Jobs of the pool that wait. */
  readonly demand: number;
};

export type CancelDecision =
  | { readonly kind: 'keep'; readonly note: string }
  | { readonly kind: 'revoke'; readonly runner: RunnerRecord; readonly note: string }
  /** Its claim was revoked before; its task may not have been stopped. */
  | { readonly kind: 'stop'; readonly runner: RunnerRecord; readonly note: string };

/** A runner whose job was cancelled is taken back only when its pool has more than it needs. */
export function decideCancel({ runner, supply, demand }: CancelView): CancelDecision {
  if (runner === undefined || runner.endedAt !== undefined) {
    return { kind: 'keep', note: 'nothing was started for it, or it is over' };
  }
  if (runner.busyJobId !== undefined) return { kind: 'keep', note: `its runner runs job ${runner.busyJobId}` };
  if (runner.revoked) return { kind: 'stop', runner, note: 'its claim was revoked before' };
  // The version before issued the claim after the record. The launch's own message finds none, and gives the lease back.
  if (runner.claimId === undefined) return { kind: 'keep', note: 'its launch will be abandoned' };
  if (supply <= demand) return { kind: 'keep', note: `its pool needs it: ${demand} jobs wait for ${supply} runners` };
  return { kind: 'revoke', runner, note: `its pool has ${supply} runners for ${demand} jobs` };
}

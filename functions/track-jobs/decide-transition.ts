import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { JobEvent } from '../contracts/between-rooms/messages.ts';

export type TransitionView = {
  readonly event: Pick<JobEvent, 'kind' | 'runnerName'> & { readonly jobId: string };
  /** What the ledger knew of the job before the event. */
  readonly before: JobRecord | undefined;
  /** The event moved the job's record forward. */
  readonly moved: boolean;
  /** The runner of ours that the event names, as it was before the event. */
  readonly runner: RunnerRecord | undefined;
};

export type Transition = {
  /** The runner was started for another job and took this one. */
  readonly stolen: boolean;
  /** The job ended without ever having a runner: what was started for it may not be needed. */
  readonly cancelledEarly: boolean;
  /** The job began just now, as far as we have heard. */
  readonly started: boolean;
  readonly completed: boolean;
};

/** What an event means beyond the job's own state. */
export function decideTransition({ event, before, moved, runner }: TransitionView): Transition {
  const neverRan = before === undefined || before.state === 'waiting' || before.state === 'blocked';
  return {
    stolen:
      runner !== undefined &&
      runner.busyJobId === undefined &&
      runner.jobId !== undefined &&
      runner.jobId !== event.jobId,
    cancelledEarly:
      moved && event.kind === 'completed' && neverRan && event.runnerName === undefined && before !== undefined,
    started:
      moved &&
      (event.kind === 'in_progress' || (event.kind === 'completed' && neverRan && event.runnerName !== undefined)),
    completed: moved && event.kind === 'completed',
  };
}

export type CancelView = {
  readonly runner: RunnerRecord | undefined;
  /** Runners of the pool that may take a job, this one included. */
  readonly supply: number;
  /** Jobs of the pool that wait. */
  readonly demand: number;
};

/** A runner whose job was cancelled is taken back only when its pool has more than it needs. */
export function decideCancel({ runner, supply, demand }: CancelView): {
  readonly kind: 'keep' | 'revoke';
  readonly reason: string;
} {
  if (runner === undefined || runner.endedAt !== undefined)
    return { kind: 'keep', reason: 'nothing was started for it, or it is over' };
  if (runner.busyJobId !== undefined) return { kind: 'keep', reason: `its runner runs job ${runner.busyJobId}` };
  // Without a claim its launch is not finished: the message that would finish it gives the lease back instead.
  if (runner.claimId === undefined) return { kind: 'keep', reason: 'its launch will be abandoned' };
  if (supply <= demand) return { kind: 'keep', reason: `its pool needs it: ${demand} jobs wait for ${supply} runners` };
  return { kind: 'revoke', reason: `its pool has ${supply} runners for ${demand} jobs` };
}

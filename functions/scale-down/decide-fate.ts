import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { bootLimitMs } from '../contracts/with-infra/limits.ts';

/** What each side says of one live runner. `unknown` where GitHub was not asked or did not answer: that proves nothing. */
export type FateView = {
  readonly runner: RunnerRecord;
  readonly task: 'running' | 'stopped' | 'absent';
  readonly registration: { readonly id: string; readonly busy: boolean } | 'absent' | 'unknown';
  readonly maxHours: number;
  readonly now: number;
};

export type Fate =
  | { readonly kind: 'keep' }
  /** ECS knows it as stopped and nobody has settled it. */
  | { readonly kind: 'settle'; readonly note: string }
  /** No trace of a task. Believed at the second sweep that finds none. */
  | { readonly kind: 'miss'; readonly note: string }
  | { readonly kind: 'lose'; readonly note: string }
  | { readonly kind: 'found-again' }
  /** Take its registration: GitHub refuses while it has a job, and an idle listener ends without one. */
  | { readonly kind: 'deregister'; readonly registrationId: string; readonly note: string }
  /** Its registration is gone for minutes and it still runs: stop it, if GitHub shows no job on it. */
  | { readonly kind: 'stop-if-jobless'; readonly note: string }
  | { readonly kind: 'stop'; readonly note: string };

const minute = 60_000;
/** Nobody else ends a runner for this long after its own time is over: the script's idle exit comes first, always. */
const graceMs = 5 * minute;
/** Between taking the registration and stopping the task: a listener that had just been given a job has begun it by then. */
const settlingMs = 3 * minute;
/** Between two sweeps that agree. */
const apartMs = 30_000;

/** Is there anything to ask about this runner? Most are young and at work, and cost no call. */
export function isWorthALook({
  runner,
  running,
  maxHours,
  now,
}: {
  readonly runner: RunnerRecord;
  /** ECS lists its task as running. */
  readonly running: boolean;
  readonly maxHours: number;
  readonly now: number;
}): boolean {
  const age = now - Date.parse(runner.createdAt);
  if (!running) return runner.taskArn !== undefined || age >= bootLimitMs;
  if (runner.missingSince !== undefined || runner.deregisteredAt !== undefined) return true;
  if (runner.busyJobId === undefined && age >= idleLimitMs(runner)) return true;
  return isOverAge(runner, maxHours, now);
}

/** The backstop. Runners end themselves; this is for those that cannot. */
export function decideFate({ runner, task, registration, maxHours, now }: FateView): Fate {
  const age = now - Date.parse(runner.createdAt);
  if (task === 'stopped') return { kind: 'settle', note: 'its task has stopped' };
  if (task === 'absent') return decideLost(runner, age, now);
  if (runner.missingSince !== undefined) return { kind: 'found-again' };

  if (isOverAge(runner, maxHours, now)) return { kind: 'stop', note: `its job runs for more than ${maxHours} hours` };
  if (runner.busyJobId !== undefined || registration === 'unknown') return { kind: 'keep' };
  if (registration !== 'absent' && registration.busy) return { kind: 'keep' };
  if (runner.deregisteredAt !== undefined) {
    return now - Date.parse(runner.deregisteredAt) < settlingMs
      ? { kind: 'keep' }
      : { kind: 'stop-if-jobless', note: 'its registration is gone and it still runs' };
  }
  if (age < idleLimitMs(runner)) return { kind: 'keep' };
  if (registration === 'absent') {
    // No registration, so no job can come: it never registered, or its one job is over and its listener hangs.
    return { kind: 'stop-if-jobless', note: 'it is not registered and past its idle limit' };
  }
  return { kind: 'deregister', registrationId: registration.id, note: 'it is past its idle limit' };
}

/** The hours count from the start of the job, as they do in the task; where no event told of one, from when it must have begun. */
function isOverAge(runner: RunnerRecord, maxHours: number, now: number): boolean {
  const latest = Date.parse(runner.createdAt) + bootLimitMs + runner.idleMinutes * minute;
  const began = runner.busyAt === undefined ? latest : Date.parse(runner.busyAt);
  return now - began > maxHours * 60 * minute + graceMs;
}

function idleLimitMs(runner: RunnerRecord): number {
  return bootLimitMs + runner.idleMinutes * minute + graceMs;
}

function decideLost(runner: RunnerRecord, age: number, now: number): Fate {
  if (age < bootLimitMs) return { kind: 'keep' };
  const note = 'ECS knows no task of its name, running or stopped';
  if (runner.missingSince === undefined) return { kind: 'miss', note };
  return now - Date.parse(runner.missingSince) < apartMs ? { kind: 'keep' } : { kind: 'lose', note };
}

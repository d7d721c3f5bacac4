import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { bootLimitMs } from '../contracts/with-infra/limits.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Admission } from '../fleet/admit-job.ts';
import { decideStart, fullProfile, pausedProfile, type StartDecision, type StartView } from '../fleet/decide-start.ts';
import { wasOldWhenSeen } from '../fleet/waits/lifetime.ts';
import { isGone } from '../fleet/waits/not-found.ts';

/** What the ledger holds, read in one request, and what the message asks for. */
export type LaunchView = Pick<StartView, 'leases' | 'scope' | 'breaker' | 'room' | 'now'> & {
  /** None for a warm runner. */
  readonly job: JobRecord | undefined;
  /** Which launch of the job is asked for, from 1. */
  readonly launch: number;
  /** The runner of this very launch, if the launch was begun before. */
  readonly runner: RunnerRecord | undefined;
  readonly admission: Admission;
  /** The profile in the runner's record, as it is now; undefined when it is gone, or nothing was begun. */
  readonly begunUnder: Profile | undefined;
  /** The message was received before and not finished. */
  readonly receivedBefore: boolean;
  /** The message has its turn. The job's `notBefore` is the time of that turn, and keeps only other launches waiting. */
  readonly hasTurn: boolean;
  /** How many launches have a turn before this one; 0 when the sender has counted the free places. */
  readonly turnsAhead: number;
};

export type LaunchDecision =
  | (Extract<StartDecision, { kind: 'start' }> & { readonly profile: Profile; readonly asksGitHub: boolean })
  /** RunTask may have been called for this runner before. */
  | { readonly kind: 'resume'; readonly runner: RunnerRecord; readonly profile: Profile }
  /** Give back the lease of a launch that will not be finished. */
  | {
      readonly kind: 'abandon';
      readonly runner: RunnerRecord;
      readonly note: string;
      /** Why its job waits for another launch; undefined when the job waits no more. */
      readonly reason: WaitReason | undefined;
    }
  | { readonly kind: 'drop'; readonly note: string }
  | Extract<StartDecision, { kind: 'wait' }>
  | { readonly kind: 'give-up'; readonly state: 'refused' | 'expired'; readonly note: string };

/** So many launches take twenty seconds. A job waits for that long behind the jobs of other profiles; the next pass may take a minute. */
const fewTurns = 400;
/** A job older than this may have been served or cancelled meanwhile. */
const trustedForMs = 5 * 60_000;
/** A launch older than this is not resumed. RunTask may take ten seconds, and after the boot limit a runner without a task may be lost. */
const resumedForMs = bootLimitMs - 10_000;

/** One waiting job, one runner. However often the queue delivers a launch, the launch is begun once. */
export function decideLaunch(view: LaunchView): LaunchDecision {
  const { job, launch, runner, admission, receivedBefore, now } = view;
  if (runner !== undefined) return decideBegun(view, runner);
  if (job !== undefined) {
    if (job.state !== 'waiting') return { kind: 'drop', note: `the job is ${job.state}` };
    if (launch !== job.launches + 1) {
      return { kind: 'drop', note: `launch ${launch} does not follow launch ${job.launches}` };
    }
  }
  if (admission.kind === 'not-ours') return { kind: 'give-up', state: 'refused', note: admission.note };
  const { profile } = admission;
  const waiting = job !== undefined && view.hasTurn ? { ...job, notBefore: undefined } : job;
  const decision = decideStart({ ...view, job: waiting, profile });
  if (decision.kind !== 'start') return decision;
  // A turn is not given back: where the launches ahead may fill the profile, a turn far off would only keep others from theirs.
  if (!view.hasTurn && view.turnsAhead > fewTurns && view.leases + view.turnsAhead >= profile.maxRunners) {
    const note = `${view.turnsAhead} launches have their turn before it, and may fill profile ${profile.name}: the next pass asks for it`;
    return { kind: 'wait', reason: 'pacing', note };
  }
  const asksGitHub = job !== undefined && (receivedBefore || launch > 1 || isDoubtful(job, now));
  return { ...decision, profile, asksGitHub };
}

function isDoubtful(job: JobRecord, now: number): boolean {
  return now - queuedAt(job) > trustedForMs || wasOldWhenSeen(job) || job.goneSince !== undefined;
}

/** What becomes of a launch that was begun before. A warm runner has no job, and its launch goes on all the same. */
function decideBegun({ job, leases, begunUnder, now }: LaunchView, runner: RunnerRecord): LaunchDecision {
  if (runner.endedAt !== undefined) return { kind: 'drop', note: `this launch has ended: ${runner.ending}` };
  if (runner.taskArn !== undefined) return { kind: 'drop', note: 'this launch has its task' };
  if (runner.revoked) return { kind: 'drop', note: 'its claim was revoked' };
  if (runner.claimId === undefined) {
    return { kind: 'abandon', runner, reason: 'starting', note: 'the version before began it, and issued no claim' };
  }
  if (now - Date.parse(runner.createdAt) >= resumedForMs) {
    return { kind: 'drop', note: 'this launch is too old: the sweep decides about it' };
  }
  if (job !== undefined && job.state !== 'waiting') {
    return { kind: 'abandon', runner, reason: undefined, note: `the job is ${job.state}` };
  }
  if (begunUnder === undefined) {
    return { kind: 'abandon', runner, reason: 'starting', note: `profile ${runner.profile} is gone` };
  }
  const { name, maxRunners } = begunUnder;
  if (maxRunners === 0) return { kind: 'abandon', runner, ...pausedProfile(name) };
  if (leases > maxRunners) return { kind: 'abandon', runner, ...fullProfile(begunUnder, leases) };
  return { kind: 'resume', runner, profile: begunUnder };
}

export type LookAnswer = 'queued' | 'blocked' | 'in_progress' | 'completed' | 'gone' | 'unknown';

export type AfterLook =
  | { readonly kind: 'launch' }
  | { readonly kind: 'wait'; readonly reason: 'blocked' | 'not-found' | 'github-unavailable' }
  | { readonly kind: 'close' };

/**
 * What follows from asking GitHub. When GitHub does not answer, a first launch goes on, as a runner too many costs cents. A later launch
 * waits, as something is wrong already. So does the first launch of a job that was old when we first heard of it.
 */
export function decideAfterLook(job: JobRecord, answer: LookAnswer, now: number): AfterLook {
  switch (answer) {
    case 'queued':
      return { kind: 'launch' };
    case 'unknown':
      return job.launches === 0 && !wasOldWhenSeen(job)
        ? { kind: 'launch' }
        : { kind: 'wait', reason: 'github-unavailable' };
    case 'blocked':
      return { kind: 'wait', reason: 'blocked' };
    case 'gone':
      return isGone(job, now) ? { kind: 'close' } : { kind: 'wait', reason: 'not-found' };
    case 'in_progress':
    case 'completed':
      return { kind: 'close' };
  }
}

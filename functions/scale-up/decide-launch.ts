import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { claimLifetimeMs, jobLifetimeMs } from '../contracts/with-infra/limits.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Admission } from '../fleet/admit-job.ts';

export type LaunchView = {
  readonly job: JobRecord;
  /** Which launch of the job the message asks for, from 1. */
  readonly launch: number;
  /** The runner of this very launch, if it was begun before. */
  readonly runner: RunnerRecord | undefined;
  readonly admission: Admission;
  /** The message was received before and not finished. */
  readonly receivedBefore: boolean;
  readonly now: number;
};

export type LaunchDecision =
  | { readonly kind: 'launch' }
  /** Launch, once GitHub says that the job still waits. */
  | { readonly kind: 'look-first' }
  | { readonly kind: 'resume'; readonly runner: RunnerRecord }
  /** Give the lease of a launch back that will not be finished. */
  | { readonly kind: 'abandon'; readonly runner: RunnerRecord; readonly reason: string }
  | { readonly kind: 'drop'; readonly reason: string }
  | { readonly kind: 'wait'; readonly reason: WaitReason; readonly note: string }
  | { readonly kind: 'give-up'; readonly state: 'refused' | 'expired'; readonly reason: string };

/** A job older than this may have been served or cancelled meanwhile. */
const trustedForMs = 5 * 60_000;

/** One waiting job, one runner. The queue may deliver a launch as often as it likes: it is begun once. */
export function decideLaunch({ job, launch, runner, admission, receivedBefore, now }: LaunchView): LaunchDecision {
  if (runner !== undefined) return decideBegun(job.state, runner, now);
  if (job.state !== 'waiting') return { kind: 'drop', reason: `the job is ${job.state}` };
  if (launch !== job.launches + 1) {
    return { kind: 'drop', reason: `launch ${launch} does not follow launch ${job.launches}` };
  }
  // From when we heard that it waits: an approval may have held it back for weeks before.
  if (now - Date.parse(job.waitingSince ?? job.seenAt) > jobLifetimeMs)
    return { kind: 'give-up', state: 'expired', reason: 'GitHub gives a job up after 24 hours' };
  if (admission.kind === 'not-ours') return { kind: 'give-up', state: 'refused', reason: admission.reason };
  if (job.held) return { kind: 'wait', reason: 'held', note: 'too many runners started for it ended without a job' };
  if (job.notBefore !== undefined && Date.parse(job.notBefore) > now) {
    return { kind: 'wait', reason: job.reason ?? 'backing-off', note: `not before ${job.notBefore}` };
  }
  if (admission.profile.maxRunners === 0) {
    return {
      kind: 'wait',
      reason: 'profile-paused',
      note: `profile ${admission.profile.name} is paused: maxRunners is 0`,
    };
  }
  return now - queuedAt(job) > trustedForMs || receivedBefore || launch > 1
    ? { kind: 'look-first' }
    : { kind: 'launch' };
}

export type BegunDecision = Extract<LaunchDecision, { kind: 'drop' | 'resume' | 'abandon' }>;

/** What becomes of a launch that was begun before; a warm runner has no job, and is waited for all the same. */
export function decideBegun(state: JobRecord['state'], runner: RunnerRecord, now: number): BegunDecision {
  if (runner.endedAt !== undefined) return { kind: 'drop', reason: `this launch has ended: ${runner.ending}` };
  if (runner.taskArn !== undefined) return { kind: 'drop', reason: 'this launch has its task' };
  if (runner.revoked) return { kind: 'drop', reason: 'its claim was revoked' };
  // Once there is a claim there may be a task: then its own end gives the lease back, or the sweep.
  if (runner.claimedAt === undefined) {
    if (state === 'waiting') return { kind: 'resume', runner };
    return { kind: 'abandon', runner, reason: `the job is ${state}` };
  }
  if (now - Date.parse(runner.claimedAt) < claimLifetimeMs) return { kind: 'resume', runner };
  return { kind: 'drop', reason: 'the claim of this launch has expired: the sweep decides about it' };
}

export type LookVerdict = 'queued' | 'blocked' | 'in_progress' | 'completed' | 'gone' | 'unknown';

/**
 * What follows from asking GitHub. When it does not answer, a first launch goes on (a runner too many costs cents, a
 * job without one waits) and a later one waits: something is wrong already, and more of it does not help.
 */
export function decideAfterLook(launch: number, look: LookVerdict): 'launch' | 'wait' | 'close' {
  switch (look) {
    case 'queued':
      return 'launch';
    case 'unknown':
      return launch === 1 ? 'launch' : 'wait';
    case 'blocked':
      return 'wait';
    case 'in_progress':
    case 'completed':
    case 'gone':
      return 'close';
  }
}

/**
 * Why a job waits: a closed list, because a reason is a dimension of metrics. The note beside it may say more.
 *
 * `failure`: a launch came to nothing, so it counts as LaunchFailures, not as LaunchesWaiting. `rings`: time alone does not cure it, so
 * an alarm calls a person.
 */
export const waitReasons = {
  blocked: { failure: false, rings: false },
  'not-found': { failure: false, rings: false },
  'profile-full': { failure: false, rings: false },
  'profile-paused': { failure: false, rings: false },
  'breaker-open': { failure: false, rings: false },
  'scope-held': { failure: true, rings: true },
  'no-capacity': { failure: true, rings: false },
  quota: { failure: true, rings: true },
  pacing: { failure: false, rings: false },
  'backing-off': { failure: false, rings: false },
  parked: { failure: false, rings: false },
  'github-unavailable': { failure: true, rings: false },
  'aws-unavailable': { failure: true, rings: false },
  'launch-refused': { failure: true, rings: true },
  'image-building': { failure: false, rings: false },
  starting: { failure: false, rings: false },
} as const satisfies Record<string, { readonly failure: boolean; readonly rings: boolean }>;
export type WaitReason = keyof typeof waitReasons;
export const waitReasonNames = Object.keys(waitReasons) as [WaitReason, ...WaitReason[]];

/** How a runner ended; its lease is free again. */
export const endings = [
  'ran-a-job',
  'idle',
  'revoked',
  'no-claim',
  'not-launched',
  'failed-to-start',
  'not-started-by-aws',
  'registration-refused',
  'failed-before-a-job',
  'interrupted-before-a-job',
  'interrupted-in-a-job',
  'spot-interrupted',
  'out-of-memory',
  'over-max-hours',
  'reaped',
  'lost',
] as const;
export type Ending = (typeof endings)[number];

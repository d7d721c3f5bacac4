/** Why a job waits: a closed list, because it is a metric's dimension. The sentence beside it may say more. */
export const waitReasons = [
  'blocked',
  'profile-full',
  'profile-paused',
  'breaker-open',
  'scope-held',
  'no-capacity',
  'quota',
  'pacing',
  'backing-off',
  'held',
  'github-unavailable',
  'aws-unavailable',
  'launch-refused',
  'image-building',
  'starting',
] as const;
export type WaitReason = (typeof waitReasons)[number];

/** How a runner's place came back. */
export const endings = [
  'ran-a-job',
  'idle',
  'revoked',
  'no-claim',
  'not-launched',
  'failed-to-start',
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

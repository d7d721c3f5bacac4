/**
 * How `runner-image/start-runner.sh` ends. The script's own table is held against this one by a test.
 * A job can forge its task's exit code, so an outcome may cost money but never decides about another job.
 */
export const exitCodes = {
  0: 'ran-a-job',
  64: 'idle',
  65: 'no-claim',
  66: 'registration-refused',
  67: 'github-unreachable',
  68: 'version-deprecated',
  69: 'interrupted-before-a-job',
  70: 'interrupted-in-a-job',
  71: 'over-max-hours',
  72: 'no-claim-server',
  73: 'ended-without-a-job',
  74: 'broken-image',
} as const;

export type TaskOutcome = (typeof exitCodes)[keyof typeof exitCodes];

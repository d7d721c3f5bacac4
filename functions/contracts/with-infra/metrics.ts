export const metricNamespace = 'GitHubRunners';

/**
 * Every metric a fleet emits. Each has the dimension Fleet, as an account may hold several; besides it Profile, Profile and Reason,
 * Reason, or none: never a repository or a job.
 */
export const metricUnits = {
  Deliveries: 'Count',
  JobsQueued: 'Count',
  JobsStarted: 'Count',
  JobsCompleted: 'Count',
  SecondsFromQueuedToStarted: 'Seconds',
  Launches: 'Count',
  LaunchesWaiting: 'Count',
  LaunchFailures: 'Count',
  SecondsFromQueuedToLaunched: 'Seconds',
  RunnersEnded: 'Count',
  RunnerSeconds: 'Seconds',
  CostDollars: 'None',
  ProvisioningSeconds: 'Seconds',
  PullSeconds: 'Seconds',
  BootSeconds: 'Seconds',
  RunnersLive: 'Count',
  RunnersBusy: 'Count',
  RunnersIdle: 'Count',
  JobsWaiting: 'Count',
  OldestWaitingSeconds: 'Seconds',
  OldestRunnableSeconds: 'Seconds',
  JobsHeld: 'Count',
  JobsStolen: 'Count',
  JobsFound: 'Count',
  BreakersOpen: 'Count',
  Reaped: 'Count',
  Redelivered: 'Count',
  DeliveriesPending: 'Count',
  SweepFailures: 'Count',
  GitHubRateLeftPercent: 'Percent',
  ImageAgeHours: 'None',
} as const;
export type MetricName = keyof typeof metricUnits;
export type Dimensions = { readonly Profile?: string; readonly Reason?: string };

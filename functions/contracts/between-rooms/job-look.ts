import type { Job } from './job.ts';

/** What GitHub's REST API says of a job now. */
export type JobLook = {
  readonly job: Job;
  readonly state: 'queued' | 'blocked' | 'in_progress' | 'completed';
  readonly runnerName?: string;
  readonly conclusion?: string;
  readonly startedAt?: string;
  readonly completedAt?: string;
};

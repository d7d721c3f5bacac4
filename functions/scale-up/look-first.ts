import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';
import type { JobLook } from '../contracts/between-rooms/job-look.ts';
import type { ExplainedWait, JobNews, RecordedJob } from '../contracts/between-rooms/job-news.ts';
import type { Job } from '../contracts/between-rooms/job.ts';
import type { JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { decideAfterLook } from './decide-launch.ts';
import { holdFor, type HoldPorts } from './start-runner.ts';

export type LookPorts = HoldPorts & {
  readonly fleet: Pick<Fleet, 'prefix'>;
  readonly lookAtJob: (job: Job) => Promise<JobLook | 'gone'>;
  /** What is left of the scope's rate limit belongs to minting tokens. */
  readonly isScarce: (scope: string) => boolean;
  readonly recordJob: (job: Job, news: JobNews) => Promise<RecordedJob>;
  readonly markBusy: (runnerId: string, jobId: string, at: string) => Promise<unknown>;
  readonly explainWait: (jobId: string, wait: ExplainedWait) => Promise<void>;
};

type Stop =
  | { readonly kind: 'wait'; readonly wait: WaitReason; readonly reason: string }
  | { readonly kind: 'drop'; readonly reason: string };

/**
 * Asks GitHub whether a job still waits, before a runner is started for it that nobody may need.
 *
 * @returns the verdict when GitHub's answer ends the launch here
 */
export async function lookFirst(job: JobRecord, launch: number, ports: LookPorts): Promise<Stop | undefined> {
  const seen = await ask(job, ports);
  const state = isNoAnswer(seen) ? 'unknown' : seen === 'gone' ? 'gone' : seen.state;
  switch (decideAfterLook(launch, state)) {
    case 'launch':
      return undefined;
    case 'wait':
      return waitAfterLook(job, seen, ports);
    case 'close':
      await close(job, seen, ports);
      return { kind: 'drop', reason: `GitHub says the job is ${state}` };
  }
}

type NoAnswer = GitHubError | MissingSecretError;
type Seen = JobLook | 'gone' | NoAnswer;

function isNoAnswer(seen: unknown): seen is NoAnswer {
  return seen instanceof GitHubError || seen instanceof MissingSecretError;
}

async function ask(job: JobRecord, ports: LookPorts): Promise<Seen> {
  if (ports.isScarce(job.scope)) {
    return new GitHubError('unavailable', `what is left of the rate limit in ${job.scope} is kept for tokens`);
  }
  try {
    return await ports.lookAtJob(job.job);
  } catch (error) {
    if (isNoAnswer(error)) return error;
    throw error;
  }
}

async function waitAfterLook(job: JobRecord, seen: Seen, ports: LookPorts): Promise<Stop> {
  const wait = isNoAnswer(seen)
    ? await holdFor(job.scope, seen, ports)
    : {
        reason: 'blocked' as const,
        note: 'GitHub holds it back: an approval, or its concurrency group',
        pauseMs: 300_000,
      };
  await ports.explainWait(job.job.id, {
    reason: wait.reason,
    note: wait.note,
    ...(wait.pauseMs > 0 && { notBefore: ports.now() + wait.pauseMs }),
  });
  return { kind: 'wait', wait: wait.reason, reason: wait.note };
}

async function close(job: JobRecord, seen: Seen, ports: LookPorts): Promise<void> {
  if (isNoAnswer(seen)) return;
  const { pool, profile, scope } = job;
  const runnerName = seen === 'gone' ? undefined : seen.runnerName;
  if (runnerName?.startsWith(`${ports.fleet.prefix}-`)) {
    await ports.markBusy(runnerName, job.job.id, new Date(ports.now()).toISOString());
  }
  await ports.recordJob(job.job, {
    state: seen !== 'gone' && seen.state === 'in_progress' ? 'in_progress' : 'completed',
    pool,
    profile,
    scope,
    ...(runnerName !== undefined && { runnerName }),
    ...(seen !== 'gone' && seen.conclusion !== undefined && { conclusion: seen.conclusion }),
  });
}

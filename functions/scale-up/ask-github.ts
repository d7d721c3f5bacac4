import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import type { Job } from '../contracts/between-rooms/job.ts';
import type { JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';
import { holdAfterLook } from '../fleet/waits/scope-hold.ts';
import { decideAfterLook } from './decide-launch.ts';
import type { Outcome } from './outcome.ts';

export type AskGitHubPorts = {
  readonly now: () => number;
  readonly lookAtJob: (job: Job) => Promise<JobSighting | 'gone'>;
  /** What is left of the scope's rate limit is kept for tokens. */
  readonly isScarce: (scope: string) => boolean;
};

const minute = 60_000;
const askedAgainAfterMs = 5 * minute;
/** How long a job waits when GitHub did not answer; at most an hour when GitHub said for how long. */
const unansweredForMs = minute / 2;
const longestWaitMs = 60 * minute;

/**
 * Asks GitHub whether a job still waits, so that no runner is started in vain.
 *
 * @returns the outcome when GitHub's answer ends the launch here
 */
export async function askGitHub(job: JobRecord, ports: AskGitHubPorts): Promise<Outcome | undefined> {
  const answer = await ask(job, ports);
  const now = ports.now();
  const state = answer instanceof Error ? 'unknown' : answer === 'gone' ? 'gone' : answer.state;
  const decision = decideAfterLook(job, state, now);
  switch (decision.kind) {
    case 'launch':
      return undefined;
    case 'wait':
      return { kind: 'wait', reason: decision.reason, ...detailsOf(job, answer, now) };
    case 'close': {
      const inferred = answer === 'gone' || answer instanceof Error;
      const sighting = inferred ? ({ job: job.job, state: 'completed', by: 'look' } as const) : answer;
      return { kind: 'drop', note: `GitHub says the job is ${state}`, closed: { sighting, inferred } };
    }
  }
}

type Answer = JobSighting | 'gone' | GitHubError | MissingSecretError;

async function ask(job: JobRecord, ports: AskGitHubPorts): Promise<Answer> {
  if (ports.isScarce(job.scope)) {
    return new GitHubError('unavailable', `what is left of the rate limit in ${job.scope} is kept for tokens`);
  }
  try {
    return await ports.lookAtJob(job.job);
  } catch (error) {
    if (error instanceof GitHubError || error instanceof MissingSecretError) return error;
    throw error;
  }
}

function detailsOf(job: JobRecord, answer: Answer, now: number) {
  if (answer === 'gone') {
    return {
      note: 'GitHub does not know the job: asked again in five minutes',
      until: now + askedAgainAfterMs,
      goneSince: job.goneSince === undefined ? now : Date.parse(job.goneSince),
    };
  }
  if (!(answer instanceof Error)) {
    return { note: 'GitHub holds it back: an approval, or its concurrency group', until: now + askedAgainAfterMs };
  }
  const retryAt = answer instanceof GitHubError ? (answer.retryAt ?? 0) : 0;
  const hold = holdAfterLook(answer, now);
  return {
    note: answer.message,
    until: Math.min(Math.max(retryAt, now + unansweredForMs), now + longestWaitMs),
    hold: hold && { ...hold, scope: job.scope },
  };
}

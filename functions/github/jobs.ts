import type { Octokit, RestEndpointMethodTypes } from '@octokit/rest';
import { GitHubError } from '../contracts/with-github/errors.ts';
import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { readMoment, readName } from '../contracts/with-github/odd-fields.ts';
import { scopeOf, type Job, type Repository } from '../contracts/between-rooms/job.ts';
import type { AppClient } from './app-client.ts';

export type GitHubJobs = {
  /** What GitHub says of one job now; `gone` when its run was deleted or we may not see it. */
  readonly lookAtJob: (job: Job) => Promise<JobSighting | 'gone'>;
  /** The jobs of the repository's runs that are queued or in progress: all of them, unless `mayAsk` says no on the way. */
  readonly listUnfinishedJobs: (
    repository: Repository,
    mayAsk?: () => boolean,
  ) => Promise<{ readonly jobs: readonly JobSighting[]; readonly complete: boolean }>;
  /** The repositories of the owner that the App may see. */
  readonly listRepositories: (scope: string) => Promise<readonly Repository[]>;
};

type ApiJob = RestEndpointMethodTypes['actions']['getJobForWorkflowRun']['response']['data'];

export function githubJobs(app: Pick<AppClient, 'callIn'>): GitHubJobs {
  return {
    lookAtJob: async (job) =>
      app.callIn(scopeOf(job.repository), async ({ rest }) => {
        try {
          const { data } = await rest.actions.getJobForWorkflowRun({
            ...partsOf(job.repository),
            // The id goes into a path: as text, since it may exceed what a number holds.
            job_id: job.id as unknown as number,
          });
          return sightingOf(data, job.repository, 'look');
        } catch (error) {
          // A 404 for the token, not for the job, is of another kind.
          if (error instanceof GitHubError && error.kind === 'refused' && error.status === 404) return 'gone';
          throw error;
        }
      }),
    listUnfinishedJobs: async (repository, mayAsk = () => true) =>
      app.callIn(scopeOf(repository), async (octokit) => {
        const runs = [
          ...(await listRuns(octokit, repository, 'queued')),
          // A run in progress has jobs that wait, for others or for a runner.
          ...(await listRuns(octokit, repository, 'in_progress')),
        ];
        const jobs: JobSighting[] = [];
        for (const run_id of new Set(runs)) {
          if (!mayAsk()) return { jobs, complete: false };
          const found = await octokit.paginate(octokit.rest.actions.listJobsForWorkflowRun, {
            ...partsOf(repository),
            run_id,
            filter: 'latest',
            per_page: 100,
          });
          jobs.push(...found.map((job) => sightingOf(job, repository, 'list')));
        }
        return { jobs, complete: true };
      }),
    listRepositories: async (scope) =>
      app.callIn(scope, async (octokit) => {
        const found = await octokit.paginate(octokit.rest.apps.listReposAccessibleToInstallation, { per_page: 100 });
        return found.map((repository) => ({
          id: String(repository.id),
          fullName: repository.full_name,
          ownerType: repository.owner.type === 'User' ? 'User' : 'Organization',
          private: repository.private,
        }));
      }),
  };
}

async function listRuns(octokit: Octokit, repository: Repository, status: 'queued' | 'in_progress'): Promise<number[]> {
  const runs = await octokit.paginate(octokit.rest.actions.listWorkflowRunsForRepo, {
    ...partsOf(repository),
    status,
    per_page: 100,
  });
  return runs.map(({ id }) => id);
}

function partsOf({ fullName }: Repository): { owner: string; repo: string } {
  const [owner = '', repo = ''] = fullName.split('/');
  return { owner, repo };
}

function sightingOf(job: ApiJob, repository: Repository, by: 'look' | 'list'): JobSighting {
  return {
    job: {
      id: String(job.id),
      runId: String(job.run_id),
      attempt: job.run_attempt ?? 1,
      name: readName(job.name),
      repository,
      labels: [...new Set(job.labels)],
      createdAt: new Date(job.created_at).toISOString(),
    },
    state: stateOf(job.status),
    by,
    runnerName: job.runner_name || undefined,
    conclusion: job.conclusion || undefined,
    startedAt: readMoment(job.started_at),
    completedAt: readMoment(job.completed_at),
  };
}

function stateOf(status: ApiJob['status']): JobSighting['state'] {
  switch (status) {
    case 'queued':
    case 'in_progress':
    case 'completed':
      return status;
    case 'waiting':
    case 'requested':
    case 'pending':
      return 'blocked';
  }
}

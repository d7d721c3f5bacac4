import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { GitHubError } from '../contracts/with-github/errors.ts';
import type { RegisteredRunner } from '../contracts/with-github/registered-runner.ts';
import type { AppClient } from './app-client.ts';

export type GitHubRunners = {
  /** A registration token of the scope; it registers any number of runners until it expires. */
  readonly mintToken: (scope: string) => Promise<{ readonly token: string; readonly expiresAt: number }>;
  /** The runner version GitHub wants in the scope, by architecture. */
  readonly listReleases: (scope: string) => Promise<Readonly<Record<string, RunnerRelease>>>;
  readonly listRegistered: (scope: string) => Promise<readonly RegisteredRunner[]>;
  readonly findRegistered: (scope: string, name: string) => Promise<RegisteredRunner | undefined>;
  /** GitHub itself refuses while the runner has a job: the one sure word on that. */
  readonly deleteRegistered: (scope: string, id: string) => Promise<'deleted' | 'gone' | 'busy'>;
};

type Listed = { readonly id: number; readonly name: string; readonly status: string; readonly busy: boolean };

export function githubRunners(app: Pick<AppClient, 'callIn'>): GitHubRunners {
  return {
    mintToken: async (scope) =>
      app.callIn(scope, async ({ rest }) => {
        const { org, repository } = partsOf(scope);
        const { data } = repository
          ? await rest.actions.createRegistrationTokenForRepo(repository)
          : await rest.actions.createRegistrationTokenForOrg({ org });
        return { token: data.token, expiresAt: Date.parse(data.expires_at) };
      }),
    listReleases: async (scope) =>
      app.callIn(scope, async ({ rest }) => {
        const { org, repository } = partsOf(scope);
        const { data } = repository
          ? await rest.actions.listRunnerApplicationsForRepo(repository)
          : await rest.actions.listRunnerApplicationsForOrg({ org });
        const releases: Record<string, RunnerRelease> = {};
        for (const { os, architecture, download_url: url, filename, sha256_checksum: sha256 } of data) {
          const version = /-(\d+\.\d+\.\d+)\.tar\.gz$/.exec(filename)?.[1];
          if (os === 'linux' && version !== undefined && sha256 !== undefined)
            releases[architecture] = { version, url, sha256 };
        }
        return releases;
      }),
    listRegistered: async (scope) =>
      app.callIn(scope, async (octokit) => {
        const { org, repository } = partsOf(scope);
        const runners: Listed[] = repository
          ? await octokit.paginate(octokit.rest.actions.listSelfHostedRunnersForRepo, { ...repository, per_page: 100 })
          : await octokit.paginate(octokit.rest.actions.listSelfHostedRunnersForOrg, { org, per_page: 100 });
        return runners.map((runner) => registered(runner));
      }),
    findRegistered: async (scope, name) =>
      app.callIn(scope, async ({ rest }) => {
        const { org, repository } = partsOf(scope);
        const { data } = repository
          ? await rest.actions.listSelfHostedRunnersForRepo({ ...repository, name })
          : await rest.actions.listSelfHostedRunnersForOrg({ org, name });
        const found = data.runners.find((runner) => runner.name === name);
        return found && registered(found);
      }),
    deleteRegistered: async (scope, id) =>
      app.callIn(scope, async ({ rest }) => {
        const { org, repository } = partsOf(scope);
        // The id goes into a path: as text, since it may exceed what a number holds.
        const runner = { runner_id: id as unknown as number };
        try {
          await (repository
            ? rest.actions.deleteSelfHostedRunnerFromRepo({ ...repository, ...runner })
            : rest.actions.deleteSelfHostedRunnerFromOrg({ org, ...runner }));
          return 'deleted';
        } catch (error) {
          // A 404 for the token, not for the runner, is of another kind.
          if (error instanceof GitHubError && error.kind === 'refused' && error.status === 404) return 'gone';
          if (error instanceof GitHubError && error.status === 422) return 'busy';
          throw error;
        }
      }),
  };
}

/** A scope is an org, or one repository of a personal account. */
function partsOf(scope: string): { org: string; repository: { owner: string; repo: string } | undefined } {
  const [owner = '', repo] = scope.split('/');
  return { org: owner, repository: repo === undefined ? undefined : { owner, repo } };
}

function registered({ id, name, status, busy }: Listed): RegisteredRunner {
  return { id: String(id), name, online: status === 'online', busy };
}

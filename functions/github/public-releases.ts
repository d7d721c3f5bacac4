import { Octokit } from '@octokit/rest';
import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { translateError } from './translate-error.ts';

/**
 * The newest public release of the runner, by architecture, as anybody may ask for it: what an image is built with before the App
 * exists. https://docs.github.com/en/rest/releases/releases#get-the-latest-release
 */
export async function findPublicReleases(
  request: { readonly baseUrl?: string } = {},
): Promise<Readonly<Record<string, RunnerRelease>>> {
  const octokit = new Octokit({
    ...request,
    userAgent: 'fargate-github-runners',
    // Nothing but our own lines goes to the log.
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
  });
  octokit.hook.error('request', (error, options) => {
    throw translateError(error, octokit.request.endpoint(options), Date.now());
  });
  const { data } = await octokit.rest.repos.getLatestRelease({
    owner: 'actions',
    repo: 'runner',
    request: { signal: AbortSignal.timeout(5000) },
  });
  const releases: Record<string, RunnerRelease> = {};
  for (const { name, browser_download_url: url, digest } of data.assets) {
    const [, architecture, version] = /^actions-runner-linux-(x64|arm64)-(\d+\.\d+\.\d+)\.tar\.gz$/.exec(name) ?? [];
    const sha256 = /^sha256:([0-9a-f]{64})$/.exec(digest ?? '')?.[1];
    if (architecture !== undefined && version !== undefined && sha256 !== undefined) {
      releases[architecture] = { version, url, sha256 };
    }
  }
  return releases;
}

function ignore(): void {}

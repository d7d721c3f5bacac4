import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';

type Releases = Readonly<Record<string, RunnerRelease>>;

export type ReleasePorts = {
  /** Whose runners these are: orgs, personal accounts. */
  readonly owners: readonly string[];
  /** @throws when the App is not set up yet, not installed, or the owner is no org */
  readonly listReleases: (scope: string) => Promise<Releases>;
  readonly findPublicReleases: () => Promise<Releases>;
};

/**
 * The runner that GitHub wants where these runners work, which on a GitHub Enterprise Server is an older one; of the owners the
 * first that says so. Before the App is there, the newest public one.
 */
export async function findReleases({ owners, listReleases, findPublicReleases }: ReleasePorts): Promise<Releases> {
  for (const owner of owners) {
    const releases = await listReleases(owner).catch(nothingIfLasting);
    if (Object.keys(releases).length > 0) return releases;
  }
  return findPublicReleases();
}

/**
 * Why an owner does not say so is for the rooms that need the App to tell. But what passes by itself must not change which runner is
 * the right one: images would be built back and forth.
 */
function nothingIfLasting(error: unknown): Releases {
  if (error instanceof MissingSecretError) return {};
  if (error instanceof GitHubError && !['unavailable', 'rate-limited'].includes(error.kind)) return {};
  throw error;
}

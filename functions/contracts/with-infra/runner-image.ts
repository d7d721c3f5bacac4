import type { RunnerRelease } from '../with-tasks/claim.ts';
import type { Profile } from './profile.ts';

export type Arch = Profile['arch'];

/** The image that tasks of an architecture start from now, as its tags tell. */
export type RunnerImage = {
  readonly pushedAt: number;
  /** The runner in it. */
  readonly version: string | undefined;
  /** The hash of the files it was built from. */
  readonly source: string | undefined;
};

/** The tag that tasks name. It moves once an image has proved to start. */
export function imageTag(arch: Arch): string {
  return arch;
}

/** An image says what it is by the tags it has beside the one that tasks name; runner-image/build-image.sh puts them there. */
export function describeImage(arch: Arch, tags: readonly string[], pushedAt: number): RunnerImage {
  const sourcePrefix = `${arch}-source-`;
  const version = tags.map((tag) => new RegExp(`^${arch}-(\\d+\\.\\d+\\.\\d+)$`).exec(tag)?.[1]);
  const source = tags.find((tag) => tag.startsWith(sourcePrefix));
  return {
    pushedAt,
    version: version.find((found) => found !== undefined),
    source: source?.slice(sourcePrefix.length),
  };
}

/** What a build is told, by environment; runner-image/buildspec.yml reads it. */
export function buildVariables({
  arch,
  release,
  source,
}: {
  readonly arch: Arch;
  readonly release: RunnerRelease;
  readonly source: string;
}): Readonly<Record<string, string>> {
  return {
    ARCH: arch,
    RUNNER_VERSION: release.version,
    RUNNER_URL: release.url,
    RUNNER_SHA256: release.sha256,
    SOURCE_HASH: source,
  };
}

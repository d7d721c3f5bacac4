import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import type { RunnerImage } from '../contracts/with-infra/runner-image.ts';

export type BuildView = {
  readonly image: RunnerImage | undefined;
  /** The runner that GitHub wants now; undefined when nobody could say. */
  readonly release: RunnerRelease | undefined;
  /** Hash of the files that an image is built from now. */
  readonly source: string;
  readonly now: number;
  /** What is there already may wait: a build that fails for days must not run 144 times a day. */
  readonly mayReplace: boolean;
};

export type BuildDecision =
  | { readonly kind: 'build'; readonly release: RunnerRelease; readonly note: string }
  | { readonly kind: 'keep'; readonly note: string }
  /** A build is due, and cannot be told which runner to take. */
  | { readonly kind: 'stuck'; readonly note: string };

/** The base image gets its security fixes by being pulled anew. */
const mostHours = 24;

/** An image is built when there is none, when its files or the runner changed, and every day. */
export function decideBuild({ image, release, source, now, mayReplace }: BuildView): BuildDecision {
  const note = whyBuild({ image, release, source, now });
  if (note === undefined)
    return { kind: 'keep', note: `the image is good: runner ${image?.version ?? 'of unknown version'}` };
  if (image !== undefined && !mayReplace) return { kind: 'keep', note: `${note}: it is built at the hour` };
  if (release === undefined) {
    return { kind: 'stuck', note: `${note}, but GitHub does not say which runner to build with` };
  }
  return { kind: 'build', release, note };
}

function whyBuild({ image, release, source, now }: Omit<BuildView, 'mayReplace'>): string | undefined {
  if (image === undefined) return 'there is no image yet';
  if (image.source !== source) return 'the files it is built from changed';
  if (release !== undefined && image.version !== release.version) {
    return `runner ${image.version ?? 'of unknown version'} is no longer the one GitHub wants: ${release.version}`;
  }
  const hours = Math.floor((now - image.pushedAt) / 3_600_000);
  return hours >= mostHours ? `it is ${hours} hours old` : undefined;
}

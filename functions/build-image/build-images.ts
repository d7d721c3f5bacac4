import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { buildVariables, type Arch, type RunnerImage } from '../contracts/with-infra/runner-image.ts';
import { decideBuild, type BuildView } from './decide-build.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

export type ImagePorts = {
  readonly now: () => number;
  /** The architectures that the fleet needs an image for. */
  readonly architectures: readonly Arch[];
  /** Hash of the files that images are built from. */
  readonly source: string;
  readonly findImage: (arch: Arch) => Promise<RunnerImage | undefined>;
  /** The runner GitHub wants, by architecture. */
  readonly findReleases: () => Promise<Readonly<Record<string, RunnerRelease>>>;
  readonly startBuild: (arch: Arch, variables: Readonly<Record<string, string>>) => Promise<'started' | 'busy'>;
};

type ImageVerdict = {
  readonly kind: 'started' | 'busy' | 'keep' | 'stuck';
  readonly arch: Arch;
  readonly note: string;
  readonly version?: string;
  readonly ageHours?: number;
};

export type ImagePass = {
  readonly verdicts: readonly ImageVerdict[];
  /** What could not be done, in sentences. */
  readonly failures: readonly string[];
};

/** Compares each image with what it should be, and starts the builds that are due. The image in use stays until a better one is there. */
export async function buildImages(mayReplace: boolean, ports: ImagePorts): Promise<ImagePass> {
  const failures: string[] = [];
  const releases = await ports.findReleases().catch((error: unknown): Record<string, RunnerRelease> => {
    failures.push(`no runner release: ${messageOf(error)}`);
    return {};
  });
  const verdicts: ImageVerdict[] = [];
  for (const arch of ports.architectures) {
    try {
      verdicts.push(await buildImage({ arch, release: releases[arch], mayReplace }, ports));
    } catch (error) {
      failures.push(`${arch}: ${messageOf(error)}`);
    }
  }
  return { verdicts, failures };
}

async function buildImage(
  { arch, release, mayReplace }: { readonly arch: Arch } & Pick<BuildView, 'release' | 'mayReplace'>,
  ports: ImagePorts,
): Promise<ImageVerdict> {
  const { source } = ports;
  const image = await ports.findImage(arch);
  const decision = decideBuild({ image, release, source, now: ports.now(), mayReplace });
  const about = {
    arch,
    note: decision.note,
    ...(image !== undefined && { version: image.version, ageHours: (ports.now() - image.pushedAt) / 3_600_000 }),
  };
  if (decision.kind !== 'build') return { kind: decision.kind, ...about };
  const variables = buildVariables({ arch, release: decision.release, source });
  return { kind: await ports.startBuild(arch, variables), ...about };
}

import { BatchGetProjectsCommand } from '@aws-sdk/client-codebuild';
import { PutImageCommand } from '@aws-sdk/client-ecr';
import { Engine } from '../image/engine.ts';
import type { RunnerDownload } from '../emulators/github/behaviour.ts';
import { StandInRelease } from '../image/stand-in-release.ts';
import type { Aws } from './aws.ts';
import type { Answered } from './gateway.ts';

type StartBuild = {
  readonly projectName: string;
  readonly environmentVariablesOverride?: readonly Variable[];
};
type Variable = { readonly name?: string; readonly value?: string };

/**
 * Builds. MiniStack's are over at once and have done nothing: so the image is built here, with what the build was told, and the
 * repository then has what runner-image/build-image.sh would have pushed, by its tags. The image itself stays on this machine.
 */
export class ImageBuilder {
  /** Builds that came to nothing. */
  readonly failures: unknown[] = [];
  readonly engine: Engine;
  readonly release: StandInRelease;
  readonly #aws: Aws;
  /** Those under way, by what they were told. */
  readonly #builds = new Map<string, Promise<void>>();
  /** The images of this machine, by the names that task definitions have for them. */
  readonly #images = new Map<string, Promise<string>>();
  #last: Promise<unknown> = Promise.resolve();

  private constructor(aws: Aws, engine: Engine, release: StandInRelease) {
    this.#aws = aws;
    this.engine = engine;
    this.release = release;
  }

  static async start(aws: Aws): Promise<ImageBuilder> {
    return new ImageBuilder(aws, await Engine.open(), await StandInRelease.start());
  }

  /** What GitHub says of the runner. There is one archive: nothing of another architecture would run here. */
  describeDownload(arch: string): RunnerDownload {
    const { version, runner } = this.release;
    return {
      os: 'linux',
      architecture: arch,
      download_url: this.release.urlOf(runner),
      filename: `actions-runner-linux-${arch}-${version}.tar.gz`,
      sha256_checksum: runner.sha256,
    };
  }

  async stop(): Promise<void> {
    await Promise.allSettled(this.#builds.values());
    await this.release.stop();
  }

  hear({ call, status, request }: Answered): void {
    if (call !== 'CodeBuild_20161006.StartBuild' || status !== 200) return;
    const told = request.toString();
    // In CodeBuild, too, a project builds one at a time (infra/runner-image.ts).
    if (this.#builds.has(told)) return;
    const build = this.#build(JSON.parse(told) as StartBuild)
      .catch((error: unknown) => void this.failures.push(error))
      .finally(() => this.#builds.delete(told));
    this.#builds.set(told, build);
  }

  /**
   * @param name as in a task definition. One that no build here made is an operator's own, which cannot be pulled: it is the
   *   same image, too
   * @returns its name on this machine
   */
  async imageNamed(name: string): Promise<string> {
    const known = this.#images.get(name);
    if (known !== undefined) return known;
    const { version, runner } = this.release;
    return this.#make(name, 'own', {
      RUNNER_VERSION: version,
      RUNNER_URL: this.release.urlOf(runner),
      RUNNER_SHA256: runner.sha256,
    });
  }

  async #build({ projectName, environmentVariablesOverride = [] }: StartBuild): Promise<void> {
    const { projects = [] } = await this.#aws.builds.send(new BatchGetProjectsCommand({ names: [projectName] }));
    const variables = [...(projects[0]?.environment?.environmentVariables ?? []), ...environmentVariablesOverride];
    const told = Object.fromEntries(variables.map(({ name = '', value = '' }: Variable) => [name, value]));
    const { REPOSITORY_URI, ARCH, RUNNER_VERSION, RUNNER_URL, RUNNER_SHA256, SOURCE_HASH } = told;
    if (!REPOSITORY_URI || !ARCH || !RUNNER_VERSION || !RUNNER_URL || !RUNNER_SHA256 || !SOURCE_HASH) {
      throw new Error(`a build must be told what build-image.sh needs, it has ${JSON.stringify(variables)}`);
    }
    await this.#make(`${REPOSITORY_URI}:${ARCH}`, ARCH, {
      RUNNER_VERSION,
      RUNNER_URL,
      RUNNER_SHA256,
      REVISION: SOURCE_HASH,
      ...Object.fromEntries(['SUDO', 'BUILD_TOOLS'].flatMap((name) => (told[name] ? [[name, told[name]]] : []))),
    });
    for (const imageTag of [`${ARCH}-${RUNNER_VERSION}`, `${ARCH}-source-${SOURCE_HASH}`, ARCH]) {
      await this.#aws.images.send(
        new PutImageCommand({
          repositoryName: REPOSITORY_URI.slice(REPOSITORY_URI.indexOf('/') + 1),
          imageManifest: JSON.stringify({ schemaVersion: 2, annotations: { ARCH, RUNNER_VERSION, SOURCE_HASH } }),
          imageTag,
        }),
      );
    }
  }

  /** One after the other: they share most layers. */
  async #make(name: string, tag: string, told: Readonly<Record<string, string>>): Promise<string> {
    const local = `localhost/runner:deployed-${tag}`;
    const made = this.#last.then(async () => {
      const { code, stdout, stderr } = await this.engine.build({ tag: local, arguments: told });
      if (code !== 0) throw new Error(`${name} must be built, but: ${stdout.slice(-1000)}${stderr.slice(-1000)}`);
      return local;
    });
    this.#last = made.catch(() => undefined);
    this.#images.set(name, made);
    return made;
  }
}

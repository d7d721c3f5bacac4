import { createHash, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { OnCall } from './aws-call.ts';
import { AwsError, canonicalJson, JsonService, type Call, type Failure } from './aws-json.ts';

export type ImagesOptions = {
  readonly clock: Clock;
  /** @default ['runners'] */
  readonly repositories?: readonly string[];
  /** The names of the CodeBuild projects. Each pushes to the first repository. @default ['build-x64', 'build-arm64'] */
  readonly projects?: readonly string[];
  /** How long a build takes on the clock, if it is not to wait until a test ends it. */
  readonly buildMs?: number;
  readonly account?: string;
  readonly region?: string;
  readonly onCall?: OnCall | undefined;
};

type BuildStatus = 'IN_PROGRESS' | 'SUCCEEDED' | 'FAILED';
export type EmulatedBuild = {
  /** `<project>:<uuid>` */
  readonly id: string;
  readonly number: number;
  readonly project: string;
  /** Those that StartBuild overrides. */
  readonly variables: Readonly<Record<string, string>>;
  readonly startedAt: number;
  status: BuildStatus;
};
type StoredImage = { readonly digest: string; readonly pushedAt: number; readonly tags: Set<string> };

/** As many builds of one project run at once as its `concurrentBuildLimit` says, which infra/ sets so. */
const mostOfProject = 1;

/**
 * ECR and CodeBuild on one address, as much of them as the runner image needs: what tags an image has, and builds that a test ends.
 * A build that succeeds does what runner-image/build-image.sh does to the repository.
 */
export class Images {
  readonly service: JsonService;
  /** Every build there ever was, oldest first. */
  readonly builds: EmulatedBuild[] = [];
  /** How many builds the account may run at once. AWS gives new accounts one, or none. */
  accountLimit = 20;
  readonly #options: ImagesOptions;
  readonly #repositories: Map<string, StoredImage[]>;
  readonly #projects: Set<string>;
  readonly #tokens = new Map<string, { readonly request: string; readonly build: EmulatedBuild }>();

  private constructor(service: JsonService, options: ImagesOptions) {
    const { repositories = ['runners'], projects = ['build-x64', 'build-arm64'] } = options;
    this.service = service;
    this.#options = options;
    this.#repositories = new Map(repositories.map((name) => [name, []]));
    this.#projects = new Set(projects);
  }

  static async start(options: ImagesOptions): Promise<Images> {
    const { promise, resolve } = Promise.withResolvers<Images>();
    const service = await JsonService.start({
      contentType: 'application/x-amz-json-1.1',
      perform: async (call) => (await promise).#perform(call),
      onCall: options.onCall,
    });
    const images = new Images(service, options);
    resolve(images);
    return images;
  }

  /** Of both services: `AWS_ENDPOINT_URL_ECR` and `AWS_ENDPOINT_URL_CODEBUILD`. */
  get url(): string {
    return this.service.url;
  }

  /** The builds that run. */
  get running(): EmulatedBuild[] {
    return this.builds.filter(({ status }) => status === 'IN_PROGRESS');
  }

  /** Pushes an image: each of the tags leaves the image it was on. */
  put(tags: readonly string[], pushedAt = this.#options.clock.now(), repository = this.#first): void {
    const images = this.#repositories.get(repository);
    if (images === undefined) throw new Error(`there must be a repository ${repository}, and there is none`);
    for (const image of images) for (const tag of tags) image.tags.delete(tag);
    images.push({ digest: digestOf(randomUUID()), pushedAt, tags: new Set(tags) });
  }

  /** The tags of every image, oldest first. */
  tags(repository = this.#first): string[][] {
    return (this.#repositories.get(repository) ?? []).map(({ tags }) => [...tags].toSorted());
  }

  /** Ends the oldest build that runs. */
  endBuild(status: Exclude<BuildStatus, 'IN_PROGRESS'> = 'SUCCEEDED'): EmulatedBuild {
    const [build] = this.running;
    if (build === undefined) throw new Error('a build must run, and none does');
    this.#end(build, status);
    return build;
  }

  /** Empties the repositories and forgets the builds. */
  clear(): void {
    for (const images of this.#repositories.values()) images.length = 0;
    this.builds.length = 0;
    this.service.calls.clear();
  }

  failNext(operation: string, failure: Failure = { type: 'ThrottlingException' }, times = 1): void {
    this.service.failNext(operation, failure, times);
  }

  async stop(): Promise<void> {
    await this.service.stop();
  }

  get #first(): string {
    return [...this.#repositories.keys()][0] ?? '';
  }

  #perform({ headers, input }: Call): unknown {
    const target = headers['x-amz-target'] ?? '';
    switch (target) {
      case 'AmazonEC2ContainerRegistry_V20150921.DescribeImages':
        return this.#describeImages(input);
      case 'CodeBuild_20161006.StartBuild':
        return this.#startBuild(input);
      default:
        throw new AwsError('UnknownOperationException', `${target} is not emulated`);
    }
  }

  /** https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html */
  #describeImages(input: Record<string, unknown>): unknown {
    const { account = '111122223333' } = this.#options;
    const repositoryName = String(input['repositoryName']);
    const images = this.#repositories.get(repositoryName);
    const where = `in the registry with id '${account}'`;
    if (images === undefined) {
      throw new AwsError(
        'RepositoryNotFoundException',
        `The repository with name '${repositoryName}' does not exist ${where}`,
      );
    }
    const wanted = (input['imageIds'] as { imageTag?: string; imageDigest?: string }[] | undefined) ?? [];
    const found = wanted.map(({ imageTag, imageDigest }) => {
      const image = images.find(({ digest, tags }) =>
        imageDigest === undefined ? tags.has(imageTag ?? '') : digest === imageDigest,
      );
      if (image !== undefined) return image;
      const id = `{imageDigest:'${imageDigest ?? 'null'}', imageTag:'${imageTag ?? 'null'}'}`;
      throw new AwsError(
        'ImageNotFoundException',
        `The image with imageId ${id} does not exist within the repository with name '${repositoryName}' ${where}`,
      );
    });
    return {
      imageDetails: (wanted.length === 0 ? images : found).map(({ digest, pushedAt, tags }) => ({
        registryId: account,
        repositoryName,
        imageDigest: digest,
        // All of them, whichever was asked for, in no order that is promised; an image without any has no such field.
        ...(tags.size > 0 && { imageTags: [...tags].toSorted((a, b) => digestOf(a).localeCompare(digestOf(b))) }),
        imageSizeInBytes: 200_000_000,
        imagePushedAt: pushedAt / 1000,
        imageManifestMediaType: 'application/vnd.oci.image.manifest.v1+json',
      })),
    };
  }

  /** https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html */
  #startBuild(input: Record<string, unknown>): unknown {
    const { clock, account = '111122223333', region = 'us-east-1', buildMs } = this.#options;
    const project = String(input['projectName']);
    const variables = variablesOf(input['environmentVariablesOverride']);
    if (!this.#projects.has(project)) {
      throw new AwsError(
        'ResourceNotFoundException',
        `Project cannot be found: arn:aws:codebuild:${region}:${account}:project/${project}`,
      );
    }
    const token = input['idempotencyToken'];
    const begun = typeof token === 'string' ? this.#tokens.get(token) : undefined;
    if (begun !== undefined) {
      if (begun.request === canonicalJson(input)) return this.#describeBuild(begun.build);
      throw new AwsError('InvalidInputException', 'The idempotency token was used with other parameters');
    }
    this.#checkLimits(project);
    const number = this.builds.filter((build) => build.project === project).length + 1;
    const build: EmulatedBuild = {
      id: `${project}:${randomUUID()}`,
      number,
      project,
      variables,
      startedAt: clock.now(),
      status: 'IN_PROGRESS',
    };
    this.builds.push(build);
    if (typeof token === 'string') this.#tokens.set(token, { request: canonicalJson(input), build });
    if (buildMs !== undefined) clock.after(buildMs, () => this.#end(build, 'SUCCEEDED'));
    return this.#describeBuild(build);
  }

  /** A project with a limit of its own queues nothing: https://docs.aws.amazon.com/codebuild/latest/userguide/builds-working.html */
  #checkLimits(project: string): void {
    const ofProject = this.running.filter((build) => build.project === project).length;
    const tooMany = (most: number): AwsError =>
      new AwsError('AccountLimitExceededException', `Cannot have more than ${most} builds in queue for the account`);
    if (this.running.length >= this.accountLimit) throw tooMany(this.accountLimit);
    if (ofProject >= mostOfProject) throw tooMany(mostOfProject);
  }

  #describeBuild({ id, number, project, variables, startedAt, status }: EmulatedBuild): unknown {
    const { account = '111122223333', region = 'us-east-1' } = this.#options;
    const environmentVariables = Object.entries(variables).map(([name, value]) => ({ name, value, type: 'PLAINTEXT' }));
    return {
      build: {
        id,
        arn: `arn:aws:codebuild:${region}:${account}:build/${id}`,
        buildNumber: number,
        startTime: startedAt / 1000,
        currentPhase: 'QUEUED',
        buildStatus: status,
        projectName: project,
        buildComplete: false,
        environment: { environmentVariables },
      },
    };
  }

  /** The tags that tell what an image is move one by one, the one that tasks use last. */
  #end(build: EmulatedBuild, status: BuildStatus): void {
    if (build.status !== 'IN_PROGRESS') return;
    const { ARCH, RUNNER_VERSION, SOURCE_HASH } = build.variables;
    const isTold = ARCH !== undefined && RUNNER_VERSION !== undefined && SOURCE_HASH !== undefined;
    build.status = isTold ? status : 'FAILED';
    if (build.status === 'SUCCEEDED')
      this.put([`${ARCH}-${RUNNER_VERSION}`, `${ARCH}-source-${SOURCE_HASH}`, `${ARCH}`]);
  }
}

function variablesOf(given: unknown): Record<string, string> {
  const variables = (given as { name?: unknown; value?: unknown; type?: unknown }[] | undefined) ?? [];
  return Object.fromEntries(
    variables.map(({ name, value, type = 'PLAINTEXT' }) => {
      if (typeof name !== 'string' || name === '' || typeof value !== 'string' || type !== 'PLAINTEXT') {
        throw new AwsError('InvalidInputException', `Invalid environment variable ${JSON.stringify(name)}`);
      }
      return [name, value];
    }),
  );
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

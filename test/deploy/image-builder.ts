import { BatchGetProjectsCommand } from '@aws-sdk/client-codebuild';
import { PutImageCommand } from '@aws-sdk/client-ecr';
import type { Aws } from './aws.ts';
import type { Answered } from './gateway.ts';

type StartBuild = {
  readonly projectName: string;
  readonly environmentVariablesOverride?: readonly Variable[];
};
type Variable = { readonly name?: string; readonly value?: string };

/**
 * Builds. MiniStack's are over at once and have done nothing: so whatever build is started, the repository then has what
 * runner-image/build-image.sh would have pushed, by its tags. What is in it nobody pulls here: tasks are processes.
 */
export class ImageBuilder {
  /** Builds that came to nothing. */
  readonly failures: unknown[] = [];
  readonly #aws: Aws;

  constructor(aws: Aws) {
    this.#aws = aws;
  }

  hear({ call, status, request }: Answered): void {
    if (call !== 'CodeBuild_20161006.StartBuild' || status !== 200) return;
    this.#build(JSON.parse(request.toString()) as StartBuild).catch((error: unknown) => this.failures.push(error));
  }

  async #build({ projectName, environmentVariablesOverride = [] }: StartBuild): Promise<void> {
    const { projects = [] } = await this.#aws.builds.send(new BatchGetProjectsCommand({ names: [projectName] }));
    const variables = [...(projects[0]?.environment?.environmentVariables ?? []), ...environmentVariablesOverride];
    const { REPOSITORY_URI, ARCH, RUNNER_VERSION, SOURCE_HASH } = Object.fromEntries(
      variables.map(({ name = '', value = '' }: Variable) => [name, value]),
    );
    if (!REPOSITORY_URI || !ARCH || !RUNNER_VERSION || !SOURCE_HASH) {
      throw new Error(`a build must be told what build-image.sh needs, it has ${JSON.stringify(variables)}`);
    }
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
}

import { AccountLimitExceededException, CodeBuildClient, StartBuildCommand } from '@aws-sdk/client-codebuild';
import type { Arch } from '../contracts/with-infra/runner-image.ts';
import { clientOptions } from './requests.ts';

export type ImageBuilds = {
  /** `busy`: a build of this image runs, or AWS lets the account run no more of them now. */
  readonly startBuild: (arch: Arch, variables: Readonly<Record<string, string>>) => Promise<'started' | 'busy'>;
};

/** @param projects the CodeBuild project of each architecture */
export function imageBuilds(
  projects: Readonly<Partial<Record<Arch, string>>>,
  client: CodeBuildClient = new CodeBuildClient(clientOptions),
): ImageBuilds {
  return {
    startBuild: async (arch, variables) => {
      try {
        await client.send(
          new StartBuildCommand({
            projectName: projects[arch],
            environmentVariablesOverride: Object.entries(variables).map(([name, value]) => ({
              name,
              value,
              type: 'PLAINTEXT',
            })),
          }),
        );
        return 'started';
      } catch (error) {
        // A project builds one at a time; AWS has no other error for it, nor for an account that may run none at all:
        // https://github.com/aws-ia/terraform-aws-control_tower_account_factory/issues/179
        if (error instanceof AccountLimitExceededException && !/more than 0 /.test(error.message)) return 'busy';
        throw error;
      }
    },
  };
}

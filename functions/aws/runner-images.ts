import { DescribeImagesCommand, ECRClient, ImageNotFoundException } from '@aws-sdk/client-ecr';
import { describeImage, imageTag, type Arch, type RunnerImage } from '../contracts/with-infra/runner-image.ts';
import { clientOptions } from './requests.ts';

export type RunnerImages = {
  /** The image that tasks of an architecture start from; undefined until the first one is built. */
  readonly findImage: (arch: Arch) => Promise<RunnerImage | undefined>;
};

export function runnerImages(repositoryName: string, client: ECRClient = new ECRClient(clientOptions)): RunnerImages {
  return {
    findImage: async (arch) => {
      try {
        const { imageDetails: [image] = [] } = await client.send(
          new DescribeImagesCommand({ repositoryName, imageIds: [{ imageTag: imageTag(arch) }] }),
        );
        return image && describeImage(arch, image.imageTags ?? [], image.imagePushedAt?.getTime() ?? 0);
      } catch (error) {
        if (error instanceof ImageNotFoundException) return undefined;
        throw error;
      }
    },
  };
}

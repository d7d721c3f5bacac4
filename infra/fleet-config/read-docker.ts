import { readImageReference } from './read-image.ts';
import { readDockerNetwork } from './read-network.ts';
import type { DockerNetworkConfig, NetworkChoices } from './read-network.ts';
import type { Section } from './section.ts';

/** What all profiles with `docker: true` have in common. */
export type DockerConfig = {
  /** Where they live. @default a VPC of their own, private subnets, one NAT gateway */
  readonly network?: DockerNetworkConfig;
  /** The image with the Docker daemon and the `docker` command. @default Docker's own, from Amazon's public registry */
  readonly image?: string;
};

export type DockerChoices = { readonly network: NetworkChoices; readonly image: string };

/** Docker's official image in Amazon's mirror of it: Docker Hub counts who asks, by address, and one NAT gateway is one address. */
const usualImage = 'public.ecr.aws/docker/library/docker:29.7.1-dind';

/** @param github the origin runners must reach */
export function readDocker(root: Section, github: string): DockerChoices {
  const docker = root.section('docker', ['network', 'image']);
  return { network: readDockerNetwork(docker, github), image: readImageReference(docker) ?? usualImage };
}

import { Duration } from 'aws-cdk-lib/core';
import { ContainerDependencyCondition } from 'aws-cdk-lib/aws-ecs';
import type { ContainerDefinition, ContainerImage, LogDriver, TaskDefinition } from 'aws-cdk-lib/aws-ecs';
import { dockerContainer } from '../functions/contracts/with-tasks/stopped-task.ts';

type Mount = { readonly volume: string; readonly runner?: string; readonly docker?: string; readonly readOnly?: true };

/** Where the runner finds its own `externals` shared, as start-runner.sh is told. */
export const externalsMount = '/mnt/externals';

/**
 * A directory that both containers have under the same path can be mounted into job containers: the daemon looks paths up in its own
 * container. The runner itself mounts its work directory, its temporary one and its externals; the last have another path in the
 * runner's container, or the empty volume would hide what the image brings.
 */
const mounts: readonly Mount[] = [
  { volume: 'docker-socket', runner: '/var/run', docker: '/var/run' },
  { volume: 'work', runner: '/home/runner/_work', docker: '/home/runner/_work' },
  { volume: 'tmp', runner: '/tmp', docker: '/tmp' },
  { volume: 'tool-cache', runner: '/opt/hostedtoolcache', docker: '/opt/hostedtoolcache' },
  { volume: 'externals', runner: externalsMount, docker: '/home/runner/externals' },
  // Layers on layers would be slow: the daemon's own data is on no overlay.
  { volume: 'docker-data', docker: '/var/lib/docker' },
  { volume: 'docker-cli', runner: '/usr/local/libexec/docker', docker: '/docker-cli', readOnly: true },
];

/**
 * The daemon brings the command that speaks with it: both are of one version, whatever the runner's image is. Named first, `dockerd` gets
 * the arguments that follow and no others: the image's own would open a port. 123 is the group `docker` of the runner's image.
 */
const script = [
  'set -e',
  'mkdir -p /docker-cli/cli-plugins',
  'cp /usr/local/bin/docker /docker-cli/',
  'cp /usr/local/libexec/docker/cli-plugins/* /docker-cli/cli-plugins/',
  'exec dockerd-entrypoint.sh dockerd --host=unix:///var/run/docker.sock --group=123',
].join('; ');

type Daemon = { readonly image: ContainerImage; readonly logging: LogDriver };

/** A Docker daemon beside the runner, which starts once the daemon answers. Either's end is the end of both. */
export function addDockerDaemon(
  definition: TaskDefinition,
  runner: ContainerDefinition,
  { image, logging }: Daemon,
): void {
  const docker = definition.addContainer(dockerContainer, {
    image,
    essential: true,
    // It mounts, makes namespaces and changes the packet filter: no list of capabilities would be less.
    privileged: true,
    user: 'root',
    entryPoint: ['/bin/sh', '-c'],
    command: [script],
    // The socket is in a volume that only this task has; on the network the daemon is not.
    environment: { DOCKER_TLS_CERTDIR: '' },
    healthCheck: {
      command: ['CMD', 'docker', 'info'],
      interval: Duration.seconds(5),
      timeout: Duration.seconds(5),
      retries: 6,
      startPeriod: Duration.seconds(60),
    },
    // A runner that waits for it in vain is not started, and the task ends.
    startTimeout: Duration.seconds(120),
    // ECS stops what depends on a container first: the runner has had its two minutes by then.
    stopTimeout: Duration.seconds(20),
    logging,
  });
  runner.addContainerDependencies({ container: docker, condition: ContainerDependencyCondition.HEALTHY });
  for (const { volume, runner: inRunner, docker: inDocker, readOnly = false } of mounts) {
    // Without a path on the instance: ECS makes an empty directory for each task.
    definition.addVolume({ name: volume });
    if (inRunner !== undefined) {
      runner.addMountPoints({ sourceVolume: volume, containerPath: inRunner, readOnly });
    }
    if (inDocker !== undefined) {
      docker.addMountPoints({ sourceVolume: volume, containerPath: inDocker, readOnly: false });
    }
  }
}

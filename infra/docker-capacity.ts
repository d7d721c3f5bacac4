import { ArnFormat, Stack, Tags } from 'aws-cdk-lib/core';
import { CfnCapacityProvider } from 'aws-cdk-lib/aws-ecs';
import type { ICluster } from 'aws-cdk-lib/aws-ecs';
import {
  InstanceProfile,
  ManagedPolicy,
  PolicyDocument,
  PolicyStatement,
  Role,
  ServicePrincipal,
} from 'aws-cdk-lib/aws-iam';
import { Construct } from 'constructs';
import { providersOf } from '../functions/contracts/with-infra/providers.ts';
import type { Profile } from '../functions/contracts/with-infra/profile.ts';
import type { Fleet } from './define-fleet.ts';
import { instanceMemoryFor } from './fleet-config/instance-sizes.ts';
import type { Network } from './network.ts';

type DockerCapacityProps = {
  readonly fleet: Fleet;
  readonly cluster: ICluster;
  readonly network: Network;
};

const manufacturers: Readonly<Record<Profile['arch'], string[]>> = {
  x64: ['intel', 'amd'],
  arm64: ['amazon-web-services'],
};

/**
 * The EC2 instances that tasks with Docker run on, which ECS starts, patches and ends: ECS Managed Instances.
 *
 * A profile has capacity providers of its own, whose instances have exactly the vCPU of its task. So a task fills its instance, and
 * shares kernel and disk with no task that runs at the same time. It is arithmetic, as ECS has no word for it. It does not make
 * the instance fresh: a task that comes before ECS has ended an idle instance gets that one, and what the job before has left on it.
 */
export class DockerCapacity extends Construct {
  constructor(scope: Construct, id: string, { fleet, cluster, network }: DockerCapacityProps) {
    super(scope, id);
    const instanceRole = this.#makeInstanceRole(cluster);
    const infrastructureRole = this.#makeInfrastructureRole(instanceRole);
    const profile = new InstanceProfile(this, 'InstanceProfile', { role: instanceRole });
    for (const one of fleet.choices.profiles.filter(({ docker }) => docker)) {
      const { onDemand, spot } = providersOf(Stack.of(this).stackName, one);
      const make = (kind: 'OnDemand' | 'Spot', name: string): void => {
        const provider = new CfnCapacityProvider(this, `${one.name}${kind}`, {
          name,
          // It names the cluster, so it is deleted before it; that it is there before any task, whoever runs tasks depends on.
          clusterName: cluster.clusterName,
          managedInstancesProvider: {
            infrastructureRoleArn: infrastructureRole.roleArn,
            // An instance that has been idle for a moment is ended. The default waits for work, at the price of the instance.
            infrastructureOptimization: { scaleInAfter: 0 },
            instanceLaunchTemplate: {
              capacityOptionType: kind === 'Spot' ? 'SPOT' : 'ON_DEMAND',
              ec2InstanceProfileArn: profile.instanceProfileArn,
              networkConfiguration: { subnets: [...network.subnets], securityGroups: [...network.securityGroups] },
              storageConfiguration: { storageSizeGiB: one.diskGiB },
              instanceRequirements: {
                vCpuCount: { min: one.cpu, max: one.cpu },
                memoryMiB: { min: instanceMemoryFor(one.memoryGiB) },
                cpuManufacturers: manufacturers[one.arch],
                instanceGenerations: ['current'],
              },
            },
            // So that Cost Explorer knows whose instances they are.
            propagateTags: 'CAPACITY_PROVIDER',
          },
        });
        Tags.of(provider).add('github-runners:fleet', fleet.choices.fleet);
        Tags.of(provider).add('github-runners:profile', one.name);
      };
      if (one.capacity !== 'spot') make('OnDemand', onDemand);
      if (one.capacity !== 'on-demand') make('Spot', spot);
    }
  }

  /**
   * What the ECS agent of an instance needs, in this cluster alone. A job that becomes root of its instance has it too, and could pass for
   * an instance of this cluster: docs/docker.md says what that leads to.
   * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/managed-instances-instance-profile.html
   */
  #makeInstanceRole(cluster: ICluster): Role {
    const instances = Stack.of(this).formatArn({
      service: 'ecs',
      resource: 'container-instance',
      resourceName: `${cluster.clusterName}/*`,
      arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
    });
    const statements = [
      // It knows no resource.
      { sid: 'FindEcs', actions: ['ecs:DiscoverPollEndpoint'], resources: ['*'] },
      { sid: 'JoinTheCluster', actions: ['ecs:RegisterContainerInstance'], resources: [cluster.clusterArn] },
      { sid: 'HearOfTasks', actions: ['ecs:Poll'], resources: [instances] },
      {
        sid: 'TellOfItself',
        actions: ['ecs:StartTelemetrySession', 'ecs:PutSystemLogEvents'],
        resources: [instances],
      },
      {
        sid: 'TellOfTasks',
        actions: ['ecs:SubmitAttachmentStateChanges', 'ecs:SubmitTaskStateChange'],
        resources: [cluster.clusterArn],
      },
    ];
    return new Role(this, 'InstanceRole', {
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
      description: 'What an instance of this cluster does at ECS',
      inlinePolicies: {
        Agent: new PolicyDocument({ statements: statements.map((statement) => new PolicyStatement(statement)) }),
      },
    });
  }

  /**
   * As whom ECS starts and ends instances. AWS's own policy lets it pass roles called `ecsInstanceRole...` alone: names are the whole
   * account's, so that two regions would want one. Ours has none, and is passed by a statement of its own.
   *
   * All in the role itself: it must be complete before there is a provider, and stay so until the last instance is gone.
   * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/infrastructure_IAM_role.html
   */
  #makeInfrastructureRole(instanceRole: Role): Role {
    return new Role(this, 'InfrastructureRole', {
      assumedBy: new ServicePrincipal('ecs.amazonaws.com'),
      description: 'Starts and ends the instances of this cluster',
      managedPolicies: [ManagedPolicy.fromAwsManagedPolicyName('AmazonECSInfrastructureRolePolicyForManagedInstances')],
      inlinePolicies: {
        Instances: new PolicyDocument({
          statements: [
            new PolicyStatement({
              sid: 'GiveInstancesTheirRole',
              actions: ['iam:PassRole'],
              resources: [instanceRole.roleArn],
              conditions: { StringEquals: { 'iam:PassedToService': 'ec2.amazonaws.com' } },
            }),
          ],
        }),
      },
    });
  }
}

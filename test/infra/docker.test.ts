import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { providersOf } from '../../functions/contracts/with-infra/providers.ts';
import { decodeSettings, encodeChoices } from '../../functions/contracts/with-infra/settings.ts';
import { defineFleet, type FleetConfig } from '../../infra/define-fleet.ts';
import { account, DeployedTemplate, region } from './deployed-template.ts';
import { isAllowed, rolesOf } from './permissions.ts';
import { synthFleet } from './synth-fleet.ts';

type Properties = Readonly<Record<string, unknown>>;
type Container = {
  readonly Name: string;
  readonly Image: unknown;
  readonly Essential: boolean;
  readonly Environment: readonly { readonly Name: string; readonly Value: unknown }[];
  readonly MountPoints: readonly {
    readonly SourceVolume: string;
    readonly ContainerPath: string;
    readonly ReadOnly: boolean;
  }[];
} & Properties;
type TaskDefinition = {
  readonly ContainerDefinitions: readonly Container[];
  readonly Volumes: readonly { readonly Name: string }[];
} & Properties;

const stack = 'github-runners-ci';
const docker = { labels: ['docker'], docker: true } as const;
const profiles: FleetConfig['profiles'] = {
  small: { labels: ['small'] },
  builds: { ...docker, cpu: 8, memoryGiB: 24, diskGiB: 200, capacity: 'spot-preferred', environment: { CACHE: 'on' } },
};
const template = synthFleet({ profiles });
const plain = synthFleet({ profiles: { small: { labels: ['small'] } } });

function propertiesOf(type: string, from: Template = template): Properties[] {
  return Object.values(from.findResources(type) as Record<string, { Properties: Properties }>).map(
    ({ Properties: properties }) => properties,
  );
}

function taskOf(profile: string, from: Template = template): TaskDefinition {
  const found = propertiesOf('AWS::ECS::TaskDefinition', from).find(({ Family }) => Family === `${stack}_${profile}`);
  return found as TaskDefinition;
}

function containersOf({ ContainerDefinitions }: TaskDefinition): { runner: Container; daemon: Container } {
  const [runner, daemon] = ['runner', 'docker'].map((name) => ContainerDefinitions.find(({ Name }) => Name === name));
  if (runner === undefined || daemon === undefined) throw new Error('the task must have a runner and a daemon');
  return { runner, daemon };
}

/** A path of the container -> the volume that is there. */
function mountsOf({ MountPoints }: Container): Record<string, string> {
  return Object.fromEntries(MountPoints.map(({ ContainerPath, SourceVolume }) => [ContainerPath, SourceVolume]));
}

const task = taskOf('builds');
const { runner, daemon } = containersOf(task);

describe('a fleet without Docker', () => {
  test('has nothing of it', () => {
    for (const type of ['AWS::ECS::CapacityProvider', 'AWS::IAM::InstanceProfile', 'AWS::EC2::NatGateway']) {
      plain.resourceCountIs(type, 0);
    }
    plain.resourceCountIs('AWS::EC2::VPC', 1);
    expect(JSON.stringify(plain.toJSON())).not.toMatch(/docker|ListContainerInstances/i);
  });
});

describe('a profile without Docker, beside one that has it', () => {
  test('runs on Fargate as before', () => {
    expect(taskOf('small')).toEqual(taskOf('small', plain));
  });
});

describe('the capacity of a profile with Docker', () => {
  const providersFor = (options: object): Properties[] =>
    propertiesOf('AWS::ECS::CapacityProvider', synthFleet({ profiles: { builds: { ...docker, ...options } } }));
  const { onDemand, spot } = providersOf(stack, { name: 'builds', docker: true });

  test.each([
    ['on-demand', [[onDemand, 'ON_DEMAND']]],
    ['spot', [[spot, 'SPOT']]],
    [
      'spot-preferred',
      [
        [onDemand, 'ON_DEMAND'],
        [spot, 'SPOT'],
      ],
    ],
  ])('has the providers that %s asks for, by the names that functions know', (capacity, expected) => {
    const made = providersFor({ capacity }).map(({ Name, ManagedInstancesProvider }) => {
      const { InstanceLaunchTemplate } = ManagedInstancesProvider as { InstanceLaunchTemplate: Properties };
      return [Name, InstanceLaunchTemplate['CapacityOptionType']];
    });
    expect(made).toEqual(expected);
  });

  test('is one instance for each task: all of its vCPU, the memory with what ECS keeps, the disk', () => {
    const [provider] = propertiesOf('AWS::ECS::CapacityProvider');
    expect(provider).toMatchObject({
      ClusterName: { Ref: expect.stringMatching(/^RunnersCluster/) },
      ManagedInstancesProvider: {
        InstanceLaunchTemplate: {
          InstanceRequirements: {
            VCpuCount: { Min: 8, Max: 8 },
            MemoryMiB: { Min: 26_714 },
            CpuManufacturers: ['intel', 'amd'],
          },
          StorageConfiguration: { StorageSizeGiB: 200 },
        },
      },
    });
    expect(task).toMatchObject({ Cpu: '8192', Memory: '24576' });
    expect(26_714 * 0.92).toBeGreaterThanOrEqual(24_576);
    expect(task).not.toHaveProperty('EphemeralStorage');
  });

  test('is Graviton for arm64', () => {
    expect(JSON.stringify(providersFor({ arch: 'arm64' }))).toContain('"CpuManufacturers":["amazon-web-services"]');
  });

  test('goes to nothing when it is idle, and bears the tags that costs are seen by', () => {
    for (const provider of propertiesOf('AWS::ECS::CapacityProvider')) {
      expect(provider).toMatchObject({
        ManagedInstancesProvider: {
          InfrastructureOptimization: { ScaleInAfter: 0 },
          PropagateTags: 'CAPACITY_PROVIDER',
        },
        Tags: [
          { Key: 'github-runners:fleet', Value: 'ci' },
          { Key: 'github-runners:profile', Value: 'builds' },
        ],
      });
    }
  });

  test('leaves the cluster what it has: it names the cluster, and not the other way round', () => {
    expect(propertiesOf('AWS::ECS::Cluster')).toEqual(propertiesOf('AWS::ECS::Cluster', plain));
    template.resourceCountIs('AWS::ECS::ClusterCapacityProviderAssociations', 0);
  });
});

describe('as many profiles with Docker as there may be', () => {
  test('fit into a stack, among as many others, with all that a fleet can ask for', () => {
    const network = { kind: 'private', natGateways: 2, endpoints: true } as const;
    const many = Array.from({ length: 30 }, (_, at) => [
      `p${at}`,
      {
        labels: [`l${at}`],
        arch: at === 0 ? ('arm64' as const) : ('x64' as const),
        taskRole: `arn:aws:iam::111122223333:role/r${at}`,
        ...(at < 20 && { docker: true, capacity: 'spot-preferred' as const }),
      },
    ]);
    const largest = synthFleet({
      profiles: Object.fromEntries(many) as FleetConfig['profiles'],
      network,
      docker: { network },
      alarmTopic: 'arn:aws:sns:eu-central-1:111122223333:ops',
    });
    largest.resourceCountIs('AWS::ECS::CapacityProvider', 40);
    expect(Object.keys((largest.toJSON() as { Resources: object }).Resources).length).toBeLessThanOrEqual(500);
  });
});

describe('who may do what, with Docker', () => {
  const deployed = new DeployedTemplate(template);
  const roles = rolesOf(deployed);
  const arn = (rest: string): string => rest.replace('ACCOUNT', account).replace('REGION', region);
  const cluster = arn('arn:aws:ecs:REGION:ACCOUNT:cluster/RunnersCluster');
  const instances = arn('arn:aws:ecs:REGION:ACCOUNT:container-instance/RunnersCluster/i');
  const instanceRole = arn('arn:aws:iam::ACCOUNT:role/RunnersDockerInstanceRole');
  const may = async (name: string, action: string, resource: string, context: Record<string, string> = {}) =>
    isAllowed(
      { action, resource, context },
      roles.filter((role) => role.name === name).flatMap(({ statements }) => statements),
    );

  test.each([
    ['EndFleetRole', 'ecs:ListContainerInstances', cluster],
    ['RunnersDockerInstanceRole', 'ecs:RegisterContainerInstance', cluster],
    ['RunnersDockerInstanceRole', 'ecs:Poll', instances],
  ])('%s may %s %s', async (name, action, resource) => {
    expect(await may(name, action, resource)).toBe(true);
    expect(await may(name, action, resource.replace('RunnersCluster', 'Production'))).toBe(false);
  });

  test('ECS may pass the role of instances to EC2, and nobody else may at all', async () => {
    const toEc2 = { 'iam:PassedToService': 'ec2.amazonaws.com' };
    const toTasks = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };
    expect(await may('RunnersDockerInfrastructureRole', 'iam:PassRole', instanceRole, toEc2)).toBe(true);
    expect(await may('RunnersDockerInfrastructureRole', 'iam:PassRole', instanceRole, toTasks)).toBe(false);
    expect(await may('ScaleUpRole', 'iam:PassRole', instanceRole, toTasks)).toBe(false);
    expect(await may('ScaleUpRole', 'iam:PassRole', instanceRole, toEc2)).toBe(false);
  });

  test.each([
    'ecs:RunTask',
    'ecs:StopTask',
    'ecs:DescribeTasks',
    'dynamodb:DeleteItem',
    'ssm:GetParameter',
    'ecr:PutImage',
  ])('root of an instance may not %s', (action) => {
    const { statements = [] } = roles.find(({ name }) => name === 'RunnersDockerInstanceRole') ?? {};
    expect(statements.length).toBeGreaterThan(0);
    expect(statements.flatMap(({ actions }) => actions)).not.toContain(action);
  });
});

describe('a task with Docker', () => {
  test('is for Managed Instances, with a network of its own', () => {
    expect(task).toMatchObject({
      RequiresCompatibilities: ['MANAGED_INSTANCES'],
      NetworkMode: 'awsvpc',
      RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' },
    });
  });

  test('has the runner of every task, which is told where to share its externals, and begins when the daemon answers', () => {
    const onFargate = synthFleet({ profiles: { builds: { labels: ['docker'], environment: { CACHE: 'on' } } } });
    const [{ Environment, ...usual } = {} as Container] = taskOf('builds', onFargate).ContainerDefinitions;
    expect(runner).toMatchObject(usual);
    expect(runner.Environment).toEqual(
      expect.arrayContaining([...Environment, { Name: 'DOCKER_EXTERNALS', Value: '/mnt/externals' }]),
    );
    expect(runner['DependsOn']).toEqual([{ ContainerName: 'docker', Condition: 'HEALTHY' }]);
    expect(runner).not.toHaveProperty('Privileged');
  });

  test('ends with either of its containers', () => {
    expect([runner.Essential, daemon.Essential]).toEqual([true, true]);
    expect(runner).not.toHaveProperty('RestartPolicy');
    expect(daemon).not.toHaveProperty('RestartPolicy');
  });

  test('gives up on a daemon that never answers, before the runner would be missed', () => {
    const { HealthCheck, StartTimeout } = daemon as unknown as {
      HealthCheck: { Command: string[]; Interval: number; Retries: number; StartPeriod: number };
      StartTimeout: number;
    };
    expect(HealthCheck.Command).toEqual(['CMD', 'docker', 'info']);
    const judgedAfter = HealthCheck.StartPeriod + HealthCheck.Interval * HealthCheck.Retries;
    expect(judgedAfter).toBeLessThan(StartTimeout);
    expect(StartTimeout).toBeLessThanOrEqual(120);
  });

  test('has a privileged daemon without a port, which TLS would guard', () => {
    expect(daemon).toMatchObject({
      Image: 'public.ecr.aws/docker/library/docker:29.7.1-dind',
      Privileged: true,
      Environment: [{ Name: 'DOCKER_TLS_CERTDIR', Value: '' }],
    });
    expect(daemon).not.toHaveProperty('PortMappings');
    expect(JSON.stringify(daemon)).not.toMatch(/tcp:|237[56]/);
  });

  test('has a daemon that first hands its own command to the runner, then takes its place, with these arguments alone', () => {
    const [shell = '', flag = ''] = daemon['EntryPoint'] as string[];
    const [script = ''] = daemon['Command'] as string[];
    const image = mkdtempSync(join(tmpdir(), 'dind-'));
    const put = (path: string, text: string): void => {
      mkdirSync(join(image, dirname(path)), { recursive: true });
      writeFileSync(join(image, path), text, { mode: 0o755 });
    };
    // As the image has them; where its own files are looked for is turned to where these are.
    put('usr/local/bin/docker', 'the command');
    put('usr/local/libexec/docker/cli-plugins/docker-buildx', 'a plugin');
    put('usr/local/bin/dockerd-entrypoint.sh', '#!/bin/sh\nprintf "%s\\n" "$@"\n');
    const here = script.replaceAll(/(?<= )\/(?=docker-cli|usr\/local)/g, `${image}/`);
    const told = execFileSync(shell, [flag, here], { env: { PATH: `${image}/usr/local/bin:${process.env['PATH']}` } });
    const handed = ['docker', 'cli-plugins/docker-buildx'].map((path) =>
      readFileSync(join(image, 'docker-cli', path), 'utf8'),
    );
    rmSync(image, { recursive: true });
    // Named first, dockerd gets no arguments but these: without it the image would add a port.
    expect(told.toString().split('\n').slice(0, -1)).toEqual([
      'dockerd',
      '--host=unix:///var/run/docker.sock',
      '--group=123',
    ]);
    expect(handed).toEqual(['the command', 'a plugin']);
  });

  test.each(['/var/run', '/home/runner/_work', '/tmp', '/opt/hostedtoolcache'])(
    'has %s in both containers under the same path, as the daemon looks paths up in its own',
    (path) => {
      expect(mountsOf(runner)[path]).toBeDefined();
      expect(mountsOf(daemon)[path]).toBe(mountsOf(runner)[path]);
    },
  );

  test('has the externals where the runner mounts them from, and hides nothing that the image brings', () => {
    expect(mountsOf(daemon)['/home/runner/externals']).toBe(mountsOf(runner)['/mnt/externals']);
    expect(mountsOf(runner)).not.toHaveProperty(['/home/runner/externals']);
  });

  test('has the command where start-runner.sh and the command itself look for it, not to be written to', () => {
    expect(mountsOf(runner)['/usr/local/libexec/docker']).toBe(mountsOf(daemon)['/docker-cli']);
    expect(runner.MountPoints.filter(({ ReadOnly }) => ReadOnly).map(({ ContainerPath }) => ContainerPath)).toEqual([
      '/usr/local/libexec/docker',
    ]);
  });

  test('has the data of the daemon where no job looks, and every volume empty and its own', () => {
    expect(mountsOf(daemon)).toHaveProperty(['/var/lib/docker']);
    expect(Object.values(mountsOf(runner))).not.toContain(mountsOf(daemon)['/var/lib/docker']);
    const used = new Set([...Object.values(mountsOf(runner)), ...Object.values(mountsOf(daemon))]);
    // No more than a name: a path on the instance would be shared with what comes after.
    expect(task.Volumes.toSorted((a, b) => (a.Name < b.Name ? -1 : 1))).toEqual(
      [...used].toSorted().map((Name) => ({ Name })),
    );
  });

  test('logs what the daemon says beside what the runner says', () => {
    const prefixes = [runner, daemon].map(
      ({ LogConfiguration }) => (LogConfiguration as { Options: Properties }).Options['awslogs-stream-prefix'],
    );
    expect(prefixes).toEqual(['builds', 'builds-docker']);
  });

  test('may have another daemon, of the operator', () => {
    const image = '111122223333.dkr.ecr.eu-central-1.amazonaws.com/acme/dind:1';
    const own = synthFleet({ profiles, docker: { image } });
    expect(containersOf(taskOf('builds', own)).daemon.Image).toBe(image);
    expect(JSON.stringify(propertiesOf('AWS::IAM::Policy', own))).toContain(
      ':ecr:eu-central-1:111122223333:repository/acme/dind',
    );
  });
});

describe('where tasks with Docker live', () => {
  const deployed = new DeployedTemplate(template);
  const [one] = deployed.resources('AWS::Lambda::Function');
  const { Variables } = (one?.properties['Environment'] ?? {}) as { Variables: Record<string, string> };
  const { choices } = defineFleet({ name: 'ci', github: { owners: ['acme'] }, profiles });
  const { tasks } = decodeSettings(encodeChoices(choices), Variables);

  test('is a VPC of their own: private subnets, one NAT gateway, no way in', () => {
    template.resourceCountIs('AWS::EC2::VPC', 2);
    template.resourceCountIs('AWS::EC2::NatGateway', 1);
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
    for (const group of propertiesOf('AWS::EC2::SecurityGroup'))
      expect(group).not.toHaveProperty('SecurityGroupIngress');
  });

  test('is told to the functions, and to the capacity providers alike', () => {
    expect(tasks.docker?.subnets).toHaveLength(2);
    expect(tasks.subnets.filter((subnet) => tasks.docker?.subnets.includes(subnet))).toEqual([]);
    for (const { properties } of deployed.resources('AWS::ECS::CapacityProvider')) {
      expect(properties['ManagedInstancesProvider']).toMatchObject({
        InstanceLaunchTemplate: {
          NetworkConfiguration: { Subnets: tasks.docker?.subnets, SecurityGroups: tasks.docker?.securityGroups },
        },
      });
    }
  });

  test('may be a VPC that is there', () => {
    const network = {
      kind: 'existing',
      vpcId: 'vpc-11111111',
      subnetIds: ['subnet-11111111'],
      securityGroupIds: ['sg-11111111'],
    } as const;
    const own = synthFleet({ profiles, docker: { network } });
    own.resourceCountIs('AWS::EC2::NatGateway', 0);
    expect(JSON.stringify(propertiesOf('AWS::ECS::CapacityProvider', own)[0])).toContain(
      '{"SecurityGroups":["sg-11111111"],"Subnets":["subnet-11111111"]}',
    );
  });
});

import { hash } from 'node:crypto';
import { Arn, ArnFormat, Duration, Fn, Size, Stack, Tags } from 'aws-cdk-lib/core';
import type { IVpc } from 'aws-cdk-lib/aws-ec2';
import {
  AwsLogDriverMode,
  CfnCluster,
  Cluster,
  Compatibility,
  CpuArchitecture,
  FargateTaskDefinition,
  LogDrivers,
  NetworkMode,
  OperatingSystemFamily,
  TaskDefinition,
} from 'aws-cdk-lib/aws-ecs';
import type { CommonTaskDefinitionProps, LogDriver, TaskDefinitionProps } from 'aws-cdk-lib/aws-ecs';
import type { ITable } from 'aws-cdk-lib/aws-dynamodb';
import { Policy, PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { claimKeyPrefix } from '../functions/contracts/with-tasks/claim.ts';
import { runnerContainer } from '../functions/contracts/with-tasks/stopped-task.ts';
import { taskFamily } from '../functions/contracts/with-infra/settings.ts';
import type { Profile } from '../functions/contracts/with-infra/profile.ts';
import type { Fleet } from './define-fleet.ts';
import { DockerCapacity } from './docker-capacity.ts';
import { addDockerDaemon, externalsMount } from './docker-daemon.ts';
import type { Network } from './network.ts';
import { removalOf } from './removal.ts';
import type { RunnerImage } from './runner-image.ts';

type RunnerClusterProps = {
  readonly fleet: Fleet;
  readonly vpc: IVpc;
  /** Where tasks with Docker live, if there are any. */
  readonly dockerNetwork: Network | undefined;
  readonly image: RunnerImage;
  readonly claims: ITable;
};

/** What tasks run in and as: a cluster, and for each profile a task definition. */
export class RunnerCluster extends Construct {
  readonly cluster: Cluster;
  /** By profile name. */
  readonly taskDefinitions: Readonly<Record<string, TaskDefinition>>;
  /** The roles a launch may hand to a task; whoever starts tasks passes these and no others. */
  readonly passedRoles: readonly IRole[];
  readonly #executionRole: Role;
  readonly #taskRole: Role;
  readonly #ownRoles = new Map<string, IRole>();
  readonly #logGroup: LogGroup;
  readonly #props: RunnerClusterProps;

  constructor(scope: Construct, id: string, props: RunnerClusterProps) {
    super(scope, id);
    this.#props = props;
    const { fleet, vpc, dockerNetwork: network } = props;
    this.cluster = new Cluster(this, 'Cluster', { vpc });
    // On the cluster itself: CDK's way adds a resource that must go before the cluster can, and often does not.
    const cluster = this.cluster.node.findChild('Resource') as CfnCluster;
    cluster.capacityProviders = ['FARGATE', 'FARGATE_SPOT'];
    // Those of Managed Instances name the cluster, not the other way round.
    if (network !== undefined) new DockerCapacity(this, 'Docker', { fleet, cluster: this.cluster, network });

    const assumedBy = new ServicePrincipal('ecs-tasks.amazonaws.com');
    this.#executionRole = new Role(this, 'ExecutionRole', {
      assumedBy,
      description: 'Pulls the image and writes the log of a runner',
    });
    this.#taskRole = new Role(this, 'TaskRole', {
      // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
      assumedBy: new ServicePrincipal('ecs-tasks.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
      description: 'All a runner and its job may do on AWS: fetch one claim',
    });
    this.#taskRole.addToPolicy(this.#fetchOneClaim());
    this.#logGroup = new LogGroup(this, 'Log', {
      retention: fleet.logRetentionDays,
      removalPolicy: removalOf(fleet, 'logs'),
    });

    const definitions = fleet.choices.profiles.map((profile) => this.#define(profile));
    this.taskDefinitions = Object.fromEntries(definitions.map(({ name, definition }) => [name, definition]));
    this.passedRoles = [...new Set([this.#executionRole, ...definitions.map(({ taskRole }) => taskRole)])];
  }

  /** By profile name. */
  get taskRevisions(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.taskDefinitions).map(([name, { taskDefinitionArn }]) => [
        name,
        // arn:aws:ecs:region:account:task-definition/family:revision
        Fn.select(6, Fn.split(':', taskDefinitionArn)),
      ]),
    );
  }

  /** Any revision: functions and task definitions do not change in the same instant of a deployment. */
  get taskDefinitionArns(): string[] {
    return Object.values(this.taskDefinitions).map(({ family }) =>
      Arn.format({ service: 'ecs', resource: 'task-definition', resourceName: `${family}:*` }, Stack.of(this)),
    );
  }

  /** Every task of this cluster. */
  get taskArn(): string {
    const resourceName = `${this.cluster.clusterName}/*`;
    return Arn.format(
      { service: 'ecs', resource: 'task', resourceName, arnFormat: ArnFormat.SLASH_RESOURCE_NAME },
      Stack.of(this),
    );
  }

  #define(profile: Profile): { name: string; definition: TaskDefinition; taskRole: IRole } {
    const { fleet, image, claims } = this.#props;
    const { name, arch, image: own } = profile;
    const choices = fleet.tasks[name];
    const jobVariables = Object.keys(choices?.environment ?? {}).join(',');
    const taskRole = choices?.taskRole === undefined ? this.#taskRole : this.#ownRole(choices.taskRole);
    const definition = profile.docker ? this.#onAnInstance(profile, taskRole) : this.#onFargate(profile, taskRole);
    const runner = definition.addContainer(runnerContainer, {
      image: image.imageFor(arch, own),
      // Exec form, or a shell would be PID 1 and keep SIGTERM to itself.
      entryPoint: ['/usr/local/bin/start-runner.sh'],
      // The supervisor keeps what it knows from the job by being root, whoever the image is made for; the job is not.
      user: 'root',
      // The most that Fargate gives: Spot takes a machine away two minutes after it said so.
      stopTimeout: Duration.seconds(120),
      environment: {
        ...choices?.environment,
        CLAIMS_TABLE: claims.tableName,
        ...(jobVariables !== '' && { JOB_ENVIRONMENT_NAMES: jobVariables }),
        // A role that an operator chose for a profile is meant for its jobs; ours is not.
        ...(choices?.taskRole !== undefined && { TASK_ROLE_FOR_JOBS: '1' }),
        ...(profile.docker && { DOCKER_EXTERNALS: externalsMount }),
      },
      logging: this.#logAs(name),
    });
    if (profile.docker && fleet.docker !== undefined) {
      addDockerDaemon(definition, runner, {
        image: image.imageFor(arch, fleet.docker.image),
        logging: this.#logAs(`${name}-docker`),
      });
    }
    Tags.of(definition).add('github-runners:fleet', fleet.choices.fleet);
    Tags.of(definition).add('github-runners:profile', name);
    return { name, definition, taskRole };
  }

  #onFargate({ cpu, memoryGiB, diskGiB, ...profile }: Profile, taskRole: IRole): TaskDefinition {
    return new FargateTaskDefinition(this, `${profile.name}Task`, {
      ...this.#common(profile),
      cpu: cpu * 1024,
      memoryLimitMiB: memoryGiB * 1024,
      // Twenty come with every task, and cannot be asked for.
      ...(diskGiB > 20 && { ephemeralStorageGiB: diskGiB }),
      taskRole,
    });
  }

  /** Its disk is the instance's. Its network is its own, as a daemon must have one: the instance's would be shared with ECS's agent. */
  #onAnInstance({ cpu, memoryGiB, ...profile }: Profile, taskRole: IRole): TaskDefinition {
    return new TaskDefinition(this, `${profile.name}Task`, {
      ...this.#common(profile),
      compatibility: Compatibility.MANAGED_INSTANCES,
      networkMode: NetworkMode.AWS_VPC,
      cpu: String(cpu * 1024),
      memoryMiB: String(memoryGiB * 1024),
      taskRole,
    });
  }

  #common({
    name,
    arch,
  }: Pick<Profile, 'name' | 'arch'>): CommonTaskDefinitionProps & Pick<TaskDefinitionProps, 'runtimePlatform'> {
    return {
      family: taskFamily(Stack.of(this).stackName, name),
      runtimePlatform: {
        operatingSystemFamily: OperatingSystemFamily.LINUX,
        cpuArchitecture: arch === 'arm64' ? CpuArchitecture.ARM64 : CpuArchitecture.X86_64,
      },
      executionRole: this.#executionRole,
    };
  }

  #logAs(streamPrefix: string): LogDriver {
    return LogDrivers.awsLogs({
      logGroup: this.#logGroup,
      streamPrefix,
      // A slow CloudWatch must not stop a job.
      mode: AwsLogDriverMode.NON_BLOCKING,
      maxBufferSize: Size.mebibytes(4),
    });
  }

  #ownRole(arn: string): IRole {
    const known = this.#ownRoles.get(arn);
    if (known !== undefined) return known;
    const id = hash('sha256', arn).slice(0, 8);
    const role = Role.fromRoleArn(this, `Own${id}`, arn);
    // Roles are the account's, whatever the region: the same fleet elsewhere has a policy of its own on it.
    const { stackName, region } = Stack.of(this);
    new Policy(this, `OwnClaims${id}`, {
      policyName: `${stackName}-${region}-claims`,
      roles: [role],
      statements: [this.#fetchOneClaim()],
    });
    this.#ownRoles.set(arn, role);
    return role;
  }

  /** Deleting a claim is reading it, once. Whose it is only its name can tell, and nobody can guess that. */
  #fetchOneClaim(): PolicyStatement {
    return new PolicyStatement({
      sid: 'FetchOneClaim',
      actions: ['dynamodb:DeleteItem'],
      resources: [this.#props.claims.tableArn],
      conditions: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [`${claimKeyPrefix}*`] } },
    });
  }
}

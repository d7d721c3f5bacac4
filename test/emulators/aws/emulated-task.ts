import type { ContainerOverride, RunTaskRequest, Tag } from './ecs-requests.ts';
import type { LogStream, TaskProcess } from './task-host.ts';
import type { TaskCredentials } from './task-role.ts';

export type TaskDefinition = {
  readonly family: string;
  readonly revision: number;
  /** CPU units, 1024 to a vCPU. */
  readonly cpu: number;
  readonly memoryMiB: number;
  /** @default 'X86_64' */
  readonly architecture?: 'X86_64' | 'ARM64';
  readonly environment?: Readonly<Record<string, string>>;
  /** Entry point and command in one, run in the task's scratch directory. */
  readonly command: readonly string[];
  /** Run there once the command has ended, in whatever way: it ends what is no descendant of the command. */
  readonly cleanUp?: readonly string[];
  /** Seconds from SIGTERM to SIGKILL. @default 30 */
  readonly stopTimeout?: number;
  /** @default 'runner' */
  readonly containerName?: string;
  readonly tags?: readonly Tag[];
  /** The capacity providers of Managed Instances that may run it. @default none: it is for Fargate */
  readonly managedInstances?: readonly string[];
};

export type TaskStatus = 'PROVISIONING' | 'PENDING' | 'RUNNING' | 'DEPROVISIONING' | 'STOPPED';
export type StopCode =
  'TaskFailedToStart' | 'EssentialContainerExited' | 'UserInitiated' | 'SpotInterruption' | 'InfrastructureHealth';

/** Milliseconds since the epoch, by the clock. */
type Times = {
  createdAt: number;
  pullStartedAt?: number;
  pullStoppedAt?: number;
  startedAt?: number;
  stoppingAt?: number;
  executionStoppedAt?: number;
  stoppedAt?: number;
};

const logLimit = 256 * 1024;

/** One task: what ECS knows of it, and the process it is here. */
export class EmulatedTask {
  readonly id: string;
  readonly arn: string;
  readonly request: RunTaskRequest;
  readonly definition: TaskDefinition;
  readonly credentials: TaskCredentials;
  readonly credentialsId: string;
  readonly scratch: string;
  readonly times: Times;
  lastStatus: TaskStatus = 'PROVISIONING';
  desiredStatus: 'RUNNING' | 'STOPPED' = 'RUNNING';
  stopCode: StopCode | undefined;
  stoppedReason: string | undefined;
  exitCode: number | undefined;
  containerReason: string | undefined;
  process: TaskProcess | undefined;
  tags: readonly Tag[];
  version = 0;
  /** Calls off the next step of a task that has not started. */
  callOff: (() => void) | undefined;
  readonly #names: { readonly region: string; readonly account: string; readonly clusterArn: string };
  #log = '';

  constructor(options: {
    id: string;
    request: RunTaskRequest;
    definition: TaskDefinition;
    credentials: TaskCredentials;
    credentialsId: string;
    scratch: string;
    createdAt: number;
    names: { readonly region: string; readonly account: string; readonly cluster: string; readonly clusterArn: string };
  }) {
    const { id, request, definition, names } = options;
    this.id = id;
    this.arn = `arn:aws:ecs:${names.region}:${names.account}:task/${names.cluster}/${id}`;
    this.request = request;
    this.definition = definition;
    this.credentials = options.credentials;
    this.credentialsId = options.credentialsId;
    this.scratch = options.scratch;
    this.times = { createdAt: options.createdAt };
    this.tags = [...(request.propagateTags ? (definition.tags ?? []) : []), ...request.tags];
    this.#names = names;
  }

  get startedBy(): string | undefined {
    return this.request.startedBy;
  }

  get provider(): string {
    return this.request.provider;
  }

  get launchType(): 'FARGATE' | 'MANAGED_INSTANCES' {
    return this.definition.managedInstances === undefined ? 'FARGATE' : 'MANAGED_INSTANCES';
  }

  get stopping(): boolean {
    return this.desiredStatus === 'STOPPED';
  }

  get containerName(): string {
    return this.definition.containerName ?? 'runner';
  }

  get containerOverride(): ContainerOverride | undefined {
    return this.request.overrides.containerOverrides?.find(({ name }) => name === this.containerName);
  }

  /** The end of what the task wrote, both streams together. */
  get log(): string {
    return this.#log;
  }

  write(_stream: LogStream, line: string): void {
    this.#log = `${this.#log}${line}\n`;
    if (this.#log.length > logLimit * 2) this.#log = this.#log.slice(-logLimit);
  }

  /** As ECS shows it: times as seconds to a caller of the API, as text in an event. */
  describe(form: 'api' | 'event', include: { readonly tags: boolean } = { tags: false }): Record<string, unknown> {
    const { definition, request, times } = this;
    const time = (at: number): number | string => (form === 'api' ? at / 1000 : new Date(at).toISOString());
    return {
      attachments: [
        {
          id: this.id.slice(0, 8),
          type: form === 'api' ? 'ElasticNetworkInterface' : 'eni',
          status:
            this.lastStatus === 'STOPPED' ? 'DELETED' : this.lastStatus === 'PROVISIONING' ? 'PRECREATED' : 'ATTACHED',
          details: [{ name: 'subnetId', value: request.subnet }],
        },
      ],
      attributes: [{ name: 'ecs.cpu-architecture', value: definition.architecture === 'ARM64' ? 'arm64' : 'x86_64' }],
      availabilityZone: `${this.#names.region}a`,
      capacityProviderName: request.provider,
      clusterArn: this.#names.clusterArn,
      connectivity: 'CONNECTED',
      containers: [this.#describeContainer()],
      cpu: request.overrides.cpu ?? String(definition.cpu),
      ...Object.fromEntries(Object.entries(times).map(([name, at]) => [name, time(at)])),
      desiredStatus: this.desiredStatus,
      enableExecuteCommand: false,
      ephemeralStorage: { sizeInGiB: request.overrides.ephemeralStorage?.sizeInGiB ?? 20 },
      group: request.group ?? `family:${definition.family}`,
      lastStatus: this.lastStatus,
      launchType: this.launchType,
      memory: request.overrides.memory ?? String(definition.memoryMiB),
      overrides: { containerOverrides: [{ name: this.containerName }], ...request.overrides },
      platformFamily: 'Linux',
      ...(this.launchType === 'FARGATE' && { platformVersion: '1.4.0' }),
      ...(this.startedBy !== undefined && { startedBy: this.startedBy }),
      ...(this.stopCode !== undefined && { stopCode: this.stopCode }),
      ...(this.stoppedReason !== undefined && { stoppedReason: this.stoppedReason }),
      ...(include.tags && { tags: this.tags }),
      taskArn: this.arn,
      taskDefinitionArn: this.taskDefinitionArn,
      ...(form === 'event' && { updatedAt: time(Math.max(...Object.values(times))) }),
      version: this.version,
    };
  }

  get taskDefinitionArn(): string {
    const { region, account } = this.#names;
    return `arn:aws:ecs:${region}:${account}:task-definition/${this.definition.family}:${this.definition.revision}`;
  }

  /** What `${ECS_CONTAINER_METADATA_URI_V4}/task` answers. */
  taskMetadata(): unknown {
    const { definition, times } = this;
    return {
      Cluster: this.#names.clusterArn,
      TaskARN: this.arn,
      Family: definition.family,
      Revision: String(definition.revision),
      DesiredStatus: this.desiredStatus,
      KnownStatus: this.lastStatus,
      Limits: { CPU: definition.cpu / 1024, Memory: definition.memoryMiB },
      ...(times.pullStartedAt !== undefined && { PullStartedAt: new Date(times.pullStartedAt).toISOString() }),
      ...(times.pullStoppedAt !== undefined && { PullStoppedAt: new Date(times.pullStoppedAt).toISOString() }),
      AvailabilityZone: `${this.#names.region}a`,
      LaunchType: this.launchType,
      Containers: [this.containerMetadata()],
      EphemeralStorageMetrics: { Utilized: 500, Reserved: 20_496 },
    };
  }

  containerMetadata(): unknown {
    const { definition, times } = this;
    return {
      DockerId: `${this.id}-1`,
      Name: this.containerName,
      DockerName: this.containerName,
      Image: `${this.#names.account}.dkr.ecr.${this.#names.region}.amazonaws.com/${definition.family}`,
      Labels: {
        'com.amazonaws.ecs.cluster': this.#names.clusterArn,
        'com.amazonaws.ecs.container-name': this.containerName,
        'com.amazonaws.ecs.task-arn': this.arn,
        'com.amazonaws.ecs.task-definition-family': definition.family,
        'com.amazonaws.ecs.task-definition-version': String(definition.revision),
      },
      DesiredStatus: this.desiredStatus,
      KnownStatus: this.lastStatus,
      Limits: { CPU: 2 },
      CreatedAt: new Date(times.pullStoppedAt ?? times.createdAt).toISOString(),
      ...(times.startedAt !== undefined && { StartedAt: new Date(times.startedAt).toISOString() }),
      Type: 'NORMAL',
      ContainerARN: this.#containerArn,
      Networks: [{ NetworkMode: 'awsvpc', IPv4Addresses: ['127.0.0.1'] }],
    };
  }

  get #containerArn(): string {
    const { region, account } = this.#names;
    return `${this.arn.replace(':task/', ':container/')}/${region.length}${account.slice(0, 4)}`;
  }

  #describeContainer(): unknown {
    const { lastStatus } = this;
    const ended = lastStatus === 'DEPROVISIONING' || lastStatus === 'STOPPED';
    return {
      containerArn: this.#containerArn,
      taskArn: this.arn,
      name: this.containerName,
      image: `${this.#names.account}.dkr.ecr.${this.#names.region}.amazonaws.com/${this.definition.family}`,
      ...(this.times.pullStoppedAt !== undefined && { imageDigest: `sha256:${this.definition.family}` }),
      lastStatus: ended ? 'STOPPED' : lastStatus === 'RUNNING' ? 'RUNNING' : 'PENDING',
      ...(this.exitCode !== undefined && { exitCode: this.exitCode }),
      ...(this.containerReason !== undefined && { reason: this.containerReason }),
      runtimeId: `${this.id}-1`,
      networkInterfaces: [],
      healthStatus: 'UNKNOWN',
      cpu: '0',
    };
  }
}

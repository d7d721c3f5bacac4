import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../clock.ts';
import type { OnCall } from './aws-call.ts';
import { AwsError, canonicalJson, JsonService, sha256, type Call, type Failure } from './aws-json.ts';
import { invalid, parseRunTask, type RunTaskRequest } from './ecs-requests.ts';
import { EmulatedTask, type StopCode, type TaskDefinition } from './emulated-task.ts';
import { TaskHost, type LogStream, type TaskProcess } from './task-host.ts';
import type { TaskCredentials } from './task-role.ts';

export type { TaskDefinition } from './emulated-task.ts';

export type EcsOptions = {
  readonly clock: Clock;
  /** Learns each task's temporary credentials, and forgets them: `Tables`, usually. */
  readonly credentials?: {
    registerTaskCredentials(credentials: TaskCredentials): void;
    forgetTaskCredentials(accessKeyId: string): void;
  };
  /** @default 'runners' */
  readonly cluster?: string;
  readonly account?: string;
  readonly region?: string;
  readonly taskDefinitions?: readonly TaskDefinition[];
  /** Lays an image's files into a task's scratch directory. What it answers is the image's own environment. */
  readonly prepareTask?: PrepareTask;
  readonly onCall?: OnCall | undefined;
};
type PrepareTask = (
  scratch: string,
  definition: TaskDefinition,
  task: EmulatedTask,
) => Promise<Readonly<Record<string, string>> | void>;

/** On the clock, in milliseconds. */
export type Latency = { provisioning: number; pull: number; boot: number; deprovisioning: number };
export type Rate = { readonly burst: number; readonly perSecond: number };
export type TaskStateChange = {
  readonly version: '0';
  readonly id: string;
  readonly source: 'aws.ecs';
  readonly 'detail-type': 'ECS Task State Change';
  readonly account: string;
  readonly region: string;
  readonly time: string;
  readonly resources: readonly [string];
  readonly detail: StateChangeDetail;
};
type StateChangeDetail = Readonly<Record<string, unknown>> & {
  readonly taskArn: string;
  readonly clusterArn: string;
  readonly lastStatus: string;
  readonly version: number;
};
export type TaskLogLine = { readonly task: EmulatedTask; readonly stream: LogStream; readonly line: string };

type TokenUse = {
  readonly fingerprint: string;
  readonly arns: readonly string[];
  readonly at: number;
  readonly answer: unknown;
};

const hourMs = 3_600_000;
const capacityReasons = {
  none: 'Capacity is unavailable at this time. Please try again later or in a different availability zone',
  quota: "You've reached the limit on the number of vCPUs you can run concurrently",
};

const fargate = ['FARGATE', 'FARGATE_SPOT'];

/**
 * ECS with Fargate and Managed Instances: a task is a child process, its life goes by the clock, its failures by the knobs. Of several
 * containers only the runner's is there.
 */
export class Ecs {
  /** Whether a provider has room for one more task. */
  capacity: (provider: string) => 'ok' | 'none' | 'quota' = () => 'ok';
  /** The reason a task fails to start with, e.g. a CannotPullContainerError; undefined: it starts. */
  startFailure: (task: EmulatedTask) => string | undefined = () => undefined;
  readonly latency: Latency = { provisioning: 1, pull: 1, boot: 1, deprovisioning: 1 };
  /** Eventual consistency: how long a new task is MISSING and unlisted, in milliseconds of the clock. */
  invisibleMs = 0;
  /** Real seconds per second of `stopTimeout`. */
  stopTimeoutScale = 1;
  /**
   * Whether a call that only brought failures uses its client token up; AWS does not say. When it does, the same call
   * gets the same failures, whatever the capacity.
   */
  failuresSpendTokens = false;
  /**
   * The reference says that startedBy must be the only filter of ListTasks, yet desiredStatus beside it works (Airflow's
   * operator has long relied on it). Set this to hold callers to the letter.
   */
  startedByMustBeAlone = false;
  /**
   * RunTask calls, and tasks per provider: both token buckets, per second of the clock. Undefined: no limit.
   * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html
   */
  readonly rates: { runTask: Rate | undefined; launches: Rate | undefined } = {
    runTask: { burst: 20, perSecond: 20 },
    launches: { burst: 100, perSecond: 20 },
  };
  /** When a state change reaches the listeners: after so many milliseconds, once for each number. None: it is lost. */
  deliver: (event: TaskStateChange) => readonly number[] = () => [0];
  /** Every task ECS still knows, by ARN, oldest first. */
  readonly tasks = new Map<string, EmulatedTask>();
  readonly clusterArn: string;
  /** How long an instance stays after its last task, in milliseconds of the clock. */
  idleInstanceMs = 0;
  readonly #options: Required<Pick<EcsOptions, 'cluster' | 'account' | 'region'>> & EcsOptions;
  readonly #definitions = new Map<string, TaskDefinition>();
  readonly #tokens = new Map<string, TokenUse>();
  readonly #buckets = new Map<string, { level: number; at: number }>();
  readonly #stateListeners = new Set<(event: TaskStateChange) => void>();
  readonly #logListeners = new Set<(line: TaskLogLine) => void>();
  readonly #ends = new Map<string, () => void>();
  readonly #endings = new Map<string, Promise<void>>();
  readonly #byCredentials = new Map<string, EmulatedTask>();
  readonly #byId = new Map<string, EmulatedTask>();
  readonly #root = mkdtempSync(join(tmpdir(), 'ecs-'));
  readonly #host = new TaskHost(this.#root);
  #service: JsonService | undefined;
  #stopped = false;

  private constructor(options: EcsOptions) {
    this.#options = { cluster: 'runners', account: '111122223333', region: 'us-east-1', ...options };
    const { region, account, cluster, taskDefinitions = [] } = this.#options;
    this.clusterArn = `arn:aws:ecs:${region}:${account}:cluster/${cluster}`;
    for (const definition of taskDefinitions) this.registerTaskDefinition(definition);
  }

  static async start(options: EcsOptions): Promise<Ecs> {
    const ecs = new Ecs(options);
    ecs.#service = await JsonService.start({
      contentType: 'application/x-amz-json-1.1',
      perform: async (call) => Promise.resolve(ecs.#perform(call)),
      onCall: options.onCall,
      serveOther: (request, response) => ecs.#serveTask(request, response),
    });
    return ecs;
  }

  get service(): JsonService {
    if (this.#service === undefined) throw new Error('ECS has not started');
    return this.#service;
  }

  get url(): string {
    return this.service.url;
  }

  failNext(operation: string, failure: Failure, times = 1): void {
    this.service.failNext(operation, failure, times);
  }

  /** @returns its ARN */
  registerTaskDefinition(definition: TaskDefinition): string {
    this.#definitions.set(`${definition.family}:${definition.revision}`, definition);
    const { region, account } = this.#options;
    return `arn:aws:ecs:${region}:${account}:task-definition/${definition.family}:${definition.revision}`;
  }

  onStateChange(listener: (event: TaskStateChange) => void): () => void {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }

  onLog(listener: (line: TaskLogLine) => void): () => void {
    this.#logListeners.add(listener);
    return () => void this.#logListeners.delete(listener);
  }

  /** A task by ARN, id or startedBy; of several the newest. */
  find(name: string): EmulatedTask | undefined {
    const named = this.tasks.get(name) ?? this.#byId.get(name);
    return named ?? [...this.tasks.values()].findLast((task) => task.startedBy === name);
  }

  /** Resolves when a task is STOPPED, at once when it is already or is unknown. */
  async stoppedTask(name: string): Promise<EmulatedTask | undefined> {
    const task = this.find(name);
    if (task !== undefined) await this.#endings.get(task.arn);
    return task;
  }

  /** Resolves when no task is on its way: all STOPPED. */
  async settled(): Promise<void> {
    while (this.#endings.size > 0) await Promise.all(this.#endings.values());
  }

  /** Takes a Spot task's machine away: the event at once, SIGTERM, SIGKILL after the stop timeout. */
  interrupt(name: string): void {
    this.#stopTask(this.#mustFind(name), { code: 'SpotInterruption', reason: 'Your Spot Task was interrupted.' });
  }

  /** Kills a task's container for using too much memory. */
  exhaustMemory(name: string): void {
    const task = this.#mustFind(name);
    task.containerReason = 'OutOfMemoryError: Container killed due to memory usage';
    task.process?.kill();
  }

  /** Makes a task vanish without an event, and ECS forget it. */
  lose(name: string): void {
    const task = this.#mustFind(name);
    this.#forget(task);
    this.#abandon(task);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.service.stop();
    for (const task of this.tasks.values()) this.#abandon(task);
    await this.settled();
    await this.#host.stop();
  }

  #perform({ operation, input }: Call): unknown {
    switch (operation) {
      case 'RunTask':
        return this.#runTask(input);
      case 'StopTask':
        return this.#stopTaskByCall(input);
      case 'DescribeTasks':
        return this.#describeTasks(input);
      case 'ListTasks':
        return this.#listTasks(input);
      case 'ListContainerInstances':
        return this.#listContainerInstances(input);
      default:
        throw new AwsError('UnknownOperationException', `${operation} is not emulated`);
    }
  }

  #runTask(input: Record<string, unknown>): unknown {
    this.#take('runTask', this.rates.runTask, 1);
    this.#checkCluster(input['cluster']);
    const onInstances = [...this.#definitions.values()].flatMap(({ managedInstances = [] }) => managedInstances);
    const request = parseRunTask(input, {
      providers: { fargate, managedInstances: onInstances },
      defaultStrategy: [],
    });
    const definition = this.#definitionOf(request);
    const fingerprint = sha256(canonicalJson({ ...input, clientToken: undefined }));
    const before = this.#tokenUse(request.clientToken);
    if (before !== undefined) {
      if (before.fingerprint !== fingerprint) {
        throw new AwsError(
          'ConflictException',
          'The request with the same client token was made with different parameters.',
          { fields: { resourceIds: before.arns } },
        );
      }
      return before.answer ?? { tasks: before.arns.map((arn) => this.#describeAgain(arn)), failures: [] };
    }
    const room = this.capacity(request.provider);
    if (room !== 'ok') {
      const answer = {
        tasks: [],
        failures: Array.from({ length: request.count }, () => ({ reason: capacityReasons[room] })),
      };
      if (this.failuresSpendTokens) this.#spend(request.clientToken, { fingerprint, arns: [], answer });
      return answer;
    }
    this.#take(`launches ${request.provider}`, this.rates.launches, request.count);
    const tasks = Array.from({ length: request.count }, () => this.#createTask(request, definition));
    this.#spend(request.clientToken, { fingerprint, arns: tasks.map((task) => task.arn), answer: undefined });
    return { tasks: tasks.map((task) => task.describe('api', { tags: true })), failures: [] };
  }

  #definitionOf(request: RunTaskRequest): TaskDefinition {
    const name = request.taskDefinition.split('/').at(-1) ?? '';
    const newest = [...this.#definitions.values()]
      .filter(({ family }) => family === name)
      .toSorted((a, b) => b.revision - a.revision)[0];
    const definition = this.#definitions.get(name) ?? newest;
    if (definition === undefined) throw new AwsError('ClientException', 'TaskDefinition not found.');
    const container = definition.containerName ?? 'runner';
    for (const override of request.overrides.containerOverrides ?? []) {
      if (override.name !== container) {
        throw invalid(`Override for container named ${override.name} is not a container in the TaskDefinition.`);
      }
    }
    if (!(definition.managedInstances ?? fargate).includes(request.provider)) {
      throw invalid(`Task definition does not support the capacity of ${request.provider}.`);
    }
    if (definition.managedInstances !== undefined) return definition;
    checkFargateSize(
      Number(request.overrides.cpu ?? definition.cpu),
      Number(request.overrides.memory ?? definition.memoryMiB),
    );
    return definition;
  }

  #createTask(request: RunTaskRequest, definition: TaskDefinition): EmulatedTask {
    const { cluster, region, account, clock, credentials } = this.#options;
    const id = randomBytes(16).toString('hex');
    const task = new EmulatedTask({
      id,
      request,
      definition,
      credentials: {
        accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
        secretAccessKey: randomBytes(30).toString('base64'),
        token: randomBytes(96).toString('base64'),
      },
      credentialsId: randomUUID(),
      scratch: join(this.#root, id),
      createdAt: clock.now(),
      names: { cluster, region, account, clusterArn: this.clusterArn },
    });
    this.tasks.set(task.arn, task);
    this.#byId.set(id, task);
    this.#byCredentials.set(task.credentialsId, task);
    credentials?.registerTaskCredentials(task.credentials);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#ends.set(task.arn, resolve);
    this.#endings.set(task.arn, promise);
    this.#tell(task);
    this.#provision(task);
    return task;
  }

  #provision(task: EmulatedTask): void {
    const { clock } = this.#options;
    const { provisioning, pull, boot } = this.latency;
    task.callOff = clock.after(provisioning, () => {
      task.lastStatus = 'PENDING';
      task.times.pullStartedAt = clock.now();
      this.#tell(task);
      task.callOff = clock.after(pull, () => {
        const failure = this.startFailure(task);
        if (failure !== undefined) {
          this.#failToStart(task, failure);
          return;
        }
        task.times.pullStoppedAt = clock.now();
        task.callOff = clock.after(boot, () => {
          task.callOff = undefined;
          void this.#boot(task);
        });
      });
    });
  }

  async #boot(task: EmulatedTask): Promise<void> {
    const { definition, containerOverride: override } = task;
    try {
      if (this.#options.prepareTask !== undefined) await mkdir(task.scratch, { recursive: true });
      const image = await this.#options.prepareTask?.(task.scratch, definition, task);
      if (task.stopping || this.#stopped || !this.tasks.has(task.arn)) {
        this.#end(task);
        return;
      }
      // A quick task speaks before we know its process; whoever listens hears it when we do.
      const early: TaskLogLine[] = [];
      task.process = await this.#host.run({
        id: task.id,
        scratch: task.scratch,
        command: override?.command ?? definition.command,
        cleanUp: definition.cleanUp,
        environment: {
          PATH: process.env['PATH'] ?? '',
          ...image,
          AWS_REGION: this.#options.region,
          AWS_DEFAULT_REGION: this.#options.region,
          AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
          ECS_CONTAINER_METADATA_URI_V4: `${this.url}/v4/${task.id}`,
          AWS_CONTAINER_CREDENTIALS_FULL_URI: `${this.url}/v2/credentials/${task.credentialsId}`,
          ...definition.environment,
          ...Object.fromEntries((override?.environment ?? []).map(({ name, value }) => [name, value])),
        },
        onLine: (stream, line) => {
          task.write(stream, line);
          if (task.process === undefined) early.push({ task, stream, line });
          else this.#tellLine({ task, stream, line });
        },
      });
      for (const line of early) this.#tellLine(line);
    } catch (error) {
      this.#failToStart(task, `CannotStartContainerError: ${error instanceof Error ? error.message : String(error)}`);
      return;
    }
    void this.#attend(task, task.process);
  }

  #tellLine(line: TaskLogLine): void {
    for (const listener of this.#logListeners) listener(line);
  }

  async #attend(task: EmulatedTask, child: TaskProcess): Promise<void> {
    task.times.startedAt = this.#options.clock.now();
    task.lastStatus = 'RUNNING';
    // Stopped, lost or shut down while the process was being spawned: nobody has signalled it yet.
    if (this.#stopped || !this.tasks.has(task.arn)) child.kill();
    else if (task.stopping) this.#signal(task, child);
    else this.#tell(task);
    task.exitCode = await child.exited;
    this.#begin(task, { code: 'EssentialContainerExited', reason: 'Essential container in task exited' });
    task.times.executionStoppedAt = this.#options.clock.now();
    task.lastStatus = 'DEPROVISIONING';
    this.#tell(task);
    await child.gone;
    await this.#finish(task);
  }

  #failToStart(task: EmulatedTask, reason: string): void {
    task.containerReason ??= reason;
    this.#begin(task, { code: 'TaskFailedToStart', reason });
    this.#end(task);
  }

  /** Marks the beginning of the end. The first cause stays the cause. */
  #begin(task: EmulatedTask, { code, reason }: { code: StopCode; reason: string }): void {
    task.desiredStatus = 'STOPPED';
    task.stopCode ??= code;
    task.stoppedReason ??= reason;
    task.times.stoppingAt ??= this.#options.clock.now();
  }

  /** Ends a task without ceremony. One that is booting has nothing to end yet: whoever boots it looks. */
  #abandon(task: EmulatedTask): void {
    task.process?.kill();
    if (task.callOff === undefined) return;
    task.callOff();
    task.callOff = undefined;
    this.#end(task);
  }

  /** Ends a task that has no process. */
  #end(task: EmulatedTask): void {
    if (task.lastStatus === 'STOPPED' || task.lastStatus === 'DEPROVISIONING') return;
    this.#begin(task, { code: 'TaskFailedToStart', reason: 'Task failed to start' });
    task.lastStatus = 'DEPROVISIONING';
    this.#tell(task);
    void this.#finish(task);
  }

  async #finish(task: EmulatedTask): Promise<void> {
    const { clock, credentials } = this.#options;
    // The host removes the directory of a task it ran.
    if (task.process === undefined) await rm(task.scratch, { recursive: true, force: true }).catch(() => undefined);
    if (!this.#stopped && this.tasks.has(task.arn)) {
      await new Promise<void>((resolve) => {
        clock.after(this.latency.deprovisioning, resolve);
      });
    }
    task.times.stoppedAt = clock.now();
    task.lastStatus = 'STOPPED';
    credentials?.forgetTaskCredentials(task.credentials.accessKeyId);
    this.#byCredentials.delete(task.credentialsId);
    this.#tell(task);
    this.#endings.delete(task.arn);
    this.#ends.get(task.arn)?.();
    this.#ends.delete(task.arn);
  }

  #stopTaskByCall(input: Record<string, unknown>): unknown {
    this.#checkCluster(input['cluster']);
    this.#forgetOld();
    const task = this.#known(String(input['task'] ?? ''));
    if (task === undefined) throw invalid('The referenced task was not found.');
    const reason =
      typeof input['reason'] === 'string' && input['reason'] !== '' ? input['reason'] : 'Task stopped by user';
    // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html: tags are deleted.
    task.tags = [];
    this.#stopTask(task, { code: 'UserInitiated', reason });
    return { task: task.describe('api', { tags: true }) };
  }

  #stopTask(task: EmulatedTask, cause: { code: StopCode; reason: string }): void {
    if (task.stopping) return;
    this.#begin(task, cause);
    const started = task.lastStatus === 'RUNNING' && task.process !== undefined;
    if (started && task.process !== undefined) {
      this.#tell(task);
      this.#signal(task, task.process);
      return;
    }
    // Without an alarm to call off it is booting, and whoever boots it looks at `stopping`.
    if (task.callOff === undefined) return;
    task.callOff();
    task.callOff = undefined;
    this.#end(task);
  }

  #signal(task: EmulatedTask, child: TaskProcess): void {
    child.terminate();
    const seconds = Math.min(task.definition.stopTimeout ?? 30, 120);
    const timer = setTimeout(
      () => {
        child.kill();
      },
      seconds * 1000 * this.stopTimeoutScale,
    );
    void child.exited.finally(() => {
      clearTimeout(timer);
    });
  }

  #describeTasks(input: Record<string, unknown>): unknown {
    this.#checkCluster(input['cluster']);
    this.#forgetOld();
    const names = (input['tasks'] ?? []) as readonly string[];
    if (names.length === 0) throw invalid('Tasks cannot be empty.');
    if (names.length > 100) throw invalid(`tasks can have at most 100 items, got ${names.length}`);
    const tags = ((input['include'] ?? []) as readonly string[]).includes('TAGS');
    const found = names.map((name) => [name, this.#known(name)] as const);
    return {
      tasks: found.flatMap(([, task]) => (task === undefined ? [] : [task.describe('api', { tags })])),
      failures: found.flatMap(([name, task]) =>
        task === undefined ? [{ arn: this.#arnOf(name), reason: 'MISSING' }] : [],
      ),
    };
  }

  #listTasks(input: Record<string, unknown>): unknown {
    this.#checkCluster(input['cluster']);
    this.#forgetOld();
    const { startedBy, family, serviceName, containerInstance, launchType, desiredStatus } = input;
    const others = {
      family,
      serviceName,
      containerInstance,
      launchType,
      ...(this.startedByMustBeAlone && { desiredStatus }),
    };
    const beside = Object.entries(others).find(([, value]) => value !== undefined && value !== null);
    if (typeof startedBy === 'string' && beside !== undefined) {
      throw invalid(`startedBy must be the only filter, got ${beside[0]} too`);
    }
    const wanted = desiredStatus ?? 'RUNNING';
    if (!['RUNNING', 'PENDING', 'STOPPED'].includes(String(wanted)))
      throw invalid(`Invalid desiredStatus ${String(wanted)}`);
    const limit = typeof input['maxResults'] === 'number' ? input['maxResults'] : 100;
    if (limit < 1 || limit > 100) throw invalid(`maxResults must be from 1 to 100, got ${limit}`);
    const matching = [...this.tasks.values()].filter(
      (task) =>
        this.#isVisible(task) &&
        task.desiredStatus === wanted &&
        (typeof startedBy !== 'string' || task.startedBy === startedBy) &&
        (typeof family !== 'string' || task.definition.family === family) &&
        (typeof launchType !== 'string' || launchType === 'FARGATE') &&
        serviceName === undefined &&
        containerInstance === undefined,
    );
    const from = this.#pageStart(input['nextToken'], matching);
    const page = matching.slice(from, from + limit);
    const last = page.at(-1);
    return {
      taskArns: page.map(({ arn }) => arn),
      ...(from + limit < matching.length &&
        last !== undefined && { nextToken: Buffer.from(last.arn).toString('base64') }),
    };
  }

  /** One under each task of Managed Instances, and for a while after it. */
  #listContainerInstances(input: Record<string, unknown>): unknown {
    this.#checkCluster(input['cluster']);
    const now = this.#options.clock.now();
    const standing = [...this.tasks.values()].filter(
      ({ launchType, lastStatus, times }) =>
        launchType === 'MANAGED_INSTANCES' &&
        (lastStatus !== 'STOPPED' || now < (times.stoppedAt ?? 0) + this.idleInstanceMs),
    );
    return { containerInstanceArns: standing.map(({ arn }) => arn.replace(':task/', ':container-instance/')) };
  }

  /** After the task the last page ended with, or after those as old as it was if it has gone since. */
  #pageStart(nextToken: unknown, matching: readonly EmulatedTask[]): number {
    if (typeof nextToken !== 'string' || nextToken === '') return 0;
    const last = Buffer.from(nextToken, 'base64').toString();
    const createdAt = this.tasks.get(last)?.times.createdAt;
    const at = matching.findIndex(({ arn }) => arn === last);
    if (at >= 0) return at + 1;
    if (createdAt === undefined && !last.startsWith('arn:aws:ecs:')) throw invalid('Invalid token');
    const next = matching.findIndex((task) => task.times.createdAt > (createdAt ?? 0));
    return next < 0 ? matching.length : next;
  }

  #checkCluster(given: unknown): void {
    const name = typeof given === 'string' && given !== '' ? given : 'default';
    if (name === this.#options.cluster || name === this.clusterArn) return;
    throw new AwsError('ClusterNotFoundException', 'Cluster not found.');
  }

  #known(name: string): EmulatedTask | undefined {
    const task = name.startsWith('arn:') ? this.tasks.get(name) : this.#byId.get(name);
    return task !== undefined && this.#isVisible(task) ? task : undefined;
  }

  #isVisible(task: EmulatedTask): boolean {
    return this.invisibleMs === 0 || this.#options.clock.now() - task.times.createdAt >= this.invisibleMs;
  }

  #arnOf(name: string): string {
    if (name.startsWith('arn:')) return name;
    return `${this.clusterArn.replace(':cluster/', ':task/')}/${name}`;
  }

  #mustFind(name: string): EmulatedTask {
    const task = this.find(name);
    if (task === undefined) throw new Error(`there must be a task ${name}, there is none`);
    return task;
  }

  #describeAgain(arn: string): unknown {
    const task = this.tasks.get(arn);
    if (task !== undefined) return task.describe('api', { tags: true });
    return { taskArn: arn, lastStatus: 'STOPPED', desiredStatus: 'STOPPED' };
  }

  /** Lives until 24 hours, or one hour after the last of its tasks stopped, whichever is sooner. */
  #tokenUse(token: string | undefined): TokenUse | undefined {
    const use = token === undefined ? undefined : this.#tokens.get(token);
    if (token === undefined || use === undefined) return undefined;
    const now = this.#options.clock.now();
    const stops = use.arns
      .map((arn) => this.tasks.get(arn))
      .map((task) => (task === undefined ? 0 : task.times.stoppedAt));
    const lastStop = stops.includes(undefined)
      ? Number.POSITIVE_INFINITY
      : Math.max(use.at, ...stops.map((at) => at ?? 0));
    if (now < use.at + 24 * hourMs && now < lastStop + hourMs) return use;
    this.#tokens.delete(token);
    return undefined;
  }

  #spend(token: string | undefined, use: Omit<TokenUse, 'at'>): void {
    if (token !== undefined) this.#tokens.set(token, { ...use, at: this.#options.clock.now() });
  }

  #take(name: string, rate: Rate | undefined, count: number): void {
    if (rate === undefined) return;
    const now = this.#options.clock.now();
    const bucket = this.#buckets.get(name) ?? { level: rate.burst, at: now };
    const level = Math.min(rate.burst, bucket.level + ((now - bucket.at) / 1000) * rate.perSecond);
    const enough = level >= count;
    this.#buckets.set(name, { level: enough ? level - count : level, at: now });
    if (!enough) throw new AwsError('ThrottlingException', 'Rate exceeded');
  }

  /** ECS shows a stopped task for an hour. */
  #forgetOld(): void {
    const oldest = this.#options.clock.now() - hourMs;
    for (const task of this.tasks.values()) {
      if (task.times.stoppedAt !== undefined && task.times.stoppedAt < oldest) this.#forget(task);
    }
  }

  #forget(task: EmulatedTask): void {
    this.tasks.delete(task.arn);
    this.#byId.delete(task.id);
  }

  #tell(task: EmulatedTask): void {
    task.version++;
    if (this.#stopped || !this.tasks.has(task.arn)) return;
    const { clock, account, region } = this.#options;
    const event: TaskStateChange = {
      version: '0',
      id: randomUUID(),
      source: 'aws.ecs',
      'detail-type': 'ECS Task State Change',
      account,
      region,
      time: new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
      resources: [task.arn],
      detail: task.describe('event') as StateChangeDetail,
    };
    for (const delay of this.deliver(event)) {
      if (delay <= 0) this.#publish(event);
      else
        clock.after(delay, () => {
          this.#publish(event);
        });
    }
  }

  #publish(event: TaskStateChange): void {
    for (const listener of this.#stateListeners) listener(event);
  }

  /** The two addresses a container may ask: about itself, and for its role's credentials. */
  #serveTask(request: IncomingMessage, response: ServerResponse): boolean {
    if (request.method !== 'GET') return false;
    const [, kind, second, third] = (request.url ?? '').split('/');
    const document =
      kind === 'v4'
        ? this.#metadata(second ?? '', third ?? '')
        : kind === 'v2' && second === 'credentials'
          ? this.#credentialsOf(third ?? '')
          : undefined;
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? { code: 'NotFound', message: 'there is nothing here' }));
    return true;
  }

  #metadata(id: string, part: string): unknown {
    const task = this.#byId.get(id);
    if (part === 'task') return task?.taskMetadata();
    return part === '' ? task?.containerMetadata() : undefined;
  }

  #credentialsOf(id: string): unknown {
    const task = this.#byCredentials.get(id);
    if (task === undefined) return undefined;
    const { accessKeyId, secretAccessKey, token } = task.credentials;
    return {
      RoleArn: `arn:aws:iam::${this.#options.account}:role/task`,
      AccessKeyId: accessKeyId,
      SecretAccessKey: secretAccessKey,
      Token: token,
      Expiration: new Date(Math.max(this.#options.clock.now(), Date.now()) + 6 * hourMs).toISOString(),
    };
  }
}

/** https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size */
function checkFargateSize(cpu: number, memoryMiB: number): void {
  const size = fargateSizes.find((candidate) => candidate.cpu === cpu);
  const gib = memoryMiB / 1024;
  const fits =
    size !== undefined &&
    gib >= size.from &&
    gib <= size.to &&
    (gib === 0.5 || (gib - Math.ceil(size.from)) % size.step === 0);
  if (fits) return;
  throw new AwsError(
    'ClientException',
    `No Fargate configuration exists for given values: ${cpu} CPU, ${memoryMiB} memory.`,
  );
}

const fargateSizes = [
  { cpu: 256, from: 0.5, to: 2, step: 1 },
  { cpu: 512, from: 1, to: 4, step: 1 },
  { cpu: 1024, from: 2, to: 8, step: 1 },
  { cpu: 2048, from: 4, to: 16, step: 1 },
  { cpu: 4096, from: 8, to: 30, step: 1 },
  { cpu: 8192, from: 16, to: 60, step: 4 },
  { cpu: 16_384, from: 32, to: 120, step: 8 },
];

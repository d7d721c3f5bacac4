import { cp, link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { providersOf } from '../../functions/contracts/with-infra/providers.ts';
import { encodeNames, taskFamily, type Choices } from '../../functions/contracts/with-infra/settings.ts';
import {
  endFleetSeconds,
  functionSeconds,
  mostReceives,
  visibilitySeconds,
} from '../../functions/contracts/with-infra/queue-limits.ts';
import { openIndex, timeToLiveAttribute } from '../../functions/contracts/with-infra/table-shape.ts';
import { bundleFunctions, type FunctionName } from '../../infra/function-bundle.ts';
import type { AwsCall, OnCall } from './aws/aws-call.ts';
import { EventSource } from './aws/event-source.ts';
import { Ecs } from './aws/ecs.ts';
import { HttpApi } from './aws/http-api.ts';
import { Images } from './aws/images.ts';
import { LambdaFunction, type LogLine } from './aws/lambda.ts';
import { Parameters } from './aws/parameters.ts';
import { Queues, type Queue } from './aws/queues.ts';
import { Scheduler, stoppedTaskOf, type Schedule } from './aws/scheduler.ts';
import { Tables } from './aws/tables.ts';
import { TurnableClock } from './clock.ts';
import { GitHubEmulator, type GitHubOptions } from './github/server.ts';

const repository = fileURLToPath(new URL('../../', import.meta.url));
const standIn = fileURLToPath(new URL('actions-runner/', import.meta.url));
const minute = 60_000;

export type LocalFleetOptions = {
  /** What an operator chooses, but for GitHub's address, which is the emulator's. */
  readonly choices: Omit<Choices, 'github' | 'version'> & { readonly owners: readonly string[] };
  readonly github?: Omit<GitHubOptions, 'clock' | 'webhookUrl' | 'webhookSecret'>;
  /** Sets GitHub up before anything can ask it: accounts, repositories, installations. */
  readonly arrange?: (github: GitHubEmulator) => void;
  /** Seconds a message is hidden while a function has it. */
  readonly visibilitySeconds?: number;
  /** The minute's and the five minutes' schedules run by the clock; off, a test runs them when it wants to. @default true */
  readonly schedules?: boolean;
  /** Bounds of the start script, by its own names, to shorten what a test would wait for. */
  readonly startScript?: Readonly<Record<string, string>>;
  /** The runner image is built here too, and until then no task starts. @default false */
  readonly buildsImages?: boolean;
  readonly onLog?: (line: LogLine) => void;
  /** Hears of every call that a function, the poller of its queue, or a task makes of AWS. */
  readonly onCall?: (call: FleetCall) => void;
  /** Warm environments of each function at most: each is a thread with the whole bundle in it. @default 10 */
  readonly maxConcurrency?: number;
};

/** A call of AWS and whose permissions it needs. */
export type FleetCall = Omit<AwsCall, 'key'> & { readonly caller: FunctionName | 'task' };

type QueueName = 'jobs' | 'events' | 'stops';

const webhookSecret = 'It is a secret to everybody';
const parameterNames = {
  appId: '/github-runners/local/app-id',
  appKey: '/github-runners/local/app-key',
  webhookSecret: '/github-runners/local/webhook-secret',
};
const dockerNetwork = { subnets: ['subnet-docker-1', 'subnet-docker-2'], securityGroups: ['sg-docker'] };
export const tableNames = { ledger: 'Ledger', claims: 'Claims' };

/**
 * The whole fleet on this machine: the functions as they are deployed, driven as AWS drives them, against emulators that
 * answer the unmodified SDKs over HTTP. A task is a process that runs the real start script.
 */
export class LocalFleet {
  readonly clock: TurnableClock;
  /** What a deployment puts into the environment of each function. */
  readonly environment: Readonly<Record<string, string>>;
  readonly github: GitHubEmulator;
  readonly tables: Tables;
  readonly queues: Queues;
  readonly parameters: Parameters;
  readonly ecs: Ecs;
  readonly images: Images | undefined;
  readonly api: HttpApi;
  readonly scheduler: Scheduler;
  readonly functions: Readonly<Record<FunctionName, LambdaFunction>>;
  readonly schedules: Readonly<Record<'replenish' | 'scale-down' | 'redeliver', Schedule>>;
  readonly jobsQueue: Queue;
  readonly eventsQueue: Queue;
  readonly stopsQueue: Queue;
  readonly deadLetters: Readonly<Record<QueueName, Queue>>;
  readonly eventSources: Readonly<Record<'scale-up' | 'track-jobs' | 'task-stopped', EventSource>>;
  readonly #directory: string;

  private constructor(
    parts: Omit<LocalFleet, 'stop' | 'depth' | 'ledger' | 'claims'> & { readonly directory: string },
  ) {
    this.clock = parts.clock;
    this.environment = parts.environment;
    this.github = parts.github;
    this.tables = parts.tables;
    this.queues = parts.queues;
    this.parameters = parts.parameters;
    this.ecs = parts.ecs;
    this.images = parts.images;
    this.api = parts.api;
    this.scheduler = parts.scheduler;
    this.functions = parts.functions;
    this.schedules = parts.schedules;
    this.jobsQueue = parts.jobsQueue;
    this.eventsQueue = parts.eventsQueue;
    this.stopsQueue = parts.stopsQueue;
    this.deadLetters = parts.deadLetters;
    this.eventSources = parts.eventSources;
    this.#directory = parts.directory;
  }

  static async start(options: LocalFleetOptions): Promise<LocalFleet> {
    const clock = new TurnableClock();
    const directory = await mkdtemp(join(tmpdir(), 'local-fleet-'));
    const github = await GitHubEmulator.start({ clock, ...options.github, webhookSecret });
    options.arrange?.(github);
    const { owners, ...rest } = options.choices;
    const choices: Choices = { version: 1, ...rest, github: { url: github.url, owners: [...owners] } };

    const onCall = options.onCall && tellWhoCalls(options.onCall);
    const tables = await Tables.start({ clock, onCall, taskRole: { deleteFrom: tableNames.claims } });
    await createTables(tables);
    const parameters = await Parameters.start({ clock, onCall });
    parameters.put(parameterNames.appId, github.app.id);
    parameters.put(parameterNames.appKey, github.app.privateKey);
    parameters.put(parameterNames.webhookSecret, webhookSecret);
    const { queues, ...queuesMade } = await createQueues(
      { clock, onCall },
      options.visibilitySeconds ?? visibilitySeconds,
    );
    const ecs = await startEcs(choices, { directory, clock, tables, onCall, startScript: options.startScript ?? {} });

    const images = options.buildsImages === true ? await Images.start({ clock, onCall }) : undefined;
    const projects = Object.fromEntries(choices.profiles.map(({ arch }) => [arch, `build-${arch}`]));

    const environment = {
      ...encodeNames({
        fleetId: '111122223333/us-east-1/local',
        tables: tableNames,
        queues: { jobs: queuesMade.jobsQueue.url, events: queuesMade.eventsQueue.url },
        tasks: {
          cluster: ecs.clusterArn,
          revisions: Object.fromEntries(choices.profiles.map(({ name }) => [name, '1'])),
          subnets: ['subnet-1', 'subnet-2'],
          securityGroups: ['sg-1'],
          assignPublicIp: 'ENABLED',
          docker: choices.profiles.some((profile) => profile.docker) ? dockerNetwork : undefined,
        },
        parameters: parameterNames,
        images: images && { repository: 'runners', source: 'local', projects },
      }),
      AWS_ENDPOINT_URL_DYNAMODB: tables.url,
      AWS_ENDPOINT_URL_SQS: queues.url,
      AWS_ENDPOINT_URL_SSM: parameters.url,
      AWS_ENDPOINT_URL_ECS: ecs.url,
      ...(images && { AWS_ENDPOINT_URL_ECR: images.url, AWS_ENDPOINT_URL_CODEBUILD: images.url }),
    };
    const functions = makeFunctions(bundleFunctions(choices, directory), {
      clock,
      environment,
      onLog: options.onLog ?? (() => undefined),
      maxConcurrency: options.maxConcurrency ?? 10,
    });
    const api = await HttpApi.start({ clock, invoke: functions.webhook.invoke });
    github.setWebhook({ url: `${api.url}/webhook` });

    const scheduler = new Scheduler({ clock });
    const schedules = {
      replenish: scheduler.every(minute, functions.replenish.invoke),
      'scale-down': scheduler.every(minute, functions['scale-down'].invoke),
      redeliver: scheduler.every(5 * minute, functions.redeliver.invoke),
    };
    if (options.schedules === false) for (const schedule of Object.values(schedules)) schedule.pause();
    const sendStop = async (body: string): Promise<void> => queues.send(queuesMade.stopsQueue, body);
    ecs.onStateChange(scheduler.rule(stoppedTaskOf(ecs.clusterArn), sendStop));
    const eventSources = {
      'scale-up': EventSource.start({
        queues,
        queue: queuesMade.jobsQueue,
        accessKeyId: keyOf('scale-up'),
        invoke: functions['scale-up'].invoke,
        batchSize: 10,
      }),
      'track-jobs': EventSource.start({
        queues,
        queue: queuesMade.eventsQueue,
        accessKeyId: keyOf('track-jobs'),
        invoke: functions['track-jobs'].invoke,
      }),
      'task-stopped': EventSource.start({
        queues,
        queue: queuesMade.stopsQueue,
        accessKeyId: keyOf('task-stopped'),
        invoke: functions['task-stopped'].invoke,
        maximumConcurrency: 5,
      }),
    };
    return new LocalFleet({
      directory,
      clock,
      environment,
      github,
      tables,
      queues,
      parameters,
      ecs,
      images,
      api,
      scheduler,
      functions,
      schedules,
      eventSources,
      ...queuesMade,
    });
  }

  async ledger(): Promise<Record<string, unknown>[]> {
    return this.tables.items(tableNames.ledger);
  }

  async claims(): Promise<Record<string, unknown>[]> {
    return this.tables.items(tableNames.claims);
  }

  /** Every message that is anywhere but in a dead-letter queue. */
  async depth(): Promise<number> {
    const depths = await Promise.all(
      [this.jobsQueue, this.eventsQueue, this.stopsQueue].map(async (queue) => this.queues.depth(queue)),
    );
    return depths.reduce((sum, { visible, inFlight, delayed }) => sum + visible + inFlight + delayed, 0);
  }

  /** Ends everything that was started, tasks first, and leaves nothing behind. */
  async stop(): Promise<void> {
    for (const schedule of Object.values(this.schedules)) schedule.pause();
    await Promise.all(Object.values(this.eventSources).map(async (source) => source.stop()));
    await this.scheduler.stop();
    await this.ecs.stop();
    await Promise.all(Object.values(this.functions).map(async (one) => one.stop()));
    await this.api.stop();
    await this.github.stop();
    await Promise.all([this.queues.stop(), this.tables.stop(), this.parameters.stop(), this.images?.stop()]);
    this.clock.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** Each function signs with a key of its own, so that its calls can be told from the others'. */
function keyOf(name: FunctionName): string {
  return `function-${name}`;
}

/** Whoever signs with no function's key is a task: ECS makes a key for each. */
function tellWhoCalls(onCall: (call: FleetCall) => void): OnCall {
  return ({ key, ...call }) => {
    const name = /^function-(.+)$/.exec(key)?.[1] as FunctionName | undefined;
    onCall({ caller: name ?? 'task', ...call });
  };
}

export async function createTables(tables: Tables): Promise<void> {
  await tables.createTable({
    TableName: tableNames.ledger,
    AttributeDefinitions: ['id', openIndex.partitionKey, openIndex.sortKey].map((name) => ({
      AttributeName: name,
      AttributeType: 'S',
    })),
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    GlobalSecondaryIndexes: [
      {
        IndexName: openIndex.indexName,
        KeySchema: [
          { AttributeName: openIndex.partitionKey, KeyType: 'HASH' },
          { AttributeName: openIndex.sortKey, KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    timeToLiveAttribute,
  });
  await tables.createTable({
    TableName: tableNames.claims,
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    timeToLiveAttribute,
  });
}

async function createQueues(
  options: { readonly clock: TurnableClock; readonly onCall: OnCall | undefined },
  visibility: number,
): Promise<{
  queues: Queues;
  jobsQueue: Queue;
  eventsQueue: Queue;
  stopsQueue: Queue;
  deadLetters: Record<QueueName, Queue>;
}> {
  const queues = await Queues.start(options);
  const deadLetters = {
    jobs: await queues.createQueue('jobs-dead-letters'),
    events: await queues.createQueue('events-dead-letters'),
    stops: await queues.createQueue('stops-dead-letters'),
  };
  const make = async (name: QueueName): Promise<Queue> =>
    queues.createQueue(name, {
      visibilitySeconds: visibility,
      deadLetters: { queue: deadLetters[name], maxReceiveCount: mostReceives },
    });
  return {
    queues,
    deadLetters,
    jobsQueue: await make('jobs'),
    eventsQueue: await make('events'),
    stopsQueue: await make('stops'),
  };
}

async function startEcs(
  choices: Choices,
  {
    directory,
    clock,
    tables,
    onCall,
    startScript,
  }: {
    readonly directory: string;
    readonly clock: TurnableClock;
    readonly tables: Tables;
    readonly onCall: OnCall | undefined;
    readonly startScript: Readonly<Record<string, string>>;
  },
): Promise<Ecs> {
  const image = join(directory, 'image');
  await cp(standIn, image, { recursive: true });
  const files = [
    'VERSION',
    'config.sh',
    'run.sh',
    'run-helper.sh',
    ...(await readdir(join(image, 'bin'))).map((name) => `bin/${name}`),
  ];
  const ecs = await Ecs.start({
    clock,
    onCall,
    credentials: tables,
    taskDefinitions: choices.profiles.map(({ name, cpu, memoryGiB, arch, docker }) => ({
      family: taskFamily('local', name),
      // There is no Docker daemon beside it here: jobs that need none run as everywhere.
      ...(docker && { managedInstances: Object.values(providersOf('local', { name, docker })) }),
      revision: 1,
      cpu: cpu * 1024,
      memoryMiB: memoryGiB * 1024,
      architecture: arch === 'x64' ? 'X86_64' : 'ARM64',
      command: ['bash', join(repository, 'runner-image/start-runner.sh')],
      stopTimeout: 120,
      environment: {
        CLAIMS_TABLE: tableNames.claims,
        AWS_ENDPOINT_URL_DYNAMODB: tables.url,
        // There is no other user on a developer's machine, and root may be the only one.
        RUNNER_ALLOW_RUNASROOT: '1',
        ...startScript,
      },
    })),
    prepareTask: async (scratch) => {
      const home = join(scratch, 'home', 'runner');
      await mkdir(join(home, 'bin'), { recursive: true });
      // A thousand tasks share one copy of what none of them writes to.
      await Promise.all(files.map(async (file) => link(join(image, file), join(home, file))));
      return { RUNNER_HOME: home };
    },
  });
  ecs.startedByMustBeAlone = true;
  return ecs;
}

function makeFunctions(
  directories: Readonly<Record<FunctionName, string>>,
  {
    clock,
    environment,
    onLog,
    maxConcurrency,
  }: {
    readonly clock: TurnableClock;
    readonly environment: Readonly<Record<string, string>>;
    readonly onLog: (line: LogLine) => void;
    readonly maxConcurrency: number;
  },
): Record<FunctionName, LambdaFunction> {
  const made = Object.entries(directories).map(([name, directory]) => {
    const one = new LambdaFunction({
      name,
      file: join(directory, 'index.js'),
      clock,
      environment: { ...environment, AWS_ACCESS_KEY_ID: keyOf(name as FunctionName) },
      maxConcurrency,
      timeoutSeconds: name === 'end-fleet' ? endFleetSeconds : functionSeconds,
    });
    one.onLog(onLog);
    return [name, one];
  });
  return Object.fromEntries(made) as Record<FunctionName, LambdaFunction>;
}

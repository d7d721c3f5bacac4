import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Job } from '../../../functions/contracts/between-rooms/job.ts';
import { encodeNames, type Choices } from '../../../functions/contracts/with-infra/settings.ts';
import { Parameters } from '../../emulators/aws/parameters.ts';
import { Tables } from '../../emulators/aws/tables.ts';
import { TurnableClock } from '../../emulators/clock.ts';
import { GitHubEmulator } from '../../emulators/github/server.ts';
import { createTables, tableNames } from '../../emulators/local-fleet.ts';
import { aProfile } from '../../fakes/builders.ts';
import { QueueStub, type SentMessage } from './queue-stub.ts';
import { benchKey, SlowServices } from './slow-services.ts';
import { TaskStub } from './task-stub.ts';

const awsMs = 40;
const gitHubMs = 120;

const owner = 'acme';
const repository = `${owner}/app`;
/** Room for every job of the largest burst, and for the warm-up. */
export const profile = aProfile({ maxRunners: 5000 });
export { tableNames };

/** All that the functions talk to: AWS and GitHub, with latencies, on 127.0.0.1. */
export class Stubs {
  readonly choices: Choices;
  /** What a deployment puts into the environment of each function. */
  readonly environment: Readonly<Record<string, string>>;
  readonly services: SlowServices;
  readonly tasks: TaskStub;
  readonly queues: QueueStub;
  /** Reads and writes the tables for the bench itself. */
  readonly tables: DynamoDBDocumentClient;
  readonly #gitHub: GitHubEmulator;
  readonly #stop: () => Promise<void>;
  #gitHubCalls = 0;

  private constructor(
    parts: Pick<Stubs, 'choices' | 'environment' | 'services' | 'tasks' | 'queues' | 'tables'> & {
      readonly gitHub: GitHubEmulator;
      readonly stop: () => Promise<void>;
    },
  ) {
    this.choices = parts.choices;
    this.environment = parts.environment;
    this.services = parts.services;
    this.tasks = parts.tasks;
    this.queues = parts.queues;
    this.tables = parts.tables;
    this.#gitHub = parts.gitHub;
    this.#stop = parts.stop;
    parts.gitHub.behave({
      failRequests: () => {
        this.#gitHubCalls += 1;
        return { delayMs: gitHubMs };
      },
    });
  }

  static async start({
    runTaskMs,
    onMessage,
  }: {
    readonly runTaskMs: number;
    readonly onMessage: (message: SentMessage) => void;
  }): Promise<Stubs> {
    const clock = new TurnableClock();
    const gitHub = await startGitHub(clock);
    const tables = await Tables.start({ clock });
    await createTables(tables);
    const parameters = await Parameters.start({ clock });
    const secrets = { appId: gitHub.app.id, appKey: gitHub.app.privateKey, webhookSecret: 'secret' };
    for (const [name, value] of Object.entries(secrets)) parameters.put(name, value);
    const tasks = await TaskStub.start();
    const queues = await QueueStub.start(onMessage);

    const services = new SlowServices((kind) => (kind === 'ecs:RunTask' ? runTaskMs : awsMs));
    const slow = { dynamodb: tables.service, ssm: parameters.service, ecs: tasks.service, sqs: queues.service };
    for (const [name, service] of Object.entries(slow)) services.slowDown(name, service);
    const addresses = Object.entries(slow).map(([name, { url }]) => [`AWS_ENDPOINT_URL_${name.toUpperCase()}`, url]);

    const client = new DynamoDBClient({
      endpoint: tables.url,
      region: 'us-east-1',
      credentials: { accessKeyId: benchKey, secretAccessKey: benchKey },
    });
    return new Stubs({
      choices: { version: 1, fleet: 'ci', github: { url: gitHub.url, owners: [owner] }, profiles: [profile] },
      environment: { ...names(tasks, queues), ...(Object.fromEntries(addresses) as Record<string, string>) },
      services,
      tasks,
      queues,
      tables: DynamoDBDocumentClient.from(client),
      gitHub,
      stop: async () => {
        client.destroy();
        await Promise.all([gitHub, tables, parameters, tasks.service, queues.service].map(async (one) => one.stop()));
        clock.stop();
      },
    });
  }

  /** Jobs that wait at GitHub, each as a delivery tells of it. */
  queueJobs(count: number): readonly Job[] {
    return Array.from({ length: count }, () => {
      const job = this.#gitHub.queueJob({ repo: repository, labels: profile.labels, unannounced: true });
      return {
        id: job.id,
        runId: job.runId,
        attempt: job.runAttempt,
        name: job.name,
        repository: {
          id: String(job.repository.id),
          fullName: job.repository.fullName,
          ownerType: 'Organization',
          private: job.repository.private,
        },
        labels: [...job.labels],
        createdAt: new Date(job.createdAt).toISOString(),
      };
    });
  }

  /** How many calls of GitHub there were since this was asked last. */
  takeGitHubCalls(): number {
    const calls = this.#gitHubCalls;
    this.#gitHubCalls = 0;
    return calls;
  }

  async stop(): Promise<void> {
    await this.#stop();
  }
}

async function startGitHub(clock: TurnableClock): Promise<GitHubEmulator> {
  const gitHub = await GitHubEmulator.start({ clock });
  gitHub.addAccount({ login: owner, type: 'Organization' });
  gitHub.addRepository(repository, { private: true });
  gitHub.install(owner);
  return gitHub;
}

function names({ clusterArn }: TaskStub, { jobsUrl, eventsUrl }: QueueStub): Readonly<Record<string, string>> {
  return encodeNames({
    fleetId: '111122223333/us-east-1/bench',
    tables: tableNames,
    queues: { jobs: jobsUrl, events: eventsUrl },
    tasks: {
      cluster: clusterArn,
      revisions: { [profile.name]: '1' },
      subnets: ['subnet-1'],
      securityGroups: ['sg-1'],
      assignPublicIp: 'ENABLED',
    },
    parameters: { appId: 'appId', appKey: 'appKey', webhookSecret: 'webhookSecret' },
  });
}

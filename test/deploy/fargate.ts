import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DescribeTaskDefinitionCommand, type TaskDefinition } from '@aws-sdk/client-ecs';
import { Ecs, type TaskStateChange } from '../emulators/aws/ecs.ts';
import type { Clock } from '../emulators/clock.ts';
import { runnerContainer } from '../../functions/contracts/with-tasks/stopped-task.ts';
import { account, region, type Aws } from './aws.ts';
import type { Gateway } from './gateway.ts';
import type { ImageBuilder } from './image-builder.ts';

const service = 'AmazonEC2ContainerServiceV20141113.';
const taskCalls = ['RunTask', 'StopTask', 'ListTasks', 'DescribeTasks'].map((call) => service + call);
/** In the task's scratch directory. */
const containerId = 'container.id';

type FargateOptions = {
  readonly clock: Clock;
  readonly aws: Aws;
  readonly gateway: Gateway;
  readonly cluster: string;
  readonly images: ImageBuilder;
  /** Bounds of the start script, by its own names. */
  readonly startScript: Readonly<Record<string, string>>;
};

/**
 * Tasks. MiniStack's run nothing without Docker: they are RUNNING at once and for ever, twice for one client token, end at the
 * call of StopTask, and no event tells of it. So ECS's four calls about tasks go to our emulator, which runs containers of the image
 * that was built; clusters and task definitions, roles and events stay MiniStack's.
 */
export class Fargate {
  readonly ecs: Ecs;
  /** Events that did not come through. */
  readonly failures: unknown[] = [];
  readonly #options: FargateOptions;
  readonly #credentials: Server;
  readonly #events = new Set<Promise<unknown>>();

  private constructor(ecs: Ecs, credentials: Server, options: FargateOptions) {
    this.ecs = ecs;
    this.#options = options;
    this.#credentials = credentials;
    credentials.on('request', ({ url = '' }, response) => void this.#lendRole(url.slice(1), response));
    options.gateway.divert({
      matches: (target) => taskCalls.includes(target),
      divert: async (target, body) => {
        if (target === `${service}RunTask`) await this.#learn(body);
        return ecs.service.port;
      },
    });
    ecs.onStateChange((event) => {
      const told = this.#tell(event)
        .catch((error: unknown) => this.failures.push(error))
        .finally(() => this.#events.delete(told));
      this.#events.add(told);
    });
  }

  static async start(options: FargateOptions): Promise<Fargate> {
    const { clock, cluster } = options;
    const ecs = await Ecs.start({ clock, cluster, account, region });
    const credentials = createServer();
    await new Promise<void>((resolve) => {
      credentials.listen(0, '127.0.0.1', resolve);
    });
    return new Fargate(ecs, credentials, options);
  }

  async stop(): Promise<void> {
    await this.ecs.stop();
    await Promise.all(this.#events);
    this.#credentials.closeAllConnections();
    this.#credentials.close();
  }

  /** The emulator runs what was deployed: the task definition that the call names, as MiniStack has it. */
  async #learn(body: Buffer): Promise<void> {
    const { taskDefinition: name } = JSON.parse(body.toString()) as { readonly taskDefinition?: string };
    const answer = await this.#options.aws.ecs
      .send(new DescribeTaskDefinitionCommand({ taskDefinition: name, include: ['TAGS'] }))
      // Then RunTask does not know it either, and says so.
      .catch(() => undefined);
    if (answer?.taskDefinition === undefined) return;
    const { family = '', revision = 0, cpu, memory, taskRoleArn = '', containerDefinitions } = answer.taskDefinition;
    const container = containerOf(containerDefinitions);
    const { engine } = this.#options.images;
    const environment = {
      ...Object.fromEntries((container.environment ?? []).map(({ name: key = '', value = '' }) => [key, value])),
      AWS_ENDPOINT_URL_DYNAMODB: this.#options.gateway.url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${(this.#credentials.address() as AddressInfo).port}/${taskRoleArn}`,
      ...this.#options.startScript,
    };
    this.ecs.registerTaskDefinition({
      family,
      revision,
      cpu: Number(cpu),
      memoryMiB: Number(memory),
      containerName: container.name ?? '',
      command: engine.runCommand({
        image: await this.#options.images.imageNamed(container.image ?? ''),
        ...(container.user !== undefined && { user: container.user }),
        ...(container.entryPoint !== undefined && { entryPoint: container.entryPoint }),
        // What ECS and the launch add, and what the definition says.
        inherited: ['AWS_*', 'ECS_*', 'CLAIM_ID', ...Object.keys(environment)],
        options: ['--rm', `--cidfile=${containerId}`, `--label=task-definition=${family}:${revision}`],
      }),
      cleanUp: engine.removeCommand(`--cidfile=${containerId}`),
      ...(container.stopTimeout !== undefined && { stopTimeout: container.stopTimeout }),
      tags: (answer.tags ?? []).map(({ key = '', value = '' }) => ({ key, value })),
      environment,
    });
  }

  /** ECS tells EventBridge of each step. */
  async #tell({ source, time, resources, detail, ...event }: TaskStateChange): Promise<void> {
    const answer = (await this.#options.aws.call('events', 'AWSEvents.PutEvents', {
      Entries: [
        {
          Source: source,
          DetailType: event['detail-type'],
          Time: Date.parse(time) / 1000,
          Resources: resources,
          Detail: JSON.stringify(detail),
        },
      ],
    })) as { readonly FailedEntryCount: number };
    if (answer.FailedEntryCount > 0)
      throw new Error(`EventBridge must take ECS's events, it said ${JSON.stringify(answer)}`);
  }

  /** What ECS serves to a task at its credentials address. */
  async #lendRole(roleArn: string, response: ServerResponse): Promise<void> {
    try {
      const { accessKeyId, secretAccessKey, sessionToken, expiration } = await this.#options.aws.assume(roleArn);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(
        JSON.stringify({
          RoleArn: roleArn,
          AccessKeyId: accessKeyId,
          SecretAccessKey: secretAccessKey,
          Token: sessionToken,
          Expiration: expiration.toISOString(),
        }),
      );
    } catch (error) {
      response.writeHead(500);
      response.end(String(error));
    }
  }
}

function containerOf(containers: TaskDefinition['containerDefinitions']): NonNullable<typeof containers>[number] {
  const container = containers?.find(({ name }) => name === runnerContainer);
  if (container === undefined)
    throw new Error(`a task must have a container ${runnerContainer}, got ${JSON.stringify(containers)}`);
  return container;
}

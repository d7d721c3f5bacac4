import {
  BlockedException,
  ClientException,
  ConflictException,
  DescribeTasksCommand,
  ECSClient,
  InvalidParameterException,
  ListContainerInstancesCommand,
  ListTasksCommand,
  RunTaskCommand,
  StopTaskCommand,
  type AwsVpcConfiguration,
  type Task,
} from '@aws-sdk/client-ecs';
import { isOurs } from '../contracts/between-rooms/runner-id.ts';
import { isFargate, isSpot } from '../contracts/with-infra/providers.ts';
import type { Settings } from '../contracts/with-infra/settings.ts';
import { decodeStoppedTask, runnerContainer } from '../contracts/with-tasks/stopped-task.ts';
import type { RunnerTask, RunResult, TaskOrder } from '../contracts/with-tasks/task-order.ts';
import { onceClientOptions, slowClientOptions, withinSeconds } from './requests.ts';

export type RunnerTasks = {
  /** One call, never repeated in here. What it throws says nothing of whether a task was started: see `findRunning`. */
  readonly runTask: (order: TaskOrder) => Promise<RunResult>;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
  /** The ARN of a task of this runner that is meant to run, started or on its way. ECS may show it some seconds late. */
  readonly findRunning: (runnerId: string) => Promise<string | undefined>;
  /** Every task of one runner that ECS still knows, running or stopped. ECS forgets a stopped one after an hour. */
  readonly findTasks: (runner: {
    readonly runnerId: string;
    readonly taskArn?: string | undefined;
  }) => Promise<readonly RunnerTask[]>;
  /** Every task of this fleet that is not stopped. */
  readonly listTasks: () => Promise<readonly RunnerTask[]>;
  /** Every task of this fleet that was told to stop, or has ended, and is not gone yet. */
  readonly listEnding: () => Promise<readonly RunnerTask[]>;
  /** What ECS knows of these tasks; nothing of one it has forgotten. */
  readonly lookAtTasks: (taskArns: readonly string[]) => Promise<readonly RunnerTask[]>;
  /** Every instance that tasks of this fleet stand on, those that are on their way down included. Fargate shows none. */
  readonly listInstances: () => Promise<readonly string[]>;
};

type EcsClients = {
  readonly client: ECSClient;
  /** For RunTask. It must not repeat a call by itself. */
  readonly onceClient: ECSClient;
};

const describeAtOnce = 100;
const scopeTag = 'github-runners:scope';

export function runnerTasks(
  settings: Pick<Settings, 'tasks' | 'prefix'>,
  { client, onceClient }: EcsClients = {
    client: new ECSClient(slowClientOptions),
    onceClient: new ECSClient(onceClientOptions),
  },
): RunnerTasks {
  const { cluster } = settings.tasks;

  async function describe(taskArns: readonly string[]): Promise<RunnerTask[]> {
    const found: RunnerTask[] = [];
    for (let at = 0; at < taskArns.length; at += describeAtOnce) {
      const { tasks = [] } = await client.send(
        new DescribeTasksCommand({ cluster, tasks: taskArns.slice(at, at + describeAtOnce), include: ['TAGS'] }),
      );
      found.push(...tasks.flatMap((task) => runnerTaskOf(task)));
    }
    return found;
  }

  function ours(tasks: readonly RunnerTask[]): RunnerTask[] {
    return tasks.filter(({ runnerId }) => isOurs(runnerId, settings.prefix));
  }

  async function list(filter: { startedBy?: string; desiredStatus?: 'RUNNING' | 'STOPPED' }): Promise<string[]> {
    const arns: string[] = [];
    let nextToken: string | undefined;
    do {
      const page = await client.send(new ListTasksCommand({ cluster, ...filter, nextToken }));
      arns.push(...(page.taskArns ?? []));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    return arns;
  }

  return {
    runTask: async (order) => {
      try {
        const { tasks = [], failures = [] } = await onceClient.send(
          new RunTaskCommand({
            cluster,
            taskDefinition: order.taskDefinition,
            // The provider is part of the token: a fallback is another call, not a repetition with other parameters.
            clientToken: isSpot(order.provider) ? `${order.runnerId}-s` : order.runnerId,
            startedBy: order.runnerId,
            count: 1,
            capacityProviderStrategy: [{ capacityProvider: order.provider, weight: 1 }],
            networkConfiguration: { awsvpcConfiguration: networkFor(order.provider, settings.tasks) },
            overrides: {
              containerOverrides: [
                { name: runnerContainer, environment: [{ name: 'CLAIM_ID', value: order.claimId }] },
              ],
            },
            propagateTags: 'TASK_DEFINITION',
            tags: Object.entries({ ...order.tags, [scopeTag]: order.scope }).map(([key, value]) => ({ key, value })),
          }),
          withinSeconds(10),
        );
        const taskArn = tasks[0]?.taskArn;
        if (taskArn !== undefined) return { kind: 'started', taskArn };
        const detail = failures.map(({ reason, detail: more }) => [reason, more].filter(Boolean).join(': ')).join('; ');
        return { kind: shortageIn(detail) ?? 'no-capacity', detail };
      } catch (error) {
        return runFailure(error);
      }
    },
    stopTask: async (taskArn, reason) => {
      try {
        await client.send(new StopTaskCommand({ cluster, task: taskArn, reason: reason.slice(0, 255) }));
      } catch (error) {
        // ECS forgets a stopped task after an hour: what it does not know does not run.
        if (error instanceof InvalidParameterException && /not found/i.test(error.message)) return;
        throw error;
      }
    },
    findRunning: async (runnerId) => (await list({ startedBy: runnerId }))[0],
    findTasks: async ({ runnerId, taskArn }) => {
      // Next to startedBy no other filter is allowed, and alone it shows what is meant to run.
      const running = await list({ startedBy: runnerId });
      const known = taskArn === undefined ? [] : [taskArn];
      const found = await describe([...new Set([...running, ...known])]);
      if (found.length > 0 || taskArn !== undefined) return found;
      const stopped = await describe(await list({ desiredStatus: 'STOPPED' }));
      return stopped.filter((task) => task.runnerId === runnerId);
    },
    listTasks: async () => ours(await describe(await list({ desiredStatus: 'RUNNING' }))),
    listEnding: async () => {
      const tasks = ours(await describe(await list({ desiredStatus: 'STOPPED' })));
      return tasks.filter(({ stopped }) => stopped === undefined);
    },
    lookAtTasks: describe,
    listInstances: async () => {
      if (settings.tasks.docker === undefined) return [];
      const { containerInstanceArns = [] } = await client.send(new ListContainerInstancesCommand({ cluster }));
      return containerInstanceArns;
    },
  };
}

function networkFor(provider: string, tasks: Settings['tasks']): AwsVpcConfiguration {
  const { subnets, securityGroups, assignPublicIp, docker } = tasks;
  if (isFargate(provider)) return { subnets: [...subnets], securityGroups: [...securityGroups], assignPublicIp };
  if (docker === undefined) throw new Error(`provider ${provider} must have subnets of its own, this fleet has none`);
  // Managed Instances take no word of a public address: https://github.com/aws/aws-cdk/issues/35644
  return { subnets: [...docker.subnets], securityGroups: [...docker.securityGroups] };
}

function runnerTaskOf(task: Task): RunnerTask[] {
  if (task.taskArn === undefined || task.startedBy === undefined) return [];
  return [
    {
      taskArn: task.taskArn,
      runnerId: task.startedBy,
      scope: task.tags?.find(({ key }) => key === scopeTag)?.value,
      createdAt: task.createdAt?.getTime(),
      // The event spells times as text where the API has dates: one reader serves both.
      stopped: decodeStoppedTask(JSON.parse(JSON.stringify(task))),
    },
  ];
}

/** https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html#API_RunTask_Errors */
function runFailure(error: unknown): RunResult {
  if (!(error instanceof Error)) throw error;
  const detail = `${error.name}: ${error.message}`;
  if (error instanceof ConflictException) {
    const [taskArn] = error.resourceIds ?? [];
    if (taskArn !== undefined) return { kind: 'started', taskArn };
    throw error;
  }
  const shortage = shortageIn(error.message) ?? (error.name === 'ThrottlingException' ? 'throttled' : undefined);
  if (shortage !== undefined) return { kind: shortage, detail };
  if (
    error instanceof ClientException ||
    error instanceof InvalidParameterException ||
    error instanceof BlockedException ||
    refusals.has(error.name)
  ) {
    return { kind: 'refused', detail };
  }
  throw error;
}

/** What passes by itself or with a raised quota, by the words of AWS: the same words come as a failure and in several exceptions. */
function shortageIn(text: string): 'quota' | 'throttled' | 'no-capacity' | undefined {
  if (quotas.some((words) => words.test(text))) return 'quota';
  // ECS wraps a throttled EC2 call into InvalidParameterException: https://github.com/dask/dask-cloudprovider/issues/56
  if (/RequestLimitExceeded|Rate exceeded/i.test(text)) return 'throttled';
  return /Capacity is unavailable/i.test(text) ? 'no-capacity' : undefined;
}

const quotas = [
  // "vCPUs", and in new accounts "tasks" or "spot tasks": https://github.com/aws/copilot-cli/issues/2685
  /limit on the number of (\S+ ){0,3}(vCPUs|tasks)/i,
  // A new account may run small tasks only: https://github.com/dask/dask-cloudprovider/pull/300
  /configuration is above your limit/i,
  // So many tasks wait for their Managed Instances that ECS takes no more: others get theirs meanwhile.
  // https://github.com/DIAGNijmegen/rse-grand-challenge/pull/2013
  /provisioning capacity limit|limit of tasks in the PROVISIONING/i,
];

const refusals = new Set([
  'AccessDeniedException',
  'ClusterNotFoundException',
  'PlatformUnknownException',
  'PlatformTaskDefinitionIncompatibilityException',
  'UnsupportedFeatureException',
]);

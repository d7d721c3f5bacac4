import * as v from 'valibot';

const taskSchema = v.object({
  taskArn: v.pipe(v.string(), v.minLength(1)),
  clusterArn: v.string(),
  lastStatus: v.string(),
  startedBy: v.optional(v.string()),
  stopCode: v.optional(v.string()),
  stoppedReason: v.optional(v.string()),
  capacityProviderName: v.optional(v.string()),
  createdAt: v.optional(v.string()),
  pullStartedAt: v.optional(v.string()),
  pullStoppedAt: v.optional(v.string()),
  startedAt: v.optional(v.string()),
  stoppedAt: v.optional(v.string()),
  containers: v.optional(
    v.array(
      v.object({ name: v.optional(v.string()), exitCode: v.optional(v.number()), reason: v.optional(v.string()) }),
    ),
    [],
  ),
});

/** A task that is over, as ECS describes it: how far it got decides what is known. */
export type StoppedTask = {
  readonly taskArn: string;
  readonly runnerId?: string;
  readonly stopCode?: string;
  readonly reason?: string;
  readonly exitCode?: number;
  readonly outOfMemory: boolean;
  readonly provider?: string;
  /** Seconds from RunTask to image pull, in the pull, from pull to start. */
  readonly provisioningSeconds?: number;
  readonly pullSeconds?: number;
  readonly bootSeconds?: number;
  /** From start to stop. */
  readonly runSeconds?: number;
  /** From image pull to stop. */
  readonly billedSeconds?: number;
};

/** The name of the one container whose end says how the runner ended. */
export const runnerContainer = 'runner';
/** The name of the one beside it, in tasks with Docker. */
export const dockerContainer = 'docker';

/**
 * Reads the `detail` of an ECS Task State Change event.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html
 *
 * @returns undefined when the task is not over yet
 * @throws Error saying which field must be what
 */
export function decodeStoppedTask(detail: unknown): StoppedTask | undefined {
  const parsed = v.safeParse(taskSchema, detail);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new Error(`a task state change's ${v.getDotPath(issue) ?? 'detail'} is wrong: ${issue.message}`);
  }
  const task = parsed.output;
  if (task.lastStatus !== 'STOPPED') return undefined;
  const container = task.containers.find(({ name }) => name === runnerContainer);
  return {
    taskArn: task.taskArn,
    runnerId: task.startedBy,
    stopCode: task.stopCode,
    reason: [task.stoppedReason, container?.reason, ...tellOfOthers(task.containers)]
      .filter((part) => part !== undefined)
      .join(': '),
    exitCode: container?.exitCode,
    outOfMemory: container?.reason?.startsWith('OutOfMemory') ?? false,
    provider: task.capacityProviderName,
    provisioningSeconds: seconds(task.createdAt, task.pullStartedAt),
    pullSeconds: seconds(task.pullStartedAt, task.pullStoppedAt),
    bootSeconds: seconds(task.pullStoppedAt ?? task.createdAt, task.startedAt),
    runSeconds: seconds(task.startedAt, task.stoppedAt),
    billedSeconds: seconds(task.pullStartedAt, task.stoppedAt),
  };
}

/** A runner that never began has nothing to say: what stood in its way has. */
function tellOfOthers(containers: v.InferOutput<typeof taskSchema>['containers']): string[] {
  const runner = containers.find(({ name }) => name === runnerContainer);
  if (runner?.exitCode !== undefined) return [];
  return containers.flatMap(({ name, exitCode, reason }) => {
    if (name === runnerContainer || exitCode === undefined) return [];
    return [`container ${name} ended with ${exitCode}${reason === undefined ? '' : `, ${reason}`}`];
  });
}

function seconds(from: string | undefined, to: string | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : (Date.parse(to) - Date.parse(from)) / 1000;
}

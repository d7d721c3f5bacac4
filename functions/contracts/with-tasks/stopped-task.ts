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

/** Of an event only what is in its `detail` is read: the rule lets nothing else come. */
const eventSchema = v.object({ detail: v.unknown() });

type Task = v.InferOutput<typeof taskSchema>;

/**
 * What AWS did to a task, and neither the image nor a job: Spot took it back, there was no room for it, or AWS failed to start it.
 */
type AwsFault = 'spot-interruption' | 'no-capacity' | 'start-failure';

/** A task that is over, as ECS describes it: how far it got decides what is known. */
export type StoppedTask = {
  readonly taskArn: string;
  readonly runnerId?: string;
  readonly stopCode?: string;
  readonly reason?: string;
  readonly exitCode?: number;
  readonly outOfMemory: boolean;
  /** Its containers began to run. */
  readonly started: boolean;
  readonly awsFault?: AwsFault;
  readonly provider?: string;
  /** Seconds from RunTask to image pull, in the pull, from pull to start. No duration is below 0. */
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
 * Reads a message of the queue of stops: its body is the event as EventBridge sent it.
 * https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html
 *
 * @returns undefined when the task is not over yet
 * @throws Error saying what must be and what came. It never quotes a text that is no event, nor the overrides, which name a claim
 */
export function decodeStopEvent(body: string): StoppedTask | undefined {
  const parsed = v.safeParse(eventSchema, parseEvent(body));
  if (parsed.success) return decodeStoppedTask(parsed.output.detail);
  const [issue] = parsed.issues;
  throw new Error(`a stop event's ${v.getDotPath(issue) ?? 'text'} is wrong: ${issue.message}`);
}

function parseEvent(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new Error(`a stop event must be JSON, got ${body.length} characters that are not`);
  }
}

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
    started: task.startedAt !== undefined,
    awsFault: awsFaultOf(task),
    provider: task.capacityProviderName,
    provisioningSeconds: seconds(task.createdAt, task.pullStartedAt),
    pullSeconds: seconds(task.pullStartedAt, task.pullStoppedAt),
    bootSeconds: seconds(task.pullStoppedAt ?? task.createdAt, task.startedAt),
    runSeconds: seconds(task.startedAt, task.stoppedAt),
    billedSeconds: seconds(task.pullStartedAt, task.stoppedAt),
  };
}

/**
 * ECS tells one thing in several fields, and not always in each: an interruption may come without its stop code.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
 */
function awsFaultOf({ stopCode, stoppedReason = '', startedAt, containers }: Task): AwsFault | undefined {
  if (stopCode === 'SpotInterruption' || stopCode === 'TerminationNotice') return 'spot-interruption';
  // Whoever calls StopTask chooses the reason.
  if (stopCode === 'UserInitiated') return undefined;
  if (/\bspot\b.*\binterrupt/i.test(stoppedReason)) return 'spot-interruption';
  const mayBeFault = stopCode === undefined || stopCode === 'TaskFailedToStart' || stopCode === 'InfrastructureHealth';
  if (startedAt !== undefined || !mayBeFault) return undefined;
  if (stopCode === 'InfrastructureHealth') return 'start-failure';
  const told = [stoppedReason, ...containers.map(({ reason = '' }) => reason)].join('\n');
  if (/capacity is unavailable/i.test(told)) return 'no-capacity';
  // The image, its registry, a secret or the way to them: AWS does its part.
  if (/CannotPull|CannotStart|CannotCreate|ResourceInitializationError/.test(told)) return undefined;
  return startFailures.test(told) ? 'start-failure' : undefined;
}

const startFailures =
  /network interface|InsufficientFreeAddresses|RequestLimitExceeded|Rate exceeded|internal ?error|InfrastructureHealth/i;

/** A runner that never began has nothing to say: what stood in its way has. */
function tellOfOthers(containers: Task['containers']): string[] {
  const runner = containers.find(({ name }) => name === runnerContainer);
  if (runner?.exitCode !== undefined) return [];
  return containers.flatMap(({ name, exitCode, reason }) => {
    if (name === runnerContainer || exitCode === undefined) return [];
    return [`container ${name} ended with ${exitCode}${reason === undefined ? '' : `, ${reason}`}`];
  });
}

/** Times of several machines of AWS: the later step may bear the earlier time. */
function seconds(from = '', to = ''): number | undefined {
  const duration = (Date.parse(to) - Date.parse(from)) / 1000;
  return Number.isNaN(duration) ? undefined : Math.max(0, duration);
}

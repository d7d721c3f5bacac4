import { exitCodes, type TaskOutcome } from '../../functions/contracts/with-tasks/exit-code.ts';
import type { RunnerTasks } from '../../functions/aws/runner-tasks.ts';
import { isSpot } from '../../functions/contracts/with-infra/providers.ts';
import type { StoppedTask } from '../../functions/contracts/with-tasks/stopped-task.ts';
import type { RunResult, RunnerTask, TaskOrder } from '../../functions/contracts/with-tasks/task-order.ts';

type FakeTask = {
  readonly order: TaskOrder;
  readonly taskArn: string;
  readonly createdAt: number;
  stopped: StoppedTask | undefined;
  stoppedAt: number;
};

export type TaskEnd = Partial<Omit<StoppedTask, 'exitCode'>> & {
  /** How the start script ended; its exit code follows. */
  readonly outcome?: TaskOutcome;
  readonly exitCode?: number | undefined;
};

export type FakeTasks = RunnerTasks & {
  /** What the next calls of RunTask come to, in order; an Error is thrown. After that tasks start again. */
  readonly answer: (...results: readonly (RunResult | Error)[]) => void;
  /** Every call of RunTask, repetitions included. */
  readonly orders: TaskOrder[];
  readonly stops: { readonly taskArn: string; readonly reason: string }[];
  /** Every task there ever was, one a client token. */
  readonly all: () => RunnerTask[];
  readonly running: () => RunnerTask[];
  /** Ends the runner's running task and tells what ECS would tell. */
  readonly end: (runnerId: string, end?: TaskEnd) => StoppedTask;
};

const rememberedMs = 3600_000;

/** ECS in memory: one task a runner and provider, however often RunTask is called. It forgets a stopped one after an hour. */
export function fakeTasks(now: () => number, prefix: string): FakeTasks {
  const tasks = new Map<string, FakeTask>();
  const answers: (RunResult | Error)[] = [];
  const orders: TaskOrder[] = [];
  const stops: FakeTasks['stops'] = [];

  const known = (): FakeTask[] =>
    [...tasks.values()].filter(({ stopped, stoppedAt }) => stopped === undefined || now() - stoppedAt < rememberedMs);
  const shown = ({ order, taskArn, createdAt, stopped }: FakeTask): RunnerTask => ({
    taskArn,
    runnerId: order.runnerId,
    scope: order.scope,
    createdAt,
    stopped,
  });
  const close = (task: FakeTask, { outcome = 'ran-a-job', ...end }: TaskEnd): StoppedTask => {
    task.stoppedAt = now();
    task.stopped = {
      taskArn: task.taskArn,
      runnerId: task.order.runnerId,
      stopCode: 'EssentialContainerExited',
      reason: 'Essential container in task exited',
      exitCode: exitCodeOf(outcome),
      outOfMemory: false,
      started: true,
      provider: task.order.provider,
      ...end,
    };
    return task.stopped;
  };

  return {
    orders,
    stops,
    answer: (...results) => {
      answers.push(...results);
    },
    all: () => [...tasks.values()].map((task) => shown(task)),
    running: () => [...tasks.values()].filter(({ stopped }) => stopped === undefined).map((task) => shown(task)),
    end: (runnerId, end = {}) => {
      const task = [...tasks.values()].find(
        ({ order, stopped }) => order.runnerId === runnerId && stopped === undefined,
      );
      if (task === undefined) throw new Error(`runner ${runnerId} must have a running task, and it has none`);
      return close(task, end);
    },
    runTask: async (order) => {
      orders.push(order);
      const token = `${order.runnerId} ${order.provider}`;
      const begun = tasks.get(token);
      if (begun !== undefined) return { kind: 'started', taskArn: begun.taskArn };
      const answer = answers.shift();
      if (answer instanceof Error) throw answer;
      if (answer !== undefined && answer.kind !== 'started') return answer;
      const taskArn = answer?.taskArn ?? `arn:task/${order.runnerId}${isSpot(order.provider) ? '-s' : ''}`;
      tasks.set(token, { order, taskArn, createdAt: now(), stopped: undefined, stoppedAt: 0 });
      return { kind: 'started', taskArn };
    },
    stopTask: async (taskArn, reason) => {
      stops.push({ taskArn, reason });
      const task = [...tasks.values()].find((one) => one.taskArn === taskArn);
      if (task !== undefined && task.stopped === undefined) {
        close(task, { outcome: 'interrupted-before-a-job', stopCode: 'UserInitiated', reason });
      }
    },
    findRunning: async (runnerId) =>
      known().find(({ order, stopped }) => order.runnerId === runnerId && stopped === undefined)?.taskArn,
    findTasks: async ({ runnerId, taskArn }) =>
      known()
        .filter((task) => task.order.runnerId === runnerId || task.taskArn === taskArn)
        .map((task) => shown(task)),
    listTasks: async () =>
      known()
        .filter(({ order, stopped }) => stopped === undefined && order.runnerId.startsWith(`${prefix}-`))
        .map((task) => shown(task)),
    listEnding: async () => [],
    listInstances: async () => [],
    lookAtTasks: async (taskArns) =>
      known()
        .filter(({ taskArn }) => taskArns.includes(taskArn))
        .map((task) => shown(task)),
  };
}

export function exitCodeOf(outcome: TaskOutcome): number {
  const entry = Object.entries(exitCodes).find(([, name]) => name === outcome);
  return Number(entry?.[0]);
}

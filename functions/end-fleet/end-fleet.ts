import type { RunnerTask } from '../contracts/with-tasks/task-order.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

export type EndPorts = {
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** Every task of this fleet that is meant to run. */
  readonly listTasks: () => Promise<readonly RunnerTask[]>;
  /** Every task of this fleet that is on its way down already. */
  readonly listEnding: () => Promise<readonly RunnerTask[]>;
  /** What ECS knows of these tasks; nothing of one it has forgotten. */
  readonly lookAtTasks: (taskArns: readonly string[]) => Promise<readonly RunnerTask[]>;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
  /** What tasks with Docker stood on. ECS ends an instance by itself some minutes after its last task. */
  readonly listInstances: () => Promise<readonly string[]>;
};

export type EndVerdict = {
  readonly stopped: number;
  /** Why tasks or instances are left when the time is over. */
  readonly problem?: string;
};

const reason = 'the fleet is being deleted';
const retry = 'delete the stack again';
const lookAgainAfterMs = 5000;

/**
 * Stops every task and waits until it is gone: no subnet, security group or cluster can be deleted under a task. By now nothing
 * starts tasks any more. A job that runs gets the two minutes that any interrupted task gets.
 *
 * Then it waits for ECS to end the instances, with the role that ends them still there: without it they stay for ever, and the cluster
 * with them. https://github.com/aws/aws-cdk/issues/36071
 *
 * @param until milliseconds since the epoch
 */
export async function endFleet(until: number, ports: EndPorts): Promise<EndVerdict> {
  const ending = new Set((await ports.listEnding()).map(({ taskArn }) => taskArn));
  let stopped = 0;
  let wasEmpty = false;
  for (;;) {
    const running = await ports.listTasks();
    const failures: string[] = [];
    for (const { taskArn } of running) {
      if (ports.now() > until) break;
      try {
        await ports.stopTask(taskArn, reason);
        ending.add(taskArn);
      } catch (error) {
        failures.push(messageOf(error));
      }
    }
    const seen = ending.size === 0 ? [] : await ports.lookAtTasks([...ending]);
    const alive = new Set(seen.filter((task) => task.stopped === undefined).map(({ taskArn }) => taskArn));
    for (const taskArn of ending) {
      if (alive.has(taskArn)) continue;
      ending.delete(taskArn);
      stopped += 1;
    }
    // Lists come late, so an empty one is believed when the next one is empty too.
    const hasNoTasks = running.length === 0 && ending.size === 0;
    const instances = hasNoTasks ? await ports.listInstances() : [];
    const isEmpty = hasNoTasks && instances.length === 0;
    const isOver = ports.now() + lookAgainAfterMs > until;
    if (isEmpty && (wasEmpty || isOver)) return { stopped };
    wasEmpty = isEmpty;
    if (isOver && hasNoTasks) {
      return { stopped, problem: `instances are left (ECS ends them some minutes after their last task); ${retry}` };
    }
    if (isOver) {
      const why = failures[0] === undefined ? 'they take long to stop' : `the last failure: ${failures[0]}`;
      return { stopped, problem: `tasks are left (${why}); ${retry}` };
    }
    await ports.pause(lookAgainAfterMs);
  }
}

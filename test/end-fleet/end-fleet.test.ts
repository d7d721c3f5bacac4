import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { endFleet, type EndPorts } from '../../functions/end-fleet/end-fleet.ts';
import type { RunnerTask } from '../../functions/contracts/with-tasks/task-order.ts';
import { aStoppedTask } from '../fakes/builders.ts';
import { fakeClock, minute, second } from '../fakes/clock.ts';

type FleetTask = {
  /** From StopTask until it is gone. @default a minute */
  readonly endsAfterMs?: number;
  /** ECS does not list it before. */
  readonly listedAfterMs?: number;
  /** It was on its way down before. */
  readonly ending?: boolean;
  /** How often StopTask fails. */
  readonly refusals?: number;
  /** ECS knows nothing of it any more once it is gone. */
  readonly forgotten?: boolean;
};

/** A cluster with these tasks, and a clock that the pauses turn. */
function aCluster(
  tasks: readonly FleetTask[],
  { callTakesMs = 0, instanceStaysMs }: { callTakesMs?: number; instanceStaysMs?: number } = {},
) {
  const clock = fakeClock();
  const began = clock.now();
  const stops: string[] = [];
  const pauses: number[] = [];
  const stoppedAt = new Map<string, number>();
  const states = new Map(tasks.map((task, index) => [`arn:task/${index}`, { ...task, refusals: task.refusals ?? 0 }]));
  for (const [arn, { ending = false }] of states) if (ending) stoppedAt.set(arn, began);
  const isGone = (arn: string): boolean =>
    clock.now() >= (stoppedAt.get(arn) ?? Infinity) + (states.get(arn)?.endsAfterMs ?? minute);
  const shown = (taskArn: string): RunnerTask => ({
    taskArn,
    runnerId: taskArn,
    scope: 'acme',
    createdAt: began,
    stopped: isGone(taskArn) ? aStoppedTask({ taskArn }) : undefined,
  });
  const ports: EndPorts = {
    now: clock.now,
    pause: async (ms) => {
      pauses.push(ms);
      clock.turn(ms);
    },
    listTasks: async () =>
      [...states]
        .filter(([arn, { listedAfterMs = 0 }]) => !stoppedAt.has(arn) && clock.now() - began >= listedAfterMs)
        .map(([arn]) => shown(arn)),
    listEnding: async () =>
      [...stoppedAt.keys()].map((arn) => shown(arn)).filter(({ stopped }) => stopped === undefined),
    // One for all, from the beginning until some time after the last task.
    listInstances: async () => {
      if (instanceStaysMs === undefined) return [];
      const ends = [...states].map(([arn, { endsAfterMs = minute }]) => (stoppedAt.get(arn) ?? Infinity) + endsAfterMs);
      return clock.now() < Math.max(began, ...ends) + instanceStaysMs ? ['arn:container-instance/0'] : [];
    },
    lookAtTasks: async (arns) =>
      arns.filter((arn) => !(states.get(arn)?.forgotten && isGone(arn))).map((arn) => shown(arn)),
    stopTask: async (arn, reason) => {
      expect(reason).toBe('the fleet is being deleted');
      stops.push(arn);
      clock.turn(callTakesMs);
      const state = states.get(arn);
      if (state !== undefined && state.refusals > 0) {
        state.refusals -= 1;
        throw new Error(`ECS would not stop ${arn}`);
      }
      stoppedAt.set(arn, clock.now());
    },
  };
  const end = async (withinMs = 9.5 * minute) => endFleet(began + withinMs, ports);
  const alive = () => [...states.keys()].filter((arn) => !isGone(arn));
  return { end, ports, stops, pauses, alive, clock, passed: () => clock.now() - began };
}

describe('the end of a fleet', () => {
  test('without tasks is there', async () => {
    const { end, alive } = aCluster([]);
    expect(await end()).toEqual({ stopped: 0 });
    expect(alive()).toEqual([]);
  });

  test('asks each task once to stop, and comes when the last is gone', async () => {
    const { end, stops, alive, passed } = aCluster([{ endsAfterMs: 0 }, { endsAfterMs: 2 * minute }, {}]);
    expect(await end()).toEqual({ stopped: 3 });
    expect(stops).toEqual(['arn:task/0', 'arn:task/1', 'arn:task/2']);
    expect(alive()).toEqual([]);
    expect(passed()).toBeGreaterThanOrEqual(2 * minute);
  });

  test('looks again every five seconds', async () => {
    const { end, pauses } = aCluster([{ endsAfterMs: 12 * second }]);
    await end();
    expect(pauses.slice(0, 3)).toEqual([5 * second, 5 * second, 5 * second]);
  });

  test('comes for a task that ECS lists only after the others were told to stop', async () => {
    const { end, stops, alive } = aCluster([{}, { listedAfterMs: 30 * second }]);
    expect(await end()).toEqual({ stopped: 2 });
    expect(stops).toHaveLength(2);
    expect(alive()).toEqual([]);
  });

  test('believes no list alone: one that was just started may come late', async () => {
    const { end, stops, alive } = aCluster([{ listedAfterMs: 4 * second }]);
    expect(await end()).toEqual({ stopped: 1 });
    expect(stops).toHaveLength(1);
    expect(alive()).toEqual([]);
  });

  test('waits for a task that was on its way down before, and does not stop it again', async () => {
    const { end, stops, alive } = aCluster([{ ending: true }]);
    expect(await end()).toEqual({ stopped: 1 });
    expect(stops).toEqual([]);
    expect(alive()).toEqual([]);
  });

  test('comes when ECS has ended the instances too, some minutes after their last task', async () => {
    const { end, passed } = aCluster([{}], { instanceStaysMs: 7 * minute });
    expect(await end()).toEqual({ stopped: 1 });
    expect(passed()).toBeGreaterThanOrEqual(8 * minute);
  });

  test('comes when the last instance has gone, though there was no task any more', async () => {
    const { end, passed } = aCluster([], { instanceStaysMs: 3 * minute });
    expect(await end()).toEqual({ stopped: 0 });
    expect(passed()).toBeGreaterThanOrEqual(3 * minute);
  });

  test('has not come while instances are left, and says what to do', async () => {
    const { end } = aCluster([{}], { instanceStaysMs: 10 * minute });
    expect(await end()).toEqual({
      stopped: 1,
      problem: 'instances are left (ECS ends them some minutes after their last task); delete the stack again',
    });
  });

  test('is told in time, however long ECS takes to answer', async () => {
    const { end, passed } = aCluster(
      Array.from({ length: 100 }, () => ({})),
      { callTakesMs: 20 * second },
    );
    expect(await end()).toMatchObject({ problem: expect.stringContaining('delete the stack again') as unknown });
    expect(passed()).toBeLessThanOrEqual(10 * minute);
  });

  test('counts a task that ECS has forgotten as gone', async () => {
    expect(await aCluster([{ forgotten: true }]).end()).toEqual({ stopped: 1 });
  });

  test('tries again what could not be stopped, the others meanwhile', async () => {
    const { end, stops, alive } = aCluster([{ refusals: 3 }, {}]);
    expect(await end()).toEqual({ stopped: 2 });
    expect(stops).toEqual(['arn:task/0', 'arn:task/1', 'arn:task/0', 'arn:task/0', 'arn:task/0']);
    expect(alive()).toEqual([]);
  });

  test('has not come when its time is over, and says what to do', async () => {
    const { end, alive } = aCluster([{ endsAfterMs: 0 }, { endsAfterMs: 20 * minute }]);
    expect(await end()).toEqual({
      stopped: 1,
      problem: 'tasks are left (they take long to stop); delete the stack again',
    });
    expect(alive()).toEqual(['arn:task/1']);
  });

  test('has not come when a task cannot be stopped, and says why', async () => {
    const { end } = aCluster([{ refusals: Infinity }]);
    expect(await end()).toEqual({
      stopped: 0,
      problem: 'tasks are left (the last failure: ECS would not stop arn:task/0); delete the stack again',
    });
  });

  test('begins no pause that it has no time for', async () => {
    const { end, passed, pauses } = aCluster([{ endsAfterMs: 20 * minute }]);
    await end(minute);
    expect(passed()).toBeLessThanOrEqual(minute);
    expect(pauses.length).toBe(12);
  });

  test('has hardly any time left, and still asks every task to stop', async () => {
    const { end, stops } = aCluster([{}, {}]);
    expect(await end(second)).toMatchObject({
      stopped: 0,
      problem: expect.stringContaining('delete the stack again') as unknown,
    });
    expect(stops).toHaveLength(2);
  });

  test('is never told while a task that was listed lives', async () => {
    const task = fc.record<FleetTask>({
      endsAfterMs: fc.integer({ min: 0, max: 12 * minute }),
      refusals: fc.integer({ min: 0, max: 4 }),
      forgotten: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(task, { maxLength: 8 }),
        fc.integer({ min: 0, max: 10 * minute }),
        async (tasks, withinMs) => {
          const { end, alive, passed } = aCluster(tasks);
          const { stopped, problem } = await end(withinMs);
          expect(alive()).toHaveLength(tasks.length - stopped);
          expect(problem === undefined).toBe(alive().length === 0);
          expect(passed()).toBeLessThanOrEqual(withinMs);
        },
      ),
    );
  });
});

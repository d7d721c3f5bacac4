import { describe, expect, test } from '@jest/globals';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { isSpot } from '../../functions/contracts/with-infra/providers.ts';
import type { RunnerTask } from '../../functions/contracts/with-tasks/task-order.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { settleTask } from '../../functions/task-stopped/settle-task.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aProfile, queuedMessage } from '../fakes/builders.ts';
import { minute } from '../fakes/clock.ts';
import type { TaskEnd } from '../fakes/tasks.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

/** What the fault does to a task, minute by minute; undefined leaves it alone. */
type Fault = (task: {
  readonly age: number;
  readonly started: number;
  readonly onSpot: boolean;
}) => TaskEnd | 'stuck' | 'no-job' | undefined;

type History = {
  /** When each job ran; minutes from the beginning. */
  readonly ranAt: readonly number[];
  /** Tasks started before the fault ended. */
  readonly intoTheFault: number;
  readonly tasks: number;
  readonly parkedAtTheEnd: number;
};

/** The reaper stops a task that never came up, or did nothing, so many minutes after its start: see `decideFate`. */
const reapedAfter = 20;
const bootMinutes = 1;
const jobMinutes = 4;

/**
 * A fleet, minute by minute: the queue is worked off, tasks boot, listen, take a job, and end; each end is settled; each minute has its
 * pass. GitHub gives the oldest waiting job to whatever runner listens.
 */
async function live(
  profile: Profile,
  {
    jobs,
    minutes,
    faultEnds,
    fault,
  }: { readonly jobs: number; readonly minutes: number; readonly faultEnds: number; readonly fault: Fault },
): Promise<History> {
  const world = fakeWorld({ profiles: [profile] });
  const waiting = Array.from({ length: jobs }, (_, n) => aJob({ id: String(n + 1), createdAt: world.clock.iso() }));
  for (const job of waiting) {
    world.github.tell(job, { state: 'queued' });
    await launchRunner(queuedMessage(job), false, world.ports);
  }
  const ranAt: number[] = [];
  const endsAt = new Map<string, number>();
  let intoTheFault = 0;

  for (let now = 0; now < minutes; now += 1) {
    await workOff(world);
    for (const [at, task] of world.tasks.all().entries()) {
      if (task.stopped !== undefined) continue;
      const age = now - minutesOf(task, world);
      const onSpot = isSpot(world.ledger.runner(task.runnerId).provider ?? '');
      const began = now - age;
      // A task that hangs goes on hanging; whether GitHub hands out jobs is decided each minute.
      const told = began < faultEnds ? fault({ age, started: at, onSpot }) : undefined;
      const said = told === 'no-job' && now >= faultEnds ? undefined : told;
      const over = endsAt.get(task.runnerId);
      if (over !== undefined) {
        if (over <= now) await end(world, task, { outcome: 'ran-a-job' });
      } else if (said === 'stuck') {
        if (age >= reapedAfter) await reap(world, task);
      } else if (typeof said === 'object') {
        await end(world, task, said);
      } else if (age >= bootMinutes) {
        const next = said === 'no-job' ? undefined : waiting.shift();
        if (next !== undefined) {
          ranAt.push(now);
          endsAt.set(task.runnerId, now + jobMinutes);
          world.github.tell(next, { state: 'in_progress' });
          await recordEvent({ job: next, state: 'in_progress', by: 'd', runnerName: task.runnerId }, world.ports);
        } else if (age >= bootMinutes + profile.idleMinutes) {
          await end(world, task, { outcome: 'idle' });
        }
      }
    }
    await topUpPools(world.ports);
    await workOff(world);
    world.clock.turn(minute);
    if (now + 1 === faultEnds) intoTheFault = world.tasks.all().length;
  }
  return {
    ranAt,
    intoTheFault,
    tasks: world.tasks.all().length,
    parkedAtTheEnd: world.ledger.jobs().filter(({ state, parked }) => state === 'waiting' && parked).length,
  };
}

function minutesOf({ createdAt = 0 }: RunnerTask, world: FakeWorld): number {
  const [first] = world.tasks.all();
  return Math.round((createdAt - (first?.createdAt ?? 0)) / minute);
}

async function workOff(world: FakeWorld): Promise<void> {
  for (const message of world.queues.takeLaunches()) await launchRunner(message, false, world.ports);
}

async function end(world: FakeWorld, { runnerId }: RunnerTask, how: TaskEnd): Promise<void> {
  await settleTask(world.tasks.end(runnerId, how), world.ports);
}

async function reap(world: FakeWorld, task: RunnerTask): Promise<void> {
  await world.ports.markDeregistered(task.runnerId);
  await end(world, task, { stopCode: 'UserInitiated', reason: 'not registered', exitCode: undefined, started: false });
}

/** No job stays parked, all run once, and the last one soon after the fault has ended; minutes. */
function expectAllToRun({ ranAt, parkedAtTheEnd }: History, jobs: number, latest: number): void {
  expect(ranAt).toHaveLength(jobs);
  expect(Math.max(...ranAt)).toBeLessThanOrEqual(latest);
  expect(parkedAtTheEnd).toBe(0);
}
const spotLoss: TaskEnd = { outcome: 'interrupted-before-a-job', awsFault: 'spot-interruption' };

describe('when a fault ends, waiting ends', () => {
  test('Spot takes six booting tasks in a row: the job runs on the seventh', async () => {
    const profile = aProfile({ capacity: 'spot' });
    const history = await live(profile, {
      jobs: 1,
      minutes: 120,
      faultEnds: 120,
      fault: ({ started }) => (started < 6 ? spotLoss : undefined),
    });
    expectAllToRun(history, 1, 40);
    expect(history.tasks).toBe(7);
  });

  test('Spot takes each booting task: where Spot is only preferred the job runs on the second, on demand', async () => {
    const profile = aProfile({ capacity: 'spot-preferred' });
    const history = await live(profile, {
      jobs: 1,
      minutes: 60,
      faultEnds: 60,
      fault: ({ onSpot }) => (onSpot ? spotLoss : undefined),
    });
    expectAllToRun(history, 1, 5);
    expect(history.tasks).toBe(2);
  });

  test('tasks never come up, six times: the job runs on the seventh', async () => {
    const history = await live(aProfile(), {
      jobs: 1,
      minutes: 240,
      faultEnds: 240,
      fault: ({ started }) => (started < 6 ? 'stuck' : undefined),
    });
    // A task that does not come up counts as supply for a quarter of an hour.
    expectAllToRun(history, 1, 6 * 16);
    expect(history.tasks).toBe(7);
  });

  test('tasks never come up for four hours while 20 jobs wait: the breaker lets few of them start', async () => {
    const faultEnds = 240;
    const history = await live(aProfile({ maxRunners: 50 }), {
      jobs: 20,
      minutes: 400,
      faultEnds,
      fault: () => 'stuck',
    });
    expectAllToRun(history, 20, faultEnds + 75);
    // Twenty at once, twenty more when these are no supply any more, then probes.
    expect(history.intoTheFault).toBeLessThanOrEqual(60);
  });

  test('GitHub assigns nothing for 75 minutes while 10 jobs of one pool wait: all run when one was served', async () => {
    const faultEnds = 75;
    const history = await live(aProfile({ maxRunners: 50 }), {
      jobs: 10,
      minutes: 300,
      faultEnds,
      fault: () => 'no-job',
    });
    expectAllToRun(history, 10, faultEnds + 75);
    expect(Math.max(...history.ranAt) - Math.min(...history.ranAt)).toBeLessThanOrEqual(3);
    expect(history.intoTheFault).toBe(60);
  });

  test('GitHub assigns nothing for nine hours: after its six runners for each job one an hour finds out', async () => {
    const faultEnds = 9 * 60;
    const history = await live(aProfile({ maxRunners: 50 }), {
      jobs: 10,
      minutes: faultEnds + 120,
      faultEnds,
      fault: () => 'no-job',
    });
    expectAllToRun(history, 10, faultEnds + 75);
    expect(history.intoTheFault).toBeGreaterThan(60);
    expect(history.intoTheFault).toBeLessThanOrEqual(60 + 9);
  });
});

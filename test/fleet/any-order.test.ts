import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Job } from '../../functions/contracts/between-rooms/job.ts';
import type { JobEvent, LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import { topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { settleTask } from '../../functions/task-stopped/settle-task.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aProfile, prefix, queuedMessage } from '../fakes/builders.ts';
import { takeTurns } from '../fakes/calls.ts';
import { minute } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const cap = 2;
const profile = aProfile({ maxRunners: cap });
const jobs = ['1', '2', '3', '4'].map((id) => aJob({ id }));

/** How a job's story ends, as GitHub knows it; deliveries of any part of it come in any order, twice or never. */
type Story = { readonly job: Job; readonly end: 'queued' | 'in_progress' | 'completed'; readonly ran: boolean };
type Delivery = {
  readonly story: Story;
  readonly kind: 'queued' | 'in_progress' | 'completed';
  readonly runner: number;
};
type Step =
  | { readonly kind: 'deliver'; readonly delivery: Delivery }
  | { readonly kind: 'work' | 'top-up' | 'stop' | 'wait'; readonly pick: number };

const stories = fc.tuple(
  ...jobs.map((job) =>
    fc.record({
      job: fc.constant(job),
      end: fc.constantFrom('queued' as const, 'in_progress' as const, 'completed' as const),
      ran: fc.boolean(),
    }),
  ),
);
const kinds = ['queued', 'in_progress', 'completed'] as const;

function deliveriesOf(story: Story): Delivery['kind'][] {
  return kinds.slice(0, kinds.indexOf(story.end) + 1).filter((kind) => kind !== 'in_progress' || story.ran);
}

/** The deliveries of all stories, each once or twice, shuffled, among whatever else happens in a fleet. */
const histories = stories.chain((told) => {
  const all = told.flatMap((story) =>
    deliveriesOf(story).flatMap((kind) => [0, 1].map((copy) => ({ story, kind, copy }))),
  );
  const deliver = fc
    .shuffledSubarray(all, { minLength: Math.floor(all.length / 2) })
    .chain((sent) =>
      fc.tuple(
        ...sent.map(({ story, kind }) =>
          fc.nat(3).map((runner): Step => ({ kind: 'deliver', delivery: { story, kind, runner } })),
        ),
      ),
    );
  const others = fc.array(
    fc.record({
      kind: fc.constantFrom('work' as const, 'top-up' as const, 'stop' as const, 'wait' as const),
      pick: fc.nat(9),
    }),
    { maxLength: 25 },
  );
  return fc.record({
    told: fc.constant(told),
    steps: fc
      .tuple(deliver, others)
      .chain(([sent, rest]) => fc.shuffledSubarray<Step>([...sent, ...rest], { minLength: sent.length + rest.length })),
  });
});

function aWorld(told: readonly Story[]): FakeWorld {
  const world = fakeWorld({ profiles: [profile] });
  for (const { job, end } of told) world.github.tell(job, { state: end });
  return world;
}

function eventOf({ story, kind, runner }: Delivery, world: FakeWorld): JobEvent {
  // Any runner of the pool may have taken it.
  const names = [...world.ledger.runners.keys()];
  const runnerName = story.ran ? (names[runner % Math.max(1, names.length)] ?? `${prefix}-lost-1`) : undefined;
  return {
    version: 1,
    kind: kind === 'completed' ? 'completed' : 'in_progress',
    job: story.job,
    delivery: 'd',
    at: world.clock.iso(),
    ...(runnerName !== undefined && { runnerName }),
  };
}

async function take(step: Step, world: FakeWorld, ports: FakeWorld['ports'] = world.ports): Promise<void> {
  switch (step.kind) {
    case 'deliver': {
      const { story, kind } = step.delivery;
      if (kind === 'queued') await launchRunner(queuedMessage(story.job), step.delivery.runner === 3, ports);
      else await recordEvent(eventOf(step.delivery, world), ports);
      return;
    }
    case 'work': {
      const [message] = world.queues.launches.splice(0, 1);
      if (message !== undefined) await launchRunner(message.message, false, ports);
      return;
    }
    case 'top-up':
      await topUpProfile(profile, ports);
      return;
    case 'stop': {
      const running = world.tasks.running();
      const task = running[step.pick % Math.max(1, running.length)];
      const outcomes = ['ran-a-job', 'idle', 'broken-image', 'no-claim'] as const;
      if (task === undefined) return;
      const stopped = world.tasks.end(task.runnerId, { outcome: outcomes[step.pick % outcomes.length] ?? 'idle' });
      await settleTask(stopped, ports);
      if (step.pick % 2 === 0) await settleTask(stopped, ports);
      return;
    }
    case 'wait':
      world.clock.turn(step.pick * minute);
  }
}

async function check(world: FakeWorld, launchesWhenCompleted: Map<string, number>): Promise<void> {
  const leases = await world.ledger.countLeases('small');
  expect(world.ledger.live()).toHaveLength(leases);
  expect(leases).toBeLessThanOrEqual(cap);
  const tasks = world.tasks.all().map(({ runnerId }) => runnerId);
  expect(new Set(tasks).size).toBe(tasks.length);
  for (const [jobId, launches] of launchesWhenCompleted) {
    expect(world.ledger.job(jobId)).toMatchObject({ state: 'completed', launches });
  }
  for (const { job, state, launches } of world.ledger.jobs.values()) {
    if (state === 'completed') launchesWhenCompleted.set(job.id, launches);
  }
}

/** Lets the fleet go on alone: the queue is worked off, runners end, time passes, the sweep runs. */
async function settle(world: FakeWorld): Promise<void> {
  for (let round = 0; round < 60; round += 1) {
    for (const message of drain(world)) await launchRunner(message, false, world.ports);
    for (const { runnerId } of world.tasks.running()) world.tasks.end(runnerId, { outcome: 'idle' });
    // Each end is told, of those that were stopped before as well.
    for (const { stopped } of world.tasks.all()) if (stopped !== undefined) await settleTask(stopped, world.ports);
    world.clock.turn(5 * minute);
    await topUpProfile(profile, world.ports);
  }
}
const drain = (world: FakeWorld): LaunchMessage[] => world.queues.takeLaunches();

describe('deliveries in any order, doubled or lost, among all that happens in a fleet', () => {
  test('never break a count: as many leases as live runners, none above the cap, no launch of a completed job', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ({ told, steps }) => {
        const world = aWorld(told);
        const completed = new Map<string, number>();
        for (const step of steps) {
          await take(step, world);
          await check(world, completed);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('never break a count when they are handled at the same time either', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.scheduler(), async ({ told, steps }, scheduler) => {
        const world = aWorld(told);
        const ports = takeTurns(world.ports, async (name) => scheduler.schedule(Promise.resolve(), name));
        const completed = new Map<string, number>();
        for (let at = 0; at < steps.length; at += 5) {
          const handled = steps.slice(at, at + 5).map(async (step) => take(step, world, ports));
          await scheduler.waitFor(Promise.all(handled));
          await check(world, completed);
        }
      }),
      { numRuns: 150 },
    );
  });

  test('leave no place taken and no job without a runner or a reason, once the fleet has gone on alone', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async ({ told, steps }) => {
        const world = aWorld(told);
        for (const step of steps) await take(step, world);
        await settle(world);
        expect(await world.ledger.countLeases('small')).toBe(0);
        const queued = told.filter(({ end }) => end === 'queued').map(({ job }) => job.id);
        const waiting = (await world.ledger.listWaiting()).filter(({ job }) => queued.includes(job.id));
        // Each had its six runners, all of which ended idle: a person must look.
        expect(waiting.map(({ unserved, held, reason }) => ({ unserved, held, reason }))).toEqual(
          waiting.map(() => ({ unserved: 6, held: true, reason: 'held' })),
        );
      }),
      { numRuns: 60 },
    );
  });
});

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Job } from '../../functions/contracts/between-rooms/job.ts';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import { recordSighting } from '../../functions/fleet/record-sighting.ts';
import { topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { settleTask } from '../../functions/task-stopped/settle-task.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aProfile, prefix, queuedMessage } from '../fakes/builders.ts';
import { takeTurns } from '../fakes/calls.ts';
import { minute } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const cap = 2;
const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };
const profile = aProfile({ maxRunners: cap });
const jobs = ['1', '2', '3', '4'].map((id) => aJob({ id }));

/** How a job's story ends, as GitHub knows it; deliveries of any part of it come in any order, twice or never. */
type Story = { readonly job: Job; readonly end: 'queued' | 'in_progress' | 'completed'; readonly ran: boolean };
type Delivery = {
  readonly story: Story;
  readonly kind: JobSighting['state'];
  readonly runner: number;
};
type Step =
  | { readonly kind: 'deliver'; readonly delivery: Delivery }
  /** GitHub's list shows the job as it is; or GitHub did not know the job twice, and we conclude that it is over. */
  | { readonly kind: 'list' | 'conclude'; readonly story: Story }
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
const kinds = ['blocked', 'queued', 'in_progress', 'completed'] as const;

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
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constantFrom('work' as const, 'top-up' as const, 'stop' as const, 'wait' as const),
          pick: fc.nat(9),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          kind: fc.constantFrom('list' as const, 'conclude' as const),
          story: fc.constantFrom(...told),
        }),
      },
    ),
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

function sightingOf({ story, kind, runner }: Delivery, world: FakeWorld): JobSighting {
  // Any runner of the pool may have taken it.
  const names = world.ledger.runners().map(({ runnerId }) => runnerId);
  const runnerName = story.ran ? (names[runner % Math.max(1, names.length)] ?? `${prefix}-lost-1`) : undefined;
  // Who tells a thing first may not know the runner yet.
  const isNamed = (kind === 'in_progress' && runner !== 0) || kind === 'completed';
  return {
    job: story.job,
    state: kind,
    by: 'd',
    startedAt: kind === 'in_progress' ? world.clock.iso() : undefined,
    completedAt: kind === 'completed' ? world.clock.iso() : undefined,
    runnerName: isNamed ? runnerName : undefined,
  };
}

async function take(step: Step, world: FakeWorld, ports: FakeWorld['ports'] = world.ports): Promise<void> {
  switch (step.kind) {
    case 'deliver': {
      const { story, kind } = step.delivery;
      if (kind === 'queued') await launchRunner(queuedMessage(story.job), step.delivery.runner === 3, ports);
      else await recordEvent(sightingOf(step.delivery, world), ports);
      return;
    }
    case 'list': {
      const { story } = step;
      if (story.end === 'completed') return;
      await recordSighting(sightingOf({ story, kind: story.end, runner: 0 }, world), place, ports);
      return;
    }
    case 'conclude':
      await recordSighting({ job: step.story.job, state: 'completed', by: 'look' }, place, ports, { inferred: true });
      return;
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
  const leases = world.ledger.countLeases('small');
  expect(world.ledger.live()).toHaveLength(leases);
  expect(leases).toBeLessThanOrEqual(cap);
  const tasks = world.tasks.all().map(({ runnerId }) => runnerId);
  expect(new Set(tasks).size).toBe(tasks.length);
  for (const [jobId, launches] of launchesWhenCompleted) {
    expect(world.ledger.job(jobId)).toMatchObject({ state: 'completed', launches });
  }
  // What we concluded ourselves may be undone, what an event told may not.
  for (const { job, state, launches, inferred } of world.ledger.jobs()) {
    if (state === 'completed' && !inferred) launchesWhenCompleted.set(job.id, launches);
  }
  // A job waits with a clean end: nothing is left of what was undone.
  const waiting = world.ledger.jobs().filter(({ state }) => state === 'waiting');
  expect(waiting.filter((job) => job.inferred || (job.completedAt ?? job.conclusion) !== undefined)).toEqual([]);
  expect(world.claims.open().size).toBeLessThanOrEqual(leases);
}

/** Lets the fleet go on alone: the queue is worked off, runners end, time passes, the sweep runs. */
async function settle(world: FakeWorld): Promise<void> {
  for (let round = 0; round < 60; round += 1) {
    await workOff(world);
    world.clock.turn(5 * minute);
    await topUpProfile(profile, world.ports);
  }
  // A job that was released a moment ago has its runner, too.
  await workOff(world);
}
async function workOff(world: FakeWorld): Promise<void> {
  for (const message of drain(world)) await launchRunner(message, false, world.ports);
  for (const { runnerId } of world.tasks.running()) world.tasks.end(runnerId, { outcome: 'idle' });
  // Each end is told, of those that were stopped before as well.
  for (const { stopped } of world.tasks.all()) if (stopped !== undefined) await settleTask(stopped, world.ports);
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
        expect(world.ledger.countLeases('small')).toBe(0);
        const queued = told.filter(({ end }) => end === 'queued').map(({ job }) => job.id);
        const waiting = (await world.ledger.listWaiting()).filter(({ job }) => queued.includes(job.id));
        // Each had its six runners, all of which ended idle, and one more each time that it was released.
        expect(waiting.map(({ unserved, parked, reason }) => ({ unserved, parked, reason }))).toEqual(
          waiting.map(() => ({ unserved: 6, parked: true, reason: 'parked' })),
        );
      }),
      { numRuns: 60 },
    );
  });
});

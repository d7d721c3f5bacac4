import { expect, test } from '@jest/globals';
import { launchTurns } from '../../functions/aws/ledger/turns.ts';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { aJob, aProfile, queuedMessage } from '../fakes/builders.ts';
import { minute, second } from '../fakes/clock.ts';
import { fakeTable } from '../fakes/table.ts';
import { fakeWorld } from '../fakes/world.ts';

const jobCount = 3000;
/** GitHub's smallest limit of an installation, in calls an hour. */
const rateLimit = 5000;

test('a burst of 3,000 jobs starts at the pace of registrations, and jobs that wait for their turn cost GitHub no call', async () => {
  const world = fakeWorld({ profiles: [aProfile({ maxRunners: 5000 })] });
  const ports = { ...world.ports, ...launchTurns(fakeTable(), world.clock.now) };
  const jobs = Array.from({ length: jobCount }, (_, index) => aJob({ id: String(81230000000 + index) }));
  for (const job of jobs) world.github.tell(job, {});
  const looks = (): number => world.github.calls.filter((call) => call.startsWith('lookAtJob')).length;

  let due: { readonly message: LaunchMessage; readonly at: number }[] = jobs.map((job) => ({
    message: queuedMessage(job),
    at: 0,
  }));
  let lastLaunch = 0;
  const start = world.clock.now();
  for (let seconds = 0; seconds < 30 * 60; seconds += 1) {
    if (seconds % 60 === 0) await topUpPools(ports);
    world.github.limits.set('acme', { limit: rateLimit, remaining: rateLimit - looks(), spent: looks() });
    const now = world.clock.now();
    due.push(...world.queues.launches.splice(0).map(({ message, delayMs }) => ({ message, at: now + delayMs })));
    const ripe = due.filter(({ at }) => at <= now);
    due = due.filter(({ at }) => at > now);
    for (const { message } of ripe) {
      const verdict = await launchRunner(message, false, { ...ports, pause: async () => undefined });
      if (verdict.kind !== 'launched') continue;
      lastLaunch = now - start;
      const { job } = world.ledger.job(String(verdict.job));
      await world.ledger.markBusy(String(verdict.runner), job.id, world.clock.iso());
      await world.record(job, 'in_progress');
    }
    world.clock.turn(second);
  }

  expect(world.tasks.all()).toHaveLength(jobCount);
  expect(lastLaunch).toBeLessThan(25 * minute);
  // About half of the jobs have waited for less than five minutes when their turn comes: no question for these.
  expect(looks()).toBeLessThan(jobCount * 0.55);
}, 120_000);

import { describe, expect, test } from '@jest/globals';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import type { RunResult } from '../../functions/contracts/with-tasks/task-order.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { aJob, aProfile, prefix, queuedMessage } from '../fakes/builders.ts';
import { minute, second } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const job = aJob();
const runnerId = `${prefix}-${job.id}-1`;

/** RunTask started the task, and its answer was lost. */
async function loseAnswer(world: FakeWorld): Promise<void> {
  const runTask = async (order: Parameters<typeof world.ports.runTask>[0]): Promise<RunResult> => {
    await world.ports.runTask(order);
    throw new Error('socket hang up');
  };
  await launchRunner(queuedMessage(job), false, { ...world.ports, runTask }).catch(() => undefined);
}

describe('a launch whose RunTask was answered into the void', () => {
  const noes: RunResult[] = [
    { kind: 'throttled', detail: 'Rate exceeded' },
    { kind: 'quota', detail: 'vCPUs' },
    { kind: 'refused', detail: 'the task definition is gone' },
    { kind: 'no-capacity', detail: 'none' },
  ];

  test.each(noes)('finds its task instead of asking again, so that $kind cannot end it', async (no) => {
    const world = fakeWorld({ profiles: [aProfile({ maxRunners: 1 })] });
    await loseAnswer(world);
    world.clock.turn(3 * minute);
    const runTask = async () => no;
    expect(await launchRunner(queuedMessage(job), true, { ...world.ports, runTask })).toMatchObject({
      kind: 'launched',
    });
    expect(world.ledger.runner(runnerId)).toMatchObject({ taskArn: `arn:task/${runnerId}` });
    expect(world.ledger.countLeases('small')).toBe(1);
  });

  test.each(noes)(
    'keeps its lease when ECS does not show the task, says $kind, and the task is at work',
    async (no) => {
      const world = fakeWorld({ profiles: [aProfile({ maxRunners: 1 })] });
      await loseAnswer(world);
      const { claimId = '' } = world.ledger.runner(runnerId);
      expect(world.claims.fetch(claimId)).toBeDefined();
      const ports = { ...world.ports, runTask: async () => no, findRunning: async () => undefined };
      let message = queuedMessage(job);
      for (let time = 0; time < 8; time += 1) {
        await launchRunner(message, true, ports);
        const [back] = world.queues.takeLaunches();
        message = back ?? message;
        world.clock.turn(30 * second);
      }
      expect(world.ledger.runner(runnerId).endedAt).toBeUndefined();
      expect(world.ledger.countLeases('small')).toBe(1);
      expect(world.tasks.running()).toHaveLength(1);
    },
  );
});

describe('AWS without room', () => {
  const jobs = Array.from({ length: 120 }, (_, n) => aJob({ id: String(81230000100 + n) }));

  test('is asked once a minute, and GitHub with it, and every job starts when there is room again', async () => {
    const world = fakeWorld({ profiles: [aProfile({ maxRunners: 200 })], pace: { intervalMs: 50, burst: 1000 } });
    for (const one of jobs) world.github.tell(one, {});
    const quota = 20;
    let limit = quota;
    let asked = 0;
    const runTask = async (order: Parameters<typeof world.ports.runTask>[0]): Promise<RunResult> => {
      asked += 1;
      return world.tasks.running().length < limit ? world.ports.runTask(order) : { kind: 'quota', detail: 'vCPUs' };
    };
    const ports = { ...world.ports, runTask };
    const launch = async (message: LaunchMessage): Promise<void> => {
      const verdict = await launchRunner(message, false, ports);
      if (verdict.kind !== 'launched') return;
      const record = world.ledger.job(String(verdict.job));
      await world.ledger.markBusy(String(verdict.runner), record.job.id, world.clock.iso());
      await world.record(record.job, 'in_progress');
    };
    for (const one of jobs) await launch(queuedMessage(one));
    expect(world.tasks.running()).toHaveLength(quota);
    expect(asked).toBe(quota + 1);

    const passMinutes = async (minutes: number): Promise<void> => {
      for (let time = 0; time < minutes; time += 1) {
        world.clock.turn(minute);
        await topUpPools(ports);
        for (let message = world.queues.takeLaunches(); message.length > 0; message = world.queues.takeLaunches()) {
          for (const one of message) await launch(one);
        }
      }
    };
    asked = 0;
    const looks = (): number => world.github.calls.filter((call) => call.startsWith('lookAtJob')).length;
    const before = looks();
    await passMinutes(60);
    expect(asked).toBeLessThanOrEqual(60);
    expect(asked).toBeGreaterThanOrEqual(50);
    expect(looks() - before).toBeLessThanOrEqual(60);

    limit = 200;
    await passMinutes(1);
    expect(world.tasks.running()).toHaveLength(120);
  });
});

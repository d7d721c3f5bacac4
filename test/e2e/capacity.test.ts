import { describe, expect, test } from '@jest/globals';
import { minute, plainJob, startScenario, until } from './scenario.ts';

describe('a full profile', () => {
  test('makes a job wait with its reason, and the next stop lets it in, without a sweep', async () => {
    const scenario = await startScenario({ profile: { maxRunners: 1 } });
    const { script, release } = await scenario.gate();
    const first = scenario.github.queueJob({ ...plainJob, script });
    await scenario.jobIs(first.id, 'in_progress');
    const second = scenario.github.queueJob(plainJob);
    await scenario.reasonIs(second.id, 'profile-full');
    await until(async () => (await scenario.fleet.depth()) === 0, 'its message is acknowledged');

    await release();
    await scenario.jobIs(second.id, 'completed');
    await scenario.expectAllGone();
  });

  test('is never exceeded by a burst, and every job of it runs', async () => {
    const scenario = await startScenario({ profile: { maxRunners: 3 } });
    let most = 0;
    scenario.fleet.ecs.onStateChange(() => {
      most = Math.max(most, scenario.liveTasks);
    });
    const jobs = Array.from({ length: 12 }, () => scenario.github.queueJob(plainJob));
    for (const { id } of jobs) await scenario.jobIs(id, 'completed');
    await scenario.expectAllGone();
    expect(most).toBe(3);
    expect(scenario.launches).toBe(12);
  });
});

describe('a runner that is stolen', () => {
  test('leaves a job behind that runs all the same', async () => {
    const scenario = await startScenario({
      github: { deliver: ({ action }) => (action === 'queued' && lost ? 'lose' : 'now') },
    });
    let lost = true;
    const { script, release } = await scenario.gate();
    // Older, and never announced: it takes the runner that was started for the other.
    const thief = scenario.github.queueJob({ ...plainJob, script });
    lost = false;
    const robbed = scenario.github.queueJob(plainJob);
    await scenario.jobIs(thief.id, 'in_progress');
    await scenario.jobIs(robbed.id, 'completed');
    await release();
    await scenario.jobIs(thief.id, 'completed');
    await scenario.expectAllGone();
    expect(await scenario.ledgerOf(robbed.id)).toMatchObject({ launches: 2 });
    expect((await scenario.ledgerOf(robbed.id))?.['unserved'] ?? 0).toBe(0);
  });
});

describe('an idle runner of one org', () => {
  test("does not hide another org's waiting job", async () => {
    const scenario = await startScenario({ profile: { idleMinutes: 2 } });
    const cancelled = scenario.github.queueJob(plainJob);
    await scenario.cancelBeforeRegistration(cancelled.id);
    await until(
      () => scenario.github.runners.some(({ online, busy }) => online && !busy),
      'its runner listens for nobody',
    );

    scenario.fleet.ecs.capacity = () => 'none';
    const waiting = scenario.github.queueJob({ ...plainJob, repo: 'globex/web' });
    await scenario.reasonIs(waiting.id, 'no-capacity');
    scenario.fleet.ecs.capacity = () => 'ok';
    scenario.fleet.clock.advance(minute);
    await scenario.run('replenish');
    await scenario.jobIs(waiting.id, 'completed');
  });
});

describe('no Spot capacity', () => {
  test('falls back to on-demand where the profile allows it', async () => {
    const scenario = await startScenario({ profile: { capacity: 'spot-preferred' } });
    scenario.fleet.ecs.capacity = (provider) => (provider === 'FARGATE_SPOT' ? 'none' : 'ok');
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(1);
  });
});

describe('a profile with Docker', () => {
  const [onDemand, spot] = ['docker_local_small_on-demand', 'docker_local_small_spot'];

  test('runs its job on Managed Instances, in the network of profiles with Docker', async () => {
    const scenario = await startScenario({ profile: { docker: true } });
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    const [task] = scenario.fleet.ecs.tasks.values();
    expect(task?.request).toMatchObject({ provider: onDemand, subnet: 'subnet-docker-1' });
    await scenario.quiet();
    const logs = scenario.logs.join('\n');
    for (const told of ['"Reason":"MANAGED_INSTANCES"', '"RunnerSeconds"']) expect(logs).toContain(told);
    // What an instance costs nobody knows.
    expect(logs).not.toContain('CostDollars');
  });

  test('falls back from Spot to on-demand by the same code', async () => {
    const scenario = await startScenario({ profile: { docker: true, capacity: 'spot-preferred' } });
    const asked: string[] = [];
    scenario.fleet.ecs.capacity = (provider) => {
      asked.push(provider);
      return provider === spot ? 'none' : 'ok';
    };
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect(asked).toEqual([spot, onDemand]);
    expect(scenario.launches).toBe(1);
  });

  test('does without Spot at its second launch, when ECS took the first and found no instance', async () => {
    const scenario = await startScenario({ profile: { docker: true, capacity: 'spot-preferred' } });
    const { ecs, clock } = scenario.fleet;
    ecs.startFailure = ({ provider }) => (provider === spot ? 'no instance could be started' : undefined);
    const job = scenario.github.queueJob(plainJob);
    await scenario.reasonIs(job.id, 'backing-off');
    await scenario.quiet();
    clock.advance(2 * minute);
    await scenario.run('replenish');
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect([...ecs.tasks.values()].map(({ provider }) => provider)).toEqual([spot, onDemand]);
  });
});

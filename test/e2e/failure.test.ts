import { describe, expect, test } from '@jest/globals';
import { visibilitySeconds } from '../../functions/contracts/with-infra/queue-limits.ts';
import { impatient, minute, plainJob, startScenario, until } from './scenario.ts';

describe('a job that no runner may take', () => {
  test('is not relaunched for ever: after six runners without it, it is parked, and gets one an hour', async () => {
    const scenario = await startScenario({
      profile: { ...impatient, runnerGroup: 'restricted' },
      arrange: (github) => {
        github.addRunnerGroup('acme', { name: 'restricted', visibility: 'selected', repositories: [] });
      },
    });
    const job = scenario.github.queueJob(plainJob);
    for (let unserved = 1; unserved <= 6; unserved += 1) {
      await until(
        async () => (await scenario.ledgerOf(job.id))?.['unserved'] === unserved,
        `${unserved} runners were idle`,
      );
      // Not a second earlier than its pause is over.
      await scenario.run('replenish');
      await scenario.quiet();
      expect(scenario.launches).toBe(unserved);
      if (unserved === 6) break;
      scenario.fleet.clock.advance(31 * minute);
      await scenario.run('replenish');
    }
    const isParked = { state: 'waiting', reason: 'parked', parked: true };
    expect(await scenario.ledgerOf(job.id)).toMatchObject(isParked);
    for (const launches of [6, 7, 7]) {
      scenario.fleet.clock.advance(31 * minute);
      await scenario.run('replenish');
      await scenario.quiet();
      await until(async () => (await scenario.ledgerOf(job.id))?.['parked'] === true, 'its probe was idle');
      expect(scenario.launches).toBe(launches);
    }
    expect(await scenario.ledgerOf(job.id)).toMatchObject(isParked);
    await scenario.expectAllGone();
  });
});

describe('a broken image', () => {
  test('does not become a hot loop: after three failed starts one probe at a time is let through', async () => {
    const scenario = await startScenario();
    scenario.fleet.ecs.startFailure = () => 'CannotPullContainerError: manifest unknown';
    const jobs = [1, 2, 3].map(() => scenario.github.queueJob(plainJob));
    for (const { id } of jobs) {
      await until(async () => (await scenario.ledgerOf(id))?.['unservedLaunch'] === 1, 'its runner failed to start');
    }
    await scenario.quiet();
    expect(scenario.launches).toBe(3);
    const late = scenario.github.queueJob(plainJob);
    await scenario.reasonIs(late.id, 'breaker-open');
    await scenario.run('replenish');
    await scenario.quiet();
    expect(scenario.launches).toBe(3);

    scenario.fleet.clock.advance(2 * minute);
    await scenario.run('replenish');
    await scenario.quiet();
    await scenario.run('replenish');
    await scenario.quiet();
    expect(scenario.launches).toBe(4);

    scenario.fleet.ecs.startFailure = () => undefined;
    for (let round = 0; round < 3; round += 1) {
      scenario.fleet.clock.advance(10 * minute);
      await scenario.run('replenish');
      await scenario.quiet();
      await scenario.fleet.ecs.settled();
    }
    for (const { id } of [...jobs, late]) await scenario.jobIs(id, 'completed');
    await scenario.expectAllGone();
  });
});

describe('a runner that dies before its job', () => {
  test('is replaced', async () => {
    const scenario = await startScenario({ profile: { capacity: 'spot' } });
    scenario.fleet.ecs.latency.boot = 30_000;
    const job = scenario.github.queueJob(plainJob);
    await until(() => scenario.launches === 1, 'its task is on its way');
    const [task] = scenario.fleet.ecs.tasks.values();
    scenario.fleet.ecs.interrupt(task?.arn ?? '');
    await until(async () => (await scenario.ledgerOf(job.id))?.['unservedLaunch'] === 1, 'the end is known');
    // AWS took its capacity back: that is no fault of the job.
    expect((await scenario.ledgerOf(job.id))?.['unserved'] ?? 0).toBe(0);
    scenario.fleet.ecs.latency.boot = 1;
    scenario.fleet.clock.advance(minute);
    await scenario.run('replenish');
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(2);
  });

  test('is replaced even when nobody tells us that its task has stopped', async () => {
    const scenario = await startScenario();
    scenario.fleet.ecs.deliver = () => [];
    scenario.fleet.ecs.startFailure = () => 'ResourceInitializationError: no route';
    const job = scenario.github.queueJob(plainJob);
    await until(() => scenario.launches === 1 && scenario.liveTasks === 0, 'its task has failed');
    await scenario.quiet();
    scenario.fleet.ecs.startFailure = () => undefined;
    await scenario.run('scale-down');
    scenario.fleet.clock.advance(minute);
    await scenario.run('replenish');
    await scenario.jobIs(job.id, 'completed');
    await until(() => scenario.liveTasks === 0, 'its task has ended');
    await scenario.quiet();
    await scenario.run('scale-down');
    await scenario.expectAllGone();
  });

  test('is replaced even when ECS has forgotten its task', async () => {
    const scenario = await startScenario();
    scenario.fleet.ecs.latency.boot = 60 * minute;
    const job = scenario.github.queueJob(plainJob);
    await until(() => scenario.launches === 1, 'its task is on its way');
    await scenario.quiet();
    scenario.fleet.ecs.deliver = () => [];
    scenario.fleet.ecs.lose([...scenario.fleet.ecs.tasks.keys()][0] ?? '');
    scenario.fleet.ecs.deliver = () => [0];
    scenario.fleet.ecs.latency.boot = 1;
    scenario.fleet.clock.advance(11 * minute);
    await scenario.run('scale-down');
    expect((await scenario.fleet.ledger()).some(({ open }) => open === 'runner')).toBe(true);
    scenario.fleet.clock.advance(minute);
    await scenario.run('scale-down');
    scenario.fleet.clock.advance(minute);
    await scenario.run('replenish');
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
  });
});

describe('a cancelled job', () => {
  test('leaves nothing when its task is still on its way', async () => {
    const scenario = await startScenario();
    scenario.fleet.ecs.latency.pull = 60_000;
    const job = scenario.github.queueJob(plainJob);
    await until(
      async () => (await scenario.fleet.ledger()).some((item) => item['taskArn'] !== undefined),
      'its task is known',
    );
    scenario.github.cancelJob(job.id);
    await scenario.expectAllGone();
    const [task] = scenario.fleet.ecs.tasks.values();
    expect(task).toMatchObject({ stopCode: 'UserInitiated', stoppedReason: 'the job was cancelled' });
  });

  test('leaves nothing when it waited for room', async () => {
    const scenario = await startScenario({ profile: { maxRunners: 1 } });
    const { script, release } = await scenario.gate();
    const first = scenario.github.queueJob({ ...plainJob, script });
    await scenario.jobIs(first.id, 'in_progress');
    const second = scenario.github.queueJob(plainJob);
    await scenario.reasonIs(second.id, 'profile-full');
    scenario.github.cancelJob(second.id);
    await scenario.quiet();
    await release();
    await scenario.jobIs(first.id, 'completed');
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(1);
  });

  test('leaves nothing when it was running', async () => {
    const scenario = await startScenario();
    const job = scenario.github.queueJob({ ...plainJob, script: 'sleep 30' });
    await scenario.jobIs(job.id, 'in_progress');
    scenario.github.cancelJob(job.id);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
  });
});

describe('a lost delivery', () => {
  test('is recovered by asking GitHub for the jobs of the repositories seen lately', async () => {
    const scenario = await startScenario({
      github: { deliver: ({ action }) => (action === 'queued' ? 'lose' : 'now') },
    });
    const job = scenario.github.queueJob(plainJob);
    scenario.fleet.clock.advance(2 * minute);
    await scenario.run('replenish');
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
  });

  test('is asked for again when it failed', async () => {
    let failing = true;
    const scenario = await startScenario({ github: { deliver: () => (failing ? 'fail' : 'now') } });
    await scenario.run('redeliver');
    scenario.fleet.clock.advance(minute);
    const job = scenario.github.queueJob(plainJob);
    await scenario.github.deliveriesSettled();
    failing = false;
    scenario.fleet.clock.advance(2 * minute);
    await scenario.run('redeliver');
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect(scenario.github.deliveries.filter(({ redelivery }) => redelivery)).toHaveLength(1);
  });
});

describe('a function that is killed in the middle of a launch', () => {
  test('does not lose the job, nor start it twice', async () => {
    const scenario = await startScenario({ visibilitySeconds: 35 });
    const { service } = scenario.fleet.ecs;
    const { promise: held, resolve: release } = Promise.withResolvers<void>();
    service.beforeCall = async ({ operation }) => (operation === 'RunTask' ? held : undefined);
    service.failNext('RunTask', { type: 'ServerException', status: 500 });
    const job = scenario.github.queueJob(plainJob);
    await until(() => service.calls.get('RunTask') === 1, 'the launch is half done');
    expect(scenario.fleet.functions['scale-up'].kill()).toBe(true);
    service.beforeCall = undefined;
    release();
    // Each time the message is hidden again until its visibility timeout has passed.
    const isDone = (): boolean => scenario.github.job(job.id).status === 'completed';
    for (let round = 0; round < 5 && !isDone(); round += 1) {
      scenario.fleet.clock.advance(40_000);
      await until(isDone, 'the job is done', 10_000).catch(() => undefined);
    }
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(1);
  });
});

describe('a stop', () => {
  test('that comes while its function is out gives the lease back afterwards', async () => {
    const scenario = await startScenario();
    const { queues, stopsQueue, eventSources } = scenario.fleet;
    await eventSources['task-stopped'].pause();
    const job = scenario.github.queueJob(plainJob);
    await until(async () => (await queues.depth(stopsQueue)).visible === 1, 'its stop is in the queue');
    expect((await scenario.fleet.ledger()).some(({ open }) => open === 'runner')).toBe(true);
    eventSources['task-stopped'].resume();
    await scenario.expectAllGone();
    await scenario.jobIs(job.id, 'completed');
  });

  test('that cannot be read is tried ten times, is a dead letter then, and holds up no other', async () => {
    const scenario = await startScenario();
    const { queues, stopsQueue, deadLetters, clock, eventSources } = scenario.fleet;
    const failures = (): number => scenario.logs.filter((line) => line.includes('task stopped: failed')).length;
    await queues.send(stopsQueue, 'no event');
    await until(() => failures() === 1, 'it has failed');
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await until(
      async () => scenario.liveTasks === 0 && (await scenario.fleet.depth()) === 1,
      'all other messages are handled',
    );
    expect((await scenario.fleet.ledger()).filter(({ open }) => open === 'runner')).toEqual([]);
    for (let tries = 2; tries <= 10; tries += 1) {
      await until(() => eventSources['task-stopped'].inFlight === 0, 'the function is done');
      clock.advance(visibilitySeconds * 1000 + 1);
      await until(() => failures() === tries, `it has failed ${tries} times`);
    }
    await until(() => eventSources['task-stopped'].inFlight === 0, 'the function is done');
    clock.advance(visibilitySeconds * 1000 + 1);
    await until(async () => (await queues.depth(deadLetters.stops)).visible === 1, 'it is a dead letter');
    expect(await queues.messages(deadLetters.stops)).toMatchObject([{ body: 'no event' }]);
    expect(failures()).toBe(10);
    await queues.purge(deadLetters.stops);
    await scenario.expectAllGone();
  });
});

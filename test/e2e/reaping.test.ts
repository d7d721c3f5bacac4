import { describe, expect, test } from '@jest/globals';
import { impatient, minute, plainJob, startScenario, until } from './scenario.ts';

const hour = 60 * minute;
/** GitHub must not lose patience only because the clock was turned. */
const patient = { lostAfterMs: 100 * hour, offlineAfterMs: 100 * hour, unservedAfterMs: 100 * hour };

describe('an idle runner', () => {
  test('ends itself', async () => {
    const scenario = await startScenario({ profile: impatient });
    const job = scenario.github.queueJob(plainJob);
    await scenario.cancelBeforeRegistration(job.id);
    await scenario.expectAllGone();
    const [task] = scenario.fleet.ecs.tasks.values();
    expect(task?.exitCode).toBe(64);
  });

  test('goes even when it hangs: first its registration, minutes later its task', async () => {
    const scenario = await startScenario({ github: patient, profile: { idleMinutes: 5 } });
    scenario.github.addRunnerGroup('acme', { name: 'nobody', visibility: 'selected', repositories: [] });
    const other = scenario.github.queueJob({ ...plainJob, runnerGroup: 'nobody' });
    await until(() => scenario.github.runners.some(({ online }) => online), 'its runner listens');
    scenario.github.cancelJob(other.id);
    const [task] = scenario.fleet.ecs.tasks.values();
    // Nothing in the task moves any more.
    for (const pid of task?.process?.pid === undefined ? [] : [task.process.pid]) process.kill(-pid, 'SIGSTOP');

    await scenario.quiet();
    await scenario.run('scale-down');
    expect(scenario.github.runners).toHaveLength(1);
    scenario.fleet.clock.advance(21 * minute);
    await scenario.run('scale-down');
    expect(scenario.github.runners).toHaveLength(0);
    expect(scenario.liveTasks).toBe(1);
    await scenario.run('scale-down');
    expect(scenario.liveTasks).toBe(1);
    scenario.fleet.ecs.stopTimeoutScale = 0.001;
    scenario.fleet.clock.advance(4 * minute);
    await scenario.run('scale-down');
    await scenario.expectAllGone();
  });
});

describe('a busy runner', () => {
  test('is never stopped, though no event told of its job and GitHub calls it idle', async () => {
    const scenario = await startScenario({
      github: {
        ...patient,
        busyLagMs: 100 * hour,
        deliver: ({ action }) => (action === 'in_progress' ? 'lose' : 'now'),
      },
    });
    const { script, release } = await scenario.gate();
    const job = scenario.github.queueJob({ ...plainJob, script });
    await scenario.jobIs(job.id, 'in_progress');
    for (let hours = 0; hours < 5; hours += 1) {
      scenario.fleet.clock.advance(hour);
      await scenario.run('scale-down');
      scenario.fleet.clock.advance(5 * minute);
      await scenario.run('scale-down');
    }
    await release();
    await scenario.jobIs(job.id, 'completed');
    expect(scenario.github.job(job.id).conclusion).toBe('success');
    await scenario.expectAllGone();
  });

  test('is stopped when it is older than its profile allows', async () => {
    const scenario = await startScenario({ github: patient, profile: { maxHours: 1 } });
    const { script } = await scenario.gate();
    const job = scenario.github.queueJob({ ...plainJob, script });
    await scenario.jobIs(job.id, 'in_progress');
    await scenario.quiet();
    scenario.fleet.clock.advance(66 * minute);
    await scenario.run('scale-down');
    await scenario.jobIs(job.id, 'completed');
    expect(scenario.github.job(job.id).conclusion).not.toBe('success');
    await scenario.expectAllGone();
  });
});

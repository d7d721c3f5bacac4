import { describe, expect, test } from '@jest/globals';
import type { Job } from '../../functions/contracts/between-rooms/job.ts';
import type { JobEvent } from '../../functions/contracts/between-rooms/messages.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aJobRecord, aLaunchedRunner, aProfile, prefix, queuedMessage } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, hour, minute, second } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const job = aJob();
const runnerId = `${prefix}-${job.id}-1`;

function event(kind: JobEvent['kind'], parts: Partial<JobEvent> = {}): JobEvent {
  return { version: 1, kind, job, delivery: 'delivery-2', at: after(30 * second), ...parts };
}
/** The jobs are queued and each has its runner on the way. */
async function launched(jobs: readonly Job[] = [job], options: WorldOptions = {}): Promise<FakeWorld> {
  const world = fakeWorld(options);
  for (const one of jobs) await launchRunner(queuedMessage(one), false, world.ports);
  return world;
}
const tell = async (world: FakeWorld, given: JobEvent) => recordEvent(given, world.ports);

describe('a job that begins', () => {
  test('on its own runner is recorded, and its runner is no supply any more', async () => {
    const world = await launched();
    expect(await tell(world, event('in_progress', { runnerName: runnerId }))).toEqual({
      kind: 'in_progress',
      reason: 'the job is in_progress',
      job: job.id,
      delivery: 'delivery-2',
      runner: runnerId,
      profile: 'small',
      isCompletion: false,
      secondsToStart: 30,
    });
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'in_progress',
      runnerName: runnerId,
      startedAt: after(30 * second),
    });
    expect(world.ledger.runner(runnerId)).toMatchObject({ busyJobId: job.id, busyAt: after(30 * second) });
    expect(await world.ledger.countLeases('small')).toBe(1);
    expect(world.queues.launches).toEqual([]);
  });

  test('marks its runner before it stops being demand, so that no one counts the runner as idle', async () => {
    const world = await launched();
    const { ports, calls } = recordCalls(world.ports);
    await recordEvent(event('in_progress', { runnerName: runnerId }), ports);
    expect(calls.names.indexOf('markBusy')).toBeLessThan(calls.names.indexOf('recordJob'));
    expect(calls.names).toEqual(['readRunner', 'markBusy', 'noteGoodStart', 'recordJob', 'noteRepository']);
  });

  test('on a runner of somebody else touches none of ours', async () => {
    const world = await launched();
    await tell(world, event('in_progress', { runnerName: 'GitHub Actions 5' }));
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'in_progress', runnerName: 'GitHub Actions 5' });
    expect(world.ledger.runner(runnerId).busyJobId).toBeUndefined();
  });

  test('tells how long it waited once, however often it is told', async () => {
    const world = await launched();
    const begun = event('in_progress', { runnerName: runnerId });
    expect(await tell(world, begun)).toHaveProperty('secondsToStart', 30);
    expect(await tell(world, begun)).not.toHaveProperty('secondsToStart');
  });
});

describe('a job that was held back for an approval', () => {
  test('tells how long it waited for a runner, not for the approval', async () => {
    const world = fakeWorld();
    await tell(world, event('blocked'));
    world.clock.turn(2 * hour);
    await launchRunner(queuedMessage(job), false, world.ports);
    const began = event('in_progress', { runnerName: runnerId, at: after(2 * hour + 20 * second) });
    expect(await tell(world, began)).toMatchObject({ secondsToStart: 20 });
  });
});

describe('a job that ends', () => {
  test('is recorded, and its lease stays until its task has stopped', async () => {
    const world = await launched();
    await tell(world, event('in_progress', { runnerName: runnerId }));
    const ended = event('completed', { runnerName: runnerId, conclusion: 'success', at: after(minute) });
    expect(await tell(world, ended)).toMatchObject({ kind: 'completed', conclusion: 'success', profile: 'small' });
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'completed',
      conclusion: 'success',
      completedAt: after(minute),
    });
    expect(await world.ledger.countLeases('small')).toBe(1);
    expect(world.tasks.stops).toEqual([]);
  });

  test('twice is known the second time', async () => {
    const world = await launched();
    const ended = event('completed', { runnerName: runnerId, conclusion: 'success' });
    expect(await tell(world, ended)).toMatchObject({ isCompletion: true });
    expect(await tell(world, ended)).toMatchObject({ isCompletion: false, reason: 'the ledger knew as much' });
  });

  test('before it was told to begin stays ended', async () => {
    const world = await launched();
    await tell(world, event('completed', { runnerName: runnerId, conclusion: 'success', at: after(minute) }));
    expect(await tell(world, event('in_progress', { runnerName: runnerId }))).not.toHaveProperty('secondsToStart');
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', completedAt: after(minute) });
    expect(world.ledger.runner(runnerId)).toMatchObject({ busyJobId: job.id });
  });

  test('before it was told to wait is never launched', async () => {
    const world = fakeWorld();
    await tell(world, event('completed', { conclusion: 'cancelled' }));
    expect(await launchRunner(queuedMessage(job), false, world.ports)).toMatchObject({ kind: 'drop' });
    expect(world.ledger.live()).toEqual([]);
  });
});

describe('a job that is blocked', () => {
  test('is no demand until it is queued', async () => {
    const world = fakeWorld();
    expect(await tell(world, event('blocked'))).toMatchObject({ kind: 'blocked' });
    expect([await world.ledger.listWaiting(), await world.ledger.listBlocked()]).toMatchObject([[], [{ job }]]);
    expect(await launchRunner(queuedMessage(job), false, world.ports)).toMatchObject({ kind: 'launched' });
  });

  test('late, after it was queued, stays queued', async () => {
    const world = await launched();
    expect(await tell(world, event('blocked'))).toMatchObject({ kind: 'known' });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'waiting', launches: 1 });
  });
});

describe('a runner that takes the job of another', () => {
  const other = aJob({ id: '7', createdAt: after(second) });
  const othersRunner = `${prefix}-7-1`;

  test('is replaced at once when its own job has none left', async () => {
    const world = await launched([other]);
    world.ledger.putJob(aJobRecord());
    expect(await tell(world, event('in_progress', { runnerName: othersRunner }))).toMatchObject({
      kind: 'in_progress',
      stolenFrom: '7',
      reason: `runner ${othersRunner} was started for job 7 and took another; 1 launches sent`,
    });
    expect(world.queues.takeLaunches()).toMatchObject([{ kind: 'launch', jobId: '7', launch: 2 }]);
    expect(world.ledger.job('7')).toMatchObject({ unserved: 0, state: 'waiting' });
  });

  test('is not replaced when the other runner is there for its job', async () => {
    const world = await launched([job, other]);
    expect(await tell(world, event('in_progress', { runnerName: othersRunner }))).toMatchObject({
      stolenFrom: '7',
      reason: expect.stringContaining('0 launches sent'),
    });
    expect(world.queues.launches).toEqual([]);
    expect(world.ledger.runner(othersRunner)).toMatchObject({ busyJobId: job.id });
    expect(world.ledger.runner(runnerId).busyJobId).toBeUndefined();
  });

  test('is told of once', async () => {
    const world = await launched([other]);
    world.ledger.putJob(aJobRecord());
    const begun = event('in_progress', { runnerName: othersRunner });
    await tell(world, begun);
    expect(await tell(world, begun)).not.toHaveProperty('stolenFrom');
    expect(world.queues.launches).toHaveLength(1);
  });

  test('of a profile that is gone is recorded, and replaced by nothing', async () => {
    const world = fakeWorld();
    world.ledger.putRunner(aLaunchedRunner({ profile: 'gone', jobId: '7' }));
    expect(await tell(world, event('in_progress', { runnerName: othersRunner }))).toMatchObject({ stolenFrom: '7' });
    expect(world.ledger.runner(othersRunner)).toMatchObject({ busyJobId: job.id });
  });

  test('with labels that are none of ours is busy all the same, and its pool is topped up', async () => {
    const world = await launched([other]);
    const foreign = aJob({ id: '99', labels: ['self-hosted'] });
    expect(await tell(world, event('in_progress', { job: foreign, runnerName: othersRunner }))).toMatchObject({
      kind: 'in_progress',
      stolenFrom: '7',
      runner: othersRunner,
    });
    expect(world.ledger.runner(othersRunner)).toMatchObject({ busyJobId: '99' });
    expect(world.ledger.jobs.has('99')).toBe(false);
    expect(world.queues.takeLaunches()).toMatchObject([{ jobId: '7', launch: 2 }]);
  });
});

describe('an event of no job of ours', () => {
  const foreign = aJob({ labels: ['ubuntu-latest'] });

  test.each(['another', `${prefix}9-1-1`])('on the runner %s is known, and nothing is written', async (runnerName) => {
    const world = fakeWorld();
    expect(await tell(world, event('completed', { job: foreign, runnerName }))).toMatchObject({ kind: 'known' });
    expect(world.ledger.jobs.size + world.ledger.runners.size + world.ledger.repositories.size).toBe(0);
  });

  test('that names a runner of ours that the ledger forgot makes no record of it', async () => {
    const world = fakeWorld();
    await tell(world, event('completed', { runnerName: `${prefix}-5-1` }));
    expect(world.ledger.runners.size).toBe(0);
  });
});

describe('a job that is cancelled before it begins', () => {
  const cancelled = (parts: Partial<JobEvent> = {}) => event('completed', { conclusion: 'cancelled', ...parts });

  test('has its claim revoked and its task stopped: it never becomes a runner', async () => {
    const world = await launched();
    expect(await tell(world, cancelled())).toMatchObject({
      kind: 'completed',
      reason: `cancelled; the claim of ${runnerId} was revoked: its pool has 1 runners for 0 jobs`,
    });
    expect(world.claims.open.size).toBe(0);
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
    expect(world.tasks.stops).toEqual([{ taskArn: `arn:task/${runnerId}`, reason: 'the job was cancelled' }]);
    expect(await world.ledger.countLeases('small')).toBe(1);
  });

  test('leaves its runner alone when that has fetched its claim: it may have a job already', async () => {
    const world = await launched();
    world.claims.fetch('claim-1');
    expect(await tell(world, cancelled())).toMatchObject({
      reason: 'cancelled; its runner is up and ends by itself when idle',
    });
    expect(world.tasks.stops).toEqual([]);
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: false });
  });

  test('leaves its runner to a job of its pool that has none', async () => {
    const world = await launched();
    world.ledger.putJob(aJobRecord({ job: { id: '7' } }));
    expect(await tell(world, cancelled())).toMatchObject({
      reason: 'cancelled; its pool needs it: 1 jobs wait for 1 runners',
    });
    expect(world.claims.open.size).toBe(1);
    expect(world.tasks.stops).toEqual([]);
  });

  test('leaves its runner to its pool though another pool has idle ones', async () => {
    const world = await launched();
    world.ledger.putJob(aJobRecord({ job: { id: '7' } }));
    world.ledger.putRunner(aLaunchedRunner({ scope: 'beta', jobId: '8' }));
    await tell(world, cancelled());
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: false });
  });

  test('takes its runner back though another pool waits: they cannot stand in for each other', async () => {
    const world = await launched();
    world.ledger.putJob(aJobRecord({ scope: 'beta', job: { id: '7' } }));
    await tell(world, cancelled());
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
  });

  test('leaves its runner alone when that took another job', async () => {
    const world = await launched();
    await world.ledger.markBusy(runnerId, '7', after(0));
    expect(await tell(world, cancelled())).toMatchObject({ reason: 'cancelled; its runner runs job 7' });
    expect(world.claims.open.size).toBe(1);
  });

  test('has the claim of its last launch revoked', async () => {
    const world = await launched();
    await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'idle');
    await launchRunner({ version: 1, kind: 'launch', jobId: job.id, launch: 2, returns: 0 }, false, {
      ...world.ports,
      lookAtJob: async () => ({ job, state: 'queued' }),
    });
    await tell(world, cancelled());
    expect(world.ledger.runner(`${prefix}-${job.id}-2`)).toMatchObject({ revoked: true });
  });

  test('before its first launch takes nothing back', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    expect(await tell(world, cancelled())).toMatchObject({ reason: 'the job is completed' });
  });

  test('twice is taken back once', async () => {
    const world = await launched();
    await tell(world, cancelled());
    await tell(world, cancelled());
    expect(world.tasks.stops).toHaveLength(1);
  });

  test('with its launch cut off has no claim left, and no further task', async () => {
    for (const crashAt of [7, 8]) {
      const world = fakeWorld();
      const { ports } = recordCalls(world.ports, { crashAt });
      await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
      await tell(world, cancelled());
      expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
      expect(await launchRunner(queuedMessage(job), true, world.ports)).toMatchObject({ kind: 'drop' });
      expect(world.claims.open.size).toBe(0);
      expect(world.tasks.all()).toHaveLength(crashAt === 8 ? 1 : 0);
    }
  });
});

describe('a runner that begins a job', () => {
  test('proves that starts are good: the breaker of its profile shuts', async () => {
    const world = await launched([job], { profiles: [aProfile()] });
    for (let time = 0; time < 3; time += 1) await world.ledger.noteStartFailure('small');
    await tell(world, event('in_progress', { runnerName: runnerId }));
    expect(await world.ledger.readProfile('small')).not.toHaveProperty('breakerUntil');
  });
});

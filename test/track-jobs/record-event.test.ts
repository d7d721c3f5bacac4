import { describe, expect, test } from '@jest/globals';
import type { Job } from '../../functions/contracts/between-rooms/job.ts';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aJobRecord, aLaunchedRunner, aProfile, prefix, queuedMessage } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, hour, minute, second } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const job = aJob();
const runnerId = `${prefix}-${job.id}-1`;

type State = JobSighting['state'];
/** A sighting half a minute after the beginning. */
function event(
  state: State,
  { at = after(30 * second), ...parts }: Partial<JobSighting> & { at?: string } = {},
): JobSighting {
  return {
    job,
    state,
    by: 'delivery-2',
    ...(state === 'in_progress' && { startedAt: at }),
    ...(state === 'completed' && { completedAt: at }),
    ...parts,
  };
}
/** The jobs are queued and each has its runner on the way. */
async function launched(jobs: readonly Job[] = [job], options: WorldOptions = {}): Promise<FakeWorld> {
  const world = fakeWorld(options);
  for (const one of jobs) await launchRunner(queuedMessage(one), false, world.ports);
  return world;
}
const tell = async (world: FakeWorld, given: JobSighting) => recordEvent(given, world.ports);
const claims = (world: FakeWorld): number => world.claims.open().size;

describe('a job that begins', () => {
  test('on its own runner is recorded, and its runner is no supply any more', async () => {
    const world = await launched();
    expect(await tell(world, event('in_progress', { runnerName: runnerId }))).toEqual({
      kind: 'in_progress',
      note: 'the job is in_progress',
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
    expect(world.ledger.countLeases('small')).toBe(1);
    expect(world.queues.launches).toEqual([]);
  });

  test('marks its runner before it stops being demand, so that no one counts the runner as idle', async () => {
    const world = await launched();
    const { ports, calls } = recordCalls(world.ports);
    await recordEvent(event('in_progress', { runnerName: runnerId }), ports);
    expect(calls.names.indexOf('markBusy')).toBeLessThan(calls.names.indexOf('changeJob'));
    expect(calls.names).toEqual(['readRunner', 'markBusy', 'readBreaker', 'readJob', 'noteRepository', 'changeJob']);
  });

  test('is no demand any more as soon as its runner is no supply: a top-up in between starts nothing', async () => {
    const world = await launched();
    const letIn: number[] = [];
    const ports = {
      ...world.ports,
      changeJob: async (...given: Parameters<typeof world.ports.changeJob>) => {
        letIn.push(await topUpProfile(aProfile(), world.ports));
        return world.ports.changeJob(...given);
      },
    };
    await recordEvent(event('in_progress', { runnerName: runnerId }), ports);
    expect(letIn).toEqual([0]);
    expect(world.queues.launches).toEqual([]);
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
    expect((await tell(world, begun)).secondsToStart).toBeUndefined();
  });
});

describe('a job that begins without the name of its runner', () => {
  const nameless = event('in_progress');
  const named = event('in_progress', { runnerName: runnerId });

  test('leaves its runner supply until the same news comes with the name', async () => {
    const world = await launched();
    await tell(world, nameless);
    expect(world.ledger.runner(runnerId).busyJobId).toBeUndefined();
    expect(await tell(world, named)).toMatchObject({ kind: 'in_progress', note: 'the ledger knew as much' });
    expect(world.ledger.runner(runnerId)).toMatchObject({ busyJobId: job.id, busyAt: after(30 * second) });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'in_progress', runnerName: runnerId });
  });

  test('takes the name from its end at the latest', async () => {
    const world = await launched();
    await tell(world, nameless);
    await tell(world, event('completed', { runnerName: runnerId, conclusion: 'success' }));
    expect(world.ledger.runner(runnerId)).toMatchObject({ busyJobId: job.id });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', runnerName: runnerId });
  });

  test('tells how long it waited with the first of them, and not again', async () => {
    const world = await launched();
    expect(await tell(world, nameless)).toMatchObject({ secondsToStart: 30 });
    expect((await tell(world, named)).secondsToStart).toBeUndefined();
  });
});

describe('the seconds a job waited', () => {
  test.each([
    ['began two seconds before it was created', after(10 * second), after(8 * second)],
    ['was created 30 seconds ahead of our clock, and does not say when it began', after(30 * second), undefined],
  ])('are never below 0: it %s', async (_, createdAt, startedAt) => {
    const world = fakeWorld();
    const early = aJob({ createdAt });
    expect(await tell(world, event('in_progress', { job: early, startedAt }))).toMatchObject({ secondsToStart: 0 });
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
    expect(world.ledger.countLeases('small')).toBe(1);
    expect(world.tasks.stops).toEqual([]);
  });

  test('twice is known the second time', async () => {
    const world = await launched();
    const ended = event('completed', { runnerName: runnerId, conclusion: 'success' });
    expect(await tell(world, ended)).toMatchObject({ isCompletion: true });
    expect(await tell(world, ended)).toMatchObject({ isCompletion: false, note: 'the ledger knew as much' });
  });

  test('before it was told to begin stays ended', async () => {
    const world = await launched();
    await tell(world, event('completed', { runnerName: runnerId, conclusion: 'success', at: after(minute) }));
    expect((await tell(world, event('in_progress', { runnerName: runnerId }))).secondsToStart).toBeUndefined();
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', completedAt: after(minute) });
    expect(world.ledger.runner(runnerId)).toMatchObject({ busyJobId: job.id });
  });

  test('before it was told to begin tells how long it waited, when GitHub says when it began', async () => {
    const ended = { runnerName: runnerId, conclusion: 'success', at: after(minute) };
    const startedAt = after(20 * second);
    const world = await launched();
    expect(await tell(world, event('completed', { ...ended, startedAt }))).toMatchObject({ secondsToStart: 20 });
    expect((await tell(world, event('completed', { ...ended, startedAt }))).secondsToStart).toBeUndefined();
    expect((await tell(await launched(), event('completed', ended))).secondsToStart).toBeUndefined();
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
      note: `runner ${othersRunner} was started for job 7 and took another; 1 launches sent`,
    });
    expect(world.queues.takeLaunches()).toMatchObject([{ kind: 'launch', jobId: '7', launch: 2 }]);
    expect(world.ledger.job('7')).toMatchObject({ unserved: 0, state: 'waiting' });
  });

  test('is not replaced when the other runner is there for its job', async () => {
    const world = await launched([job, other]);
    expect(await tell(world, event('in_progress', { runnerName: othersRunner }))).toMatchObject({
      stolenFrom: '7',
      note: expect.stringContaining('0 launches sent'),
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
    expect((await tell(world, begun)).stolenFrom).toBeUndefined();
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
    expect(world.ledger.jobs().some((one) => one.job.id === '99')).toBe(false);
    expect(world.queues.takeLaunches()).toMatchObject([{ jobId: '7', launch: 2 }]);
  });
});

describe('an event of no job of ours', () => {
  const foreign = aJob({ labels: ['ubuntu-latest'] });

  test.each(['another', `${prefix}9-1-1`])('on the runner %s is known, and nothing is written', async (runnerName) => {
    const world = fakeWorld();
    expect(await tell(world, event('completed', { job: foreign, runnerName }))).toMatchObject({ kind: 'known' });
    expect(world.ledger.items.size).toBe(0);
  });

  test('that names a runner of ours that the ledger forgot makes no record of it', async () => {
    const world = fakeWorld();
    await tell(world, event('completed', { runnerName: `${prefix}-5-1` }));
    expect(world.ledger.runners()).toEqual([]);
  });
});

describe('a job on a runner that bears the name of one of ours in another scope', () => {
  const runnerName = `${prefix}-7-1`;
  const world = async () => launched([aJob({ id: '7' })]);

  test.each([
    ['of an owner that is none of ours', { fullName: 'evil/anything', private: false, ownerType: 'User' as const }],
    ['of another owner of ours', { fullName: 'octo/toy', ownerType: 'User' as const }],
  ])('marks nobody busy and starts nothing: %s', async (_, repository) => {
    const fleet = await world();
    const foreign = aJob({ id: '55500000001', repository });
    for (const state of ['in_progress', 'completed'] as const) {
      const verdict = await tell(fleet, event(state, { job: foreign, runnerName }));
      expect(verdict.stolenFrom).toBeUndefined();
    }
    expect(fleet.ledger.runner(runnerName).busyJobId).toBeUndefined();
    expect(fleet.queues.launches).toEqual([]);
    expect(fleet.tasks.all()).toHaveLength(1);
  });
});

describe('a job that is cancelled before it begins', () => {
  const cancelled = (parts: Partial<JobSighting> = {}) => event('completed', { conclusion: 'cancelled', ...parts });

  test('has its claim revoked and its task stopped: it never becomes a runner', async () => {
    const world = await launched();
    expect(await tell(world, cancelled())).toMatchObject({
      kind: 'completed',
      note: `cancelled; the claim of ${runnerId} was revoked: its pool has 1 runners for 0 jobs`,
    });
    expect(claims(world)).toBe(0);
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
    expect(world.tasks.stops).toEqual([{ taskArn: `arn:task/${runnerId}`, reason: 'the job was cancelled' }]);
    expect(world.ledger.countLeases('small')).toBe(1);
  });

  test('leaves its runner alone when that has fetched its claim: it may have a job already', async () => {
    const world = await launched();
    world.claims.fetch('claim-1');
    expect(await tell(world, cancelled())).toMatchObject({
      note: 'cancelled; its runner is up and ends by itself when idle',
    });
    expect(world.tasks.stops).toEqual([]);
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: false });
  });

  test('leaves its runner to a job of its pool that has none', async () => {
    const world = await launched();
    world.ledger.putJob(aJobRecord({ job: { id: '7' } }));
    expect(await tell(world, cancelled())).toMatchObject({
      note: 'cancelled; its pool needs it: 1 jobs wait for 1 runners',
    });
    expect(claims(world)).toBe(1);
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

  test('takes its runner back though the index still shows the job itself', async () => {
    const world = await launched();
    const stale = [world.ledger.job(job.id)];
    await recordEvent(cancelled(), { ...world.ports, listWaitingJobs: async () => stale });
    expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
  });

  test('leaves its runner alone when that took another job', async () => {
    const world = await launched();
    await world.ledger.markBusy(runnerId, '7', after(0));
    expect(await tell(world, cancelled())).toMatchObject({ note: 'cancelled; its runner runs job 7' });
    expect(claims(world)).toBe(1);
  });

  test('has the claim of its last launch revoked', async () => {
    const world = await launched();
    await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'idle');
    await launchRunner({ version: 1, kind: 'launch', jobId: job.id, launch: 2, returns: 0 }, false, {
      ...world.ports,
      lookAtJob: async () => ({ job, state: 'queued', by: 'look' }),
    });
    await tell(world, cancelled());
    expect(world.ledger.runner(`${prefix}-${job.id}-2`)).toMatchObject({ revoked: true });
  });

  test('before its first launch takes nothing back', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    expect(await tell(world, cancelled())).toMatchObject({ note: 'the job is completed' });
  });

  test('twice has its claim taken back once, and its task stopped each time: the first stop may not have been finished', async () => {
    const world = await launched();
    const { ports, calls } = recordCalls(world.ports);
    await recordEvent(cancelled(), ports);
    expect(await recordEvent(cancelled(), ports)).toMatchObject({
      isCompletion: false,
      note: `cancelled; the claim of ${runnerId} was revoked: its claim was revoked before`,
    });
    expect(calls.names.filter((name) => name === 'revokeClaim')).toHaveLength(1);
    expect(world.tasks.stops).toHaveLength(2);
  });

  test('again after its task has ended stops nothing', async () => {
    const world = await launched();
    await tell(world, cancelled());
    await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'revoked');
    expect(await tell(world, cancelled())).toMatchObject({
      note: 'cancelled; nothing was started for it, or it is over',
    });
    expect(world.tasks.stops).toHaveLength(1);
  });

  test('may crash at any step, and the same event again finishes it', async () => {
    const whole = await launched();
    const counted = recordCalls(whole.ports);
    await recordEvent(cancelled(), counted.ports);
    expect(counted.calls.names).toEqual([
      'readJob',
      'noteRepository',
      'changeJob',
      'readRunner',
      'listRunners',
      'listWaitingJobs',
      'revokeClaim',
      'readRunner',
      'stopTask',
    ]);
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < counted.calls.names.length; crashAt += 1) {
        const world = await launched();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        await expect(recordEvent(cancelled(), ports)).rejects.toThrow('the process died');
        await tell(world, cancelled());
        expect(world.ledger.job(job.id)).toEqual(whole.ledger.job(job.id));
        expect(world.ledger.runner(runnerId)).toEqual(whole.ledger.runner(runnerId));
        expect(claims(world)).toBe(0);
        expect(world.tasks.running()).toEqual([]);
      }
    }
  });

  test('with its launch cut off has no claim left, and no further task', async () => {
    const launch = recordCalls(fakeWorld().ports);
    await launchRunner(queuedMessage(job), false, launch.ports);
    const runTask = launch.calls.names.indexOf('runTask');
    // Before RunTask, before its task is written down, and before anything after that.
    for (const crashAt of [runTask, runTask + 1]) {
      const world = fakeWorld();
      const { ports } = recordCalls(world.ports, { crashAt });
      await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
      await tell(world, cancelled());
      expect(world.ledger.runner(runnerId)).toMatchObject({ revoked: true });
      expect(await launchRunner(queuedMessage(job), true, world.ports)).toMatchObject({ kind: 'drop' });
      expect(claims(world)).toBe(0);
      expect(world.tasks.all()).toHaveLength(crashAt === runTask ? 0 : 1);
    }
  });
});

describe('an event of a runner that took the job of another', () => {
  test('may crash at any step: the same event again and the next pass leave the same jobs, runners and launches', async () => {
    const begun = event('in_progress', { runnerName: `${prefix}-7-1` });
    const stolen = async () => {
      const world = await launched([aJob({ id: '7' })]);
      world.ledger.putJob(aJobRecord());
      return world;
    };
    const whole = await stolen();
    const counted = recordCalls(whole.ports);
    await recordEvent(begun, counted.ports);
    expect(counted.calls.names).toEqual([
      'readRunner',
      'markBusy',
      'readBreaker',
      'readJob',
      'noteRepository',
      'changeJob',
      'listWaitingPools',
      'readProfile',
      'readCapacity',
      'readCapacity',
      'listRunners',
      'listWaitingJobs',
      'readScope',
      'readBreaker',
      'askLaunch',
      'sendLaunches',
    ]);
    const launches = whole.queues.takeLaunches();
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < counted.calls.names.length; crashAt += 1) {
        const world = await stolen();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        await expect(recordEvent(begun, ports)).rejects.toThrow('the process died');
        await tell(world, begun);
        const sent = world.queues.takeLaunches();
        world.clock.turn(minute);
        if (sent.length === 0) await topUpPools(world.ports);
        expect([...sent, ...world.queues.takeLaunches()]).toEqual(launches);
        expect(world.ledger.job(job.id)).toEqual(whole.ledger.job(job.id));
        expect(world.ledger.runner(`${prefix}-7-1`)).toEqual(whole.ledger.runner(`${prefix}-7-1`));
      }
    }
  });
});

describe('a runner that begins a job', () => {
  test('proves that starts are good: the breaker of its profile in its scope shuts', async () => {
    const world = await launched();
    const keys = ['acme', 'octo/toy'].map((scope) => ({ profile: 'small', scope }));
    const open = { revision: 0, failures: 3, until: after(minute) };
    for (const key of keys) await world.ledger.changeBreaker(key, open);
    await tell(world, event('in_progress', { runnerName: runnerId }));
    expect(await Promise.all(keys.map(async (key) => world.ledger.readBreaker(key)))).toEqual([
      { revision: 2, failures: 0 },
      { ...open, revision: 1 },
    ]);
  });
});

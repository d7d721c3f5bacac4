import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import type { Job } from '../../functions/contracts/between-rooms/job.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { CapacityRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import { changeBreaker, changeCapacity } from '../../functions/fleet/change-records.ts';
import { afterBadStart } from '../../functions/fleet/waits/breaker.ts';
import { afterRefusal } from '../../functions/fleet/waits/capacity.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import {
  aJob,
  aJobRecord,
  aLaunchedRunner,
  aProfile,
  launchMessage,
  prefix,
  queuedMessage,
} from '../fakes/builders.ts';
import { recordCalls, takeTurns, type Crash } from '../fakes/calls.ts';
import { after, hour, minute, second } from '../fakes/clock.ts';
import { aGitHubError, aRelease } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const job = aJob();
const runnerId = `${prefix}-${job.id}-1`;

/** A world in which GitHub still lists the job as queued. */
function aWorld(options: WorldOptions = {}): FakeWorld {
  const world = fakeWorld(options);
  world.github.tell(job, {});
  return world;
}
async function launch(world: FakeWorld, message: LaunchMessage = queuedMessage(job), receivedBefore = false) {
  return launchRunner(message, receivedBefore, world.ports);
}
async function leases(world: FakeWorld): Promise<number> {
  const count = world.ledger.countLeases('small');
  expect(world.ledger.live()).toHaveLength(count);
  return count;
}

/** The place of each call among the calls of a launch: eight reads come first. */
const callOf = { begin: 12, runTask: 13, recordTask: 14 } as const;
const reads = new Set([
  'readJob',
  'readRunner',
  'readProfile',
  'readScope',
  'readBreaker',
  'readCapacity',
  'countTurns',
]);

/** Three starts in a row have failed. */
async function openBreaker(world: FakeWorld): Promise<void> {
  for (const name of ['a', 'b', 'c']) {
    const key = { profile: 'small', scope: 'acme' };
    await changeBreaker(
      key,
      (breaker) => afterBadStart(breaker, { runnerId: name, createdAt: after(0) }, world.clock.now()),
      world.ports,
    );
  }
}

describe('a queued job', () => {
  test('takes no turn that those before it will have used up: the pass, which counts places, asks for it', async () => {
    const world = aWorld();
    const { ports, calls } = recordCalls({ ...world.ports, countTurns: async () => 500 });
    expect(await launchRunner(queuedMessage(job), false, ports)).toMatchObject({ kind: 'wait', reason: 'pacing' });
    expect(calls.names).not.toContain('takeTurn');
    await topUpPools(ports);
    const [asked] = world.queues.takeLaunches();
    expect(await launch(world, asked)).toMatchObject({ kind: 'launched' });
  });

  test('gets a runner by these calls to the outside, in this order', async () => {
    const world = aWorld();
    const { ports, calls } = recordCalls(world.ports);
    world.clock.turn(second);
    expect(await launchRunner(queuedMessage(job), false, ports)).toEqual({
      kind: 'launched',
      provider: 'FARGATE',
      note: `arn:task/${runnerId}`,
      job: job.id,
      runner: runnerId,
      profile: 'small',
      delivery: 'delivery-1',
      isNew: true,
      secondsFromQueued: 1,
      foundRoom: false,
    });
    expect(calls.names.filter((name) => !reads.has(name))).toEqual([
      'hasImage',
      'noteRepository',
      'takeTurn',
      'readRegistration',
      'begin',
      'runTask',
      'recordTask',
    ]);
    // All reads are made side by side before anything else: they are one request to the ledger.
    expect(calls.names.findLastIndex((name) => reads.has(name))).toBe(7);
  });

  test('is in the ledger with its repository and its runner', async () => {
    const world = aWorld();
    await launch(world);
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'waiting',
      launches: 1,
      reason: 'starting',
      pool: 'small@acme',
    });
    expect(world.ledger.runner(runnerId)).toMatchObject({
      jobId: job.id,
      launch: 1,
      pool: 'small@acme',
      claimId: 'claim-1',
      provider: 'FARGATE',
      taskDefinition: 'small:1',
      taskArn: `arn:task/${runnerId}`,
    });
    expect(await world.ledger.listRepositories()).toMatchObject([job.repository]);
    expect(await leases(world)).toBe(1);
  });

  test('has a claim with all that its runner needs', async () => {
    const profile = aProfile({ runnerGroup: 'big ones', arch: 'arm64', idleMinutes: 3, maxHours: 2 });
    const world = aWorld({ profiles: [profile] });
    await launch(world);
    expect(world.claims.fetch('claim-1')).toEqual({
      url: 'https://github.com/acme',
      token: 'AAAA-token-1',
      name: runnerId,
      labels: ['self-hosted', 'linux', 'arm64', 'fargate-small'],
      group: 'big ones',
      idleSeconds: 180,
      maxSeconds: 7200,
      release: aRelease('arm64'),
    });
    expect(world.claims.fetch('claim-1')).toBeUndefined();
  });

  test('of a personal account has its runner in its own repository', async () => {
    const world = aWorld();
    const personal = aJob({ repository: { fullName: 'Octo/Tools', ownerType: 'User' } });
    await launch(world, queuedMessage(personal));
    expect(world.claims.fetch('claim-1')).toMatchObject({ url: 'https://github.com/octo/tools' });
  });

  test('tells its task the name of its claim and nothing secret', async () => {
    const world = aWorld();
    const verdict = await launch(world);
    expect(world.tasks.orders).toEqual([
      {
        runnerId,
        claimId: 'claim-1',
        provider: 'FARGATE',
        taskDefinition: 'small:1',
        scope: 'acme',
        tags: {
          'github-runners:profile': 'small',
          'github-runners:repository': 'acme/web',
          'github-runners:job': job.id,
        },
      },
    ]);
    const told = JSON.stringify([verdict, world.tasks.orders, world.queues.launches, [...world.ledger.runners()]]);
    expect(told).not.toContain('AAAA-token');
  });

  test('has a claim that expires five minutes before its token', async () => {
    const world = aWorld();
    const tokenExpiresAt = world.clock.now() + 12 * minute;
    const readRegistration = async () => ({ token: 't', tokenExpiresAt, releases: {} });
    await launchRunner(queuedMessage(job), false, { ...world.ports, readRegistration });
    expect(world.claims.open().get('claim-1')?.expiresAt).toBe((tokenExpiresAt - 5 * minute) / 1000);
    expect(world.claims.fetch('claim-1')?.release).toBeUndefined();
  });

  test('shares one mint with every other of its scope', async () => {
    const world = aWorld({ profiles: [aProfile({ maxRunners: 100 })] });
    for (let n = 0; n < 50; n += 1) await launch(world, queuedMessage(aJob({ id: String(n) })));
    expect(world.github.mints).toEqual(['acme']);
    expect(world.claims.issued).toHaveLength(50);
  });

  test('that no profile serves is looked at again three times, as a deployment may be under way, and then dropped', async () => {
    const world = aWorld();
    let message = queuedMessage(aJob({ labels: ['ubuntu-latest'] }));
    for (let time = 0; time < 3; time += 1) {
      expect(await launch(world, message)).toMatchObject({ kind: 'returned', job: job.id });
      const [back] = world.queues.launches.splice(0);
      expect(back?.delayMs).toBe(minute);
      message = back?.message ?? message;
    }
    expect(await launch(world, message)).toMatchObject({
      kind: 'drop',
      note: 'no profile has the labels ["ubuntu-latest"]',
    });
    expect(world.queues.launches).toEqual([]);
    expect(world.ledger.items.size).toBe(0);
  });
});

describe('the same launch delivered again', () => {
  test('starts nothing more', async () => {
    const world = aWorld();
    await launch(world);
    for (const receivedBefore of [false, true]) {
      expect(await launch(world, queuedMessage(job), receivedBefore)).toMatchObject({ kind: 'drop' });
    }
    expect(world.tasks.orders).toHaveLength(1);
    expect(await leases(world)).toBe(1);
  });

  test('starts nothing after the job was completed, or its runner is over', async () => {
    const world = aWorld();
    await launch(world);
    await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'ran-a-job');
    expect(await launch(world)).toMatchObject({ kind: 'drop' });
    expect(world.tasks.orders).toHaveLength(1);
    expect(await leases(world)).toBe(0);
  });

  test('at the same time, in whatever order the calls come, starts one task', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const world = aWorld();
        const ports = takeTurns(world.ports, async (name) => scheduler.schedule(Promise.resolve(), name));
        const deliveries = [0, 1, 2].map(async () => launchRunner(queuedMessage(job), false, ports));
        await scheduler.waitFor(Promise.all(deliveries));
        expect(world.tasks.all()).toHaveLength(1);
        expect(world.claims.issued).toHaveLength(1);
        expect(await leases(world)).toBe(1);
      }),
      { numRuns: 100 },
    );
  });

  const crashes: [Crash, number][] = ['before' as const, 'after' as const].flatMap((crash) =>
    Array.from({ length: callOf.recordTask + 1 }, (_, at): [Crash, number] => [crash, at]),
  );
  test.each(crashes)(
    'after the process died %s call %i goes on where it was: one lease, one claim, one task',
    async (crash, crashAt) => {
      const world = aWorld();
      const { ports } = recordCalls(world.ports, { crash, crashAt });
      await expect(launchRunner(queuedMessage(job), false, ports)).rejects.toThrow('the process died');
      world.clock.turn(3 * minute);
      const verdict = await launch(world, queuedMessage(job), true);
      expect(['launched', 'drop']).toContain(verdict.kind);
      expect(world.tasks.all()).toMatchObject([{ runnerId }]);
      expect(world.claims.issued).toHaveLength(1);
      expect(world.claims.fetch(String(world.tasks.orders[0]?.claimId))).toMatchObject({ name: runnerId });
      expect(await leases(world)).toBe(1);
      expect(world.ledger.job(job.id).launches).toBe(1);
      expect(world.ledger.runner(runnerId)).toMatchObject({ taskArn: `arn:task/${runnerId}` });
    },
  );

  test.each(crashes)(
    'on Spot, after the process died %s call %i of a fallback, goes on as well',
    async (crash, crashAt) => {
      const world = aWorld({ profiles: [aProfile({ capacity: 'spot-preferred' })] });
      world.tasks.answer({ kind: 'no-capacity', detail: 'none' });
      // From RunTask on: no capacity, what is known of Spot read and written, the change of provider, RunTask, the record of the task.
      const { ports } = recordCalls(world.ports, { crash, crashAt: crashAt + 4 });
      const begun = await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
      world.clock.turn(3 * minute);
      await launch(world, queuedMessage(job), true);
      expect(begun).toBeUndefined();
      expect(world.tasks.all()).toMatchObject([{ runnerId }]);
      expect(world.claims.open().size).toBe(1);
      expect(await leases(world)).toBe(1);
    },
  );

  test('that has its claim does not wait for a turn again', async () => {
    const world = aWorld({ pace: { intervalMs: hour, burst: 1 } });
    world.tasks.answer(new Error('socket hang up'));
    await launch(world).catch(() => undefined);
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'launched' });
  });

  const stepsBack = ['before' as const, 'after' as const].flatMap((crash) =>
    [12, 13, 14, 15, 16].map((at): [Crash, number] => [crash, at]),
  );
  test.each(stepsBack)(
    'after the process died %s call %i while it gave its lease back, keeps no lease without a task, and starts no task without a claim',
    async (crash, crashAt) => {
      const world = aWorld();
      world.tasks.answer({ kind: 'no-capacity', detail: 'none' });
      const { ports } = recordCalls(world.ports, { crash, crashAt });
      await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
      world.clock.turn(3 * minute);
      await launch(world, queuedMessage(job), true);
      expect(world.tasks.running()).toHaveLength(await leases(world));
      expect(world.claims.open().size).toBe(world.tasks.running().length);
    },
  );
});

describe('a job that must wait', () => {
  const full = aProfile({ maxRunners: 1 });

  test('for room says how full its profile is, and is launched when there is room', async () => {
    const world = aWorld({ profiles: [full] });
    const other = world.ledger.putRunner(aLaunchedRunner({ jobId: '7' }));
    expect(await launch(world)).toEqual({
      kind: 'wait',
      reason: 'profile-full',
      note: 'profile small is full (1 of 1)',
      job: job.id,
      runner: runnerId,
      profile: 'small',
      delivery: 'delivery-1',
      isNew: true,
    });
    expect(world.ledger.job(job.id)).toMatchObject({
      reason: 'profile-full',
      note: 'profile small is full (1 of 1)',
      launches: 0,
    });
    await world.ledger.endRunnerRecord(other, 'idle');
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'launched' });
  });

  test('for a paused profile says so, and nobody is killed', async () => {
    const world = aWorld({ profiles: [aProfile({ maxRunners: 0 })] });
    world.ledger.putRunner(aLaunchedRunner({ jobId: '7' }));
    expect(await launch(world)).toMatchObject({ kind: 'wait', reason: 'profile-paused' });
    expect(await leases(world)).toBe(1);
    expect(world.tasks.stops).toEqual([]);
  });

  test('for a cap that was lowered waits until the profile is below it', async () => {
    const world = aWorld({ profiles: [aProfile({ maxRunners: 2 })] });
    for (const id of ['7', '8', '9']) world.ledger.putRunner(aLaunchedRunner({ jobId: id }));
    expect(await launch(world)).toMatchObject({ reason: 'profile-full', note: 'profile small is full (3 of 2)' });
  });

  test('for an open breaker says until when, and only one probes it', async () => {
    const world = aWorld();
    await openBreaker(world);
    expect(await launch(world)).toMatchObject({
      reason: 'breaker-open',
      note: `profile small paused in acme until ${after(minute)}: 3 starts in a row failed`,
    });
    world.clock.turn(minute);
    const verdicts = await Promise.all(
      [0, 1, 2, 3].map(async (n) => launch(world, queuedMessage(aJob({ id: `10${n}` })))),
    );
    expect(verdicts.map(({ kind }) => kind).toSorted()).toEqual(['launched', 'wait', 'wait', 'wait']);
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ reason: 'breaker-open' });
    expect(await leases(world)).toBe(1);
  });

  test('for a held scope says why it is held, and costs GitHub nothing', async () => {
    const world = aWorld();
    await world.ledger.holdScope('acme', { until: world.clock.now() + minute, note: 'the App is suspended' });
    expect(await launch(world)).toMatchObject({ reason: 'scope-held', note: 'the App is suspended' });
    expect(world.github.calls).toEqual([]);
    expect(await leases(world)).toBe(0);
    world.clock.turn(minute + 1);
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'launched' });
  });

  test('for its own time, or a person, keeps its reason', async () => {
    const world = aWorld({ jobs: [aJobRecord({ notBefore: after(minute), reason: 'quota' })] });
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ reason: 'quota' });
    expect(world.ledger.job(job.id)).toMatchObject({ reason: 'quota', notBefore: after(minute) });
    world.ledger.putJob(aJobRecord({ parked: true }));
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ reason: 'parked' });
  });
});

describe('the pace', () => {
  const pace = { intervalMs: 60 * second, burst: 1 };
  const first = queuedMessage(aJob({ id: '100' }));

  test('sends a launch back with the exact delay, and its turn with it', async () => {
    const world = aWorld({ pace });
    await launch(world, first);
    world.clock.turn(10 * second);
    expect(await launch(world)).toMatchObject({ kind: 'returned', note: 'its turn comes in 50 s' });
    const slot = Date.parse(after(minute));
    expect(world.queues.launches).toEqual([
      { message: launchMessage(job.id, 1, { slot, profile: 'small', scope: 'acme' }), delayMs: 50 * second },
    ]);
    expect(world.github.mints).toHaveLength(1);
    expect(world.claims.issued).toHaveLength(1);

    world.clock.turn(50 * second);
    const [back = first] = world.queues.takeLaunches();
    const { ports, calls } = recordCalls(world.ports);
    expect(await launchRunner(back, false, ports)).toMatchObject({ kind: 'launched' });
    expect(calls.names).not.toContain('takeTurn');
    expect(await leases(world)).toBe(2);
  });

  test('sends a launch back by whole seconds, and waits for the rest when it is there again', async () => {
    const world = aWorld({ pace: { intervalMs: 2400, burst: 1 } });
    await launch(world, first);
    expect(await launch(world)).toMatchObject({ kind: 'returned' });
    const [back] = world.queues.launches.splice(0);
    expect(back?.delayMs).toBe(2 * second);
    world.clock.turn(2 * second);
    expect(await launch(world, back?.message)).toMatchObject({ kind: 'launched' });
    expect(world.clock.iso()).toBe(after(2400));
  });

  test('waits on the spot for a turn that is near', async () => {
    const world = aWorld({ pace: { intervalMs: 800, burst: 1 } });
    await launch(world, first);
    expect(await launch(world)).toMatchObject({ kind: 'launched' });
    expect(world.clock.iso()).toBe(after(800));
    expect(world.queues.launches).toEqual([]);
  });

  test('begins no launch whose turn would come too late, and says so', async () => {
    const world = aWorld();
    const takeTurn = async () => undefined;
    expect(await launchRunner(queuedMessage(job), false, { ...world.ports, takeTurn })).toMatchObject({
      kind: 'wait',
      reason: 'pacing',
      note: 'more is launched or registered than GitHub and Fargate take in five minutes',
    });
    expect(await leases(world)).toBe(0);
    expect(world.ledger.job(job.id)).toMatchObject({ reason: 'pacing', notBefore: after(minute), launches: 0 });
    expect(world.ledger.runners()).toEqual([]);
  });

  test('lets all of a burst through in the end, though it is larger than what the longest wait takes', async () => {
    const world = fakeWorld({ profiles: [aProfile({ maxRunners: 100 })], pace: { intervalMs: 30 * second, burst: 1 } });
    const jobs = Array.from({ length: 30 }, (_, n) => aJob({ id: String(200 + n) }));
    for (const one of jobs) world.github.tell(one, {});
    await passTime(world, jobs, 60);
    expect(jobs.filter(({ id }) => world.ledger.job(id).state !== 'in_progress')).toEqual([]);
  });

  /** The job's runner takes it. */
  async function begin(world: FakeWorld, jobId: string): Promise<void> {
    const { job: one, launches } = world.ledger.job(jobId);
    await world.record(one, 'in_progress');
    await world.ledger.markBusy(`${prefix}-${jobId}-${launches}`, jobId, world.clock.iso());
  }

  /** Queues the jobs, then lets time pass, the queue deliver and the minute's sweep run. */
  async function passTime(world: FakeWorld, jobs: readonly Job[], minutes: number): Promise<void> {
    const due: { readonly message: LaunchMessage; readonly at: number }[] = jobs.map((one) => ({
      message: queuedMessage(one),
      at: 0,
    }));
    for (let time = 0; time < minutes * 6; time += 1) {
      if (time % 6 === 0) await topUpPools(world.ports);
      due.push(
        ...world.queues.launches
          .splice(0)
          .map(({ message, delayMs }) => ({ message, at: world.clock.now() + delayMs })),
      );
      const ripe = due.filter(({ at }) => at <= world.clock.now());
      due.splice(0, due.length, ...due.filter(({ at }) => at > world.clock.now()));
      for (const { message } of ripe) {
        const verdict = await launch(world, message);
        if (verdict.kind === 'launched') await begin(world, String(verdict.job));
      }
      world.clock.turn(10 * second);
    }
  }
});

describe('what ECS answers', () => {
  const noRoom = { kind: 'no-capacity', detail: 'RESOURCE:FARGATE' } as const;

  test.each(['spot', 'spot-preferred'] as const)('starts a %s profile on Spot', async (capacity) => {
    const world = aWorld({ profiles: [aProfile({ capacity })] });
    expect(await launch(world)).toMatchObject({ kind: 'launched', provider: 'FARGATE_SPOT' });
    expect(world.ledger.runner(runnerId)).toMatchObject({ provider: 'FARGATE_SPOT' });
  });

  test('no Spot capacity falls back on demand where the profile allows it, under the same claim', async () => {
    const world = aWorld({ profiles: [aProfile({ capacity: 'spot-preferred' })] });
    world.tasks.answer(noRoom);
    expect(await launch(world)).toMatchObject({ kind: 'launched', provider: 'FARGATE' });
    expect(world.tasks.orders.map(({ provider, claimId }) => [provider, claimId])).toEqual([
      ['FARGATE_SPOT', 'claim-1'],
      ['FARGATE', 'claim-1'],
    ]);
    expect(world.ledger.runner(runnerId)).toMatchObject({ provider: 'FARGATE' });
    expect(await leases(world)).toBe(1);
  });

  test.each([
    ['spot', [noRoom], 1, 'no-capacity'],
    ['on-demand', [noRoom], 1, 'no-capacity'],
    ['spot-preferred', [noRoom, noRoom], 2, 'no-capacity'],
    ['on-demand', [{ kind: 'quota', detail: 'vCPUs' }], 1, 'quota'],
    ['spot', [{ kind: 'quota', detail: 'vCPUs' }], 1, 'quota'],
    [
      'spot-preferred',
      [
        { kind: 'quota', detail: 'vCPUs' },
        { kind: 'quota', detail: 'more vCPUs' },
      ],
      2,
      'quota',
    ],
    ['on-demand', [{ kind: 'refused', detail: 'AccessDenied' }], 1, 'launch-refused'],
  ] as const)(
    'to a %s profile with %j, asked %i times, lets the job wait: %s',
    async (capacity, answers, times, reason) => {
      const world = aWorld({ profiles: [aProfile({ capacity })] });
      world.tasks.answer(...answers);
      expect(await launch(world)).toMatchObject({ kind: 'wait', reason, note: answers.at(-1)?.detail });
      expect(world.tasks.orders).toHaveLength(times);
      expect(await leases(world)).toBe(0);
      expect(world.claims.open().size).toBe(0);
      expect(world.ledger.runner(runnerId)).toMatchObject({ ending: 'not-launched' });
      expect(world.ledger.job(job.id)).toMatchObject({
        state: 'waiting',
        reason,
        note: answers.at(-1)?.detail,
        unserved: 0,
      });
      world.clock.turn(minute);
      expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({ kind: 'launched' });
    },
  );

  describe('while a job waits for room', () => {
    /** A world in which AWS has just said no for the provider. */
    async function aFullWorld(capacity: Profile['capacity'], provider: string): Promise<FakeWorld> {
      const jobs = [aJobRecord({ job: { id: 'next' } })];
      const world = aWorld({ profiles: [aProfile({ capacity })], jobs });
      const refusal = { reason: 'quota', note: 'no' } as const;
      const rule = (room: CapacityRecord) => afterRefusal(room, refusal, world.clock.now());
      await changeCapacity({ profile: 'small', provider }, rule, world.ports);
      return world;
    }

    test.each([
      ['on-demand', 'FARGATE'],
      ['spot', 'FARGATE_SPOT'],
      ['spot-preferred', 'FARGATE_SPOT'],
    ] as const)('lets it in when a task of a %s profile finds room on %s', async (capacity, provider) => {
      const world = await aFullWorld(capacity, provider);
      world.clock.turn(minute);
      expect(await launch(world)).toMatchObject({ kind: 'launched', provider, foundRoom: true });
      expect(world.queues.takeLaunches()).toEqual([launchMessage('next', 1, { profile: 'small', scope: 'acme' })]);
    });

    test('sends one of two launches to find out about Spot, and the other one on demand at once', async () => {
      const world = await aFullWorld('spot-preferred', 'FARGATE_SPOT');
      world.clock.turn(minute);
      const verdicts = await Promise.all([launch(world), launch(world, launchMessage('next', 1))]);
      expect(verdicts).toMatchObject([
        { kind: 'launched', provider: 'FARGATE_SPOT' },
        { kind: 'launched', provider: 'FARGATE' },
      ]);
    });

    test('lets nobody in when the task has another provider, for which nobody waits', async () => {
      const world = await aFullWorld('spot-preferred', 'FARGATE_SPOT');
      expect(await launch(world)).toMatchObject({ kind: 'launched', provider: 'FARGATE', foundRoom: false });
      expect(world.queues.takeLaunches()).toEqual([]);
    });
  });

  test('tries Spot again at the second launch: Fargate would say that it has no room', async () => {
    const world = aWorld({ profiles: [aProfile({ capacity: 'spot-preferred' })] });
    await launch(world);
    world.tasks.end(runnerId, { exitCode: undefined, stopCode: 'TaskFailedToStart' });
    await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'failed-to-start');
    await launch(world, launchMessage(job.id, 2));
    expect(world.tasks.orders.map(({ provider }) => provider)).toEqual(['FARGATE_SPOT', 'FARGATE_SPOT']);
  });

  describe('of a profile with Docker', () => {
    const docker = aProfile({ docker: true, capacity: 'spot-preferred' });
    const [onDemand, spot] = ['docker_github-runners-ci_small_on-demand', 'docker_github-runners-ci_small_spot'];

    test('starts a task with the providers of the profile', async () => {
      const world = aWorld({ profiles: [aProfile({ docker: true })] });
      expect(await launch(world)).toMatchObject({ kind: 'launched', provider: onDemand });
      expect(world.ledger.runner(runnerId)).toMatchObject({ provider: onDemand });
    });

    test('falls back from Spot as on Fargate', async () => {
      const world = aWorld({ profiles: [docker] });
      world.tasks.answer(noRoom);
      expect(await launch(world)).toMatchObject({ kind: 'launched', provider: onDemand });
      expect(world.tasks.orders.map(({ provider }) => provider)).toEqual([spot, onDemand]);
    });

    test.each([
      ['spot-preferred', [spot, onDemand]],
      ['spot', [spot, spot]],
      ['on-demand', [onDemand, onDemand]],
    ] as const)(
      'does without Spot when a launch has come to nothing (%s): its want shows late',
      async (capacity, used) => {
        const world = aWorld({ profiles: [{ ...docker, capacity }] });
        await launch(world);
        world.tasks.end(runnerId, { exitCode: undefined, stopCode: 'TaskFailedToStart' });
        await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'failed-to-start');
        await launch(world, launchMessage(job.id, 2));
        expect(world.tasks.orders.map(({ provider }) => provider)).toEqual(used);
      },
    );
  });

  test('a refusal counts towards the breaker; want of room does not', async () => {
    const world = aWorld();
    world.tasks.answer(noRoom, { kind: 'refused', detail: 'no' });
    await launch(world);
    const key = { profile: 'small', scope: 'acme' };
    expect(await world.ledger.readBreaker(key)).toMatchObject({ failures: 0 });
    world.clock.turn(minute);
    await launch(world, launchMessage(job.id, 2));
    expect(await world.ledger.readBreaker(key)).toMatchObject({ failures: 1 });
    expect(world.ledger.job(job.id)).toMatchObject({ reason: 'launch-refused', notBefore: after(2 * minute) });
  });

  test('a throttle sends the launch back a few times, ever later, and then lets the job wait', async () => {
    const world = aWorld();
    world.tasks.answer(...Array.from({ length: 6 }, () => ({ kind: 'throttled', detail: 'Rate exceeded' }) as const));
    const delays: number[] = [];
    let message = queuedMessage(job);
    for (let time = 0; time < 5; time += 1) {
      expect(await launch(world, message)).toMatchObject({ kind: 'returned', note: 'Rate exceeded' });
      const sent = world.queues.launches.splice(0);
      expect(sent).toHaveLength(1);
      for (const { message: back, delayMs } of sent) {
        const notBefore = new Date(world.clock.now() + delayMs).toISOString();
        expect(world.ledger.job(job.id)).toMatchObject({ reason: 'pacing', notBefore });
        message = back;
        delays.push(delayMs / second);
        world.clock.turn(delayMs);
      }
    }
    expect(delays).toEqual([2, 4, 8, 16, 32]);
    expect(await leases(world)).toBe(1);
    expect(await launch(world, message)).toMatchObject({ kind: 'wait', reason: 'pacing' });
    expect(world.queues.launches).toEqual([]);
    expect(await leases(world)).toBe(0);
    expect(world.claims.issued).toEqual(['claim-1']);
    expect(world.claims.open().size).toBe(0);
  });

  test('throttling puts the job off from now on, not from a turn that has passed', async () => {
    const world = aWorld({ jobs: [aJobRecord()] });
    world.tasks.answer({ kind: 'throttled', detail: 'Rate exceeded' });
    const slot = world.clock.now() - second;
    expect(await launch(world, launchMessage(job.id, 1, { slot }))).toMatchObject({ kind: 'returned' });
    expect(world.ledger.job(job.id)).toMatchObject({ reason: 'pacing', notBefore: after(2 * second) });
  });

  test('nothing at all leaves the launch to be resumed, under the same name and claim', async () => {
    const world = aWorld();
    world.tasks.answer(new Error('socket hang up'));
    await expect(launch(world)).rejects.toThrow('socket hang up');
    expect(await leases(world)).toBe(1);
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'launched' });
    expect(world.tasks.orders.map(({ claimId }) => claimId)).toEqual(['claim-1', 'claim-1']);
  });
});

describe('a job that was cancelled while its runner was on the way', () => {
  /** The process died after `begin`: there is a lease, a claim, and perhaps a task. */
  async function begunAndCancelled(crash: Crash, call: 'begin' | 'runTask'): Promise<FakeWorld> {
    const world = aWorld();
    const { ports } = recordCalls(world.ports, { crash, crashAt: callOf[call] });
    await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
    await world.record(job, 'completed', { conclusion: 'cancelled' });
    return world;
  }

  test('gives lease and claim back when there is no task yet', async () => {
    const world = await begunAndCancelled('after', 'begin');
    expect(await leases(world)).toBe(1);
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({
      kind: 'drop',
      note: 'the job is completed',
    });
    expect(await leases(world)).toBe(0);
    expect(world.claims.open().size).toBe(0);
    expect(world.tasks.orders).toEqual([]);
  });

  test('keeps lease and task when RunTask had been called, and writes down which task it is', async () => {
    const world = await begunAndCancelled('after', 'runTask');
    await launch(world, queuedMessage(job), true);
    expect(await leases(world)).toBe(1);
    expect(world.tasks.orders).toHaveLength(1);
    expect(world.ledger.runner(runnerId)).toMatchObject({ taskArn: `arn:task/${runnerId}` });
  });

  test('has its task stopped when its claim was revoked before the task was known', async () => {
    const world = aWorld();
    const runTask = async (order: Parameters<typeof world.ports.runTask>[0]) => {
      expect(await world.ledger.revokeClaim(world.ledger.runner(order.runnerId))).toBe(true);
      return world.ports.runTask(order);
    };
    expect(await launchRunner(queuedMessage(job), false, { ...world.ports, runTask })).toMatchObject({
      kind: 'drop',
      note: 'the job was cancelled while its task was on its way',
    });
    expect(world.tasks.stops).toEqual([{ taskArn: `arn:task/${runnerId}`, reason: 'the job was cancelled' }]);
    expect(await leases(world)).toBe(1);
  });

  test('has neither claim nor task when it ended before the launch was begun', async () => {
    const world = aWorld();
    const readRegistration = async (scope: string) => {
      await world.record(job, 'completed');
      return world.ports.readRegistration(scope, 0);
    };
    expect(await launchRunner(queuedMessage(job), false, { ...world.ports, readRegistration })).toMatchObject({
      kind: 'drop',
    });
    expect(world.claims.issued).toEqual([]);
    expect(world.tasks.orders).toEqual([]);
    expect(await leases(world)).toBe(0);
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed' });
  });

  test('and whose runner the sweep gave up is left to find no claim, or to work when it had fetched it', async () => {
    for (const isFetched of [false, true]) {
      const world = aWorld();
      const runTask = async (order: Parameters<typeof world.ports.runTask>[0]) => {
        const result = await world.ports.runTask(order);
        if (isFetched) world.claims.fetch(order.claimId);
        await world.ledger.endRunnerRecord(world.ledger.runner(runnerId), 'lost');
        return result;
      };
      expect(await launchRunner(queuedMessage(job), false, { ...world.ports, runTask })).toMatchObject({
        kind: 'drop',
      });
      expect(world.tasks.stops).toHaveLength(0);
      expect(world.claims.open().size).toBe(0);
      expect(await leases(world)).toBe(0);
    }
  });

  test('gets no further launch', async () => {
    const world = aWorld();
    await launch(world);
    await world.record(job, 'completed');
    expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({
      kind: 'drop',
      note: 'the job is completed',
    });
  });
});

describe('a job that is given up', () => {
  test('after a day is expired', async () => {
    const world = aWorld({ jobs: [aJobRecord()] });
    world.clock.turn(24 * hour + second);
    expect(await launch(world)).toMatchObject({ kind: 'give-up' });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'expired', note: 'GitHub gives a job up after 24 hours' });
    expect(world.github.calls).toEqual([]);
  });

  test('for want of a profile is refused, and gets no other launch', async () => {
    const world = aWorld({ jobs: [aJobRecord({ job: { labels: ['gone'] } })] });
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'give-up' });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'refused', note: 'no profile has the labels ["gone"]' });
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'drop' });
  });

  test('that nobody knows is dropped', async () => {
    expect(await launch(aWorld(), launchMessage('9', 1))).toMatchObject({ kind: 'drop', job: '9' });
  });
});

describe('a job that waited for an approval', () => {
  test('is launched when it is released, days after it was created', async () => {
    const world = aWorld();
    await recordEvent({ job, state: 'blocked', by: 'd' }, world.ports);
    world.clock.turn(48 * hour);
    expect(await launch(world)).toMatchObject({ kind: 'launched' });
  });
});

describe('a job whose profile changed after its launch began', () => {
  const begun = async (profiles: Profile[]) => {
    const before = aWorld();
    const { ports } = recordCalls(before.ports, { crash: 'after', crashAt: callOf.begin });
    await launchRunner(queuedMessage(job), false, ports).catch(() => undefined);
    const world = aWorld({ profiles });
    world.ledger.putJob(before.ledger.job(job.id));
    world.ledger.putRunner(before.ledger.runner(runnerId));
    return world;
  };

  test('goes on with the profile in its record, though another one admits it now', async () => {
    const world = await begun([
      aProfile({ labels: ['renamed'] }),
      aProfile({ name: 'tiny', maxRunners: 1, capacity: 'spot' }),
    ]);
    expect(await launch(world, launchMessage(job.id, 1), true)).toMatchObject({ kind: 'launched' });
    expect(world.tasks.orders).toMatchObject([{ taskDefinition: 'small:1', provider: 'FARGATE' }]);
    expect(world.ledger.countLeases('small')).toBe(1);
    expect(world.ledger.countLeases('tiny')).toBe(0);
  });

  test.each<[string, Profile[], string]>([
    ['is gone', [aProfile({ name: 'other', labels: ['other'] })], 'starting'],
    ['is paused', [aProfile({ maxRunners: 0 })], 'profile-paused'],
  ])('gives its lease back when that profile %s, and the job waits', async (_, profiles, reason) => {
    const world = await begun(profiles);
    expect(await launch(world, launchMessage(job.id, 1), true)).toMatchObject({ kind: 'wait', reason });
    expect(world.tasks.orders).toEqual([]);
    expect(world.claims.open().size).toBe(0);
    expect(await leases(world)).toBe(0);
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'waiting', reason });
  });

  test('gives its lease back when the profile has more runners than it may have now', async () => {
    const world = await begun([aProfile({ maxRunners: 2 })]);
    for (const id of ['7', '8']) world.ledger.putRunner(aLaunchedRunner({ jobId: id }));
    expect(await launch(world, launchMessage(job.id, 1), true)).toMatchObject({
      reason: 'profile-full',
      note: 'profile small is full (3 of 2)',
    });
    expect(await leases(world)).toBe(2);
  });
});

describe('a job that GitHub is asked about', () => {
  const old = 6 * minute;
  const failedOnce = (world: FakeWorld) => world.ledger.putJob(aJobRecord({ launches: 1 }));

  test('and that still waits is launched', async () => {
    const world = aWorld();
    world.clock.turn(old);
    expect(await launch(world)).toMatchObject({ kind: 'launched' });
    expect(world.github.calls).toContain(`lookAtJob ${job.id}`);
  });

  test('while it is young is not asked about', async () => {
    const world = aWorld();
    await launch(world);
    expect(world.github.calls).not.toContain(`lookAtJob ${job.id}`);
  });

  test.each([
    ['in_progress', { runnerName: 'another' }],
    ['completed', { conclusion: 'cancelled' }],
  ] as const)('and that is %s already is noted, and starts nothing', async (state, parts) => {
    const world = aWorld();
    world.github.tell(job, { state, ...parts });
    world.clock.turn(old);
    expect(await launch(world)).toMatchObject({ kind: 'drop', note: `GitHub says the job is ${state}` });
    expect(world.ledger.job(job.id)).toMatchObject({ state, ...parts });
    expect(await leases(world)).toBe(0);
  });

  test('and that GitHub does not know is asked about again: two looks five minutes apart close it', async () => {
    const world = aWorld();
    world.github.jobs.clear();
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'wait', reason: 'not-found' });
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'waiting',
      reason: 'not-found',
      goneSince: after(0),
      notBefore: after(5 * minute),
    });
    world.clock.turn(5 * minute);
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({
      kind: 'drop',
      note: 'GitHub says the job is gone',
    });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', inferred: true });
  });

  test('and that was launched before is closed by two such looks as well', async () => {
    const world = aWorld({ jobs: [aJobRecord({ launches: 2 })] });
    world.github.jobs.clear();
    expect(await launch(world, launchMessage(job.id, 3))).toMatchObject({ kind: 'wait', reason: 'not-found' });
    expect(world.ledger.job(job.id)).toMatchObject({ launches: 2, goneSince: after(0), notBefore: after(5 * minute) });
    world.clock.turn(5 * minute);
    await launch(world, launchMessage(job.id, 3));
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', inferred: true });
  });

  test('and that we gave up after a launch gets the next launch when it is announced once more', async () => {
    const refused = aJobRecord({ state: 'refused', order: 12, inferred: true, launches: 1 });
    const world = aWorld({ jobs: [refused] });
    expect(await launch(world)).toMatchObject({ kind: 'launched', runner: `${prefix}-${job.id}-2` });
    // The same message again: its launch is the one that has its task.
    expect(await launch(world)).toMatchObject({ kind: 'drop', note: 'this launch has its task' });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'waiting', launches: 2 });
  });

  test('and that GitHub did not know once is launched when GitHub knows it again', async () => {
    const world = aWorld();
    world.github.jobs.clear();
    await launch(world, queuedMessage(job), true);
    world.github.tell(job, {});
    world.clock.turn(5 * minute);
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'launched' });
    expect(world.ledger.job(job.id).goneSince).toBeUndefined();
  });

  test('and that was closed as gone is launched when it is announced once more', async () => {
    const world = aWorld();
    world.github.jobs.clear();
    await launch(world, queuedMessage(job), true);
    world.clock.turn(5 * minute);
    await launch(world, launchMessage(job.id, 1));
    world.github.tell(job, {});
    expect(await launch(world, queuedMessage(job, { delivery: 'list' }))).toMatchObject({ kind: 'launched' });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'waiting', inferred: false });
  });

  test('and that GitHub holds back for an approval is no demand, and says so', async () => {
    const world = aWorld();
    world.github.tell(job, { state: 'blocked' });
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'wait', reason: 'blocked' });
    expect(world.ledger.job(job.id)).toMatchObject({ reason: 'blocked', notBefore: after(5 * minute), launches: 0 });
    expect(await leases(world)).toBe(0);
  });

  test('when GitHub does not answer is launched the first time: a runner too many costs cents', async () => {
    const world = aWorld();
    world.clock.turn(old);
    world.github.failNext('lookAtJob', aGitHubError('unavailable'));
    expect(await launch(world)).toMatchObject({ kind: 'launched' });
  });

  test('when GitHub does not answer waits the second time: something is wrong already', async () => {
    const world = aWorld();
    failedOnce(world);
    world.github.failNext('lookAtJob', aGitHubError('unavailable'));
    expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({ kind: 'wait', reason: 'github-unavailable' });
    const { reason, notBefore = '', launches } = world.ledger.job(job.id);
    expect({ reason, launches }).toEqual({ reason: 'github-unavailable', launches: 1 });
    world.clock.turnTo(notBefore);
    expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({ kind: 'launched' });
  });

  test.each(['not-installed', 'suspended'] as const)(
    'when the App is %s holds its scope the second time',
    async (kind) => {
      const world = aWorld();
      failedOnce(world);
      world.github.failNext('lookAtJob', aGitHubError(kind));
      expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({
        kind: 'wait',
        reason: 'github-unavailable',
      });
      expect(await world.ledger.readScope('acme')).toMatchObject({ holdUntil: after(5 * minute) });
    },
  );

  test.each([
    ['refused', undefined, 30 * second],
    ['rate-limited', 50 * minute, 50 * minute],
    ['rate-limited', 24 * hour, hour],
  ] as const)(
    'when GitHub says %s (%s) waits alone: no other job of its scope does',
    async (kind, retryAfter, waits) => {
      const world = aWorld();
      failedOnce(world);
      const retryAt = retryAfter === undefined ? {} : { retryAt: world.clock.now() + retryAfter };
      world.github.failNext('lookAtJob', aGitHubError(kind, { status: 403, ...retryAt }));
      expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({
        kind: 'wait',
        reason: 'github-unavailable',
      });
      expect(world.ledger.job(job.id)).toMatchObject({ notBefore: after(waits) });
      expect(await launch(world, queuedMessage(aJob({ id: '7' })))).toMatchObject({ kind: 'launched' });
    },
  );

  test('is not asked about when what is left of the rate limit is kept for tokens', async () => {
    const world = aWorld();
    failedOnce(world);
    world.github.limits.set('acme', { limit: 5000, remaining: 999, spent: 0 });
    expect(await launch(world, launchMessage(job.id, 2))).toMatchObject({ kind: 'wait', reason: 'github-unavailable' });
    expect(world.github.calls).toEqual([]);
    expect(await launch(world, queuedMessage(aJob({ id: '7' })), true)).toMatchObject({ kind: 'launched' });
  });

  test('and that runs on a runner of ours makes that runner busy', async () => {
    const world = aWorld();
    const other = world.ledger.putRunner(aLaunchedRunner({ jobId: '7' }));
    world.github.tell(job, { state: 'in_progress', runnerName: other.runnerId });
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'drop' });
    expect(world.ledger.runner(other.runnerId)).toMatchObject({ busyJobId: job.id });
  });

  test('and that runs on a runner of that name in another scope makes no runner of ours busy', async () => {
    const world = aWorld();
    const other = world.ledger.putRunner(aLaunchedRunner({ jobId: '7', scope: 'octo/tools' }));
    world.github.tell(job, { state: 'in_progress', runnerName: other.runnerId });
    expect(await launch(world, queuedMessage(job), true)).toMatchObject({ kind: 'drop' });
    expect(world.ledger.runner(other.runnerId).busyJobId).toBeUndefined();
  });

  test('hides no other error', async () => {
    const world = aWorld();
    const lookAtJob = async () => Promise.reject(new TypeError('a bug'));
    await expect(launchRunner(queuedMessage(job), true, { ...world.ports, lookAtJob })).rejects.toThrow('a bug');
  });
});

describe('a scope in which GitHub refuses to register', () => {
  test.each([
    ['not-installed', undefined, 5 * minute],
    ['suspended', undefined, 5 * minute],
    ['refused', undefined, 5 * minute],
    ['rate-limited', 20 * minute, 20 * minute],
    ['rate-limited', 365 * 24 * hour, hour],
  ] as const)('because it is %s is held, so that no other job of it asks', async (kind, retryAfter, heldFor) => {
    const world = aWorld();
    const retryAt = retryAfter === undefined ? {} : { retryAt: world.clock.now() + retryAfter };
    world.github.failNext('readRegistration', aGitHubError(kind, retryAt));
    expect(await launch(world)).toMatchObject({
      kind: 'wait',
      reason: 'scope-held',
      note: `GET /somewhere: ${kind}`,
    });
    expect(await leases(world)).toBe(0);
    expect(await world.ledger.readScope('acme')).toMatchObject({
      holdUntil: after(heldFor),
      holdReason: `GET /somewhere: ${kind}`,
    });
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'waiting', reason: 'scope-held' });

    expect(await launch(world, queuedMessage(aJob({ id: '7' })))).toMatchObject({ reason: 'scope-held' });
    expect(world.github.calls).toEqual(['readRegistration acme']);
    const personal = aJob({ id: '8', repository: { fullName: 'octo/tools', ownerType: 'User' } });
    expect(await launch(world, queuedMessage(personal))).toMatchObject({ kind: 'launched' });
    world.clock.turn(heldFor + 1);
    expect(await launch(world, launchMessage(job.id, 1))).toMatchObject({ kind: 'launched' });
  });

  test("because the App's key is not there is held for a minute, and no job is given up", async () => {
    const world = aWorld();
    const readRegistration = async () => Promise.reject(new MissingSecretError('/app-key must hold a secret'));
    expect(await launchRunner(queuedMessage(job), false, { ...world.ports, readRegistration })).toMatchObject({
      kind: 'wait',
      reason: 'scope-held',
      note: '/app-key must hold a secret',
    });
    expect(await leases(world)).toBe(0);
  });

  test('because GitHub is not there is not held: the one job waits a little', async () => {
    const world = aWorld();
    world.github.failNext('readRegistration', aGitHubError('unavailable'));
    expect(await launch(world)).toMatchObject({ kind: 'wait', reason: 'github-unavailable' });
    expect(world.ledger.items.has('scope#acme')).toBe(false);
    expect(world.ledger.job(job.id)).toMatchObject({ notBefore: after(30 * second) });
    expect(await leases(world)).toBe(0);
    expect(await launch(world, queuedMessage(aJob({ id: '7' })))).toMatchObject({ kind: 'launched' });
  });
});

describe('a job whose runner image is not built yet', () => {
  const isBuilding = async () => false;

  test('waits a minute at a time, says so, and takes no place in its profile', async () => {
    const world = aWorld();
    const verdict = await launchRunner(queuedMessage(job), false, { ...world.ports, hasImage: isBuilding });
    expect(verdict).toMatchObject({
      kind: 'wait',
      reason: 'image-building',
      note: 'the runner image is being built',
    });
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'waiting',
      launches: 0,
      reason: 'image-building',
      note: 'the runner image is being built',
      notBefore: after(minute),
    });
    expect(await leases(world)).toBe(0);
    expect([world.tasks.orders, world.github.mints, world.queues.launches]).toEqual([[], [], []]);
  });

  test('is launched by the first pass after the image is there, for the first time', async () => {
    const world = aWorld();
    await launchRunner(queuedMessage(job), false, { ...world.ports, hasImage: isBuilding });
    await topUpPools(world.ports);
    expect(world.queues.launches).toEqual([]);
    world.clock.turn(minute);
    await topUpPools(world.ports);
    const [asked] = world.queues.launches;
    expect(await launch(world, asked?.message)).toMatchObject({ kind: 'launched', runner: runnerId });
    expect(world.ledger.job(job.id)).toMatchObject({ launches: 1, unserved: 0 });
  });

  test('waits for the image of its own profile alone', async () => {
    const profiles = [aProfile(), aProfile({ name: 'arm', labels: ['fargate-arm'], arch: 'arm64' })];
    const world = aWorld({ profiles });
    const ports = { ...world.ports, hasImage: async ({ arch }: { arch: string }) => arch === 'x64' };
    const other = aJob({ id: '2', labels: ['fargate-arm'] });
    expect(await launchRunner(queuedMessage(other), false, ports)).toMatchObject({ reason: 'image-building' });
    expect(await launchRunner(queuedMessage(job), false, ports)).toMatchObject({ kind: 'launched' });
  });

  test('goes on with a launch that has begun: its task definition may have an image', async () => {
    const world = aWorld();
    world.tasks.answer(new Error('socket hang up'));
    await launch(world).catch(() => undefined);
    const ports = { ...world.ports, hasImage: isBuilding };
    expect(await launchRunner(queuedMessage(job), true, ports)).toMatchObject({ kind: 'launched' });
  });

  test('is not told so when nobody waits for it any more', async () => {
    const world = aWorld({ jobs: [aJobRecord({ state: 'completed' })] });
    const verdict = await launchRunner(launchMessage(job.id, 1), false, { ...world.ports, hasImage: isBuilding });
    expect(verdict).toMatchObject({ kind: 'drop' });
    expect(world.ledger.job(job.id).reason).toBeUndefined();
  });
});

describe('a warm runner', () => {
  const warmId = `${prefix}-wdeadbeef-abc-0`;
  const warm = (parts: Partial<Extract<LaunchMessage, { kind: 'warm' }>> = {}): LaunchMessage => ({
    version: 1,
    kind: 'warm',
    runnerId: warmId,
    profile: 'small',
    scope: 'acme',
    until: after(90 * minute),
    returns: 0,
    ...parts,
  });

  test('is started for no job, and waits as long as its window', async () => {
    const world = aWorld();
    expect(await launch(world, warm())).toMatchObject({ kind: 'launched', runner: warmId, profile: 'small' });
    expect(world.ledger.runner(warmId)).toMatchObject({ pool: 'small@acme', idleMinutes: 90 });
    expect(world.ledger.runner(warmId).jobId).toBeUndefined();
    expect(world.claims.fetch('claim-1')).toMatchObject({ idleSeconds: 5400, name: warmId });
    expect(world.tasks.orders[0]?.tags).toEqual({ 'github-runners:profile': 'small' });
    expect(world.github.calls).not.toContain('lookAtJob');
  });

  test.each([
    [true, 'docker_github-runners-ci_small_on-demand'],
    [false, 'FARGATE_SPOT'],
  ])('does without Spot where the want of it shows late and nothing comes after (Docker: %s)', async (docker, used) => {
    const world = aWorld({ profiles: [aProfile({ docker, capacity: 'spot-preferred' })] });
    await launch(world, warm());
    expect(world.tasks.orders.map(({ provider }) => provider)).toEqual([used]);
  });

  test('that was started before is not started again', async () => {
    const world = aWorld();
    await launch(world, warm());
    expect(await launch(world, warm(), true)).toMatchObject({ kind: 'drop' });
    expect(world.tasks.orders).toHaveLength(1);
    expect(await leases(world)).toBe(1);
  });

  test('goes on after a crash', async () => {
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < 8; crashAt += 1) {
        const world = aWorld();
        const { ports } = recordCalls(world.ports, { crash, crashAt });
        await launchRunner(warm(), false, ports).catch(() => undefined);
        await launch(world, warm(), true);
        expect(world.tasks.all()).toMatchObject([{ runnerId: warmId }]);
        expect(world.claims.issued).toHaveLength(1);
        expect(await leases(world)).toBe(1);
      }
    }
  });

  test('is not wanted badly enough to wait for room', async () => {
    const world = aWorld({ profiles: [aProfile({ maxRunners: 1 })] });
    world.ledger.putRunner(aLaunchedRunner());
    expect(await launch(world, warm())).toMatchObject({ kind: 'wait', note: 'profile small is full (1 of 1)' });
    expect(await leases(world)).toBe(1);
  });

  test.each(['no-capacity', 'quota', 'refused'] as const)(
    'that ECS answers with %s gives its lease back',
    async (kind) => {
      const world = aWorld();
      world.tasks.answer({ kind, detail: 'no' });
      expect(await launch(world, warm())).toMatchObject({ kind: 'wait', note: 'no' });
      expect(await leases(world)).toBe(0);
      expect(world.claims.open().size).toBe(0);
    },
  );

  test.each([
    ['paused', [aProfile({ maxRunners: 0 })], { kind: 'wait', reason: 'profile-paused' }],
    ['gone', [aProfile({ name: 'large' })], { kind: 'drop', note: 'profile small is gone' }],
  ])('of a profile that is %s is not started', async (_, profiles, verdict) => {
    const world = aWorld({ profiles });
    expect(await launch(world, warm())).toMatchObject(verdict);
    expect(world.ledger.live()).toEqual([]);
  });

  test('is not started when its window is over', async () => {
    const world = aWorld();
    world.clock.turn(90 * minute);
    expect(await launch(world, warm())).toMatchObject({ kind: 'drop', note: 'its window is over' });
    expect(world.ledger.live()).toEqual([]);
  });

  test('is not started while its image is built: the next minute decides again', async () => {
    const world = aWorld();
    const verdict = await launchRunner(warm(), false, { ...world.ports, hasImage: async () => false });
    expect(verdict).toMatchObject({ kind: 'wait', note: 'the runner image is being built', runner: warmId });
    expect(await leases(world)).toBe(0);
    expect(world.queues.launches).toEqual([]);
    expect(await launch(world, warm())).toMatchObject({ kind: 'launched' });
  });

  test('that has begun goes on, whatever became of the image', async () => {
    const world = aWorld();
    world.tasks.answer(new Error('socket hang up'));
    await launch(world, warm()).catch(() => undefined);
    const verdict = await launchRunner(warm(), true, { ...world.ports, hasImage: async () => false });
    expect(verdict).toMatchObject({ kind: 'launched', runner: warmId });
  });

  test('that comes late waits no longer than its window', async () => {
    const world = aWorld();
    world.clock.turn(60 * minute);
    await launch(world, warm());
    expect(world.ledger.runner(warmId)).toMatchObject({ idleMinutes: 30 });
  });

  test('is sent back to wait for its turn, as it was', async () => {
    const world = aWorld({ pace: { intervalMs: 50 * second, burst: 1 } });
    await launch(world);
    expect(await launch(world, warm())).toMatchObject({ kind: 'returned' });
    const slot = Date.parse(after(50 * second));
    expect(world.queues.launches).toEqual([{ message: warm({ slot }), delayMs: 50 * second }]);
  });

  test('is not sent back when its turn comes after the next pass, which would ask for another one beside it', async () => {
    const world = aWorld({ pace: { intervalMs: 51 * second, burst: 1 } });
    await launch(world);
    expect(await launch(world, warm())).toMatchObject({ kind: 'wait', reason: 'pacing' });
    expect(world.queues.launches).toEqual([]);
  });

  test('that was begun ten minutes ago is not resumed: the sweep may call it lost at the same moment', async () => {
    const world = aWorld();
    world.tasks.answer(new Error('socket hang up'));
    await launch(world, warm()).catch(() => undefined);
    world.clock.turn(10 * minute - 10 * second);
    expect(await launch(world, warm(), true)).toMatchObject({ kind: 'drop' });
    expect(world.tasks.running()).toEqual([]);
  });
});

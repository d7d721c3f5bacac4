import { describe, expect, test } from '@jest/globals';
import type { Repository } from '../../functions/contracts/between-rooms/job.ts';
import { findUnannounced, type SweepPorts } from '../../functions/replenish/find-unannounced.ts';
import { topUpPools } from '../../functions/replenish/top-up-pools.ts';
import { launchRunner } from '../../functions/scale-up/launch-runner.ts';
import { settleTask } from '../../functions/task-stopped/settle-task.ts';
import { recordEvent } from '../../functions/track-jobs/record-event.ts';
import { aJob, aJobRecord, aLaunchedRunner, aProfile, prefix, type JobParts } from '../fakes/builders.ts';
import { after, hour, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

const web = aJob().repository;
const repository = (id: string, fullName: string): Repository => ({
  id,
  fullName,
  ownerType: fullName.startsWith('octo/') ? 'User' : 'Organization',
  private: true,
});

/** A world that has seen acme/web, three minutes after its jobs were created. */
async function begin(options: WorldOptions = {}): Promise<FakeWorld> {
  const world = fakeWorld(options);
  await world.ledger.noteRepository(web);
  for (const owner of world.ports.fleet.owners) await world.ledger.writeSeeded(owner);
  world.clock.turn(3 * minute);
  return world;
}
const old = (parts: JobParts = {}) => aJob(parts);
const asked = (world: FakeWorld) => world.github.calls.filter((call) => call.startsWith('listUnfinishedJobs'));
const repositoriesOf = async (world: FakeWorld) =>
  (await world.ledger.listRepositories()).map(({ id }) => id).toSorted();
const launches = (world: FakeWorld) =>
  world.queues.takeLaunches().map((message) => ('job' in message ? message.job.id : '?'));

describe('a job that GitHub never announced', () => {
  test('goes the way its delivery would have gone', async () => {
    const world = await begin();
    world.github.tell(old(), { state: 'queued', by: 'list' });
    const verdict = await findUnannounced(world.ports);
    expect(verdict).toMatchObject({ asked: 1, putOff: 0, failures: [] });
    expect(verdict.found).toEqual([{ job: old().id, state: 'queued', repository: 'acme/web' }]);
    expect(world.queues.takeLaunches()).toEqual([
      { version: 1, kind: 'queued', job: old(), delivery: 'list', returns: 0 },
    ]);
  });

  test('that the jobs queue does not take keeps no other repository from its turn', async () => {
    const world = await begin();
    const api = repository('31230000002', 'acme/api');
    await world.ledger.noteRepository(api);
    world.github.tell(old(), { state: 'queued' });
    world.github.tell(old({ id: '2', repository: api }), { state: 'queued' });
    world.queues.failNext(new Error('the jobs queue refused 1 of 1 messages'));
    const verdict = await findUnannounced(world.ports);
    expect(verdict.failures).toEqual([expect.stringContaining('the jobs queue refused 1 of 1 messages')]);
    expect(verdict.found).toHaveLength(1);
    expect(world.queues.launches).toHaveLength(1);
  });

  test('is given two minutes to be announced', async () => {
    const world = await begin();
    world.github.tell(old({ createdAt: after(minute + 1) }), { state: 'queued' });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toHaveLength(1);
  });

  test('is left alone when no profile serves it', async () => {
    const world = await begin();
    world.github.tell(old({ labels: ['somebody-else'] }), { state: 'queued' });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    expect(launches(world)).toEqual([]);
  });

  test.each(['waiting', 'in_progress', 'completed', 'refused', 'expired'] as const)(
    'is not found again while the ledger knows it as %s',
    async (state) => {
      const world = await begin({ jobs: [aJobRecord({ state })] });
      world.github.tell(old(), { state: 'queued' });
      expect((await findUnannounced(world.ports)).found).toEqual([]);
      expect(launches(world)).toEqual([]);
    },
  );
});

describe('a blocked job', () => {
  test('that GitHub calls queued now is launched', async () => {
    const world = await begin({ jobs: [aJobRecord({ state: 'blocked', order: 10 })] });
    world.github.tell(old(), { state: 'queued' });
    expect((await findUnannounced(world.ports)).found).toHaveLength(1);
    expect(launches(world)).toEqual([old().id]);
  });

  test('that is still blocked stays so', async () => {
    const world = await begin({ jobs: [aJobRecord({ state: 'blocked' })] });
    world.github.tell(old(), { state: 'blocked' });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    expect(world.queues.events).toEqual([]);
  });

  test('that was refused by its reviewers is closed', async () => {
    const world = await begin({ jobs: [aJobRecord({ state: 'blocked' })] });
    world.github.tell(old(), { state: 'completed', conclusion: 'failure', completedAt: after(minute) });
    await findUnannounced(world.ports);
    expect(world.queues.takeEvents()).toMatchObject([
      { version: 2, sighting: { state: 'completed', conclusion: 'failure' } },
    ]);
  });
});

describe('a waiting job', () => {
  test('that GitHub calls done is closed, at its time and with its conclusion', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    world.github.tell(old(), { state: 'completed', conclusion: 'cancelled', completedAt: after(minute) });
    expect((await findUnannounced(world.ports)).found).toEqual([
      { job: old().id, state: 'completed', repository: 'acme/web' },
    ]);
    expect(world.queues.takeEvents()).toEqual([
      {
        version: 2,
        sighting: {
          job: old(),
          state: 'completed',
          by: 'look',
          conclusion: 'cancelled',
          completedAt: after(minute),
        },
      },
    ]);
  });

  test('that runs is told of with its runner', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    const runnerName = `${prefix}-9-1`;
    world.github.tell(old(), { state: 'in_progress', runnerName, startedAt: after(30_000) });
    await findUnannounced(world.ports);
    expect(world.queues.takeEvents()).toMatchObject([
      { sighting: { state: 'in_progress', runnerName, startedAt: after(30_000) } },
    ]);
  });

  test('that GitHub still shows queued is left as it is', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    world.github.tell(old(), { state: 'queued' });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    expect(world.queues.events).toEqual([]);
  });

  test('of another repository is not judged by this one', async () => {
    const other = { id: '2', fullName: 'acme/other' };
    const world = await begin({ jobs: [aJobRecord({ job: { id: '7', repository: other } })] });
    await findUnannounced(world.ports);
    expect(world.queues.events).toEqual([]);
    expect(world.github.calls).not.toContain('lookAtJob 7');
  });

  test('that has just come is not looked for: the lists may be older than it is', async () => {
    const world = await begin({ jobs: [aJobRecord({ job: { createdAt: after(3 * minute - 1) } })] });
    await findUnannounced(world.ports);
    expect(world.queues.events).toEqual([]);
  });
});

describe('a repository', () => {
  test('is asked every five minutes', async () => {
    const world = await begin();
    for (let pass = 0; pass < 11; pass += 1) {
      await findUnannounced(world.ports);
      world.clock.turn(minute);
    }
    expect(asked(world)).toHaveLength(3);
  });

  test('without a job for three days is not asked', async () => {
    const world = await begin();
    world.clock.turn(3 * 24 * hour);
    expect((await findUnannounced(world.ports)).asked).toBe(0);
    expect(world.github.calls).toEqual([]);
  });

  test('that was never asked, or longest ago, comes first', async () => {
    const world = await begin();
    for (const [id, name] of [
      ['2', 'acme/b'],
      ['3', 'acme/c'],
    ] as const) {
      await world.ledger.noteRepository(repository(id, name));
    }
    await world.ledger.noteAsked('2');
    world.clock.turn(minute);
    await world.ledger.noteAsked(web.id);
    world.clock.turn(5 * minute);
    await findUnannounced(world.ports);
    expect(asked(world).map((call) => call.split(' ')[1])).toEqual(['acme/c', 'acme/b', 'acme/web']);
  });

  test('waits for the next pass when fifty others came first', async () => {
    const world = await begin();
    for (let id = 0; id < 60; id += 1) await world.ledger.noteRepository(repository(`r${id}`, `acme/r${id}`));
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 50, putOff: 11 });
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 11, putOff: 0 });
    expect(new Set(asked(world)).size).toBe(61);
  });
});

describe('a pass', () => {
  test('ends in time to tell what it did, and the next one comes to the rest', async () => {
    const world = await begin();
    for (const id of ['2', '3']) await world.ledger.noteRepository(repository(id, `acme/r${id}`));
    const slow = {
      ...world.ports,
      listUnfinishedJobs: async (...given: Parameters<SweepPorts['listUnfinishedJobs']>) => {
        world.clock.turn(15_000);
        return world.ports.listUnfinishedJobs(...given);
      },
    };
    expect(await findUnannounced(slow)).toMatchObject({ asked: 2, putOff: 1 });
    expect(await findUnannounced(slow)).toMatchObject({ asked: 1, putOff: 0 });
  });
});

describe('the rate limit', () => {
  test('is left to minting tokens below 20 percent', async () => {
    const world = await begin();
    world.github.limits.set('acme', { limit: 5000, remaining: 999, spent: 0 });
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 0, putOff: 1, failures: [] });
    world.github.limits.set('acme', { limit: 5000, remaining: 1000, spent: 0 });
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 1, putOff: 0 });
  });

  test('of one scope does not hold up another', async () => {
    const world = await begin();
    await world.ledger.noteRepository(repository('9', 'octo/toy'));
    world.github.limits.set('acme', { limit: 5000, remaining: 10, spent: 0 });
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 1, putOff: 1 });
    expect(asked(world)).toEqual(['listUnfinishedJobs octo/toy']);
  });

  test('is spent to 15 percent in an hour: a pass that has had its share stops', async () => {
    const world = await begin();
    for (let id = 0; id < 40; id += 1) await world.ledger.noteRepository(repository(`r${id}`, `acme/r${id}`));
    let spent = 700;
    const verdict = await findUnannounced({
      ...world.ports,
      listUnfinishedJobs: async (one, mayAsk) => {
        spent += 2;
        return world.ports.listUnfinishedJobs(one, mayAsk);
      },
      rateLimit: () => ({ limit: 5000, remaining: 4000, spent }),
    });
    expect(spent - 700).toBeGreaterThanOrEqual(12);
    expect((spent - 700) * 60).toBeLessThan(5000 * 0.17);
    expect(verdict.asked + verdict.putOff).toBe(41);
  });

  test('is spent within a repository as well: its list is cut, and no job is closed for not being on it', async () => {
    const jobs = [aJobRecord({ job: { id: 'elsewhere' } })];
    const world = await begin({ jobs });
    world.github.tell(old(), { state: 'queued' });
    let spent = 700;
    const verdict = await findUnannounced({
      ...world.ports,
      listUnfinishedJobs: async (_one, mayAsk) => {
        spent += 13;
        const complete = mayAsk();
        // GitHub's hour is over: from now on anything may be asked, and the list is cut all the same.
        spent = 700;
        return Promise.resolve({ jobs: [{ job: old(), state: 'queued' as const, by: 'list' }], complete });
      },
      rateLimit: () => ({ limit: 5000, remaining: 4000, spent }),
    });
    expect(verdict).toMatchObject({ asked: 1, found: [{ job: old().id }], failures: [] });
    expect(launches(world)).toEqual([old().id]);
    expect(world.github.calls).toEqual([]);
    expect(world.queues.takeEvents()).toEqual([]);
  });

  test('ends the looks at single jobs too; nothing is concluded of those not looked at', async () => {
    const jobs = Array.from({ length: 10 }, (_, index) => aJobRecord({ job: { id: `gone-${index}` } }));
    const world = await begin({ jobs });
    let spent = 0;
    await findUnannounced({
      ...world.ports,
      lookAtJob: async (job) => {
        spent += 1;
        return world.ports.lookAtJob(job);
      },
      rateLimit: () => ({ limit: 2000, remaining: 1900, spent }),
    });
    expect(spent).toBe(5);
    expect(world.ledger.jobs().filter(({ goneSince }) => goneSince !== undefined)).toHaveLength(5);
  });

  test('of a small account leaves a pass three calls', async () => {
    const world = await begin({ jobs: [aJobRecord({ job: { id: 'a' } }), aJobRecord({ job: { id: 'b' } })] });
    let spent = 0;
    const limit = { limit: 100, remaining: 90 };
    await findUnannounced({
      ...world.ports,
      listUnfinishedJobs: async (...given) => {
        spent += 2;
        return world.ports.listUnfinishedJobs(...given);
      },
      lookAtJob: async (job) => {
        spent += 1;
        return world.ports.lookAtJob(job);
      },
      rateLimit: () => ({ ...limit, spent }),
    });
    expect(spent).toBe(3);
  });
});

describe('more open jobs than a pass looks at', () => {
  test('are looked at fifty at a time, and others five minutes later', async () => {
    const ids = Array.from({ length: 120 }, (_, index) => `job-${index}`);
    const world = await begin({ jobs: ids.map((id) => aJobRecord({ job: { id } })) });
    const seen: string[][] = [];
    for (let count = 0; count < 4; count += 1) {
      world.github.calls.length = 0;
      await findUnannounced({
        ...world.ports,
        lookAtJob: async (job) => {
          await world.ports.lookAtJob(job);
          return { job, state: 'queued', by: 'look' };
        },
      });
      seen.push(world.github.calls.filter((call) => call.startsWith('lookAtJob')));
      world.clock.turn(5 * minute);
    }
    expect(seen.map((calls) => calls.length)).toEqual([50, 50, 50, 50]);
    expect(new Set(seen.flat()).size).toBe(120);
  });
});

describe('an empty ledger', () => {
  test('is filled with what the App may see, which is asked at once', async () => {
    const world = fakeWorld();
    world.clock.turn(3 * minute);
    world.github.repositories.push(web, repository('2', 'acme/other'), repository('3', 'octo/toy'));
    world.github.tell(old(), { state: 'queued' });
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 3, putOff: 0, found: [{ job: old().id }] });
    expect(await repositoriesOf(world)).toEqual(['2', '3', web.id].toSorted());
    expect(launches(world)).toEqual([old().id]);
  });

  test('is filled from the owners that answer, and the others are told of', async () => {
    const world = fakeWorld();
    world.github.repositories.push(web, repository('3', 'octo/toy'));
    world.github.failNext('listInstalled', aGitHubError('unavailable'));
    const { asked: count, failures } = await findUnannounced(world.ports);
    expect(count).toBe(1);
    expect(failures).toEqual(['acme: GET /somewhere: unavailable']);
  });

  test('puts no repository off for an owner that does not answer', async () => {
    const world = fakeWorld();
    world.github.failNext('listInstalled', aGitHubError('unavailable'));
    expect(await findUnannounced(world.ports)).toMatchObject({ asked: 0, putOff: 0 });
  });

  test('is filled from the other owners in a later pass', async () => {
    const world = fakeWorld();
    world.github.repositories.push(web, repository('3', 'octo/toy'));
    world.github.failNext('listInstalled', aGitHubError('unavailable'));
    await findUnannounced(world.ports);
    world.clock.turn(minute);
    await findUnannounced(world.ports);
    expect(await repositoriesOf(world)).toContain(web.id);
    // Each owner that has answered is not asked again.
    expect(world.github.calls.filter((call) => call.startsWith('listInstalled'))).toEqual([
      'listInstalled acme',
      'listInstalled octo',
      'listInstalled acme',
    ]);
  });

  test('is filled once: an owner whose repositories were all forgotten since is not asked anew every minute', async () => {
    const world = fakeWorld();
    for (let count = 0; count < 3; count += 1) {
      await findUnannounced(world.ports);
      world.clock.turn(minute);
    }
    expect(world.github.calls).toEqual(['listInstalled acme', 'listInstalled octo']);
  });

  test('is filled for an owner that joins later', async () => {
    const world = fakeWorld({ owners: ['acme'] });
    world.github.repositories.push(web, repository('3', 'octo/toy'));
    await findUnannounced(world.ports);
    world.clock.turn(minute);
    await findUnannounced({ ...world.ports, fleet: { ...world.ports.fleet, owners: ['acme', 'octo'] } });
    expect(await repositoriesOf(world)).toEqual(['3', web.id].toSorted());
  });
});

describe('a repository that GitHub does not answer for', () => {
  test('is told of, and the pass goes on', async () => {
    const world = await begin();
    await world.ledger.noteRepository(repository('2', 'acme/next'));
    world.github.failNext('listUnfinishedJobs', aGitHubError('unavailable'));
    expect(await findUnannounced(world.ports)).toMatchObject({
      asked: 2,
      putOff: 0,
      failures: ['acme/next: GET /somewhere: unavailable'],
    });
  });

  test.each([
    ['unavailable', 5],
    ['refused', 5],
    ['not-installed', 5],
    ['rate-limited', 5],
  ] as const)('because it is %s is asked again after %d minutes', async (kind, minutes) => {
    const world = await begin();
    world.github.failNext('listUnfinishedJobs', aGitHubError(kind));
    await findUnannounced(world.ports);
    for (let passed = 1; passed <= minutes; passed += 1) {
      expect(asked(world)).toHaveLength(1);
      world.clock.turn(minute);
      await findUnannounced(world.ports);
    }
    expect(asked(world)).toHaveLength(2);
  });

  test('in the middle of it is asked again as a whole: what it had said is not lost', async () => {
    const world = await begin({ jobs: [aJobRecord({ job: { id: 'over' } })] });
    world.github.tell(aJob({ id: 'over' }), { state: 'completed' });
    world.github.tell(old(), { state: 'queued' });
    world.github.failNext('lookAtJob', aGitHubError('unavailable'));
    expect((await findUnannounced(world.ports)).failures).toEqual(['acme/web: GET /somewhere: unavailable']);
    expect(launches(world)).toEqual([old().id]);
    expect(world.queues.takeEvents()).toEqual([]);
    world.clock.turn(5 * minute);
    await findUnannounced(world.ports);
    expect(launches(world)).toEqual([old().id]);
    expect(world.queues.takeEvents()).toMatchObject([{ sighting: { state: 'completed', job: { id: 'over' } } }]);
  });
});

/** Starts the launches that were sent, as `scale-up` does. */
const launchAll = async (world: FakeWorld) =>
  Promise.all(world.queues.takeLaunches().map(async (message) => launchRunner(message, false, world.ports)));

describe('a job that one look does not find', () => {
  test('stays open: only two looks five minutes apart close it', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    expect(world.ledger.job(old().id)).toMatchObject({ state: 'waiting', goneSince: after(3 * minute) });
    world.clock.turn(5 * minute - 1);
    await findUnannounced(world.ports);
    expect(world.ledger.job(old().id).state).toBe('waiting');
    world.clock.turn(1);
    expect((await findUnannounced(world.ports)).found).toEqual([
      { job: old().id, state: 'completed', repository: 'acme/web' },
    ]);
    expect(world.ledger.job(old().id)).toMatchObject({ state: 'completed', inferred: true });
    expect(world.queues.takeEvents()).toEqual([]);
  });

  test('stays open when two looks are less than five minutes apart', async () => {
    const world = await begin({ jobs: [aJobRecord({ goneSince: after(-2 * minute + 1) })] });
    expect((await findUnannounced(world.ports)).found).toEqual([]);
    expect(world.ledger.job(old().id).state).toBe('waiting');
  });

  test.each(['queued', 'blocked'] as const)(
    'and that GitHub then shows as %s must be missed twice anew',
    async (state) => {
      const world = await begin({ jobs: [aJobRecord({ state: state === 'queued' ? 'waiting' : 'blocked' })] });
      await findUnannounced(world.ports);
      world.clock.turn(5 * minute);
      world.github.tell(old(), { state });
      await findUnannounced(world.ports);
      expect(world.ledger.job(old().id).goneSince).toBeUndefined();
      world.github.jobs.clear();
      world.clock.turn(hour);
      await findUnannounced(world.ports);
      expect(world.ledger.job(old().id).goneSince).toBe(world.clock.iso());
      expect(world.ledger.job(old().id).state).not.toBe('completed');
    },
  );

  test('and that we closed is launched again when GitHub lists it as queued', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    for (const turn of [0, 5 * minute]) {
      world.clock.turn(turn);
      await findUnannounced(world.ports);
    }
    expect(world.ledger.job(old().id).state).toBe('completed');
    world.github.tell(old(), { state: 'queued' });
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toMatchObject([{ job: old().id, state: 'queued' }]);
    expect(await launchAll(world)).toMatchObject([{ kind: 'launched' }]);
    expect(world.ledger.job(old().id)).toMatchObject({ state: 'waiting', launches: 1, inferred: false });
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toEqual([]);
  });
});

describe('a job that was refused because no profile served it', () => {
  test('is launched again when a profile serves it again and GitHub lists it as queued', async () => {
    const world = await begin({ jobs: [aJobRecord()] });
    world.github.tell(old(), { state: 'queued' });
    const misspelt = { ...world.ports.fleet, profiles: [aProfile({ labels: ['fargate-smal'] })] };
    await topUpPools({ ...world.ports, fleet: misspelt });
    expect(world.ledger.job(old().id).state).toBe('refused');
    expect((await findUnannounced({ ...world.ports, fleet: misspelt })).found).toEqual([]);
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toMatchObject([{ job: old().id, state: 'queued' }]);
    expect(await launchAll(world)).toMatchObject([{ kind: 'launched' }]);
    expect(world.tasks.running()).toHaveLength(1);
  });
});

describe('jobs that GitHub shows as queued for a month', () => {
  const jobs = Array.from({ length: 20 }, (_, index) =>
    aJob({ id: `9000${index}`, createdAt: after(-30 * 24 * hour + index * minute) }),
  );
  const ids = jobs.map(({ id }) => id);

  /** What the scheduled functions do in five minutes; runners end idle, as GitHub gives them nothing. DynamoDB removes what has expired. */
  const passFiveMinutes = async (world: FakeWorld) => {
    for (const [key, { expiresAt }] of world.ledger.items) {
      if (Number(expiresAt) * 1000 <= world.clock.now()) world.ledger.items.delete(key);
    }
    // Another workflow of the repository runs every day.
    await world.ledger.noteRepository(web);
    await topUpPools(world.ports);
    await findUnannounced(world.ports);
    await launchAll(world);
    world.clock.turn(5 * minute);
    for (const { runnerId } of world.tasks.running()) {
      await settleTask(world.tasks.end(runnerId, { outcome: 'idle' }), world.ports);
    }
  };
  const passHours = async (world: FakeWorld, hours: number) => {
    for (let pass = 0; pass < hours * 12; pass += 1) await passFiveMinutes(world);
  };
  const start = async () => {
    const world = await begin({ profiles: [aProfile({ maxRunners: 100 })] });
    for (const job of jobs) world.github.tell(job, { state: 'queued' });
    return world;
  };

  test('get one runner each and are parked', async () => {
    const world = await start();
    await passHours(world, 12);
    expect(world.tasks.all().length).toBe(20);
    const states = world.ledger.jobs().map((job) => `${job.state} ${job.launches} ${job.parked}`);
    expect(new Set(states)).toEqual(new Set(['waiting 1 true']));
  });

  test('get no runner more when another job of their pool is served', async () => {
    const world = await start();
    await passHours(world, 1);
    const served = aLaunchedRunner({ jobId: 'new', createdAt: world.clock.iso() });
    world.ledger.putRunner({ ...served, busyJobId: 'new', busyAt: world.clock.iso() });
    await passHours(world, 1);
    expect(world.tasks.all().length).toBe(20);
  });

  test('expire, and are remembered and not launched while GitHub lists them, also nine days later', async () => {
    const world = await start();
    await passHours(world, 25);
    expect(world.ledger.jobs().map(({ job, state }) => `${job.id} ${state}`)).toEqual(ids.map((id) => `${id} expired`));
    await passHours(world, 9 * 24);
    expect(world.ledger.jobs().map(({ job }) => job.id)).toEqual(ids);
    expect(world.tasks.all().length).toBe(20);
  });
});

describe('a job in progress on a runner of ours', () => {
  const runner = aLaunchedRunner();
  const inProgress = { state: 'in_progress', runnerName: runner.runnerId, startedAt: after(minute) } as const;
  const beginWithRunner = async (options: WorldOptions) => {
    const world = await begin(options);
    world.ledger.putRunner(runner);
    return world;
  };
  const recordAll = async (world: FakeWorld) => {
    for (const { sighting } of world.queues.takeEvents()) await recordEvent(sighting, world.ports);
  };

  test('is told of though its state is known, when no event had named the runner; the runner is no supply then', async () => {
    const world = await beginWithRunner({ jobs: [aJobRecord({ state: 'in_progress' })] });
    world.github.tell(old(), inProgress);
    await findUnannounced(world.ports);
    expect(world.queues.events).toMatchObject([{ sighting: inProgress }]);
    await recordAll(world);
    expect(world.ledger.runner(runner.runnerId)).toMatchObject({ busyJobId: old().id, busyAt: after(minute) });
    expect(world.ledger.job(old().id).runnerName).toBe(runner.runnerId);
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toEqual([]);
  });

  test('is told of once, though no profile serves it', async () => {
    const world = await beginWithRunner({});
    world.github.tell(old({ labels: ['somebody-else'] }), inProgress);
    expect((await findUnannounced(world.ports)).found).toHaveLength(1);
    await recordAll(world);
    expect(world.ledger.runner(runner.runnerId).busyJobId).toBe(old().id);
    world.clock.turn(5 * minute);
    expect((await findUnannounced(world.ports)).found).toEqual([]);
  });

  test('is not told of when the runner that it names registered in another scope', async () => {
    const world = await begin({ jobs: [aJobRecord({ state: 'in_progress' })] });
    world.ledger.putRunner({ ...runner, scope: 'octo/toy', pool: 'small@octo/toy' });
    world.github.tell(old(), inProgress);
    expect((await findUnannounced(world.ports)).found).toEqual([]);
  });
});

describe('a hold of a scope', () => {
  const hold = async (world: FakeWorld, scope = 'acme') =>
    world.ledger.holdScope(scope, { until: world.clock.now() + hour, note: 'suspended' });

  test('ends when GitHub answers for a repository of the scope', async () => {
    const world = await begin();
    await hold(world);
    await hold(world, 'octo/toy');
    await findUnannounced(world.ports);
    expect((await world.ledger.readScope('acme')).holdUntil).toBeUndefined();
    expect((await world.ledger.readScope('octo/toy')).holdUntil).toBeDefined();
  });

  test('stays while GitHub does not answer', async () => {
    const world = await begin();
    await hold(world);
    world.github.failNext('listUnfinishedJobs', aGitHubError('suspended'));
    await findUnannounced(world.ports);
    expect((await world.ledger.readScope('acme')).holdUntil).toBe(after(3 * minute + hour));
  });
});

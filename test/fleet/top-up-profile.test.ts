import { describe, expect, test } from '@jest/globals';
import { scopeOf } from '../../functions/contracts/between-rooms/job.ts';
import { askFor, topUpOnce, topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { changeCapacity } from '../../functions/fleet/change-records.ts';
import { afterRefusal } from '../../functions/fleet/waits/capacity.ts';
import { aJobRecord, aLaunchedRunner, aProfile } from '../fakes/builders.ts';
import { after, hour, minute } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const profile = aProfile({ maxRunners: 5 });
const jobs = (count: number, scope = 'acme') =>
  Array.from({ length: count }, (_, index) =>
    aJobRecord({ scope, job: { id: `${scope}${index}`, createdAt: after(index) } }),
  );
const asked = (world: FakeWorld): string[] =>
  world.queues.takeLaunches().map((message) => (message.kind === 'launch' ? message.jobId : message.kind));

describe('letting the next jobs in', () => {
  test('asks for nothing when none waits', async () => {
    const world = fakeWorld({ profiles: [profile] });
    expect(await topUpProfile(profile, world.ports)).toBe(0);
    expect(world.queues.launches).toEqual([]);
  });

  test('asks for a runner for each, oldest first, as far as there is room', async () => {
    const world = fakeWorld({ profiles: [profile], jobs: jobs(8) });
    world.ledger.putRunner(aLaunchedRunner({ busyJobId: '7' }));
    expect(await topUpProfile(profile, world.ports)).toBe(4);
    expect(world.queues.takeLaunches()).toEqual(
      ['acme0', 'acme1', 'acme2', 'acme3'].map((jobId) => ({
        version: 1,
        kind: 'launch',
        jobId,
        launch: 1,
        profile: 'small',
        scope: 'acme',
        returns: 0,
      })),
    );
  });

  test.each([5, 0])('asks for nothing when the profile is full or paused: %i places', async (maxRunners) => {
    const world = fakeWorld({ jobs: jobs(3) });
    for (let n = 0; n < 5; n += 1) world.ledger.putRunner(aLaunchedRunner({ jobId: `b${n}`, busyJobId: 'x' }));
    expect(await topUpProfile({ ...profile, maxRunners }, world.ports)).toBe(0);
  });

  test('asks for nothing when runners enough are on their way', async () => {
    const world = fakeWorld({ jobs: jobs(2) });
    world.ledger.putRunner(aLaunchedRunner({ jobId: 'x' }));
    world.ledger.putRunner(aLaunchedRunner({ jobId: 'y' }));
    expect(await topUpProfile(profile, world.ports)).toBe(0);
  });

  test('fills 25 places at a time at most', async () => {
    const large = aProfile({ maxRunners: 100 });
    const world = fakeWorld({ profiles: [large], jobs: jobs(40) });
    expect(await topUpProfile(large, world.ports)).toBe(25);
  });

  test('gives a freed place to the pool with the fewest live runners', async () => {
    const world = fakeWorld({ jobs: [...jobs(3, 'acme'), ...jobs(1, 'beta')] });
    for (let n = 0; n < 4; n += 1) world.ledger.putRunner(aLaunchedRunner({ jobId: `b${n}`, busyJobId: 'x' }));
    expect(await topUpProfile(profile, world.ports)).toBe(1);
    expect(asked(world)).toEqual(['beta0']);
  });

  test('gives a freed place to a repository that has none, though another of its pool has thousands of jobs', async () => {
    const evil = Array.from({ length: 2000 }, (_, n) => aJobRecord({ job: { id: `e${n}`, createdAt: after(n) } }));
    const repository = { id: '9', fullName: 'acme/victim' };
    const world = fakeWorld({
      jobs: [...evil, aJobRecord({ job: { id: 'v', createdAt: after(minute), repository } })],
    });
    for (let n = 0; n < 4; n += 1) {
      world.ledger.putRunner(aLaunchedRunner({ jobId: `b${n}`, busyJobId: 'x', repository: 'acme/web' }));
    }
    expect(await topUpProfile(profile, world.ports)).toBe(1);
    expect(asked(world)).toEqual(['v']);
  });

  test('passes over jobs that are parked or wait for their time, however many these are', async () => {
    const sixty = (name: string, parts: Parameters<typeof aJobRecord>[0]) =>
      Array.from({ length: 60 }, (_, n) => aJobRecord({ ...parts, job: { id: `${name}${n}`, createdAt: after(-n) } }));
    const repository = { id: '9', fullName: 'acme/other' };
    const world = fakeWorld({
      jobs: [
        ...sixty('parked', { parked: true, parkedAt: after(0) }),
        aJobRecord({ job: { id: 'later' }, notBefore: after(minute) }),
        aJobRecord({ job: { id: 'now' } }),
        aJobRecord({ job: { id: 'other', repository } }),
      ],
    });
    expect(await topUpProfile(profile, world.ports)).toBe(2);
    expect(asked(world).toSorted()).toEqual(['now', 'other']);
  });

  test('asks once, though several tasks stop together', async () => {
    const world = fakeWorld({ profiles: [profile], jobs: jobs(3) });
    const sent = await Promise.all([1, 2, 3].map(async () => topUpProfile(profile, world.ports)));
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(3);
    expect(asked(world)).toEqual(['acme0', 'acme1', 'acme2']);
    world.clock.turn(minute + 1);
    expect(await topUpProfile(profile, world.ports)).toBe(3);
  });

  test('looks at the hold, the breaker and the room of each pool', async () => {
    const world = fakeWorld({ jobs: [...jobs(2, 'acme'), ...jobs(2, 'beta'), ...jobs(2, 'gamma')] });
    await world.ledger.holdScope('acme', { until: world.clock.now() + minute, note: 'suspended' });
    await world.ledger.changeBreaker(
      { profile: 'small', scope: 'beta' },
      { revision: 0, failures: 3, until: after(minute) },
    );
    expect(await topUpProfile(profile, world.ports)).toBe(2);
    expect(asked(world)).toEqual(['gamma0', 'gamma1']);
    world.clock.turn(minute);
    const key = { profile: 'small', provider: 'FARGATE' };
    const refusal = { reason: 'quota', note: 'the vCPU limit is reached' } as const;
    await changeCapacity(key, (room) => afterRefusal(room, refusal, world.clock.now()), world.ports);
    expect(await topUpProfile(profile, world.ports)).toBe(0);
  });

  test('asks for nothing for a job that a live runner is busy with', async () => {
    const world = fakeWorld({ jobs: jobs(1) });
    world.ledger.putRunner(aLaunchedRunner({ jobId: 'x', busyJobId: 'acme0' }));
    expect(await topUpProfile(profile, world.ports)).toBe(0);
  });

  test('asks for nothing in a pool whose jobs have all begun since the pools were listed', async () => {
    const world = fakeWorld({ jobs: jobs(1) });
    const ports = { ...world.ports, listWaitingJobs: async () => [] };
    expect(await topUpProfile(profile, ports)).toBe(0);
  });

  test('says what could not be asked for, when all else is done', async () => {
    const world = fakeWorld({ jobs: jobs(3) });
    const ports = { ...world.ports, askLaunch: failingFor('acme1', world.ports.askLaunch) };
    await expect(topUpProfile(profile, ports)).rejects.toThrow(
      '1 launches could not be asked for: no connection for acme1',
    );
    expect(asked(world)).toEqual(['acme0', 'acme2']);
  });
});

describe('a parked job', () => {
  const parked = (id: string) =>
    aJobRecord({ parked: true, unserved: 6, unservedLaunch: 6, launches: 6, parkedAt: after(0), job: { id } });

  test('is released before its launch is asked for', async () => {
    const world = fakeWorld({ jobs: [parked('1'), parked('2')] });
    world.clock.turn(hour);
    expect(await topUpProfile(profile, world.ports)).toBe(1);
    expect(world.queues.takeLaunches()).toMatchObject([{ jobId: '1', launch: 7 }]);
    expect(world.ledger.job('1')).toMatchObject({ parked: false, releases: 1, unserved: 5 });
    expect(world.ledger.job('2')).toMatchObject({ parked: true, releases: 0 });
  });

  test('is released with all others when a runner of its pool has just ended after a job', async () => {
    const world = fakeWorld({ jobs: [parked('1'), parked('2')] });
    const served = [{ pool: 'small@acme', at: after(1) }];
    expect(await topUpProfile(profile, world.ports, [{ pool: 'small@beta', at: after(1) }])).toBe(0);
    expect(await topUpProfile(profile, world.ports, served)).toBe(2);
    expect(asked(world)).toEqual(['1', '2']);
  });

  test('is not launched when it has changed since it was read', async () => {
    const world = fakeWorld({ jobs: [parked('1')] });
    world.clock.turn(hour);
    expect(await topUpProfile(profile, { ...world.ports, changeJob: async () => false })).toBe(0);
    expect(world.queues.launches).toEqual([]);
  });
});

describe('asking for many launches', () => {
  const many = (count: number) =>
    jobs(count).map(({ job }) => ({ jobId: job.id, launch: 1, profile: 'small', scope: scopeOf(job.repository) }));
  const worldOf = (count: number) => fakeWorld({ jobs: jobs(count) });

  test('is done by tens: each ten is sent before the next is asked for, and never more are asked for together', async () => {
    const world = worldOf(25);
    const history: string[] = [];
    let inFlight = 0;
    let most = 0;
    const ports = {
      ...world.ports,
      askLaunch: async (jobId: string, launch: number) => {
        inFlight += 1;
        most = Math.max(most, inFlight);
        await Promise.resolve();
        const won = await world.ports.askLaunch(jobId, launch);
        inFlight -= 1;
        history.push('ask');
        return won;
      },
      sendLaunches: async (messages: Parameters<typeof world.ports.sendLaunches>[0]) => {
        history.push(`send ${messages.length}`);
        return world.ports.sendLaunches(messages);
      },
    };
    expect(await askFor(many(25), ports)).toEqual({ sent: 25, failures: [] });
    expect(most).toBe(10);
    const tens = (count: number) => [...Array.from({ length: count }, () => 'ask'), `send ${count}`];
    expect(history).toEqual([...tens(10), ...tens(10), ...tens(5)]);
  });

  test('loses one launch when one cannot be asked for, and says which', async () => {
    const world = worldOf(25);
    const ports = { ...world.ports, askLaunch: failingFor('acme12', world.ports.askLaunch) };
    expect(await askFor(many(25), ports)).toEqual({ sent: 24, failures: ['no connection for acme12'] });
    expect(asked(world)).toHaveLength(24);
    expect(world.ledger.job('acme13').askedAt).toBe(after(0));
    expect(world.ledger.job('acme12').askedAt).toBeUndefined();
  });

  test('loses ten launches when these cannot be sent, and sends the others', async () => {
    const world = worldOf(25);
    world.queues.failNext(new Error('SQS is not there'));
    expect(await askFor(many(25), world.ports)).toEqual({ sent: 15, failures: ['SQS is not there'] });
    expect(asked(world)).toEqual(Array.from({ length: 15 }, (_, n) => `acme${n + 10}`));
  });

  test('sends nothing for those that somebody else asks for', async () => {
    const world = worldOf(12);
    for (const { jobId, launch } of many(10)) await world.ports.askLaunch(jobId, launch);
    expect(await askFor(many(12), world.ports)).toEqual({ sent: 2, failures: [] });
    expect(asked(world)).toEqual(['acme10', 'acme11']);
    const ports = { ...world.ports, sendLaunches: async () => Promise.reject(new Error('SQS refuses an empty batch')) };
    expect(await askFor(many(12), ports)).toEqual({ sent: 0, failures: [] });
  });

  test('begins no ten when there is no time left, and leaves the rest unasked for the next pass', async () => {
    const world = worldOf(25);
    let tens = 0;
    const hasTime = (): boolean => (tens += 1) <= 2;
    expect(await askFor(many(25), world.ports, hasTime)).toEqual({ sent: 20, failures: [] });
    expect(world.ledger.job('acme20').askedAt).toBeUndefined();
    expect(await askFor(many(25), world.ports, () => false)).toEqual({ sent: 0, failures: [] });
  });
});

describe('several ends that ask for a top-up together', () => {
  const large = aProfile({ name: 'large', labels: ['fargate-large'] });
  const ask = (one: ReturnType<typeof aProfile>, at?: string) => ({
    profile: one,
    served: at === undefined ? [] : [{ pool: `${one.name}@acme`, at }],
  });

  test('top each profile up once, and the first is told how many launches were sent', async () => {
    const world = fakeWorld({
      profiles: [profile, large],
      jobs: [...jobs(2), aJobRecord({ profile: 'large', job: { id: 'l' } })],
    });
    const read: string[] = [];
    const ports = {
      ...world.ports,
      listWaitingPools: async (name: string) => {
        read.push(name);
        return world.ports.listWaitingPools(name);
      },
    };
    const all = [ask(profile), ask(large), ask(profile), ask(profile)];
    expect(await topUpOnce(all, ports)).toEqual([2, 1, 0, 0]);
    expect(read.toSorted()).toEqual(['large', 'small']);
  });

  test('count together as service of their pool', async () => {
    const parked = aJobRecord({ parked: true, unserved: 6, parkedAt: after(minute), job: { id: '1' } });
    const world = fakeWorld({ jobs: [parked] });
    world.clock.turn(2 * minute);
    expect(await topUpOnce([ask(profile, after(0)), ask(profile, after(0))], world.ports)).toEqual([0, 0]);
    expect(await topUpOnce([ask(profile, after(0)), ask(profile, after(minute + 1))], world.ports)).toEqual([1, 0]);
  });

  test('tell an error to the first of its profile, and to none of another', async () => {
    const world = fakeWorld({
      profiles: [profile, large],
      jobs: [...jobs(2), aJobRecord({ profile: 'large', job: { id: 'l' } })],
    });
    const ports = {
      ...world.ports,
      readProfile: async (name: string) => {
        if (name === 'small') throw new Error('the table is throttled');
        return world.ports.readProfile(name);
      },
    };
    const answers = await topUpOnce([ask(profile), ask(profile), ask(large)], ports);
    expect(answers).toEqual([new Error('the table is throttled'), 0, 1]);
    expect(answers[0]).toBeInstanceOf(Error);
  });

  test('are none', async () => {
    expect(await topUpOnce([], fakeWorld().ports)).toEqual([]);
  });
});

function failingFor(jobId: string, askLaunch: FakeWorld['ports']['askLaunch']): typeof askLaunch {
  return async (id, launch) => {
    if (id === jobId) throw new Error(`no connection for ${id}`);
    return askLaunch(id, launch);
  };
}

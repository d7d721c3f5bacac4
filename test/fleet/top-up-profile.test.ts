import { describe, expect, test } from '@jest/globals';
import { topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { aJobRecord, aLaunchedRunner, aProfile } from '../fakes/builders.ts';
import { after, minute } from '../fakes/clock.ts';
import { fakeWorld } from '../fakes/world.ts';

const profile = aProfile({ maxRunners: 5 });
const jobs = (count: number, scope = 'acme') =>
  Array.from({ length: count }, (_, index) =>
    aJobRecord({ scope, job: { id: `${scope}${index}`, createdAt: after(index) } }),
  );

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
    expect(world.queues.takeLaunches()).toMatchObject([{ jobId: 'beta0' }]);
  });

  test('passes over jobs that wait for a person or for their time', async () => {
    const later = new Date(Date.parse(after(minute))).toISOString();
    const world = fakeWorld({
      jobs: [
        aJobRecord({ job: { id: 'held' }, held: true }),
        aJobRecord({ job: { id: 'later' }, notBefore: later }),
        aJobRecord({ job: { id: 'now' } }),
      ],
    });
    expect(await topUpProfile(profile, world.ports)).toBe(1);
    expect(world.queues.takeLaunches()).toMatchObject([{ jobId: 'now' }]);
  });

  test('asks once, though several tasks stop together', async () => {
    const world = fakeWorld({ profiles: [profile], jobs: jobs(3) });
    const sent = await Promise.all([1, 2, 3].map(async () => topUpProfile(profile, world.ports)));
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(3);
    expect(world.queues.takeLaunches().map((message) => 'jobId' in message && message.jobId)).toEqual([
      'acme0',
      'acme1',
      'acme2',
    ]);
    world.clock.turn(minute + 1);
    expect(await topUpProfile(profile, world.ports)).toBe(3);
  });
});

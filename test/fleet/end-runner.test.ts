import { describe, expect, test } from '@jest/globals';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { deleteRegistration, endRunner } from '../../functions/fleet/end-runner.ts';
import { aJobRecord, aLaunchedRunner } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const unserved = { ending: 'idle', listened: true, unserved: true } as const;
const failed = { ending: 'failed-to-start', listened: false, unserved: true } as const;
const ran = { ending: 'ran-a-job', listened: true, unserved: false } as const;

function withRunner(parts: Partial<RunnerRecord> = {}): { world: FakeWorld; runner: RunnerRecord } {
  const world = fakeWorld({ jobs: [aJobRecord({ launches: 1 })] });
  return { world, runner: world.ledger.putRunner(aLaunchedRunner(parts)) };
}

describe('ending a runner', () => {
  test('gives its place back, once', async () => {
    const { world, runner } = withRunner();
    expect(await endRunner(runner, ran, world.ports)).toEqual({ ended: true, held: false });
    expect(await endRunner(runner, ran, world.ports)).toEqual({ ended: false, held: false });
    expect(await world.ledger.countLeases('small')).toBe(0);
    expect(world.ledger.runner(runner.runnerId)).toMatchObject({ ending: 'ran-a-job', endedAt: after(0) });
  });

  test('takes a claim back that no task fetched', async () => {
    const { world, runner } = withRunner();
    world.claims.put(String(runner.claimId), { body: '', expiresAt: 9e9 });
    await endRunner(runner, ran, world.ports);
    expect(world.claims.open.size).toBe(0);
  });

  test('lets the job it did not serve wait before its next launch', async () => {
    const { world, runner } = withRunner();
    await endRunner(runner, unserved, world.ports);
    const { unserved: count, notBefore, reason } = world.ledger.job('81230000001');
    expect({ count, reason }).toEqual({ count: 1, reason: 'backing-off' });
    expect(Date.parse(String(notBefore))).toBeGreaterThan(world.clock.now());
  });

  test('holds the job after the sixth that did not serve it', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 6, unserved: 5, unservedLaunch: 5 })] });
    const runner = world.ledger.putRunner(aLaunchedRunner({ launch: 6 }));
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, held: true });
    expect(world.ledger.job('81230000001')).toMatchObject({ held: true, unserved: 6, reason: 'held' });
    expect(world.ledger.job('81230000001')).not.toHaveProperty('notBefore');
  });

  test.each(['in_progress', 'completed', 'refused'] as const)('blames nothing on a job that is %s', async (state) => {
    const world = fakeWorld({ jobs: [aJobRecord({ state, launches: 1 })] });
    await endRunner(world.ledger.putRunner(aLaunchedRunner()), unserved, world.ports);
    expect(world.ledger.job('81230000001')).toMatchObject({ unserved: 0 });
  });

  test('blames nothing on a job when the runner was warm', async () => {
    const { world, runner } = withRunner({ runnerId: 'w', jobId: undefined, launch: undefined });
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, held: false });
    expect(world.ledger.job('81230000001')).toMatchObject({ unserved: 0 });
  });

  test.each(['failed-to-start', 'no-claim', 'lost', 'registration-refused'] as const)(
    'that %s counts towards the breaker, once',
    async (ending) => {
      const { world, runner } = withRunner();
      await endRunner(runner, { ...failed, ending }, world.ports);
      await endRunner(runner, { ...failed, ending }, world.ports);
      expect(await world.ledger.readProfile('small')).toMatchObject({ failures: 1 });
    },
  );

  test('that could not start lets its job wait a minute, and does not blame it', async () => {
    const { world, runner } = withRunner();
    await endRunner(runner, failed, world.ports);
    expect(world.ledger.job('81230000001')).toMatchObject({
      unserved: 0,
      held: false,
      notBefore: after(minute),
      note: 'its runner ended: failed-to-start',
    });
  });

  test('that GitHub refuses, time and again while it takes those of other scopes, leaves a job that is held in the end', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    for (let launch = 1; launch <= 60; launch += 1) {
      const refused = { ...failed, ending: 'registration-refused' as const };
      await endRunner(world.ledger.putRunner(aLaunchedRunner({ launch })), refused, world.ports);
      await endRunner(world.ledger.putRunner(aLaunchedRunner({ jobId: `b${launch}` })), ran, world.ports);
    }
    expect(world.ledger.job('81230000001')).toMatchObject({ held: true });
  });

  test('that was warm and gave up before a job counts towards the breaker, as no job backs off for it', async () => {
    const early = { ending: 'failed-before-a-job', listened: true, unserved: true } as const;
    const warm = withRunner({ runnerId: 'w', jobId: undefined, launch: undefined });
    await endRunner(warm.runner, early, warm.world.ports);
    expect(await warm.world.ledger.readProfile('small')).toMatchObject({ failures: 1 });
    const { world, runner } = withRunner();
    await endRunner(runner, early, world.ports);
    expect(await world.ledger.readProfile('small')).toMatchObject({ failures: 0 });
  });

  test('that listened shuts the breaker', async () => {
    const { world, runner } = withRunner();
    for (let time = 0; time < 3; time += 1) await world.ledger.noteStartFailure('small');
    await endRunner(runner, ran, world.ports);
    expect(await world.ledger.readProfile('small')).toEqual({ leases: 0, failures: 0 });
  });

  test.each(['not-launched', 'revoked', 'spot-interrupted'] as const)(
    'that was %s says nothing about the breaker',
    async (ending) => {
      const { world, runner } = withRunner();
      await world.ledger.noteStartFailure('small');
      await endRunner(runner, { ending, listened: false, unserved: false }, world.ports);
      expect(await world.ledger.readProfile('small')).toMatchObject({ failures: 1 });
    },
  );

  test('may be cut off anywhere and done again: the place comes back once and the job is blamed once', async () => {
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < 5; crashAt += 1) {
        const { world, runner } = withRunner();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        await endRunner(runner, unserved, ports).catch(() => undefined);
        const again = world.ledger.runner(runner.runnerId);
        if (again.endedAt === undefined) await endRunner(again, unserved, world.ports);
        expect(await world.ledger.countLeases('small')).toBe(0);
        expect(world.ledger.job('81230000001')).toMatchObject({ unserved: 1 });
      }
    }
  });
});

describe('taking a runner off GitHub', () => {
  const runner = aLaunchedRunner();

  test('deletes its registration, or finds none', async () => {
    const { github } = fakeWorld();
    expect(await deleteRegistration(runner, github)).toBe('gone');
    github.register('acme', runner.runnerId);
    github.register('acme', 'another');
    expect(await deleteRegistration(runner, github)).toBe('deleted');
    expect(github.registrations.get('acme')).toMatchObject([{ name: 'another' }]);
  });

  test('leaves it when GitHub believes it busy', async () => {
    const { github } = fakeWorld();
    github.register('acme', runner.runnerId, { busy: true });
    expect(await deleteRegistration(runner, github)).toBe('busy');
  });

  test('leaves it to the sweep when GitHub does not answer, and says why', async () => {
    const { github } = fakeWorld();
    github.failNext('findRegistered', aGitHubError('unavailable'));
    expect(await deleteRegistration(runner, github)).toBe('left to the sweep: GET /somewhere: unavailable');
  });
});

describe('a backed-off job', () => {
  test('waits longer each time', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    const waits: number[] = [];
    for (let launch = 1; launch < 6; launch += 1) {
      await endRunner(world.ledger.putRunner(aLaunchedRunner({ launch })), unserved, world.ports);
      waits.push((Date.parse(String(world.ledger.job('81230000001').notBefore)) - world.clock.now()) / minute);
    }
    expect(waits).toEqual(waits.toSorted((a, b) => a - b));
    expect(new Set(waits).size).toBe(5);
  });
});

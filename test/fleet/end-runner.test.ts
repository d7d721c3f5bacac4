import { describe, expect, test } from '@jest/globals';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { changeBreaker } from '../../functions/fleet/change-records.ts';
import { deleteRegistration, endRunner } from '../../functions/fleet/end-runner.ts';
import { afterBadStart, withProbe } from '../../functions/fleet/waits/breaker.ts';
import { aJobRecord, aLaunchedRunner, aRunner } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, hour, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

type End = Parameters<typeof endRunner>[1];
const told = { note: 'exit 64', lostTask: undefined } as const;
const unserved: End = { ...told, ending: 'idle', start: 'good', unserved: true, counts: true };
const failed: End = { ...told, ending: 'failed-to-start', start: 'bad', unserved: true, counts: false };
const ran: End = { ...told, ending: 'ran-a-job', start: 'good', unserved: false, counts: false };
const breaker = { profile: 'small', scope: 'acme' };
const jobId = '81230000001';

function withRunner(
  parts: Partial<RunnerRecord> = {},
  job: Parameters<typeof aJobRecord>[0] = { launches: 1 },
): { world: FakeWorld; runner: RunnerRecord } {
  const world = fakeWorld({ jobs: [aJobRecord(job)] });
  return { world, runner: world.ledger.putRunner(aLaunchedRunner(parts)) };
}
/** So many starts in a row failed before. */
async function failedBefore(world: FakeWorld, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    await changeBreaker(
      breaker,
      (record) => afterBadStart(record, aRunner({ launch: n }), world.clock.now()),
      world.ports,
    );
  }
}

describe('ending a runner', () => {
  test('gives its place back, once', async () => {
    const { world, runner } = withRunner();
    expect(await endRunner(runner, ran, world.ports)).toEqual({ ended: true, parked: false });
    expect(await endRunner(runner, ran, world.ports)).toEqual({ ended: false, parked: false });
    expect(world.ledger.countLeases('small')).toBe(0);
    expect(world.ledger.runner(runner.runnerId)).toMatchObject({ ending: 'ran-a-job', endedAt: after(0) });
  });

  test('takes a claim back that no task fetched', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ launches: 1 })] });
    const runner = world.ledger.putRunner(aRunner());
    expect(world.claims.open().size).toBe(1);
    await endRunner(runner, ran, world.ports);
    expect(world.claims.open().size).toBe(0);
  });

  test('lets the job it did not serve wait before its next launch', async () => {
    const { world, runner } = withRunner();
    await endRunner(runner, unserved, world.ports);
    expect(world.ledger.job(jobId)).toMatchObject({
      unserved: 1,
      unservedLaunch: 1,
      reason: 'backing-off',
      note: '1 of 6 runners started for it ended without a job',
      notBefore: after(minute),
    });
  });

  test('parks the job after the sixth that did not serve it', async () => {
    const { world, runner } = withRunner({ launch: 6 }, { launches: 6, unserved: 5, unservedLaunch: 5 });
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, parked: true });
    expect(world.ledger.job(jobId)).toMatchObject({
      parked: true,
      parkedAt: after(0),
      unserved: 6,
      reason: 'parked',
      note: '6 runners started for it ended without a job',
    });
    expect(world.ledger.job(jobId)).not.toHaveProperty('notBefore');
  });

  test('parks a job after one when the job was old when we first heard of it', async () => {
    const { world, runner } = withRunner({}, { launches: 1, job: { createdAt: after(-25 * hour) } });
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, parked: true });
  });

  test('leaves a job parked, and tells of that once, when a later runner of it ends', async () => {
    const { world, runner } = withRunner({ launch: 7 }, { launches: 7, unserved: 6, unservedLaunch: 6, parked: true });
    world.ledger.putJob({ ...world.ledger.job(jobId), parkedAt: after(-minute) });
    for (const end of [failed, unserved]) {
      const again = world.ledger.putRunner({ ...runner, endedAt: undefined, launch: end === failed ? 7 : 8 });
      expect(await endRunner(again, end, world.ports)).toEqual({ ended: true, parked: false });
      expect(world.ledger.job(jobId)).toMatchObject({ parked: true, parkedAt: after(-minute), reason: 'parked' });
      expect(world.ledger.job(jobId)).not.toHaveProperty('notBefore');
    }
  });

  test('counts for a job also when another runner of it ends at the same moment', async () => {
    const { world, runner } = withRunner({}, { launches: 2 });
    const second = world.ledger.putRunner(aLaunchedRunner({ launch: 2 }));
    await Promise.all([runner, second].map(async (one) => endRunner(one, unserved, world.ports)));
    expect(world.ledger.job(jobId)).toMatchObject({ unserved: 2, unservedLaunch: 2 });
  });

  test('fails loudly, and can be done again, when the job is changed by others each time', async () => {
    const { world, runner } = withRunner();
    const ports = { ...world.ports, changeJob: async () => false };
    await expect(endRunner(runner, unserved, ports)).rejects.toThrow(
      `job ${jobId} was changed by others 10 times while it was written`,
    );
    expect(await endRunner(runner, unserved, world.ports)).toMatchObject({ ended: true });
  });

  test.each(['in_progress', 'completed', 'refused'] as const)('blames nothing on a job that is %s', async (state) => {
    const { world, runner } = withRunner({}, { state, launches: 1 });
    await endRunner(runner, unserved, world.ports);
    expect(world.ledger.job(jobId)).toMatchObject({ unserved: 0 });
  });

  test('blames nothing on a job when the runner was warm', async () => {
    const { world, runner } = withRunner({ runnerId: 'w', jobId: undefined, launch: undefined });
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, parked: false });
    expect(world.ledger.job(jobId)).toMatchObject({ unserved: 0 });
  });

  test('blames nothing on a job that the ledger does not know any more', async () => {
    const world = fakeWorld();
    const runner = world.ledger.putRunner(aLaunchedRunner());
    expect(await endRunner(runner, unserved, world.ports)).toEqual({ ended: true, parked: false });
    expect(world.ledger.jobs()).toEqual([]);
  });

  test.each(['failed-to-start', 'no-claim', 'lost', 'registration-refused'] as const)(
    'that %s counts towards the breaker, once',
    async (ending) => {
      const { world, runner } = withRunner();
      await endRunner(runner, { ...failed, ending }, world.ports);
      await endRunner(runner, { ...failed, ending }, world.ports);
      expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 1 });
    },
  );

  test('that could not start lets its job wait a minute, does not blame it, and says what was told of the end', async () => {
    const { world, runner } = withRunner();
    await endRunner(runner, failed, world.ports);
    expect(world.ledger.job(jobId)).toMatchObject({
      unserved: 0,
      parked: false,
      notBefore: after(minute),
      note: 'its runner ended: failed-to-start (exit 64)',
    });
  });

  test('that GitHub refuses, time and again while it takes those of other scopes, parks no job and opens the breaker of its scope', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    const other = { profile: 'small', scope: 'octo/toy' };
    for (let launch = 1; launch <= 60; launch += 1) {
      const refused: End = { ...failed, ending: 'registration-refused' };
      await endRunner(world.ledger.putRunner(aLaunchedRunner({ launch })), refused, world.ports);
      await endRunner(world.ledger.putRunner(aLaunchedRunner({ jobId: `b${launch}`, ...other })), ran, world.ports);
    }
    expect(world.ledger.job(jobId)).toMatchObject({ parked: false, unserved: 0 });
    expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 3, until: after(minute) });
    expect((await world.ledger.readBreaker(other)).until).toBeUndefined();
  });

  test('that GitHub refused makes the next launch use another token', async () => {
    const { world, runner } = withRunner();
    await endRunner(runner, { ...failed, ending: 'registration-refused' }, world.ports);
    expect(await world.ledger.readScope('acme')).toMatchObject({ tokenRefusedAt: after(0) });
    const { world: sound, runner: other } = withRunner();
    await endRunner(other, failed, sound.ports);
    expect((await sound.ledger.readScope('acme')).tokenRefusedAt).toBeUndefined();
  });

  test('that gave up before a job counts towards the breaker, of a warm runner and of one for a job alike', async () => {
    const early: End = { ...failed, ending: 'failed-before-a-job' };
    for (const parts of [{ runnerId: 'w', jobId: undefined, launch: undefined }, {}]) {
      const { world, runner } = withRunner(parts);
      await endRunner(runner, early, world.ports);
      expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 1 });
      expect(world.ledger.job(jobId)).toMatchObject({ unserved: 0 });
    }
  });

  test('that listened shuts the breaker', async () => {
    const { world, runner } = withRunner();
    await failedBefore(world, 3);
    expect((await world.ledger.readBreaker(breaker)).until).toBe(after(minute));
    await endRunner(runner, ran, world.ports);
    expect(await world.ledger.readBreaker(breaker)).toEqual({ revision: 4, failures: 0 });
  });

  test('counts for the breaker while it is open only when the runner was its probe', async () => {
    const { world, runner } = withRunner();
    await failedBefore(world, 3);
    await changeBreaker(breaker, (record) => withProbe(record, 'probe', world.clock.now()), world.ports);
    await endRunner(runner, failed, world.ports);
    expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 3, probe: 'probe' });
    const probe = world.ledger.putRunner(aLaunchedRunner({ runnerId: 'probe', launch: 2 }));
    await endRunner(probe, failed, world.ports);
    expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 4, until: after(2 * minute) });
  });

  test.each(['not-launched', 'revoked', 'spot-interrupted', 'not-started-by-aws', 'reaped'] as const)(
    'that was %s says nothing about the breaker',
    async (ending) => {
      const { world, runner } = withRunner();
      await failedBefore(world, 1);
      world.ledger.putRunner({ ...runner, taskArn: undefined });
      const end: End = { ...told, ending, start: 'unknown', unserved: false, counts: false };
      expect(await endRunner(world.ledger.runner(runner.runnerId), end, world.ports)).toMatchObject({ ended: true });
      expect(await world.ledger.readBreaker(breaker)).toMatchObject({ failures: 1 });
    },
  );

  test('may be cut off anywhere and done again: the place comes back once and the job is blamed once', async () => {
    const { world: whole, runner: first } = withRunner();
    const counted = recordCalls(whole.ports);
    await endRunner(first, unserved, counted.ports);
    expect(counted.calls.names).toEqual(['readJob', 'changeJob', 'endRunnerRecord', 'readBreaker', 'readCapacity']);
    for (const crash of ['before', 'after'] as const) {
      for (let crashAt = 0; crashAt < counted.calls.names.length; crashAt += 1) {
        const { world, runner } = withRunner();
        const { ports } = recordCalls(world.ports, { crashAt, crash });
        await endRunner(runner, unserved, ports).catch(() => undefined);
        const again = world.ledger.runner(runner.runnerId);
        if (again.endedAt === undefined) await endRunner(again, unserved, world.ports);
        expect(world.ledger.countLeases('small')).toBe(0);
        expect(world.ledger.job(jobId)).toMatchObject({ unserved: 1 });
      }
    }
  });
});

describe('a task that AWS did not start, or took back', () => {
  const lost: End = {
    ending: 'spot-interrupted',
    note: 'SpotInterruption, no exit code',
    start: 'unknown',
    unserved: true,
    counts: false,
    lostTask: { certain: false },
  };
  const room = { profile: 'small', provider: 'FARGATE_SPOT' };
  const onSpot = (parts: Partial<RunnerRecord> = {}) => withRunner({ provider: 'FARGATE_SPOT', ...parts });

  test('makes its job do without Spot, when it was on Spot', async () => {
    const { world, runner } = onSpot();
    await endRunner(runner, lost, world.ports);
    expect(world.ledger.job(jobId)).toMatchObject({ withoutSpot: true, unserved: 0, notBefore: after(minute) });
    const { world: other, runner: onDemand } = withRunner();
    await endRunner(onDemand, { ...lost, ending: 'not-started-by-aws' }, other.ports);
    expect(other.ledger.job(jobId)).toMatchObject({ withoutSpot: false });
  });

  test('is want of room on its provider the third time in a row', async () => {
    const { world } = onSpot();
    for (const launch of [1, 2, 3]) {
      expect((await world.ledger.readCapacity(room)).until).toBeUndefined();
      const runner = world.ledger.putRunner(aLaunchedRunner({ launch, provider: 'FARGATE_SPOT' }));
      await endRunner(runner, lost, world.ports);
    }
    expect(await world.ledger.readCapacity(room)).toMatchObject({
      failures: 3,
      until: after(minute),
      reason: 'no-capacity',
      note: 'SpotInterruption, no exit code',
    });
    expect(await world.ledger.readCapacity({ ...room, provider: 'FARGATE' })).toMatchObject({ failures: 0 });
  });

  test('is want of room at once when AWS says so', async () => {
    const { world, runner } = onSpot();
    await endRunner(runner, { ...lost, lostTask: { certain: true } }, world.ports);
    expect(await world.ledger.readCapacity(room)).toMatchObject({ failures: 1, until: after(minute) });
  });

  test('is forgotten when another task of its provider came up', async () => {
    const { world, runner } = onSpot();
    await endRunner(runner, lost, world.ports);
    const next = world.ledger.putRunner(aLaunchedRunner({ launch: 2, provider: 'FARGATE_SPOT' }));
    await endRunner(next, ran, world.ports);
    expect(await world.ledger.readCapacity(room)).toMatchObject({ failures: 0 });
  });

  test('says nothing about room where nobody wrote down on what it ran', async () => {
    const { world, runner } = onSpot({ provider: undefined });
    expect(await endRunner(runner, lost, world.ports)).toMatchObject({ ended: true });
    expect([...world.ledger.items.keys()].filter((key) => key.startsWith('capacity'))).toEqual([]);
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

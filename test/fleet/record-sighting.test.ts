import { describe, expect, test } from '@jest/globals';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { recordSighting } from '../../functions/fleet/record-sighting.ts';
import { aJob, aJobRecord } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { after, minute } from '../fakes/clock.ts';
import { fakeWorld, type FakeWorld } from '../fakes/world.ts';

const job = aJob();
const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };
const seen = (state: JobSighting['state'], parts: Partial<JobSighting> = {}): JobSighting => ({
  job,
  state,
  by: 'delivery-1',
  ...parts,
});
const conclude = async (world: FakeWorld) =>
  recordSighting(seen('completed', { by: 'look' }), place, world.ports, { inferred: true });

describe('a sighting', () => {
  test('of a job that is new is written', async () => {
    const world = fakeWorld();
    const { before, record, moved } = await recordSighting(seen('queued'), place, world.ports);
    expect([before, moved]).toEqual([undefined, true]);
    expect(world.ledger.job(job.id)).toEqual(record);
    expect(record).toMatchObject({ state: 'waiting', inferred: false });
  });

  test('that tells nothing new writes nothing', async () => {
    const known = aJobRecord({ state: 'in_progress' });
    const world = fakeWorld({ jobs: [known] });
    const { ports, calls } = recordCalls(world.ports);
    expect(await recordSighting(seen('queued'), place, ports)).toEqual({
      before: known,
      record: known,
      moved: false,
    });
    expect(calls.names).toEqual(['readJob']);
  });

  test('that names the runner of a known job is written, and moves nothing', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ state: 'in_progress' })] });
    expect(await recordSighting(seen('in_progress', { runnerName: 'r' }), place, world.ports)).toMatchObject({
      moved: false,
    });
    expect(world.ledger.job(job.id)).toMatchObject({ runnerName: 'r' });
  });

  test('that comes at the same time as others is written after them', async () => {
    const world = fakeWorld();
    await Promise.all(
      (['completed', 'queued', 'in_progress', 'blocked'] as const).map(async (state) =>
        recordSighting(seen(state), place, world.ports),
      ),
    );
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', inferred: false });
  });

  test('gives up loudly when the job is changed by others each time', async () => {
    const world = fakeWorld();
    const ports = { ...world.ports, changeJob: async () => false };
    await expect(recordSighting(seen('queued'), place, ports)).rejects.toThrow(
      `job ${job.id} was changed by others 10 times while it was written`,
    );
  });
});

describe('a conclusion of ours', () => {
  test('is marked as one, and undone when GitHub says that the job is queued', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ waitingSince: after(-minute), launches: 1 })] });
    await conclude(world);
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', inferred: true });
    expect(await recordSighting(seen('queued', { by: 'list' }), place, world.ports)).toMatchObject({ moved: true });
    expect(world.ledger.job(job.id)).toMatchObject({
      state: 'waiting',
      inferred: false,
      waitingSince: after(-minute),
      launches: 1,
    });
    expect(await world.ledger.listWaiting()).toHaveLength(1);
  });

  test('stays one however often we come to it', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    await conclude(world);
    expect(await conclude(world)).toMatchObject({ moved: false });
    expect(world.ledger.job(job.id)).toMatchObject({ inferred: true });
  });

  test('is no conclusion any more once an event has told it', async () => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    await conclude(world);
    await recordSighting(seen('completed', { conclusion: 'cancelled' }), place, world.ports);
    await recordSighting(seen('queued'), place, world.ports);
    expect(world.ledger.job(job.id)).toMatchObject({ state: 'completed', inferred: false, conclusion: 'cancelled' });
  });

  test('does not unsay what an event told', async () => {
    const world = fakeWorld({ jobs: [aJobRecord({ state: 'completed' })] });
    await conclude(world);
    expect(world.ledger.job(job.id)).toMatchObject({ inferred: false });
  });
});

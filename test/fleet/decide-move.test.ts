import { describe, expect, test } from '@jest/globals';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { jobOrder, type JobRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideMove, giveUp } from '../../functions/fleet/decide-move.ts';
import { aJob, aJobRecord, prefix, type JobParts } from '../fakes/builders.ts';
import { after, beginning, hour, minute, second } from '../fakes/clock.ts';

const now = Date.parse(beginning) + hour;
const place = { pool: 'small@acme', profile: 'small', scope: 'acme' };
const states = ['blocked', 'queued', 'in_progress', 'completed'] as const;

type Parts = Partial<Omit<JobSighting, 'job' | 'state'>> & { readonly job?: JobParts };
const sighting = (state: JobSighting['state'], { job, ...parts }: Parts = {}): JobSighting => ({
  job: aJob(job),
  state,
  by: 'delivery-1',
  ...parts,
});
const move = (before: JobRecord | undefined, state: JobSighting['state'], parts: Parts = {}, at = now) =>
  decideMove(before, sighting(state, parts), place, at);
/** The record after one sighting after another, each a second later. */
const told = (...given: readonly JobSighting['state'][]): JobRecord | undefined =>
  given.reduce<JobRecord | undefined>(
    (before, state, index) => move(before, state, {}, now + index * second) ?? before,
    undefined,
  );

describe('a job that nobody had heard of', () => {
  test('begins with a clean record, and waits from now on', () => {
    expect(move(undefined, 'queued')).toEqual({
      version: 1,
      state: 'waiting',
      order: jobOrder(1, 'waiting'),
      job: aJob(),
      ...place,
      seenAt: after(hour),
      waitingSince: after(hour),
      decidedAt: after(hour),
      wasBlocked: false,
      inferred: false,
      launches: 0,
      releases: 0,
      unserved: 0,
      unservedLaunch: 0,
      parked: false,
      withoutSpot: false,
    });
  });

  test('is blocked, and does not wait for a runner yet', () => {
    const record = move(undefined, 'blocked');
    expect(record).toMatchObject({ state: 'blocked', wasBlocked: true, seenAt: after(hour) });
    expect(record?.waitingSince).toBeUndefined();
  });

  test('may be over already', () => {
    expect(move(undefined, 'completed', { conclusion: 'cancelled', completedAt: after(minute) })).toMatchObject({
      state: 'completed',
      conclusion: 'cancelled',
      completedAt: after(minute),
      launches: 0,
    });
    expect(move(undefined, 'completed')?.completedAt).toBe(after(hour));
  });
});

describe('the record of a job', () => {
  test('moves forward with each sighting', () => {
    expect(states.map((_, index) => told(...states.slice(0, index + 1))?.state)).toEqual([
      'blocked',
      'waiting',
      'in_progress',
      'completed',
    ]);
  });

  test.each(states)('stays as it is when %s is told twice', (state) => {
    expect(move(told(state), state)).toBeUndefined();
  });

  test('stays as it is when something comes late', () => {
    for (const [index, state] of states.entries()) {
      for (const late of states.slice(0, index)) expect(move(told(state), late)).toBeUndefined();
    }
  });

  test('ends in the same state in whatever order the sightings come', () => {
    const orders = states.flatMap((a) =>
      states.flatMap((b) => states.flatMap((c) => states.map((d) => [a, b, c, d] as const))),
    );
    for (const order of orders.filter((one) => new Set(one).size === 4)) {
      expect(told(...order)).toMatchObject({ state: 'completed' });
    }
  });

  test('follows a new attempt whatever became of the one before', () => {
    expect(move(told('completed'), 'queued', { job: { attempt: 2 } })).toMatchObject({
      state: 'waiting',
      order: jobOrder(2, 'waiting'),
    });
    expect(move(move(undefined, 'queued', { job: { attempt: 2 } }), 'completed')).toBeUndefined();
  });

  test('remembers when the job was first seen, that it was blocked, and its launches', () => {
    const before = aJobRecord({ state: 'blocked', wasBlocked: true, seenAt: after(-hour), launches: 3 });
    const waiting = move(before, 'queued');
    expect(waiting).toMatchObject({ seenAt: after(-hour), wasBlocked: true, waitingSince: after(hour), launches: 3 });
    expect(move(waiting, 'in_progress')).toMatchObject({ seenAt: after(-hour), wasBlocked: true, launches: 3 });
  });

  test('begins a wait with a clean count', () => {
    const spent = { unserved: 6, unservedLaunch: 6, parked: true, withoutSpot: true, releases: 4, launches: 6 };
    expect(move(aJobRecord({ state: 'in_progress', ...spent }), 'queued', { job: { attempt: 2 } })).toMatchObject({
      unserved: 0,
      unservedLaunch: 0,
      parked: false,
      withoutSpot: false,
      releases: 0,
      launches: 6,
    });
  });

  test('drops why the job waited once it waits no more', () => {
    const before = aJobRecord({ reason: 'no-capacity', note: 'no room', notBefore: after(0), askedAt: after(0) });
    const record = move(before, 'in_progress');
    expect([record?.reason, record?.note, record?.notBefore, record?.askedAt]).toEqual(Array(4).fill(undefined));
  });

  test('keeps when the job began and on which runner when its end does not say so', () => {
    const running = move(undefined, 'in_progress', { runnerName: `${prefix}-7-1`, startedAt: after(minute) });
    expect(move(running, 'completed', { conclusion: 'success' })).toMatchObject({
      runnerName: `${prefix}-7-1`,
      startedAt: after(minute),
      completedAt: after(hour),
      conclusion: 'success',
    });
  });

  test('names the place that the fleet decided on, not the one before', () => {
    const elsewhere = aJobRecord({ state: 'blocked', pool: 'old@acme', profile: 'old' });
    expect(move(elsewhere, 'queued')).toMatchObject(place);
  });
});

describe("the runner's name", () => {
  test('is taken when the same news comes again, this time with it', () => {
    const nameless = move(undefined, 'in_progress', { startedAt: after(0) });
    expect(nameless?.runnerName).toBeUndefined();
    if (nameless === undefined) return;
    const named = move(nameless, 'in_progress', { runnerName: `${prefix}-7-1` });
    expect(named).toEqual({ ...nameless, runnerName: `${prefix}-7-1` });
    expect(move(named, 'in_progress', { runnerName: `${prefix}-8-1` })).toBeUndefined();
  });

  test('is not taken from older news', () => {
    expect(move(told('completed'), 'in_progress', { runnerName: `${prefix}-7-1` })).toBeUndefined();
  });
});

describe('what we concluded ourselves', () => {
  const waited = aJobRecord({ waitingSince: after(-5 * hour), seenAt: after(-6 * hour), launches: 2 });
  const concluded = (state: 'completed' | 'refused' | 'expired'): JobRecord =>
    state === 'completed'
      ? {
          ...waited,
          state,
          order: jobOrder(1, state),
          inferred: true,
          goneSince: after(-minute),
          completedAt: after(0),
        }
      : giveUp(waited, { state, note: 'a note' }, now);

  test.each(['completed', 'refused'] as const)(
    'is undone when GitHub says that the job is queued, and the job keeps its age: %s',
    (state) => {
      const record = move(concluded(state), 'queued');
      expect(record).toMatchObject({
        state: 'waiting',
        order: jobOrder(1, 'waiting'),
        inferred: false,
        waitingSince: after(-5 * hour),
        seenAt: after(-6 * hour),
        launches: 2,
        unserved: 0,
      });
      expect([record?.goneSince, record?.completedAt]).toEqual([undefined, undefined]);
    },
  );

  test('is not undone when the job has expired: GitHub has given it up by then', () => {
    expect(move(concluded('expired'), 'queued')).toBeUndefined();
  });

  test.each(['completed', 'refused'] as const)(
    'is not undone by the queued of an attempt before, nor by a blocked: %s',
    (state) => {
      const retried = { ...concluded(state), order: concluded(state).order + 10 };
      expect(move(retried, 'queued')).toBeUndefined();
      expect(move(concluded(state), 'blocked')).toBeUndefined();
    },
  );

  test.each(['refused', 'expired'] as const)('gives way to what GitHub says of the job later: %s', (state) => {
    expect(move(concluded(state), 'in_progress')).toMatchObject({ state: 'in_progress', inferred: false });
    expect(move(concluded(state), 'completed')).toMatchObject({ state: 'completed', inferred: false });
  });

  test('is a fact as soon as an event tells the same, so that a late queued does not undo it', () => {
    const ended = move(concluded('completed'), 'completed', { conclusion: 'cancelled', completedAt: after(minute) });
    expect(ended).toMatchObject({
      state: 'completed',
      inferred: false,
      conclusion: 'cancelled',
      completedAt: after(minute),
    });
    expect(move(ended, 'queued')).toBeUndefined();
  });
});

describe('what an event told us', () => {
  test('of the end of a job is final: no late queued undoes it', () => {
    expect(move(move(undefined, 'completed'), 'queued')).toBeUndefined();
  });
});

describe('giving a job up', () => {
  test.each(['refused', 'expired'] as const)('as %s keeps its history and forgets what it waited for', (state) => {
    const job = aJobRecord({ launches: 2, reason: 'parked', notBefore: after(0), askedAt: after(0), unserved: 3 });
    expect(giveUp(job, { state, note: 'no profile has the labels' }, now)).toEqual({
      ...job,
      state,
      order: jobOrder(1, state),
      note: 'no profile has the labels',
      inferred: true,
      decidedAt: after(hour),
      reason: undefined,
      notBefore: undefined,
      askedAt: undefined,
    });
  });
});

import { describe, expect, test } from '@jest/globals';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { jobStates, type JobRecord, type JobState } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideSighting, type SightingDecision } from '../../functions/replenish/decide-sighting.ts';
import { aJob, aJobRecord, prefix } from '../fakes/builders.ts';
import { after, beginning } from '../fakes/clock.ts';

const decide = (
  state: JobSighting['state'],
  known: Partial<Omit<JobRecord, 'job'>> | undefined,
  { isAdmitted = true, namesIdle = false } = {},
): SightingDecision =>
  decideSighting(
    { job: aJob(), state, by: 'list' },
    { known: known && aJobRecord(known), isAdmitted, namesIdle, now: Date.parse(beginning) },
  );
const byState = (state: JobSighting['state'], inferred: boolean) =>
  Object.fromEntries(jobStates.map((known) => [known, decide(state, { state: known, inferred })])) as Record<
    JobState,
    SightingDecision
  >;

describe('a job that GitHub shows as queued', () => {
  test('is launched when the ledger does not know it and a profile serves it', () => {
    expect(decide('queued', undefined)).toBe('launch');
    expect(decide('queued', undefined, { isAdmitted: false })).toBe('known');
  });

  test('is launched when it was blocked, and left alone in every state that an event told', () => {
    expect(byState('queued', false)).toEqual({
      blocked: 'launch',
      waiting: 'known',
      refused: 'known',
      expired: 'remember',
      in_progress: 'known',
      completed: 'known',
    });
  });

  test('is launched again when its end was our own conclusion, unless it has expired', () => {
    expect(byState('queued', true)).toMatchObject({ refused: 'launch', completed: 'launch', expired: 'remember' });
  });

  test('is not launched again before the time that the record names: its launch failed ten times', () => {
    const refused = { state: 'refused', inferred: true } as const;
    expect(decide('queued', { ...refused, notBefore: after(1) })).toBe('known');
    expect(decide('queued', { ...refused, notBefore: after(0) })).toBe('launch');
  });

  test('is not launched again while no profile serves it', () => {
    expect(decide('queued', { state: 'refused', inferred: true }, { isAdmitted: false })).toBe('known');
    expect(decide('queued', { state: 'blocked' }, { isAdmitted: false })).toBe('known');
  });

  test('is no longer missing when a look had not found it', () => {
    expect(decide('queued', { goneSince: beginning })).toBe('found-again');
    expect(decide('queued', { goneSince: beginning, state: 'in_progress' })).toBe('known');
  });
});

describe('a job that GitHub shows as blocked', () => {
  test('is no news, whatever the ledger knows', () => {
    expect(decide('blocked', undefined)).toBe('known');
    expect(new Set(Object.values(byState('blocked', false)))).toEqual(new Set(['known']));
  });

  test('is no longer missing when a look had not found it', () => {
    expect(decide('blocked', { goneSince: beginning, state: 'blocked' })).toBe('found-again');
  });
});

describe('a job that GitHub shows as running or over', () => {
  test('is told of while the ledger holds it open in another state', () => {
    expect(byState('in_progress', false)).toEqual({
      blocked: 'track',
      waiting: 'track',
      refused: 'known',
      expired: 'known',
      in_progress: 'known',
      completed: 'known',
    });
    expect(byState('completed', false)).toEqual({
      blocked: 'track',
      waiting: 'track',
      refused: 'known',
      expired: 'known',
      in_progress: 'track',
      completed: 'known',
    });
  });

  test('is told of when its end was our own conclusion', () => {
    expect(byState('in_progress', true)).toMatchObject({ refused: 'track', expired: 'track', completed: 'track' });
    expect(byState('completed', true)).toMatchObject({ refused: 'track', expired: 'track', completed: 'known' });
  });

  test('is told of when the ledger does not know it and it names an idle runner of ours', () => {
    expect(decide('in_progress', undefined, { namesIdle: true, isAdmitted: false })).toBe('track');
    expect(decide('in_progress', undefined)).toBe('known');
    expect(decide('completed', undefined)).toBe('known');
  });

  test.each(['in_progress', 'completed'] as const)(
    'is told of though the ledger knows it as %s, when it names an idle runner of ours and the record names none',
    (state) => {
      expect(decide(state, { state }, { namesIdle: true })).toBe('track');
      expect(decide(state, { state })).toBe('known');
      expect(decide(state, { state, runnerName: `${prefix}-9-1` }, { namesIdle: true })).toBe('known');
    },
  );
});

import { describe, expect, test } from '@jest/globals';
import {
  decodeBreakerRecord,
  decodeCapacityRecord,
  decodeJobRecord,
  decodeProfileRecord,
  decodeRunnerRecord,
  decodeScopeRecord,
  queuedAt,
} from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { waitReasonNames } from '../../../functions/contracts/with-infra/reasons.ts';
import { aJobRecord, aLaunchedRunner } from '../../fakes/builders.ts';
import { after, beginning, minute } from '../../fakes/clock.ts';

const item = { ...aJobRecord(), id: 'job#1', openKey: 'small@acme|1', expiresAt: 1 };

describe('the record of a job', () => {
  test('is what its item holds, without what only the table needs', () => {
    expect(decodeJobRecord(item)).toEqual(aJobRecord());
  });

  test.each(waitReasonNames)('may have the reason %s', (reason) => {
    expect(decodeJobRecord({ ...item, reason })).toMatchObject({ reason });
  });

  test.each([
    ['a version that nobody knows', { version: 2 }, 'version'],
    ['a state that nobody knows', { state: 'lost' }, 'state'],
    ['a moment that is none', { notBefore: 'soon' }, 'notBefore'],
    ['no pool', { pool: '' }, 'pool'],
    ['half a launch', { launches: 0.5 }, 'launches'],
  ])('with %s is refused, by its attribute', (_, parts, attribute) => {
    expect(() => decodeJobRecord({ ...item, ...parts })).toThrow(`a job record's ${attribute} is wrong`);
  });

  test.each([
    ['held', { held: true, reason: 'held' }, { parked: true, reason: 'parked' }],
    ['not held', { held: false, reason: 'quota' }, { parked: false, reason: 'quota' }],
    [
      'held, and released since',
      { held: true, parked: false, reason: 'starting' },
      { parked: false, reason: 'starting' },
    ],
  ])('that the first release wrote as %s is read so', (_, old, now) => {
    const { parked: _new, ...older } = item;
    expect(decodeJobRecord({ ...older, ...old })).toMatchObject(now);
  });

  test('says since when it waits: since its creation, or since it was let go', () => {
    const record = aJobRecord({ job: { createdAt: beginning }, waitingSince: after(minute) });
    expect(queuedAt(record)).toBe(Date.parse(beginning));
    expect(queuedAt({ ...record, wasBlocked: true })).toBe(Date.parse(after(minute)));
    expect(queuedAt({ ...record, wasBlocked: true, waitingSince: undefined })).toBe(Date.parse(beginning));
  });
});

describe('the record of a runner', () => {
  test('is what its item holds', () => {
    const runner = aLaunchedRunner({ maxHours: 72, repository: 'acme/web' });
    expect(decodeRunnerRecord({ ...runner, id: 'runner#1', open: 'runner' })).toEqual(runner);
  });

  test('with an ending that only a later version knows has ended all the same', () => {
    const ended = decodeRunnerRecord({ ...aLaunchedRunner(), endedAt: beginning, ending: 'beamed-up' });
    expect(ended).toMatchObject({ endedAt: beginning, ending: undefined });
  });
});

describe('a record that is not there', () => {
  test('is an empty profile, a shut breaker and plenty of room', () => {
    expect(decodeProfileRecord({})).toEqual({ leases: 0 });
    expect(decodeBreakerRecord({})).toEqual({ revision: 0, failures: 0 });
    expect(decodeCapacityRecord({})).toEqual({ revision: 0, failures: 0 });
    expect(decodeScopeRecord({ scope: 'acme' })).toEqual({ scope: 'acme' });
  });

  test('of a profile does not show the breaker that the first release kept there', () => {
    expect(decodeProfileRecord({ leases: 2, failures: 3, breakerUntil: beginning })).toEqual({ leases: 2 });
  });
});

import { describe, expect, test } from '@jest/globals';
import { decideRegistration, decideTask } from '../../functions/scale-down/decide-stranger.ts';
import { aLaunchedRunner } from '../fakes/builders.ts';
import { beginning, hour, minute } from '../fakes/clock.ts';

const now = Date.parse(beginning);

describe('a registration that bears our name', () => {
  const decide = (parts: Partial<Parameters<typeof decideRegistration>[0]>) =>
    decideRegistration({ record: undefined, offlineSince: now, now, ...parts });

  test.each([now - hour, undefined])('stays while its runner lives, offline since %s', (offlineSince) => {
    expect(decide({ record: aLaunchedRunner(), offlineSince })).toBe('keep');
  });

  test.each([now, undefined])('goes when its runner is over, offline since %s', (offlineSince) => {
    const record = aLaunchedRunner({ endedAt: beginning, ending: 'lost' });
    expect(decide({ record, offlineSince })).toBe('delete');
  });

  test('without a record goes when every sweep of ten minutes saw it offline', () => {
    expect(decide({})).toBe('keep');
    expect(decide({ offlineSince: now - 10 * minute + 1 })).toBe('keep');
    expect(decide({ offlineSince: now - 10 * minute })).toBe('delete');
  });

  test('without a record stays while it is online', () => {
    expect(decide({ offlineSince: undefined })).toBe('keep');
  });
});

describe('a task that bears our name and has no live record', () => {
  const longAgo = now - 100 * hour;
  const decide = (parts: Partial<Parameters<typeof decideTask>[0]>) =>
    decideTask({ age: hour, registration: 'absent', restingSince: now, now, ...parts });

  test.each(['idle', 'busy', 'absent', 'unknown'] as const)(
    'is left alone while it boots, registration %s',
    (registration) => {
      expect(decide({ registration, age: 10 * minute - 1, restingSince: longAgo })).toBe('keep');
    },
  );

  test('loses its registration when every sweep of ten minutes saw it at rest', () => {
    expect(decide({ registration: 'idle' })).toBe('keep');
    expect(decide({ registration: 'idle', restingSince: now - 10 * minute + 1 })).toBe('keep');
    expect(decide({ registration: 'idle', restingSince: now - 10 * minute })).toBe('deregister');
  });

  test('is stopped when every sweep of ten minutes saw it at rest, and it has no registration', () => {
    expect(decide({ restingSince: now - 10 * minute + 1 })).toBe('keep');
    expect(decide({ restingSince: now - 10 * minute })).toBe('stop-if-jobless');
  });

  test.each(['busy', 'unknown'] as const)('is left alone for ever while its registration is %s', (registration) => {
    expect(decide({ registration, age: 100 * hour, restingSince: longAgo })).toBe('keep');
  });

  test.each(['idle', 'absent'] as const)(
    'is left alone while it was not seen at rest, registration %s',
    (registration) => {
      expect(decide({ registration, restingSince: undefined })).toBe('keep');
    },
  );
});

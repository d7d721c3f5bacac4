import { describe, expect, test } from '@jest/globals';
import { isGone } from '../../../functions/fleet/waits/not-found.ts';
import { after, beginning, minute } from '../../fakes/clock.ts';

const now = Date.parse(beginning);

describe('a job that GitHub does not know', () => {
  test('is not gone after one look', () => {
    expect(isGone({ goneSince: undefined }, now)).toBe(false);
    expect(isGone({ goneSince: after(0) }, now)).toBe(false);
  });

  test('is gone when a look five minutes later does not find it, either', () => {
    expect(isGone({ goneSince: after(-5 * minute + 1) }, now)).toBe(false);
    expect(isGone({ goneSince: after(-5 * minute) }, now)).toBe(true);
  });
});

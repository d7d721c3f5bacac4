import { describe, expect, test } from '@jest/globals';
import { isScarce } from '../../functions/contracts/with-github/rate-limit.ts';

describe('what is left of a rate limit', () => {
  test.each([
    [1000, 5000, false],
    [999, 5000, true],
    [0, 5000, true],
    [3000, 15_000, false],
    [2999, 15_000, true],
  ])('is kept for minting tokens below a fifth: %d of %d, %s', (remaining, limit, scarce) => {
    expect(isScarce({ limit, remaining, spent: 0 })).toBe(scarce);
  });

  test('is enough while GitHub has said nothing of it', () => {
    expect(isScarce(undefined)).toBe(false);
  });
});

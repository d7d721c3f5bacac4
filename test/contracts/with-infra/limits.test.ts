import { describe, expect, test } from '@jest/globals';
import { launchPace, longestTurnMs, registrationPace } from '../../../functions/contracts/with-infra/limits.ts';

const second = 1000;

/** How many turns a pace gives out in a time that begins after a pause. */
function turnsWithin({ burst, intervalMs }: { burst: number; intervalMs: number }, ms: number): number {
  return burst + ms / intervalMs;
}

describe('the paces', () => {
  test('call RunTask 20 times a second, as often as Fargate starts tasks', () => {
    expect(launchPace).toEqual({ key: 'run-task', intervalMs: second / 20, burst: 20 });
  });

  test('register no more than 1,500 runners in five minutes, which is what GitHub takes', () => {
    expect(turnsWithin(registrationPace, 300 * second)).toBe(1500);
    expect(registrationPace.burst).toBe(1000);
  });

  test('are given out five minutes ahead', () => {
    expect(longestTurnMs).toBe(300 * second);
  });
});

import { describe, expect, test } from '@jest/globals';
import { isSupply } from '../../functions/fleet/supply.ts';
import { aLaunchedRunner, aRunner } from '../fakes/builders.ts';
import { after, beginning, minute, second } from '../fakes/clock.ts';

const now = Date.parse(beginning);

describe('supply', () => {
  test('is a runner with its lease, its claim, or its task', () => {
    expect(isSupply(aRunner(), now)).toBe(true);
    expect(isSupply(aRunner({ claimId: 'c' }), now)).toBe(true);
    expect(isSupply(aLaunchedRunner(), now)).toBe(true);
  });

  test.each([
    ['over', { endedAt: after(0) }],
    ['known to be busy', { busyJobId: '7' }],
    ['revoked', { revoked: true }],
    ['taken off GitHub', { deregisteredAt: after(0) }],
  ])('is no runner that is %s', (_, parts) => {
    expect(isSupply(aLaunchedRunner(parts), now)).toBe(false);
  });

  test('ends when a runner is older than its boot and its idle limit: it must be busy by then', () => {
    const runner = aLaunchedRunner({ idleMinutes: 5 });
    expect(isSupply(runner, now + 15 * minute - second)).toBe(true);
    expect(isSupply(runner, now + 15 * minute)).toBe(false);
  });

  test('is a warm runner for as long as its window', () => {
    const warm = aLaunchedRunner({ idleMinutes: 360, jobId: undefined, launch: undefined });
    expect(isSupply(warm, now + 369 * minute)).toBe(true);
    expect(isSupply(warm, now + 370 * minute)).toBe(false);
  });
});

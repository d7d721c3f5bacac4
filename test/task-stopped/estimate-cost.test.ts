import { describe, expect, test } from '@jest/globals';
import { estimateCost, type Billed } from '../../functions/task-stopped/estimate-cost.ts';

const profile = { arch: 'x64', cpu: 2, memoryGiB: 8, diskGiB: 20 } as const;
const tenMinutes: Billed = { profile, seconds: 600, provider: 'FARGATE', hasPublicAddress: false };

describe('a task costs', () => {
  test('its vCPU and memory, by the second', () => {
    expect(estimateCost(tenMinutes)).toBeCloseTo((2 * 0.04048 + 8 * 0.004445) / 6, 6);
    expect(estimateCost({ ...tenMinutes, seconds: 601 })).toBeGreaterThan(estimateCost(tenMinutes));
  });

  test('less on arm64, and far less on Spot', () => {
    const arm64 = estimateCost({ ...tenMinutes, profile: { ...profile, arch: 'arm64' } });
    expect(arm64).toBeCloseTo(0.0155, 4);
    expect(estimateCost({ ...tenMinutes, provider: 'FARGATE_SPOT' })).toBeCloseTo(estimateCost(tenMinutes) * 0.3, 6);
  });

  test('its disk above the 20 GiB that are free, and its address', () => {
    const more = { ...tenMinutes, seconds: 3600 };
    const disk = estimateCost({ ...more, profile: { ...profile, diskGiB: 120 } }) - estimateCost(more);
    expect(disk).toBeCloseTo(0.0111, 6);
    expect(estimateCost({ ...more, hasPublicAddress: true }) - estimateCost(more)).toBeCloseTo(0.005, 6);
  });

  test('a minute at least, and nothing before its image was pulled', () => {
    expect(estimateCost({ ...tenMinutes, seconds: 3 })).toBe(estimateCost({ ...tenMinutes, seconds: 60 }));
    expect(estimateCost({ ...tenMinutes, seconds: undefined })).toBe(0);
  });
});

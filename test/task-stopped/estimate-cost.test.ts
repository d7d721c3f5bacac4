import { describe, expect, test } from '@jest/globals';
import { estimateCost, type Billed } from '../../functions/task-stopped/estimate-cost.ts';

const profile = { arch: 'x64', cpu: 2, memoryGiB: 8, diskGiB: 20, docker: false } as const;
const tenMinutes: Billed = { profile, seconds: 600, provider: 'FARGATE', hasPublicAddress: false };

const cost = (billed: Billed): number => estimateCost(billed) ?? NaN;

describe('a task costs', () => {
  test('its vCPU and memory, by the second', () => {
    expect(cost(tenMinutes)).toBeCloseTo((2 * 0.04048 + 8 * 0.004445) / 6, 6);
    expect(cost({ ...tenMinutes, seconds: 601 })).toBeGreaterThan(cost(tenMinutes));
  });

  test('less on arm64, and far less on Spot', () => {
    const arm64 = cost({ ...tenMinutes, profile: { ...profile, arch: 'arm64' } });
    expect(arm64).toBeCloseTo(0.0155, 4);
    expect(cost({ ...tenMinutes, provider: 'FARGATE_SPOT' })).toBeCloseTo(cost(tenMinutes) * 0.3, 6);
  });

  test('its disk above the 20 GiB that are free, and its address', () => {
    const more = { ...tenMinutes, seconds: 3600 };
    const disk = cost({ ...more, profile: { ...profile, diskGiB: 120 } }) - cost(more);
    expect(disk).toBeCloseTo(0.0111, 6);
    expect(cost({ ...more, hasPublicAddress: true }) - cost(more)).toBeCloseTo(0.005, 6);
  });

  test('a minute at least, and nothing before its image was pulled', () => {
    expect(cost({ ...tenMinutes, seconds: 3 })).toBe(cost({ ...tenMinutes, seconds: 60 }));
    expect(cost({ ...tenMinutes, seconds: undefined })).toBe(0);
  });

  test('what nobody knows on Managed Instances, even before it had one', () => {
    const docker = { ...tenMinutes, profile: { ...profile, docker: true } };
    expect(estimateCost({ ...docker, provider: 'docker_github-runners-ci_small_on-demand' })).toBeUndefined();
    expect(estimateCost({ ...docker, provider: 'docker_github-runners-ci_small_spot' })).toBeUndefined();
    expect(estimateCost({ ...docker, provider: undefined })).toBeUndefined();
  });

  test('what Fargate costs, though its profile has had Docker since', () => {
    expect(cost({ ...tenMinutes, profile: { ...profile, docker: true } })).toBe(cost(tenMinutes));
  });
});

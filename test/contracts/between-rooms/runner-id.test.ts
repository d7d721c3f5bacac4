import { describe, expect, test } from '@jest/globals';
import { isOurs, runnerIdOf, warmRunnerIdOf } from '../../../functions/contracts/between-rooms/runner-id.ts';

describe("a runner's id", () => {
  test('names fleet, job and launch, or for a warm runner pool, minute and place', () => {
    expect(runnerIdOf('ci-1a2b3c', '42', 3)).toBe('ci-1a2b3c-42-3');
    expect(warmRunnerIdOf('ci-1a2b3c', { poolHash: '0f0f0f0f', minute: 'abc', index: 7 })).toBe(
      'ci-1a2b3c-w0f0f0f0f-abc-7',
    );
  });

  test('is ours when it begins with our whole prefix', () => {
    expect(isOurs('ci-1a2b3c-42-3', 'ci-1a2b3c')).toBe(true);
    expect(isOurs('ci-1a2b3cd-42-3', 'ci-1a2b3c')).toBe(false);
    expect(isOurs('my-ci-1a2b3c-42-3', 'ci-1a2b3c')).toBe(false);
  });
});

import { describe, expect, test } from '@jest/globals';
import { ownerOf, scopeOf } from '../../functions/contracts/between-rooms/job.ts';
import { jobOrder, jobStates } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { backOff, breakerPauseMs } from '../../functions/contracts/with-infra/limits.ts';
import { poolOf } from '../../functions/contracts/between-rooms/pool.ts';
import { runnerLabels } from '../../functions/contracts/with-infra/profile.ts';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { aProfile } from '../fakes/builders.ts';
import { minute } from '../fakes/clock.ts';

describe('a scope', () => {
  test('is the org, or one repository of a personal account, in lower case', () => {
    expect(scopeOf({ fullName: 'Acme/Web', ownerType: 'Organization' })).toBe('acme');
    expect(scopeOf({ fullName: 'Octo/Tools', ownerType: 'User' })).toBe('octo/tools');
    expect(ownerOf({ fullName: 'Octo/Tools' })).toBe('octo');
  });

  test('and a profile and its runner group make a pool', () => {
    expect(poolOf(aProfile(), 'acme')).toBe('small@acme');
    expect(poolOf(aProfile({ runnerGroup: 'big ones' }), 'octo/tools')).toBe('small@octo/tools+big ones');
  });
});

describe('a job', () => {
  test('moves forward from one attempt to the next, and within one from state to state', () => {
    const way = [1, 2, 3].flatMap((attempt) => jobStates.map((state) => jobOrder(attempt, state)));
    expect(way).toEqual(way.toSorted((a, b) => a - b));
    expect(new Set(way).size).toBe(way.length);
    expect(jobStates).toEqual(['blocked', 'waiting', 'refused', 'expired', 'in_progress', 'completed']);
  });
});

describe("a runner's labels", () => {
  test('are its real ones and those that are implied, all of them', () => {
    expect(runnerLabels(aProfile({ arch: 'arm64', labels: ['a', 'b'] }))).toEqual([
      'self-hosted',
      'linux',
      'arm64',
      'a',
      'b',
    ]);
  });
});

describe('the pause after failures', () => {
  test.each([
    [0, 0],
    [2, 0],
    [3, minute],
    [4, 2 * minute],
    [7, 16 * minute],
    [8, 30 * minute],
    [1000, 30 * minute],
  ])('of the breaker, after %i failed starts, is %i ms', (failures, pause) => {
    expect(breakerPauseMs(failures)).toBe(pause);
  });

  test('of a job doubles with each runner that ended without it, up to the sixth: then it is held', () => {
    const pauses = [1, 2, 3, 4, 5].map((unserved) => backOff(unserved));
    const lengths = pauses.map((pause) => (pause.held ? Infinity : pause.pauseMs));
    expect(lengths.slice(1)).toEqual(lengths.slice(0, -1).map((length) => 2 * length));
    expect(Math.max(...lengths)).toBeLessThanOrEqual(60 * minute);
    expect([6, 7, 100].map((unserved) => backOff(unserved))).toEqual([{ held: true }, { held: true }, { held: true }]);
  });

  test('of a job doubles from a minute on', () => {
    expect([1, 2, 5].map((unserved) => backOff(unserved))).toEqual([
      { held: false, pauseMs: minute },
      { held: false, pauseMs: 2 * minute },
      { held: false, pauseMs: 16 * minute },
    ]);
  });
});

describe('exit codes', () => {
  test('stay clear of those that a shell, a signal or Docker gives', () => {
    const codes = Object.keys(exitCodes).map(Number);
    expect(codes.filter((code) => code !== 0 && (code < 64 || code > 113))).toEqual([]);
    expect(new Set(Object.values(exitCodes)).size).toBe(codes.length);
  });
});

import { describe, expect, test } from '@jest/globals';
import { ownerOf, scopeOf } from '../../functions/contracts/between-rooms/job.ts';
import { jobOrder, jobStates } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { poolOf } from '../../functions/contracts/between-rooms/pool.ts';
import { runnerLabels } from '../../functions/contracts/with-infra/profile.ts';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { aProfile } from '../fakes/builders.ts';

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

describe('exit codes', () => {
  test('stay clear of those that a shell, a signal or Docker gives', () => {
    const codes = Object.keys(exitCodes).map(Number);
    expect(codes.filter((code) => code !== 0 && (code < 64 || code > 113))).toEqual([]);
    expect(new Set(Object.values(exitCodes)).size).toBe(codes.length);
  });
});

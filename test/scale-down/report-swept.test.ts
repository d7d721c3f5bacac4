import { describe, expect, test } from '@jest/globals';
import { reportSwept } from '../../functions/scale-down/report-swept.ts';
import type { SweptRunner } from '../../functions/scale-down/swept-runner.ts';

const swept: SweptRunner = { kind: 'miss', runner: 'ci-1a2b3c-1-1', profile: 'small', note: 'no task' };
const measures = (parts: Partial<SweptRunner>) => reportSwept({ ...swept, ...parts }).measures;

describe('the report of an act of the sweep', () => {
  test('is one line with all that was done', () => {
    expect(reportSwept(swept)).toEqual({ level: 'info', line: 'scale-down: miss', about: swept, measures: [] });
  });

  test.each([
    ['lose', undefined],
    ['deregister', 'deleted'],
    ['stop', 'stopped'],
  ] as const)('counts what was taken away: %s, %s', (kind, result) => {
    expect(measures({ kind, result })).toEqual([
      { name: 'Reaped', value: 1, dimensions: { Profile: 'small', Reason: kind } },
    ]);
  });

  test.each([
    ['deregister', 'busy'],
    ['deregister', 'gone'],
    ['stop-if-jobless', 'it has a job'],
  ] as const)('counts nothing where nothing was taken away: %s, %s', (kind, result) => {
    expect(measures({ kind, result })).toEqual([]);
  });

  test('counts the end of a runner, and a job that is parked by it', () => {
    expect(measures({ kind: 'settle', ending: 'idle', parked: true })).toEqual([
      { name: 'RunnersEnded', value: 1, dimensions: { Profile: 'small', Reason: 'idle' } },
      { name: 'JobsHeld', value: 1, dimensions: { Profile: 'small' } },
    ]);
  });
});

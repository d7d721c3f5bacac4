import { describe, expect, test } from '@jest/globals';
import { decideCancel, decideTransition, type TransitionView } from '../../functions/track-jobs/decide-transition.ts';
import { aJobRecord, aLaunchedRunner, aRunner } from '../fakes/builders.ts';
import { beginning } from '../fakes/clock.ts';

const jobId = '81230000001';
const own = aLaunchedRunner();
const others = aLaunchedRunner({ jobId: '7', runnerId: 'r-7-1' });
const decide = (parts: Partial<Omit<TransitionView, 'event'>> & { event?: Partial<TransitionView['event']> } = {}) => {
  const { event, ...view } = parts;
  const decision = decideTransition({
    before: aJobRecord(),
    moved: true,
    runner: undefined,
    ...view,
    event: { kind: 'in_progress', jobId, ...event },
  });
  return Object.entries(decision).flatMap(([name, is]) => (is ? [name] : []));
};

describe('an event', () => {
  test('of a job that begins on its own runner is just that', () => {
    expect(decide({ runner: own, event: { runnerName: own.runnerId } })).toEqual(['started']);
  });

  test('of a job that begins on the runner of another tells that it was stolen', () => {
    expect(decide({ runner: others, event: { runnerName: others.runnerId } })).toEqual(['stolen', 'started']);
  });

  test('names no thief where the runner was warm, or was known to be busy', () => {
    expect(decide({ runner: { ...others, jobId: undefined } })).toEqual(['started']);
    expect(decide({ runner: { ...others, busyJobId: jobId } })).toEqual(['started']);
    expect(decide({ runner: undefined, event: { runnerName: 'hosted' } })).toEqual(['started']);
  });

  test('of the end of a job whose beginning was never told tells both', () => {
    expect(decide({ runner: own, event: { kind: 'completed', runnerName: own.runnerId } })).toEqual([
      'started',
      'completed',
    ]);
  });

  test.each(['waiting', 'blocked'] as const)(
    'of the end of a job that was %s and had no runner: it was cancelled',
    (state) => {
      expect(decide({ before: aJobRecord({ state }), event: { kind: 'completed' } })).toEqual([
        'cancelledEarly',
        'completed',
      ]);
    },
  );

  test.each(['in_progress', 'refused', 'expired'] as const)('of the end of a job that was %s is just that', (state) => {
    expect(decide({ before: aJobRecord({ state }), event: { kind: 'completed' } })).toEqual(['completed']);
  });

  test('of the end of a job nobody knew cancels nothing', () => {
    expect(decide({ before: undefined, event: { kind: 'completed' } })).toEqual(['completed']);
  });

  test.each(['blocked', 'in_progress', 'completed'] as const)(
    'that the ledger knew already means nothing: %s',
    (kind) => {
      expect(decide({ moved: false, event: { kind } })).toEqual([]);
      expect(decide({ moved: false, event: { kind, runnerName: own.runnerId }, runner: own })).toEqual([]);
    },
  );

  test('that the ledger knew already tells of a thief all the same, when the runner was not known busy', () => {
    expect(decide({ moved: false, runner: others })).toEqual(['stolen']);
  });

  test('of a blocked job starts and ends nothing', () => {
    expect(decide({ before: undefined, event: { kind: 'blocked' } })).toEqual([]);
  });
});

describe('the runner of a cancelled job', () => {
  test('is taken back when its pool has more than it needs', () => {
    expect(decideCancel({ runner: own, supply: 2, demand: 1 })).toEqual({
      kind: 'revoke',
      reason: 'its pool has 2 runners for 1 jobs',
    });
    expect(decideCancel({ runner: own, supply: 1, demand: 0 })).toMatchObject({ kind: 'revoke' });
  });

  test.each([
    [1, 1],
    [1, 2],
    [0, 0],
  ])('is kept while its pool needs it: %i runners, %i jobs', (supply, demand) => {
    expect(decideCancel({ runner: own, supply, demand })).toEqual({
      kind: 'keep',
      reason: `its pool needs it: ${demand} jobs wait for ${supply} runners`,
    });
  });

  test.each([
    ['there is none', undefined],
    ['it is over', { ...own, endedAt: beginning }],
    ['it runs another job', { ...own, busyJobId: '7' }],
    ['it has no claim yet', aRunner()],
  ])('is kept when %s', (_, runner) => {
    expect(decideCancel({ runner, supply: 9, demand: 0 })).toMatchObject({ kind: 'keep' });
  });
});

import { describe, expect, test } from '@jest/globals';
import { decideCancel, decideTransition, type TransitionView } from '../../functions/track-jobs/decide-transition.ts';
import { aJob, aJobRecord, aLaunchedRunner, aRunner } from '../fakes/builders.ts';
import { beginning } from '../fakes/clock.ts';

const jobId = '81230000001';
const own = aLaunchedRunner();
const others = aLaunchedRunner({ jobId: '7', runnerId: 'r-7-1' });
type Parts = Partial<Omit<TransitionView, 'sighting'>> & { readonly sighting?: Partial<TransitionView['sighting']> };
const decide = ({ sighting, ...view }: Parts = {}) => {
  const state = sighting?.state ?? 'in_progress';
  const before = 'before' in view ? view.before : aJobRecord({ launches: 1 });
  const decision = decideTransition({
    before,
    // What the ledger knows after it.
    record: before && { ...before, state: state === 'queued' ? 'waiting' : state },
    moved: true,
    runner: undefined,
    ...view,
    sighting: { job: aJob({ id: jobId }), state, by: 'delivery-1', ...sighting },
  });
  return Object.entries(decision).flatMap(([name, is]) => (is ? [name] : []));
};

describe('an event', () => {
  test('of a job that begins on its own runner is just that', () => {
    expect(decide({ runner: own, sighting: { runnerName: own.runnerId } })).toEqual(['started']);
  });

  test('of a job that begins on the runner of another tells that it was stolen', () => {
    expect(decide({ runner: others, sighting: { runnerName: others.runnerId } })).toEqual(['stolen', 'started']);
  });

  test('names no thief where the runner was warm, or was known to be busy', () => {
    expect(decide({ runner: { ...others, jobId: undefined } })).toEqual(['started']);
    expect(decide({ runner: { ...others, busyJobId: jobId } })).toEqual(['started']);
    expect(decide({ runner: undefined, sighting: { runnerName: 'hosted' } })).toEqual(['started']);
  });

  test('of the end of a job whose beginning was never told tells both', () => {
    expect(decide({ runner: own, sighting: { state: 'completed', runnerName: own.runnerId } })).toEqual([
      'started',
      'completed',
    ]);
  });

  test.each(['waiting', 'blocked'] as const)(
    'of the end of a job that was %s and had no runner: it was cancelled',
    (state) => {
      expect(decide({ before: aJobRecord({ state, launches: 1 }), sighting: { state: 'completed' } })).toEqual([
        'cancelledEarly',
        'completed',
      ]);
    },
  );

  test('of the end of a job for which nothing was started cancels nothing', () => {
    expect(decide({ before: aJobRecord(), sighting: { state: 'completed' } })).toEqual(['completed']);
  });

  test('of the end of a job that had begun is just that, even where nobody knows on what', () => {
    const running = aJobRecord({ state: 'in_progress', launches: 1, startedAt: beginning });
    expect(decide({ before: running, sighting: { state: 'completed' } })).toEqual(['completed']);
    const named = aJobRecord({ state: 'in_progress', launches: 1, runnerName: 'hosted' });
    expect(decide({ before: named, sighting: { state: 'completed' } })).toEqual(['completed']);
  });

  test.each(['refused', 'expired'] as const)(
    'of the end of a job that we had given up takes back what was started for it: %s',
    (state) => {
      const given = (launches: number) => aJobRecord({ state, launches });
      expect(decide({ before: given(0), sighting: { state: 'completed' } })).toEqual(['completed']);
      expect(decide({ before: given(1), sighting: { state: 'completed' } })).toEqual(['cancelledEarly', 'completed']);
    },
  );

  test('of the end of a job nobody knew cancels nothing', () => {
    const record = aJobRecord({ state: 'completed' });
    expect(decide({ before: undefined, record, sighting: { state: 'completed' } })).toEqual(['completed']);
  });

  test('of the end of a job of no profile of ours cancels nothing', () => {
    expect(decide({ before: undefined, record: undefined, moved: false, sighting: { state: 'completed' } })).toEqual(
      [],
    );
  });

  test.each(['blocked', 'in_progress', 'completed'] as const)(
    'that the ledger knew already means nothing: %s',
    (state) => {
      const before = aJobRecord({ state, launches: 1, runnerName: own.runnerId });
      expect(decide({ before, moved: false, sighting: { state } })).toEqual([]);
      expect(decide({ before, moved: false, sighting: { state, runnerName: own.runnerId }, runner: own })).toEqual([]);
    },
  );

  test('of a cancellation that the ledger knew already finishes what may not have been finished', () => {
    const before = aJobRecord({ state: 'completed', launches: 1 });
    expect(decide({ before, moved: false, sighting: { state: 'completed' } })).toEqual(['cancelledEarly']);
  });

  test('that the ledger knew already tells of a thief all the same, when the runner was not known busy', () => {
    expect(decide({ moved: false, runner: others })).toEqual(['stolen']);
  });

  test('of a blocked job starts and ends nothing', () => {
    expect(decide({ before: undefined, sighting: { state: 'blocked' } })).toEqual([]);
  });
});

describe('the runner of a cancelled job', () => {
  test('is taken back when its pool has more than it needs', () => {
    expect(decideCancel({ runner: own, supply: 2, demand: 1 })).toEqual({
      kind: 'revoke',
      runner: own,
      note: 'its pool has 2 runners for 1 jobs',
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
      note: `its pool needs it: ${demand} jobs wait for ${supply} runners`,
    });
  });

  test('is stopped when its claim was taken back before: it can never become a runner', () => {
    const runner = { ...own, revoked: true };
    expect(decideCancel({ runner, supply: 0, demand: 9 })).toEqual({
      kind: 'stop',
      runner,
      note: 'its claim was revoked before',
    });
  });

  test.each([
    ['there is none', undefined],
    ['it is over', { ...own, endedAt: beginning, revoked: true }],
    ['it runs another job', { ...own, busyJobId: '7', revoked: true }],
    ['its claim was never issued: the version before began it', aRunner({ claimId: undefined })],
  ])('is kept when %s', (_, runner) => {
    expect(decideCancel({ runner, supply: 9, demand: 0 })).toMatchObject({ kind: 'keep' });
  });
});

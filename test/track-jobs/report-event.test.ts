import { describe, expect, test } from '@jest/globals';
import type { EventVerdict } from '../../functions/track-jobs/record-event.ts';
import { reportEvent, reportFailedEvent } from '../../functions/track-jobs/report-event.ts';

const verdict: EventVerdict = {
  kind: 'in_progress',
  note: 'the job is in_progress',
  job: '81230000001',
  delivery: 'delivery-2',
  profile: 'small',
  isCompletion: false,
};
const Profile = 'small';
const measures = (parts: Partial<EventVerdict>) => reportEvent({ ...verdict, ...parts }).measures;

describe('the report of an event', () => {
  test('is one line at level info, with all that was decided', () => {
    expect(reportEvent(verdict)).toEqual({
      level: 'info',
      line: 'job event: in_progress',
      about: verdict,
      measures: [],
    });
    expect(reportEvent({ ...verdict, kind: 'known' }).line).toBe('job event: known');
  });

  test('counts a job that began, and how long it waited', () => {
    expect(measures({ secondsToStart: 30 })).toEqual([
      { name: 'JobsStarted', value: 1, dimensions: { Profile } },
      { name: 'SecondsFromQueuedToStarted', value: 30, dimensions: { Profile } },
    ]);
    expect(measures({ secondsToStart: 0 })).toMatchObject([{ value: 1 }, { value: 0 }]);
  });

  test('counts a job that ended, by its conclusion', () => {
    const parts = { kind: 'completed', isCompletion: true } as const;
    expect(measures({ ...parts, conclusion: 'cancelled' })).toEqual([
      { name: 'JobsCompleted', value: 1, dimensions: { Profile, Reason: 'cancelled' } },
    ]);
    expect(measures(parts)).toEqual([{ name: 'JobsCompleted', value: 1, dimensions: { Profile, Reason: 'unknown' } }]);
    expect(measures({ ...parts, isCompletion: false, conclusion: 'cancelled' })).toEqual([]);
  });

  test('counts a runner that took the job of another', () => {
    expect(measures({ stolenFrom: '7' })).toEqual([{ name: 'JobsStolen', value: 1, dimensions: { Profile } }]);
  });
});

describe('the report of an event that could not be written', () => {
  test('is an error that says which message it was', () => {
    const error = new Error('the table is throttled');
    expect(reportFailedEvent({ messageId: 'm', receives: 3 }, error)).toEqual({
      level: 'error',
      line: 'job event: failed',
      about: { messageId: 'm', receives: 3, error },
      measures: [],
    });
  });
});

import { describe, expect, test } from '@jest/globals';
import { waitReasonNames, waitReasons } from '../../functions/contracts/with-infra/reasons.ts';
import { reportFailedLaunch, reportLaunch } from '../../functions/scale-up/report-launch.ts';

const about = { job: '7', runner: 'ci-7-1', profile: 'small', delivery: 'd', isNew: true } as const;
const Profile = 'small';
const queued = { name: 'JobsQueued', value: 1, dimensions: { Profile } };

describe('what is told of a launch', () => {
  test('that got its task', () => {
    expect(
      reportLaunch({ kind: 'launched', note: 'arn', provider: 'FARGATE_SPOT', secondsFromQueued: 3, ...about }),
    ).toEqual({
      level: 'info',
      line: 'launch: launched',
      about: { note: 'arn', provider: 'FARGATE_SPOT', reason: undefined, secondsFromQueued: 3, ...about },
      measures: [
        queued,
        { name: 'Launches', value: 1, dimensions: { Profile, Reason: 'FARGATE_SPOT' } },
        { name: 'SecondsFromQueuedToLaunched', value: 3, dimensions: { Profile } },
      ],
    });
  });

  test('of a job that was known counts no queued job', () => {
    expect(reportLaunch({ kind: 'drop', note: 'no', ...about, isNew: false }).measures).toEqual([]);
    expect(reportLaunch({ kind: 'drop', note: 'no', ...about }).measures).toEqual([queued]);
  });

  test.each(waitReasonNames)('that waits as %s is a failure or a wait, as the list of reasons says', (reason) => {
    const { measures, about: told } = reportLaunch({ kind: 'wait', reason, note: 'a sentence', ...about });
    const name = waitReasons[reason].failure ? 'LaunchFailures' : 'LaunchesWaiting';
    expect(measures).toEqual([queued, { name, value: 1, dimensions: { Profile, Reason: reason } }]);
    expect(told).toMatchObject({ reason, note: 'a sentence' });
  });

  test('that is given up warns', () => {
    expect(reportLaunch({ kind: 'give-up', state: 'expired', note: 'old', job: '7', profile: 'small' })).toMatchObject({
      level: 'warn',
      line: 'launch: give-up',
      measures: [{ name: 'LaunchFailures', value: 1, dimensions: { Profile, Reason: 'given-up' } }],
    });
  });

  test('that threw names its message and whether it was the last try', () => {
    const error = new Error('a bug');
    expect(reportFailedLaunch({ messageId: 'm', receives: 10 }, error)).toEqual({
      level: 'error',
      line: 'launch: failed',
      about: { messageId: 'm', receives: 10, isLast: true, error },
      measures: [{ name: 'LaunchFailures', value: 1, dimensions: { Reason: 'error' } }],
    });
  });
});

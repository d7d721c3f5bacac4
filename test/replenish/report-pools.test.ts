import { describe, expect, test } from '@jest/globals';
import { waitReasonNames } from '../../functions/contracts/with-infra/reasons.ts';
import { reportPools } from '../../functions/replenish/report-pools.ts';
import type { PoolsVerdict } from '../../functions/replenish/top-up-pools.ts';

const Profile = 'small';
type ProfileReport = PoolsVerdict['profiles'][number];
const nothing: ProfileReport = {
  profile: Profile,
  live: 0,
  busy: 0,
  idle: 0,
  waiting: [],
  oldestWaiting: 0,
  oldestRunnable: 0,
  breakerOpen: false,
  launches: 0,
  warm: 0,
};
const report = (parts: Partial<ProfileReport> = {}) =>
  reportPools({ profiles: [{ ...nothing, ...parts }], gaveUp: [], failures: [] })[0];

describe('the report of a profile', () => {
  test('has its gauges also where nothing lives or waits, and then no line', () => {
    expect(report()).toEqual({
      level: 'info',
      line: undefined,
      about: nothing,
      measures: [
        { name: 'RunnersLive', value: 0, dimensions: { Profile } },
        { name: 'RunnersBusy', value: 0, dimensions: { Profile } },
        { name: 'RunnersIdle', value: 0, dimensions: { Profile } },
        { name: 'OldestWaitingSeconds', value: 0, dimensions: { Profile } },
        { name: 'OldestRunnableSeconds', value: 0, dimensions: { Profile } },
        { name: 'BreakersOpen', value: 0, dimensions: { Profile } },
      ],
    });
  });

  test.each([{ live: 1 }, { warm: 1 }, { waiting: [{ reason: 'quota', jobs: 1 }] }])(
    'has a line where something lives, waits or is kept warm: %j',
    (parts) => {
      expect(report(parts)).toMatchObject({ line: 'replenish: profile', about: parts });
    },
  );

  test('tells each gauge by its own number', () => {
    const parts = { live: 7, busy: 4, idle: 2, oldestWaiting: 90, oldestRunnable: 30, breakerOpen: true };
    expect(report(parts)?.measures.map(({ value }) => value)).toEqual([7, 4, 2, 90, 30, 1]);
  });

  test('counts jobs by every reason while any job waits, so that a reason that is over falls to zero', () => {
    const waiting = [
      { reason: 'quota', jobs: 3 },
      { reason: 'starting', jobs: 2 },
    ];
    const counted = report({ waiting })?.measures.filter(({ name }) => name === 'JobsWaiting');
    expect(counted?.map(({ dimensions }) => dimensions.Reason)).toEqual(waitReasonNames);
    expect(counted?.filter(({ value }) => value !== 0)).toEqual([
      { name: 'JobsWaiting', value: 3, dimensions: { Profile, Reason: 'quota' } },
      { name: 'JobsWaiting', value: 2, dimensions: { Profile, Reason: 'starting' } },
    ]);
  });
});

test('a job that was given up is a warning of its own', () => {
  const job = { job: '1', note: 'GitHub gives a job up after 24 hours' };
  expect(reportPools({ profiles: [], gaveUp: [job], failures: [] })).toEqual([
    { level: 'warn', line: 'replenish: gave up', about: job, measures: [] },
  ]);
});

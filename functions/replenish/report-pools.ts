import type { Measure, Report } from '../contracts/with-infra/report.ts';
import { waitReasonNames } from '../contracts/with-infra/reasons.ts';
import type { PoolsVerdict } from './top-up-pools.ts';

/** The log lines and the metrics of a pass over all pools. */
export function reportPools({ profiles, gaveUp }: PoolsVerdict): Report[] {
  return [
    ...gaveUp.map((job): Report => ({ level: 'warn', line: 'replenish: gave up', about: job, measures: [] })),
    ...profiles.map((profile) => reportProfile(profile)),
  ];
}

function reportProfile(report: PoolsVerdict['profiles'][number]): Report {
  const { profile: Profile, live, busy, idle, waiting, oldestWaiting, oldestRunnable, breakerOpen, warm } = report;
  const gauges: readonly [Measure['name'], number][] = [
    ['RunnersLive', live],
    ['RunnersBusy', busy],
    ['RunnersIdle', idle],
    ['OldestWaitingSeconds', oldestWaiting],
    ['OldestRunnableSeconds', oldestRunnable],
    ['BreakersOpen', breakerOpen ? 1 : 0],
  ];
  // A reason that is over must fall to zero on the graph, so each reason is told while any job waits.
  const reasons = waiting.length === 0 ? [] : waitReasonNames;
  return {
    level: 'info',
    line: live > 0 || waiting.length > 0 || warm > 0 ? 'replenish: profile' : undefined,
    about: report,
    measures: [
      ...gauges.map(([name, value]) => ({ name, value, dimensions: { Profile } })),
      ...reasons.map((Reason): Measure => ({
        name: 'JobsWaiting',
        value: waiting.find(({ reason }) => reason === Reason)?.jobs ?? 0,
        dimensions: { Profile, Reason },
      })),
    ],
  };
}

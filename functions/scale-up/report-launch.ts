import { capacityOf } from '../contracts/with-infra/providers.ts';
import { waitReasons } from '../contracts/with-infra/reasons.ts';
import type { Measure, Report } from '../contracts/with-infra/report.ts';
import { isLast } from './decide-failed-message.ts';
import type { LaunchVerdict } from './launch-runner.ts';

/** The log line and the metrics of a launch. */
export function reportLaunch(verdict: LaunchVerdict): Report {
  const { kind, note, job, runner, profile, delivery, isNew, secondsFromQueued } = verdict;
  return {
    level: kind === 'give-up' ? 'warn' : 'info',
    line: `launch: ${kind}`,
    about: {
      note,
      reason: kind === 'wait' ? verdict.reason : undefined,
      provider: kind === 'launched' ? verdict.provider : undefined,
      job,
      runner,
      profile,
      delivery,
      isNew,
      secondsFromQueued,
    },
    measures: measuresOf(verdict),
  };
}

function measuresOf(verdict: LaunchVerdict): Measure[] {
  const { profile: Profile, isNew, secondsFromQueued } = verdict;
  const isNews: Measure[] = isNew ? [{ name: 'JobsQueued', value: 1, dimensions: { Profile } }] : [];
  switch (verdict.kind) {
    case 'launched':
      return [
        ...isNews,
        { name: 'Launches', value: 1, dimensions: { Profile, Reason: capacityOf(verdict.provider) } },
        { name: 'SecondsFromQueuedToLaunched', value: secondsFromQueued, dimensions: { Profile } },
      ];
    case 'wait': {
      const name = waitReasons[verdict.reason].failure ? 'LaunchFailures' : 'LaunchesWaiting';
      return [...isNews, { name, value: 1, dimensions: { Profile, Reason: verdict.reason } }];
    }
    case 'give-up':
      return [...isNews, { name: 'LaunchFailures', value: 1, dimensions: { Profile, Reason: 'given-up' } }];
    case 'returned':
    case 'drop':
      return isNews;
  }
}

/** The log line and the metric of a launch that threw. */
export function reportFailedLaunch(
  { messageId, receives }: { readonly messageId: string; readonly receives: number },
  error: unknown,
): Report {
  return {
    level: 'error',
    line: 'launch: failed',
    about: { messageId, receives, isLast: isLast(receives), error },
    measures: [{ name: 'LaunchFailures', value: 1, dimensions: { Reason: 'error' } }],
  };
}

import type { Measure, Report } from '../contracts/with-infra/report.ts';
import type { EventVerdict } from './record-event.ts';

/** The log line and the metrics of an event. */
export function reportEvent(verdict: EventVerdict): Report {
  const { profile: Profile, conclusion, isCompletion, stolenFrom, secondsToStart } = verdict;
  const measures: (Measure | false)[] = [
    isCompletion && { name: 'JobsCompleted', value: 1, dimensions: { Profile, Reason: conclusion ?? 'unknown' } },
    stolenFrom !== undefined && { name: 'JobsStolen', value: 1, dimensions: { Profile } },
    secondsToStart !== undefined && { name: 'JobsStarted', value: 1, dimensions: { Profile } },
    secondsToStart !== undefined && {
      name: 'SecondsFromQueuedToStarted',
      value: secondsToStart,
      dimensions: { Profile },
    },
  ];
  return {
    level: 'info',
    line: `job event: ${verdict.kind}`,
    about: verdict,
    measures: measures.filter((measure) => measure !== false),
  };
}

/** The log line of an event that could not be written. */
export function reportFailedEvent(
  { messageId, receives }: { readonly messageId: string; readonly receives: number },
  error: unknown,
): Report {
  return { level: 'error', line: 'job event: failed', about: { messageId, receives, error }, measures: [] };
}

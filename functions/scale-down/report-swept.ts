import type { Measure, Report } from '../contracts/with-infra/report.ts';
import type { SweptRunner } from './swept-runner.ts';

/** The log line and the metrics of an act of the sweep. */
export function reportSwept(swept: SweptRunner): Report {
  const { kind, profile: Profile, ending, parked } = swept;
  const measures: (Measure | false | undefined)[] = [
    isReaped(swept) && { name: 'Reaped', value: 1, dimensions: { Profile, Reason: kind } },
    ending && { name: 'RunnersEnded', value: 1, dimensions: { Profile, Reason: ending } },
    parked && { name: 'JobsHeld', value: 1, dimensions: { Profile } },
  ];
  return {
    level: 'info',
    line: `scale-down: ${kind}`,
    about: swept,
    measures: measures.flatMap((measure) => measure || []),
  };
}

/** Something was really taken away, not only looked at. */
function isReaped({ kind, result }: SweptRunner): boolean {
  return kind === 'lose' || result === 'deleted' || result === 'stopped';
}

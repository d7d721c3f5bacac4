import type { RateLimit } from '../contracts/with-github/rate-limit.ts';
import type { Report } from '../contracts/with-infra/report.ts';
import type { SweepVerdict } from './find-unannounced.ts';

/** The log lines and the metrics of asking GitHub for jobs. */
export function reportSweep(
  { asked, putOff, found, failures }: SweepVerdict,
  limits: readonly (RateLimit | undefined)[],
): Report[] {
  const lines = found.map((job): Report => ({
    level: 'warn',
    line: 'replenish: found what was never announced',
    about: job,
    measures: [{ name: 'JobsFound', value: 1, dimensions: {} }],
  }));
  return [
    ...lines,
    {
      level: 'warn',
      line: putOff > 0 ? 'replenish: repositories put off' : undefined,
      about: { asked, putOff },
      measures: [
        ...limits.map((limit) => ({
          name: 'GitHubRateLeftPercent' as const,
          value: limit && (100 * limit.remaining) / limit.limit,
          dimensions: {},
        })),
        {
          name: 'SweepFailures',
          value: failures.length > 0 ? failures.length : undefined,
          dimensions: { Reason: 'replenish' },
        },
      ],
    },
  ];
}

import { describe, expect, test } from '@jest/globals';
import type { SweepVerdict } from '../../functions/replenish/find-unannounced.ts';
import { reportSweep } from '../../functions/replenish/report-sweep.ts';

const quiet: SweepVerdict = { asked: 4, putOff: 0, found: [], failures: [] };
const told = (verdict: Partial<SweepVerdict>) => {
  const reports = reportSweep({ ...quiet, ...verdict }, []);
  return {
    lines: reports.flatMap(({ line }) => line ?? []),
    measures: reports.flatMap(({ measures }) => measures).filter(({ value }) => value !== undefined),
  };
};

describe('the report of asking GitHub for jobs', () => {
  test('says nothing where nothing was found and nothing failed', () => {
    expect(told({})).toEqual({ lines: [], measures: [] });
  });

  test('warns of each job that was never announced, and counts it', () => {
    const found = ['1', '2'].map((job) => ({ job, state: 'queued', repository: 'acme/web' }));
    expect(reportSweep({ ...quiet, found }, []).slice(0, 2)).toEqual(
      found.map((about) => ({
        level: 'warn',
        line: 'replenish: found what was never announced',
        about,
        measures: [{ name: 'JobsFound', value: 1, dimensions: {} }],
      })),
    );
  });

  test('warns of repositories that had to wait', () => {
    expect(told({ putOff: 2 }).lines).toEqual(['replenish: repositories put off']);
  });

  test('counts what failed', () => {
    expect(told({ failures: ['a', 'b'] }).measures).toEqual([
      { name: 'SweepFailures', value: 2, dimensions: { Reason: 'replenish' } },
    ]);
  });

  test('tells what is left of each rate limit that GitHub has told', () => {
    const [report] = reportSweep(quiet, [{ limit: 5000, remaining: 1250, spent: 9 }, undefined]);
    expect(report?.measures).toMatchObject([
      { name: 'GitHubRateLeftPercent', value: 25 },
      { name: 'GitHubRateLeftPercent', value: undefined },
      { name: 'SweepFailures', value: undefined },
    ]);
  });
});

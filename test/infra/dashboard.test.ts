import { describe, expect, test } from '@jest/globals';
import { endings, waitReasonNames } from '../../functions/contracts/with-infra/reasons.ts';
import { shownSeries, watchedSeries, widgetsOf } from './metric-series.ts';
import { alarmsOf, synthFleet } from './synth-fleet.ts';

const template = synthFleet();
const widgets = widgetsOf(template);

function labelsOf(title: string): unknown[] {
  const found = widgets.find(({ properties }) => properties.title === title);
  return (found?.properties.metrics ?? []).map((metric) => (metric.at(-1) as { label?: string }).label);
}

describe('the dashboard', () => {
  test('begins with whether jobs wait, and why', () => {
    const first = widgets.filter(({ y }) => y === 0);
    expect(first.map(({ type, x, properties }) => [x, type, properties.title])).toEqual([
      [0, 'metric', 'Jobs waiting, by reason'],
      [8, 'metric', 'Oldest job that could run (seconds)'],
      [16, 'alarm', 'Alarms'],
    ]);
    expect(labelsOf('Jobs waiting, by reason')).toEqual([...waitReasonNames]);
    expect(labelsOf('Oldest job that could run (seconds)')).toEqual(['small', 'large']);
    expect(labelsOf('Runners ended, by ending')).toEqual([...endings]);
  });

  test('shows how long people wait, at the median and at the ends', () => {
    expect(shownSeries(widgets).filter(({ name }) => name === 'SecondsFromQueuedToStarted')).toHaveLength(3 * 2);
  });

  test('shows whatever rings', () => {
    const shown = new Set(shownSeries(widgets).map(({ name }) => name));
    const watched = [...watchedSeries(template).values()].map(({ name }) => name);
    // A parked job waits with the reason `parked`; an open breaker is in its place among the alarms and reasons too.
    const elsewhere = ['JobsHeld', 'BreakersOpen'];
    expect(watched.filter((name) => !elsewhere.includes(name) && !shown.has(name))).toEqual([]);
    expect(widgets.find(({ type }) => type === 'alarm')?.properties.alarms).toHaveLength(alarmsOf(template).size);
  });

  test('stays within what CloudWatch takes with as many profiles as there may be', () => {
    const profiles = Object.fromEntries(
      Array.from({ length: 30 }, (_, at) => [`p${at}`.padEnd(24, 'x'), { labels: [`l${at}`] }]),
    );
    const large = synthFleet({ profiles });
    const metrics = widgetsOf(large).map(({ properties }) => properties.metrics?.length ?? 0);
    expect(Math.max(...metrics)).toBeLessThanOrEqual(500);
    expect(metrics.reduce((sum, count) => sum + count, 0)).toBeLessThanOrEqual(2500);
    expect(widgetsOf(large).find(({ type }) => type === 'alarm')?.properties.alarms).toHaveLength(100);
    expect(Object.keys((large.toJSON() as { Resources: object }).Resources).length).toBeLessThanOrEqual(500);
  });

  test('says where to look next', () => {
    const text = widgets.find(({ type }) => type === 'text')?.properties.markdown ?? '';
    expect(text).toContain('docs/operations.md');
    expect(text).toContain('#logsV2:log-groups$3FlogGroupNameFilter$3Dgithub-runners-ci');
  });
});

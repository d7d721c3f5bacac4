import { describe, expect, test } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { endings, waitReasons } from '../../functions/contracts/reasons.ts';
import { emitted, series } from './emitted-metrics.ts';
import { alarmsOf, synthFleet } from './synth-fleet.ts';

type Widget = {
  readonly type: string;
  readonly x: number;
  readonly y: number;
  readonly properties: {
    readonly title?: string;
    readonly markdown?: string;
    readonly alarms?: readonly string[];
    readonly metrics?: readonly (readonly unknown[])[];
  };
};

const template = synthFleet();
const widgets = widgetsOf(template);

/** What is known only once it is deployed stands as `token`. */
function widgetsOf(from: Template): Widget[] {
  const [dashboard] = Object.values(from.findResources('AWS::CloudWatch::Dashboard')) as [
    { Properties: { DashboardBody: { 'Fn::Join': [string, unknown[]] } } },
  ];
  const parts = dashboard.Properties.DashboardBody['Fn::Join'][1];
  const body = parts.map((part) => (typeof part === 'string' ? part : 'token')).join('');
  return (JSON.parse(body) as { widgets: Widget[] }).widgets;
}

/** Every series of ours that a widget names, be it itself or by a search. */
function seriesOf(from: readonly Widget[]): string[] {
  return from
    .flatMap(({ properties }) => properties.metrics ?? [])
    .flatMap((metric) => {
      const [first, name] = metric;
      if (first === 'GitHubRunners') {
        const dimensions = metric.slice(2).filter((part, at) => at % 2 === 0 && typeof part === 'string');
        return [series(String(name), dimensions.map(String))];
      }
      const { expression } = first as { expression?: string };
      if (expression === undefined) return [];
      const search = /SEARCH\('\{GitHubRunners,([A-Za-z,]+)\} MetricName="([A-Za-z]+)"/.exec(expression);
      if (search === null) throw new Error(`the test must know how to read ${expression}`);
      return [series(search[2] ?? '', (search[1] ?? '').split(','))];
    });
}

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
    expect(labelsOf('Jobs waiting, by reason')).toEqual([...waitReasons]);
    expect(labelsOf('Oldest job that could run (seconds)')).toEqual(['small', 'large']);
    expect(labelsOf('Runners ended, by ending')).toEqual([...endings]);
  });

  test.each([...new Set(seriesOf(widgets))])('names %s, which some function emits', (one) => {
    expect(emitted).toContain(one);
  });

  test('shows how long people wait, at the median and at the ends', () => {
    expect(seriesOf(widgets).filter((one) => one === 'SecondsFromQueuedToStarted Profile')).toHaveLength(3 * 2);
  });

  test('shows whatever rings', () => {
    const shown = new Set(seriesOf(widgets));
    const watched = [...alarmsOf(template).values()]
      .filter(({ Namespace }) => Namespace === 'GitHubRunners')
      .map(({ MetricName }) => MetricName);
    // What is held waits with the reason `held`; an open breaker is in its place among the alarms and reasons too.
    const elsewhere = ['JobsHeld', 'BreakersOpen'];
    expect(
      watched.filter(
        (name) => !elsewhere.includes(name) && ![...shown].some((one) => one.startsWith(`${name} `) || one === name),
      ),
    ).toEqual([]);
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

import type { Template } from 'aws-cdk-lib/assertions';
import { metricNamespace } from '../../functions/contracts/with-infra/metrics.ts';
import { alarmsOf } from './synth-fleet.ts';

/** A metric of ours with its dimensions. Of a search, a dimension that may have any value has none here. */
export type Series = { readonly name: string; readonly dimensions: Readonly<Record<string, string | undefined>> };

export type Widget = {
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

/** What is known only once it is deployed stands as `token`. */
export function widgetsOf(from: Template): Widget[] {
  const [dashboard] = Object.values(from.findResources('AWS::CloudWatch::Dashboard')) as [
    { Properties: { DashboardBody: { 'Fn::Join': [string, unknown[]] } } },
  ];
  const parts = dashboard.Properties.DashboardBody['Fn::Join'][1];
  const body = parts.map((part) => (typeof part === 'string' ? part : 'token')).join('');
  return (JSON.parse(body) as { widgets: Widget[] }).widgets;
}

/** Every series of ours that a widget names, be it itself or by a search. */
export function shownSeries(widgets: readonly Widget[]): Series[] {
  return widgets
    .flatMap(({ properties }) => properties.metrics ?? [])
    .flatMap((metric) => {
      const [first, name] = metric;
      if (first === metricNamespace) {
        const texts = metric.slice(2).filter((part): part is string => typeof part === 'string');
        return [{ name: String(name), dimensions: Object.fromEntries(pairs(texts)) }];
      }
      const { expression } = first as { expression?: string };
      return expression === undefined ? [] : searchedSeries(expression);
    });
}

/** Every series of ours that an alarm watches. */
export function watchedSeries(template: Template): Map<string, Series> {
  const ours = [...alarmsOf(template)].filter(([, { Namespace }]) => !Namespace.startsWith('AWS/'));
  return new Map(
    ours.map(([alarm, { Namespace, MetricName, Dimensions = [] }]) => {
      if (Namespace !== metricNamespace) throw new Error(`${alarm} watches ${Namespace}, which is not ours`);
      const dimensions = Object.fromEntries(Dimensions.map(({ Name, Value }) => [Name, String(Value)]));
      return [alarm, { name: MetricName, dimensions }];
    }),
  );
}

/** What functions emitted, read from the lines they wrote. */
export function emittedSeries(lines: readonly string[]): Series[] {
  const found = new Map<string, Series>();
  for (const line of lines) {
    if (!line.includes('"_aws"')) continue;
    const said = JSON.parse(line) as Record<string, unknown>;
    const { CloudWatchMetrics } = said['_aws'] as { readonly CloudWatchMetrics: readonly Directive[] };
    for (const { Namespace, Dimensions, Metrics } of CloudWatchMetrics) {
      if (Namespace !== metricNamespace) throw new Error(`${Namespace} is not our namespace: ${line}`);
      for (const { Name } of Metrics) {
        if (!(Name in said)) throw new Error(`${Name} must have a value in ${line}`);
        for (const names of Dimensions) {
          const one = { name: Name, dimensions: Object.fromEntries(names.map((name) => [name, String(said[name])])) };
          found.set(seriesText(one), one);
        }
      }
    }
  }
  return [...found.values()];
}
type Directive = {
  readonly Namespace: string;
  readonly Dimensions: readonly (readonly string[])[];
  readonly Metrics: readonly { readonly Name: string }[];
};

/** Would CloudWatch find data there? Dimensions must be the same, no more and no fewer, each with its value if one is named. */
export function isEmitted({ name, dimensions }: Series, emitted: readonly Series[]): boolean {
  const names = Object.keys(dimensions);
  return emitted.some(
    (one) =>
      one.name === name &&
      Object.keys(one.dimensions).length === names.length &&
      names.every((key) => key in one.dimensions && [undefined, one.dimensions[key]].includes(dimensions[key])),
  );
}

/** `LaunchFailures Profile=small Reason`. */
export function seriesText({ name, dimensions }: Series): string {
  const texts = Object.entries(dimensions).map(([key, value]) => (value === undefined ? key : `${key}=${value}`));
  return [name, ...texts.toSorted()].join(' ');
}

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html */
function searchedSeries(expression: string): Series[] {
  const searches = [...expression.matchAll(/SEARCH\('\{([A-Za-z,]+)\} ([^']*)'/g)];
  if (searches.length === 0) throw new Error(`the test must know how to read ${expression}`);
  return searches.map(([, schema = '', filter = '']) => {
    const [namespace, ...names] = schema.split(',');
    const given = new Map([...filter.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]));
    const name = given.get('MetricName');
    const rest = filter.replaceAll(/\w+="[^"]*"/g, '').trim();
    if (namespace !== metricNamespace || name === undefined || rest !== '') {
      throw new Error(`the test must know how to read ${expression}`);
    }
    return { name, dimensions: Object.fromEntries(names.map((key) => [key, given.get(key)])) };
  });
}

function pairs(texts: readonly string[]): [string, string][] {
  return texts.flatMap((text, at) => (at % 2 === 0 ? [[text, texts[at + 1] ?? ''] as [string, string]] : []));
}

import { Logger } from '@aws-lambda-powertools/logger';
import type { LogAttributes } from '@aws-lambda-powertools/logger/types';
import { metricNamespace, metricUnits, type Dimensions, type MetricName } from '../contracts/with-infra/metrics.ts';
import type { Report } from '../contracts/with-infra/report.ts';

type Series = { readonly name: MetricName; readonly dimensions: Dimensions; readonly values: number[] };
/** The most values of one metric in a line. */
const mostValues = 100;

export type Telemetry = {
  /** One line for one decision. */
  readonly log: (level: 'info' | 'warn' | 'error', decision: string, about: LogAttributes) => void;
  readonly count: (name: MetricName, dimensions?: Dimensions, value?: number) => void;
  readonly measure: (name: MetricName, value: number | undefined, dimensions?: Dimensions) => void;
  /** One line and the metrics of one decision. */
  readonly tell: (report: Report) => void;
  /** Writes the metrics collected so far. Call it before an invocation ends. */
  readonly flush: () => void;
};

/**
 * Log lines and metrics of one room of a fleet. Metrics are written as embedded metric format, by hand: Powertools' own Metrics puts
 * a `service` dimension on each, and ours have Fleet, Profile and Reason only.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function telemetry(room: string, fleet: string): Telemetry {
  const logger = new Logger({ serviceName: room });
  const series = new Map<string, Series>();
  const measure: Telemetry['measure'] = (name, value, dimensions = {}) => {
    if (value === undefined || !Number.isFinite(value)) return;
    const key = JSON.stringify([name, dimensions.Profile, dimensions.Reason]);
    const one = series.get(key) ?? { name, dimensions, values: [] };
    // Two clocks make a duration. One below zero would pull percentiles and averages down.
    one.values.push(metricUnits[name] === 'Seconds' ? Math.max(0, value) : value);
    series.set(key, one);
  };
  return {
    log: (level, decision, about) => logger[level](decision, about),
    count: (name, dimensions, value = 1) => measure(name, value, dimensions),
    measure,
    tell: ({ level, line, about, measures }) => {
      if (line !== undefined) logger[level](line, about);
      for (const { name, value, dimensions } of measures) measure(name, value, dimensions);
    },
    flush: () => {
      for (const { name, dimensions, values } of series.values()) {
        for (let at = 0; at < values.length; at += mostValues) {
          process.stdout.write(
            `${embeddedMetric(name, { Fleet: fleet, ...dimensions }, values.slice(at, at + mostValues))}\n`,
          );
        }
      }
      series.clear();
    },
  };
}

function embeddedMetric(
  name: MetricName,
  dimensions: Dimensions & { readonly Fleet: string },
  values: readonly number[],
): string {
  const named = Object.fromEntries(Object.entries(dimensions).filter(([, value]) => value !== undefined));
  return JSON.stringify({
    _aws: {
      Timestamp: Date.now(),
      CloudWatchMetrics: [
        {
          Namespace: metricNamespace,
          Dimensions: [Object.keys(named)],
          Metrics: [{ Name: name, Unit: metricUnits[name] }],
        },
      ],
    },
    ...named,
    [name]: values.length === 1 ? values[0] : values,
  });
}

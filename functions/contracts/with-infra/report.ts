import type { Dimensions, MetricName } from './metrics.ts';

export type Measure = {
  readonly name: MetricName;
  /** Undefined where nothing was measured: it is not told. */
  readonly value: number | undefined;
  readonly dimensions: Dimensions;
};

/** What a room tells of one decision: a log line and metrics. */
export type Report = {
  readonly level: 'info' | 'warn' | 'error';
  /** The log line's message; lines are found by it. Undefined where only the measures matter. */
  readonly line: string | undefined;
  /** What else stands in the log line. Never a secret. */
  readonly about: Readonly<Record<string, unknown>>;
  readonly measures: readonly Measure[];
};

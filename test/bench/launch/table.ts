import type { EndFigures } from './ends.ts';
import type { LaunchFigures } from './launches.ts';
import { sum } from './measure.ts';

export type Figures = {
  readonly launches: readonly LaunchFigures[];
  readonly ends: EndFigures | undefined;
};

type Column = { readonly head: string; readonly cells: ReadonlyMap<string, string> };

/** One column for each part of the bench, one row for each figure. */
export function tableOf({ launches, ends }: Figures): string {
  const columns = [...launches.map(launchColumn), ...(ends === undefined ? [] : [endColumn(ends)])];
  const kinds = new Set(
    [...launches, ...(ends === undefined ? [] : [ends])].flatMap((one) => Object.keys(one.awsCalls)),
  );
  const rows = ['AWS calls', ...[...kinds].toSorted().map(indented), ...otherRows].filter((row) =>
    columns.some(({ cells }) => cells.has(row)),
  );
  const lines = [
    ['for each job or end, where not said otherwise', ...columns.map(({ head }) => head)],
    ...rows.map((row) => [row, ...columns.map(({ cells }) => cells.get(row) ?? '')]),
  ];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? [];
  return lines
    .map((line) =>
      line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  '),
    )
    .join('\n');
}

const otherRows = [
  'AWS calls in a row (whole burst)',
  'GitHub calls',
  'first message to last RunTask answer',
  'first message to last invocation',
  'bound of the pace',
  'CPU ms',
  'conflicts (whole burst)',
  'most tries of one transaction',
  'messages sent back (all runs)',
  'failed messages (all runs)',
  'dead letters',
  'leases left',
] as const;
type OtherRow = (typeof otherRows)[number];

function launchColumn(figures: LaunchFigures): Column {
  const { jobs, runs, awsCalls } = figures;
  const rows: Partial<Record<OtherRow, string>> = {
    ...(figures.awsCallsInARow !== undefined && {
      'AWS calls in a row (whole burst)': String(figures.awsCallsInARow),
    }),
    'GitHub calls': number(figures.gitHubCalls),
    'first message to last RunTask answer': time(figures.untilLastTaskMs),
    'first message to last invocation': time(figures.untilLastInvocationMs),
    'bound of the pace': time(figures.paceBoundMs),
    'CPU ms': number(figures.cpuMs),
    'conflicts (whole burst)': number(figures.conflicts),
    'most tries of one transaction': String(figures.mostTries),
    'messages sent back (all runs)': String(figures.sentBack),
    'failed messages (all runs)': String(figures.failed),
  };
  const times = runs === 1 ? '' : `, ${runs} times`;
  return { head: `${jobs} job${jobs === 1 ? '' : 's'}${times}`, cells: cellsOf(awsCalls, rows) };
}

function endColumn(figures: EndFigures): Column {
  const rows: Partial<Record<OtherRow, string>> = {
    'GitHub calls': number(figures.gitHubCalls),
    'first message to last invocation': time(figures.untilLastInvocationMs),
    'CPU ms': number(figures.cpuMs),
    'conflicts (whole burst)': number(figures.conflicts),
    'most tries of one transaction': String(figures.mostTries),
    'failed messages (all runs)': String(figures.failed),
    'dead letters': String(figures.deadLetters),
    'leases left': String(figures.leasesLeft),
  };
  return { head: `${figures.ends} ends`, cells: cellsOf(figures.awsCalls, rows) };
}

function cellsOf(awsCalls: Readonly<Record<string, number>>, rows: Readonly<Record<string, string>>): Column['cells'] {
  return new Map([
    ['AWS calls', number(sum(Object.values(awsCalls)))],
    ...Object.entries(awsCalls).map(([kind, count]): [string, string] => [indented(kind), number(count)]),
    ...Object.entries(rows),
  ]);
}

function indented(kind: string): string {
  return `  ${kind}`;
}

function number(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(2);
}

function time(ms: number): string {
  return ms < 2000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

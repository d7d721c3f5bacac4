import type { JobBoard, JobView } from './job-board.ts';
import { countJobs, measure, type Count, type Percentiles } from './snapshot.ts';

/** Seconds as a person reads them. */
export function seconds(ms: number): string {
  const value = ms / 1000;
  return value < 100 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}

/** `queued 0.4 s  task 1.2 s  ...`, the last one still growing. */
export function describeWay({ segments }: JobView, now: number): string {
  return segments.map(({ phase, from, to }) => `${phase} ${seconds((to ?? now) - from)}`).join('  ');
}

const conclusions: Readonly<Record<string, string>> = { success: 'done', failure: 'failed', gone: 'unknown to GitHub' };

export function describeResult({ conclusion = 'done' }: JobView): string {
  return conclusions[conclusion] ?? conclusion;
}

/** What was told of it from the `from`th note on, and what it waits for. */
export function describeNotes({ notes, waits, turnedMs }: JobView, from = 0): string {
  return [
    ...notes.slice(from),
    ...(waits === undefined ? [] : [`${waits.reason}: ${waits.note}`]),
    ...(turnedMs > 0 ? [`+${Math.round(turnedMs / 60_000)} min of turned clock`] : []),
  ].join('; ');
}

/** The end of the show, line by line. */
export function summarize(board: JobBoard): string[] {
  const { jobs } = board;
  const counts = countJobs(jobs);
  const numbers = measure(board, jobs);
  const open = counts.queued + counts.starting + counts.running;
  const results = [
    `${counts.succeeded} succeeded`,
    counts.failed > 0 && `${counts.failed} failed`,
    counts.cancelled > 0 && `${counts.cancelled} cancelled`,
    open > 0 && `${open} not done`,
  ].filter((part) => part !== false);
  const rows: readonly (readonly [string, string])[] = [
    ['jobs', `${counts.jobs}: ${results.join(', ')}`],
    ['queued to running', numbers.start === undefined ? 'no job started' : describePercentiles(numbers.start)],
    ...(numbers.held === undefined ? [] : [['  that had to wait', describePercentiles(numbers.held)] as const]),
    ...(numbers.turned === undefined
      ? []
      : [['  clock was turned', `${describePercentiles(numbers.turned)}, turned minutes included`] as const]),
    ['launches', list(numbers.launches)],
    ['waited for', list(numbers.waited)],
    ['recovered', list(numbers.recovered)],
    ['stolen', String(numbers.stolen)],
    ['runners ended', list([...board.endings].map(([name, count]) => ({ name, count })))],
    ['reaped', String(numbers.reaped)],
    ['deliveries', list([...board.verdicts].map(([name, count]) => ({ name, count })))],
  ];
  return rows.map(([name, text]) => `${name.padEnd(18)} ${text}`);
}

function describePercentiles({ jobs, p50, p95, most }: Percentiles): string {
  const of = `(${jobs} ${jobs === 1 ? 'job' : 'jobs'})`;
  return `p50 ${seconds(p50 * 1000)}  p95 ${seconds(p95 * 1000)}  longest ${seconds(most * 1000)}  ${of}`;
}

function list(counts: readonly Count[]): string {
  if (counts.length === 0) return 'none';
  return counts.map(({ name, count }) => `${count} ${name}`).join(', ');
}

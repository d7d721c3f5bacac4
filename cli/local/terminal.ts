import { stripVTControlCharacters, styleText } from 'node:util';
import type { JobBoard, JobView, Told } from './job-board.ts';
import type { ProfileState, Snapshot } from './snapshot.ts';
import { describeNotes, describeResult, describeWay, seconds } from './wording.ts';

export type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns' | 'rows'>;
export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string;

export type Terminal = {
  /** A line that stays. */
  readonly say: (text: string) => void;
  /** Draws no more. What was on screen last stays. */
  readonly close: () => void;
};

const frameMs = 120;
const hideCursor = '\u001B[?25l';
const showCursor = '\u001B[?25h';
const eraseLine = '\u001B[2K';
const eraseBelow = '\u001B[J';

/** Shows a board as it changes: in place on a terminal, a line per change anywhere else. */
export function openTerminal(
  board: JobBoard,
  {
    output,
    env,
    look,
  }: {
    readonly output: Output;
    readonly env: Readonly<Record<string, string | undefined>>;
    readonly look: () => Snapshot;
  },
): Terminal {
  const isLive = output.isTTY && env['TERM'] !== 'dumb';
  return isLive ? live(board, { output, look, paint: paintFor(env) }) : plain(board, output);
}

/** https://no-color.org: any value but the empty one. */
export function paintFor(env: Readonly<Record<string, string | undefined>>): Paint {
  const plainly = (env['NO_COLOR'] ?? '') !== '';
  return (style, text) => (plainly ? text : styleText(style, text, { validateStream: false }));
}

function plain(board: JobBoard, output: Output): Terminal {
  const say = (text: string): void => void output.write(`${text}\n`);
  const notesSaid = new Map<string, number>();
  board.listen({
    onStory: ({ at, text }) => say(`${stamp(at)}  ${text}`),
    onJob: (job, at) => {
      say(`${stamp(at)}  ${describeChange(job, at, notesSaid.get(job.id))}`);
      notesSaid.set(job.id, job.notes.length);
    },
  });
  return { say, close: () => undefined };
}

function live(
  board: JobBoard,
  { output, look, paint }: { readonly output: Output; readonly look: () => Snapshot; readonly paint: Paint },
): Terminal {
  let drawn = 0;
  let pending: string[] = [];
  const draw = (frame: readonly string[]): void => {
    const up = drawn > 0 ? `\u001B[${drawn}A` : '';
    // Lines that stay may wrap, so the old frame goes first. Without any, line by line: that flickers less.
    const first = pending.length > 0 ? `${up}\r${eraseBelow}` : `${up}\r`;
    const lines = [...pending, ...frame].map((line) => `${eraseLine}${line}\n`).join('');
    output.write(`${first}${lines}${eraseBelow}`);
    pending = [];
    drawn = frame.length;
  };
  board.listen({
    onStory: (told) => pending.push(describeStory(told, paint)),
    onJob: (job, at) => {
      if (job.phase === 'done') pending.push(describeJob(job, at, paint));
    },
  });
  output.write(hideCursor);
  const timer = setInterval(() => draw(renderFrame(look(), output, paint)), frameMs);
  return {
    say: (text) => pending.push(...text.split('\n')),
    close: () => {
      clearInterval(timer);
      draw([]);
      output.write(showCursor);
    },
  };
}

/** The part of the screen that is redrawn: the fleet, and the jobs that are not done. */
export function renderFrame(
  { profiles, jobs, counts, now, turnedMinutes, state }: Snapshot,
  size: Pick<Output, 'rows' | 'columns'>,
  paint: Paint,
): string[] {
  const active = jobs.filter(({ phase }) => phase !== 'done');
  // Those that move come first; who waits longest, before who has just come.
  const ranked = active.toSorted((a, b) => rank(a) - rank(b) || a.number - b.number);
  const room = Math.max(1, size.rows - profiles.length - 6);
  const shown = ranked.slice(0, ranked.length > room ? room - 1 : room).toSorted((a, b) => a.number - b.number);
  const hidden = active.length - shown.length;
  const summary = [
    paint('bold', stamp(now).trim()),
    `${counts.queued} waiting`,
    `${counts.starting} starting`,
    `${counts.running} running`,
    `${counts.jobs - active.length} done`,
    ...(turnedMinutes > 0 ? [paint('yellow', `clock +${turnedMinutes} min`)] : []),
    ...(state === 'quiet' ? [paint('dim', 'serving, Ctrl-C ends it')] : []),
    ...(state === 'stopping' ? [paint('yellow', 'stopping')] : []),
  ];
  return [
    '',
    ...(shown.length > 0 ? [header(paint)] : []),
    ...shown.map((job) => describeJob(job, now, paint)),
    ...(hidden > 0 ? [paint('dim', `      and ${hidden} more`)] : []),
    ...(active.length > 0 ? [''] : []),
    ...profiles.map((profile) => describeProfile(profile, paint)),
    summary.join(paint('dim', ' · ')),
  ].map((line) => fit(line, size.columns));
}

function rank({ phase }: JobView): number {
  return ['running', 'registered', 'task', 'queued'].indexOf(phase);
}

function describeProfile(profile: ProfileState, paint: Paint): string {
  const { name, cap, live: taken, busy, idle, starting, waiting } = profile;
  const width = Math.min(cap, 20);
  const share = (count: number): number =>
    count === 0 ? 0 : Math.max(1, Math.round((count * width) / Math.max(cap, 1)));
  const parts = [paint('green', '█'.repeat(share(busy))), paint('cyan', '▓'.repeat(share(idle)))];
  parts.push(paint('yellow', '▒'.repeat(share(starting))));
  const used = share(busy) + share(idle) + share(starting);
  const bar = `${parts.join('')}${paint('dim', '░'.repeat(Math.max(0, width - used)))}`;
  const waits = waiting > 0 ? paint('yellow', `  ${waiting} waiting`) : '';
  return `${name.padEnd(8)} ${bar} ${taken} of ${cap}: ${busy} busy, ${idle} idle, ${starting} starting${waits}`;
}

const colours = { queued: 'yellow', task: 'blue', registered: 'cyan', running: 'green' } as const;

const phaseColumns = [
  ['queued', 8],
  ['task', 8],
  ['registered', 11],
  ['running', 9],
] as const;
const titleWidth = 25;

function header(paint: Paint): string {
  const names = phaseColumns.map(([phase, width]) => phase.padStart(width)).join('');
  return paint('dim', `${' '.repeat(6)}${'job'.padEnd(titleWidth)} ${'state'.padEnd(12)}${names}`);
}

function describeJob(job: JobView, now: number, paint: Paint): string {
  const way = phaseColumns.map(([phase, width]) => {
    const segment = job.segments.find((one) => one.phase === phase);
    if (segment === undefined) return ' '.repeat(width);
    const took = seconds((segment.to ?? now) - segment.from).padStart(width);
    return segment.to === undefined && job.phase !== 'done' ? paint(colours[phase], took) : took;
  });
  const notes = describeNotes(job, job.phase === 'done' ? 0 : -1);
  return [
    paint('dim', `#${job.number}`.padStart(5)),
    fit(title(job), titleWidth + 1).padEnd(titleWidth),
    `${paintPhase(job, paint)}${(job.phase === 'queued' ? way.slice(0, 1) : way).join('')}`,
    ...(notes === '' ? [] : [paint('dim', ` ${notes}`)]),
  ].join(' ');
}

function paintPhase(job: JobView, paint: Paint): string {
  if (job.phase !== 'done') return paint(colours[job.phase], `● ${job.phase.padEnd(10)}`);
  const result = describeResult(job).padEnd(10);
  if (job.conclusion === 'success') return paint('green', `✔ ${result}`);
  return paint(job.conclusion === 'failure' ? 'red' : 'dim', `✘ ${result}`);
}

function describeStory({ at, text }: Told, paint: Paint): string {
  return `${paint('dim', stamp(at))} ${paint('bold', text)}`;
}

/** One change of one job, for a log, with the notes that are new. */
function describeChange(job: JobView, at: number, notesSaid = 0): string {
  const phase = job.phase === 'done' ? describeResult(job) : job.phase;
  const notes = describeNotes(job, notesSaid);
  const parts = [`#${job.number}`.padStart(5), title(job).padEnd(26), phase.padEnd(10), describeWay(job, at)];
  return `${parts.join('  ')}${notes === '' ? '' : `  (${notes})`}`;
}

function title({ repository, name }: JobView): string {
  return `${repository} ${name}`;
}

function stamp(at: number): string {
  return `+${(at / 1000).toFixed(1)}s`.padStart(8);
}

/** Cuts a line to below the terminal's width: one that wraps would break the redrawing. Styles are closed. */
export function fit(line: string, columns: number): string {
  if (columns <= 0 || stripVTControlCharacters(line).length < columns) return line;
  let left = columns - 2;
  let text = '';
  // oxlint-disable-next-line eslint/no-control-regex -- styles are made of them
  for (const part of line.split(/(\u001B\[[\d;]*m)/)) {
    if (part.startsWith('\u001B')) text += part;
    else {
      text += part.slice(0, left);
      left -= Math.min(left, part.length);
    }
  }
  return `${text}…`;
}

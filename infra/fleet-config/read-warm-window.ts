import { weekdays } from '../../functions/contracts/with-infra/profile.ts';
import type { WarmWindow, Weekday } from '../../functions/contracts/with-infra/profile.ts';
import { nearestWord } from './nearest.ts';
import { readSection } from './section.ts';
import type { Section } from './section.ts';

/** Runners that wait for jobs, not the other way round. With `scope` and `count` alone: always. */
export type WarmConfig = {
  /** An org (`acme`), or one repository of a personal account (`octo/tools`). */
  readonly scope: string;
  /** How many idle runners to keep: from 1 to the profile's `maxRunners`. */
  readonly count: number;
  /** `MON-FRI`, `SAT,SUN`, or a list of days. @default 'MON-SUN' */
  readonly days?: string | readonly Weekday[];
  /** Local wall-clock time, `HH:MM`. @default '00:00' */
  readonly from?: string;
  /** A `to` that is not after `from` is the next day's. @default '00:00' */
  readonly to?: string;
  /** An IANA name such as `Europe/Berlin`. @default 'UTC' */
  readonly timezone?: string;
};

type Bounds = { readonly owners: readonly string[]; readonly maxRunners: number };

export function readWarmWindows(profile: Section, bounds: Bounds): WarmWindow[] {
  return profile
    .list('warm', {
      must: 'windows such as { scope: "acme", count: 2, days: "MON-FRI", from: "08:00", to: "18:00" }',
      most: 20,
    })
    .map((value, index) => readWarmWindow(value, `${profile.at('warm')}[${index}]`, bounds, profile.complaints));
}

function readWarmWindow(
  value: unknown,
  path: string,
  { owners, maxRunners }: Bounds,
  complaints: string[],
): WarmWindow {
  const window = readSection(value, path, ['scope', 'count', 'days', 'from', 'to', 'timezone'], complaints);
  const clock = {
    must: 'a wall-clock time from 00:00 to 23:59',
    pattern: /^([01]\d|2[0-3]):[0-5]\d$/,
    fallback: '00:00',
    nearest: nearestClock,
  };
  return {
    scope: readScope(window, owners),
    // A paused profile keeps its windows for the day it is let go on.
    count: window.number('count', {
      from: 1,
      to: maxRunners || 5000,
      whole: true,
      why: maxRunners ? " (the profile's maxRunners)" : '',
    }),
    days: readDays(window),
    from: window.text('from', clock),
    to: window.text('to', clock),
    timezone: readTimezone(window),
  };
}

function readScope(window: Section, owners: readonly string[]): string {
  const scope = window.text('scope', {
    must: 'an org (acme) or one repository of a personal account (octo/tools)',
    pattern: /^[^\s/]+(\/[^\s/]+)?$/,
  });
  const owner = scope.split('/', 1)[0]?.toLowerCase() ?? '';
  if (scope !== '' && owners.length > 0 && !owners.includes(owner)) {
    window.complain('scope', `must belong to one of github.owners (${owners.join(', ')})`, nearestWord(owner, owners));
  }
  return scope.toLowerCase();
}

function readDays(window: Section): Weekday[] {
  const came = window.raw('days') ?? 'MON-SUN';
  const parts = typeof came === 'string' ? came.split(',') : came;
  const expanded = Array.isArray(parts) ? parts.map((part: unknown) => expandDays(part)) : [];
  if (expanded.length === 0 || expanded.includes(undefined)) {
    window.complain('days', 'must be days such as MON-FRI or SAT,SUN', nearestDays(came));
    return ['MON'];
  }
  return weekdays.filter((day) => expanded.some((days) => days?.includes(day)));
}

function expandDays(part: unknown): Weekday[] | undefined {
  if (typeof part !== 'string') return undefined;
  const [first, last = first, ...more] = part
    .split('-')
    .map((name) => weekdays.findIndex((day) => day === name.trim().toUpperCase()));
  if (first === undefined || last === undefined || first < 0 || last < 0 || more.length > 0) return undefined;
  const length = ((last - first + weekdays.length) % weekdays.length) + 1;
  return weekdays.filter((_, day) => (day - first + weekdays.length) % weekdays.length < length);
}

/** `Mon to Fri`, `Monday-Friday`: the first three letters of every word are most likely the day. */
function nearestDays(came: unknown): string | undefined {
  if (typeof came !== 'string') return undefined;
  const guess = came
    .toUpperCase()
    .replaceAll(/\s*(?:\bTO\b|\.\.+|–)\s*/g, '-')
    .replaceAll(/\s*(?:\bAND\b|;|\+)\s*/g, ',')
    .replaceAll(/[A-Z]+/g, (word) => word.slice(0, 3));
  return guess.split(',').every((part) => expandDays(part) !== undefined) ? guess : undefined;
}

/** `8:00`, `0800`, `8` and `24:00` are what people write. */
function nearestClock(came: string): string | undefined {
  const match = /^(\d{1,2})[:.h]?(\d{2})?$/.exec(came.trim());
  if (match === null) return undefined;
  return `${String(Number(match[1]) % 24).padStart(2, '0')}:${match[2] ?? '00'}`;
}

function readTimezone(window: Section): string {
  const came = window.raw('timezone') ?? 'UTC';
  if (typeof came === 'string' && isTimezone(came)) return came;
  const nearest =
    typeof came === 'string' ? nearestWord(came, ['UTC', ...Intl.supportedValuesOf('timeZone')]) : undefined;
  window.complain('timezone', 'must be an IANA time zone such as Europe/Berlin', nearest);
  return 'UTC';
}

/** Intl also takes offsets such as `+02:00`; they know no summer time, which is never what a working day means. */
function isTimezone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).format() !== '';
  } catch {
    return false;
  }
}

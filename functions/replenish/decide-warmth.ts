import type { WarmWindow, Weekday } from '../contracts/with-infra/profile.ts';
import { weekdays } from '../contracts/with-infra/profile.ts';

/** The longest time in minutes after which a warm runner is replaced, so that none grows old. */
const longestMinutes = 6 * 60;
/** The runners of a window end within this many minutes of each other, not all at once. */
const staggeredMinutes = 10;
const dayMinutes = 24 * 60;

/** @returns how many minutes the window is still open, in its own time zone; undefined outside of it */
export function minutesLeft(window: WarmWindow, now: number): number | undefined {
  const left = wallMinutesLeft(window, now);
  if (left === undefined) return undefined;
  // Daylight saving: correct by what the clock will show at the end.
  const shown = localTime(now + left * 60_000, window.timezone).minute;
  const jump = ((minutesOf(window.to) - shown + dayMinutes + dayMinutes / 2) % dayMinutes) - dayMinutes / 2;
  return left + jump;
}

function wallMinutesLeft(window: WarmWindow, now: number): number | undefined {
  const { weekday, minute } = localTime(now, window.timezone);
  const from = minutesOf(window.from);
  const to = minutesOf(window.to);
  if (from < to) {
    return window.days.includes(weekday) && minute >= from && minute < to ? to - minute : undefined;
  }
  // Past midnight: it belongs to the day it began on.
  if (minute >= from) return window.days.includes(weekday) ? dayMinutes - minute + to : undefined;
  return minute < to && window.days.includes(dayBefore(weekday)) ? to - minute : undefined;
}

/** How long the `index`th runner of a window waits for a job before it ends itself, in minutes. */
export function warmIdleMinutes(left: number, index: number): number {
  return Math.max(1, Math.min(left, longestMinutes) - (index % staggeredMinutes));
}

function localTime(now: number, timeZone: string): { weekday: Weekday; minute: number } {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(now);
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.find((one) => one.type === type)?.value ?? '';
  const weekday = weekdays.find((day) => day === part('weekday').toUpperCase());
  if (weekday === undefined) throw new Error(`no weekday in time zone ${timeZone}`);
  return { weekday, minute: Number(part('hour')) * 60 + Number(part('minute')) };
}

function minutesOf(clock: string): number {
  const [hours = '', minutes = ''] = clock.split(':');
  return Number(hours) * 60 + Number(minutes);
}

function dayBefore(weekday: Weekday): Weekday {
  return weekdays[(weekdays.indexOf(weekday) + 6) % 7] ?? weekday;
}

import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { WarmWindow } from '../../functions/contracts/with-infra/profile.ts';
import { weekdays } from '../../functions/contracts/with-infra/profile.ts';
import { minutesLeft, warmIdleMinutes } from '../../functions/replenish/decide-warmth.ts';

const workdays = ['MON', 'TUE', 'WED', 'THU', 'FRI'] as const;
const window = (parts: Partial<WarmWindow> = {}): WarmWindow => ({
  scope: 'acme',
  count: 2,
  days: [...workdays],
  from: '08:00',
  to: '18:00',
  timezone: 'UTC',
  ...parts,
});
const leftAt = (moment: string, parts: Partial<WarmWindow> = {}) => minutesLeft(window(parts), Date.parse(moment));

describe('a window within a day', () => {
  test.each([
    ['2026-11-23T07:59:59Z', undefined],
    ['2026-11-23T08:00:00Z', 600],
    ['2026-11-23T12:30:00Z', 330],
    ['2026-11-23T17:59:59Z', 1],
    ['2026-11-23T18:00:00Z', undefined],
  ])('is open from its first minute to the one before its end: at %s', (moment, left) => {
    expect(leftAt(moment)).toBe(left);
  });

  test('is open on its days alone', () => {
    // 2026-11-23 is a Monday.
    const days = Array.from({ length: 7 }, (_, day) => leftAt(`2026-11-${23 + day}T12:00:00Z`));
    expect(days).toEqual([360, 360, 360, 360, 360, undefined, undefined]);
  });
});

describe('a window past midnight', () => {
  const night = { from: '22:00', to: '06:00', days: ['FRI'] } satisfies Partial<WarmWindow>;

  test.each([
    ['2026-11-27T21:59:00Z', undefined],
    ['2026-11-27T22:00:00Z', 480],
    ['2026-11-27T23:59:00Z', 361],
    ['2026-11-28T00:00:00Z', 360],
    ['2026-11-28T05:59:00Z', 1],
    ['2026-11-28T06:00:00Z', undefined],
    ['2026-11-28T22:00:00Z', undefined],
    ['2026-11-27T03:00:00Z', undefined],
  ])('belongs to the day it began on: at %s', (moment, left) => {
    expect(leftAt(moment, night)).toBe(left);
  });

  test('that began on Sunday goes on into Monday', () => {
    expect(leftAt('2026-11-30T01:00:00Z', { ...night, days: ['SUN'] })).toBe(300);
  });

  test('that ends at midnight ends with its day', () => {
    expect(leftAt('2026-11-23T23:59:00Z', { to: '00:00' })).toBe(1);
    expect(leftAt('2026-11-24T00:00:00Z', { to: '00:00' })).toBeUndefined();
  });

  test('that ends where it begins is open around the clock', () => {
    const always = { from: '00:00', to: '00:00', days: [...weekdays] } satisfies Partial<WarmWindow>;
    expect(leftAt('2026-11-23T00:00:00Z', always)).toBe(1440);
    expect(leftAt('2026-11-23T23:59:00Z', always)).toBe(1);
    expect(leftAt('2026-11-24T07:00:00Z', { from: '08:00', to: '08:00', days: ['MON'] })).toBe(60);
  });
});

describe("a window's clock", () => {
  test.each([
    ['Europe/Berlin', '2026-11-23T07:00:00Z', 600],
    ['Europe/Berlin', '2026-07-20T06:00:00Z', 600],
    ['America/New_York', '2026-11-23T13:00:00Z', 600],
    ['Asia/Kolkata', '2026-11-23T02:30:00Z', 600],
    ['Asia/Kathmandu', '2026-11-23T02:15:00Z', 600],
    ['Pacific/Auckland', '2026-11-22T19:00:00Z', 600],
    ['Pacific/Kiritimati', '2026-11-22T18:00:00Z', 600],
  ])('is that of %s, day and minute: at %s', (timezone, moment, left) => {
    expect(leftAt(moment, { timezone })).toBe(left);
    expect(minutesLeft(window({ timezone }), Date.parse(moment) - 1)).toBeUndefined();
  });

  test('follows the weekday of its zone, not that of Greenwich', () => {
    // Monday 08:00 in Auckland is still Sunday in Greenwich; Friday evening in Honolulu is Saturday there.
    expect(leftAt('2026-11-22T19:00:00Z', { timezone: 'Pacific/Auckland' })).toBe(600);
    expect(leftAt('2026-11-28T03:00:00Z', { timezone: 'Pacific/Honolulu' })).toBe(60);
    expect(leftAt('2026-11-23T03:00:00Z', { timezone: 'Pacific/Honolulu' })).toBeUndefined();
  });

  test.each([
    // Berlin: 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00.
    ['the last hour before it springs forward', '2026-03-29T00:59:00Z', true],
    ['the hour after, which is called three', '2026-03-29T01:00:00Z', true],
    ['the end, an hour earlier by Greenwich', '2026-03-29T03:59:00Z', true],
    ['after the end', '2026-03-29T04:00:00Z', false],
    ['the hour that comes twice, the first time', '2026-10-25T00:30:00Z', true],
    ['the hour that comes twice, the second time', '2026-10-25T01:30:00Z', true],
    ['the end, an hour later by Greenwich', '2026-10-25T04:59:00Z', true],
    ['after that end', '2026-10-25T05:00:00Z', false],
  ])('is right on the days it changes: %s', (_when, moment, isOpen) => {
    const berlin = {
      timezone: 'Europe/Berlin',
      days: ['SUN'],
      from: '01:00',
      to: '06:00',
    } satisfies Partial<WarmWindow>;
    expect(leftAt(moment, berlin) !== undefined).toBe(isOpen);
  });

  test('that skips an hour leaves the runners an hour less, so that none outlives its window', () => {
    const berlin = {
      timezone: 'Europe/Berlin',
      days: ['SUN'],
      from: '01:00',
      to: '06:00',
    } satisfies Partial<WarmWindow>;
    expect(leftAt('2026-03-29T00:00:00Z', berlin)).toBe(240);
  });

  test('leaves fewer minutes every minute, and none when it closes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1439 }),
        fc.integer({ min: 0, max: 1439 }),
        fc.integer({ min: Date.parse('2026-11-01T00:00:00Z'), max: Date.parse('2026-12-01T00:00:00Z') }),
        (from, to, now) => {
          const clock = (minute: number) =>
            `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
          const any = window({ days: [...weekdays], from: clock(from), to: clock(to) });
          const left = minutesLeft(any, now);
          if (left === undefined) return;
          expect(left).toBeGreaterThan(0);
          const ends = now - (now % 60_000) + left * 60_000;
          expect(new Date(ends).toISOString().slice(11, 16)).toBe(any.to);
          expect(left === 1 ? left : (minutesLeft(any, now + 60_000) ?? 0) + 1).toBe(left);
        },
      ),
    );
  });
});

describe('the time a warm runner waits', () => {
  test('ends with its window', () => {
    expect(warmIdleMinutes(120, 0)).toBe(120);
  });

  test('is six hours at most', () => {
    expect(warmIdleMinutes(600, 0)).toBe(360);
  });

  test('ends at other minutes for runners that were started together', () => {
    const ends = Array.from({ length: 10 }, (_, index) => warmIdleMinutes(600, index));
    expect(new Set(ends).size).toBe(10);
    expect(Math.max(...ends) - Math.min(...ends)).toBeLessThan(10);
  });

  test('is a minute at least', () => {
    expect(warmIdleMinutes(1, 9)).toBe(1);
    expect(warmIdleMinutes(5, 9)).toBe(1);
  });
});

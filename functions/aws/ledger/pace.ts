import type { Table } from './table.ts';

/** A rate that is shared by everything in the account: one turn an interval, and so many at once after a pause. */
export type Pace = { readonly key: string; readonly intervalMs: number; readonly burst: number };

/**
 * Takes the next turn. Every caller gets one of its own, by one conditional update: the one that moves the next free
 * time on, or the one that starts it anew after a pause. A turn further off than `horizonMs` is not taken, or those who
 * come again and again would push each other into the future.
 *
 * @returns when the caller may go on, milliseconds since the epoch; undefined when that is beyond the horizon
 */
export async function takeTurn(table: Table, pace: Pace, now: number, horizonMs: number): Promise<number | undefined> {
  const id = `pace#${pace.key}`;
  const credit = pace.burst * pace.intervalMs;
  // All three fail only when another caller has just changed which of them holds.
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const moved = await table.changeAndTell({
      id,
      add: { nextFree: pace.intervalMs },
      when: '#nextFree > :now AND #nextFree < :horizon',
      values: { now, horizon: now + credit + horizonMs },
    });
    if (moved !== undefined) return Math.max(now, Number(moved['nextFree']) - credit);
    const begun = await table.change({
      id,
      set: { nextFree: now + pace.intervalMs },
      when: 'attribute_not_exists(#nextFree) OR #nextFree <= :now',
      values: { now },
    });
    if (begun !== undefined) return now;
    if (Number((await table.read(id))?.['nextFree'] ?? 0) >= now + credit + horizonMs) return undefined;
  }
  throw new Error(`no turn at the pace ${pace.key} could be had in 20 attempts`);
}

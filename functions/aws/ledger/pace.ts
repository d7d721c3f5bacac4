import { above, absentOr, below, type Condition } from './condition.ts';
import type { Table } from './table.ts';

/** A rate that all launches share: one turn in each interval, and `burst` turns at once after a pause. */
export type Pace = { readonly key: string; readonly intervalMs: number; readonly burst: number };

type PaceRecord = { readonly nextFree: number };

const mostTries = 20;

/**
 * Hands out turns. One conditional update reserves the turns of all callers that come together: it moves the next free time on, or
 * starts it anew after a pause. A turn further off than the horizon is not given out, or retries would push the next free time further
 * and further out.
 */
export function paceLedger(table: Table, now: () => number) {
  /** The next free time of each pace when it was last seen: it tells which of the two updates to try first. */
  const seen = new Map<string, number>();

  return {
    /** Is the burst used up, as far as this function instance has seen? Then the next turn is one to wait for. */
    isCrowded: ({ key, intervalMs, burst }: Pace): boolean =>
      (seen.get(`pace#${key}`) ?? 0) - burst * intervalMs > now(),
    /** @returns how many turns beyond the burst were given out and have not come yet */
    countTurns: async ({ key, intervalMs, burst }: Pace): Promise<number> => {
      const item = await table.read(`pace#${key}`);
      return Math.max(0, Math.ceil((Number(item?.['nextFree'] ?? 0) - now()) / intervalMs) - burst);
    },
    /** @returns when the callers may go on, ms since the epoch, one each; undefined for those whose turn is beyond the horizon */
    takeTurns: async (pace: Pace, turns: number, horizonMs: number): Promise<readonly (number | undefined)[]> => {
      const id = `pace#${pace.key}`;
      const credit = pace.burst * pace.intervalMs;
      for (let attempt = 1; attempt <= mostTries; attempt += 1) {
        const at = now();
        const end = at + credit + horizonMs;
        const known = Math.max(at, seen.get(id) ?? at);
        const isBusy = known > at;
        const given = Math.max(1, Math.min(turns, Math.ceil((end - known) / pace.intervalMs)));
        const when: Condition<PaceRecord> = isBusy
          ? { nextFree: [above(at), below(end - (given - 1) * pace.intervalMs)] }
          : { nextFree: absentOr(below(at + 1)) };
        const changed = await table.change<PaceRecord>({
          id,
          ...(isBusy
            ? { add: { nextFree: given * pace.intervalMs } }
            : { set: { nextFree: at + given * pace.intervalMs } }),
          when,
        });
        const nextFree = Number(changed.item?.['nextFree'] ?? 0);
        seen.set(id, nextFree);
        if (changed.done) {
          const first = nextFree - credit - (given - 1) * pace.intervalMs;
          return Array.from({ length: turns }, (_, turn) =>
            turn < given ? Math.max(at, first + turn * pace.intervalMs) : undefined,
          );
        }
        if (nextFree >= end) return Array.from({ length: turns }, () => undefined);
      }
      throw new Error(`no turn at the pace ${pace.key} could be had in ${mostTries} attempts`);
    },
  };
}

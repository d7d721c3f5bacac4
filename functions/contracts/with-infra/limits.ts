/** The times and numbers that several rooms must agree on. */

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** A sweep begins nothing new after so long, as its function has 30 seconds: the next one goes on a minute later. */
export const sweepLimitMs = 18 * second;

/** From lease to listening, waiting for its turn included. Older and without a task, a runner may be lost. */
export const bootLimitMs = 10 * minute;

/** GitHub gives a job up that no runner took for so long. https://docs.github.com/en/actions/reference/limits */
export const jobLifetimeMs = 24 * hour;

/** How long a claim waits for its task. */
export const claimLifetimeMs = 15 * minute;

/** How long a launch may hold its lease while it waits for its turn; past it the job waits in the ledger instead. */
export const longestTurnMs = 5 * minute;

/** A launch that was asked for so long ago and came to nothing is asked for again: by the next minute's pass, not the one after. */
export const askedForMs = 50 * second;

/** Starts in a row that must fail to open a profile's breaker. */
const breakerThreshold = 3;

/** @returns how long the breaker stays open after so many failed starts in a row, in ms; 0 for not at all */
export function breakerPauseMs(failures: number): number {
  if (failures < breakerThreshold) return 0;
  return Math.min(2 ** (failures - breakerThreshold) * minute, 30 * minute);
}

/** After how many runners that ended without a job its job is held for a person to look at. */
const heldAfter = 6;

export type BackOff = { readonly held: true } | { readonly held: false; readonly pauseMs: number };

/** What a job waits for its next launch after so many runners started for it ended without a job: 1, 2, 4, 8, 16 minutes. */
export function backOff(unserved: number): BackOff {
  if (unserved >= heldAfter) return { held: true };
  return { held: false, pauseMs: Math.min(2 ** (unserved - 1) * minute, hour) };
}

import type { ScopeRecord } from '../../contracts/between-rooms/ledger-records.ts';
import { GitHubError } from '../../contracts/with-github/errors.ts';

const minute = 60_000;
/** No hold lasts longer, whatever GitHub says. If GitHub still refuses then, a new hold begins. */
const longestHoldMs = 60 * minute;

export type Hold = { readonly until: number; readonly note: string };

/** @returns the hold that stands now; undefined where there is none */
export function holdOf({ holdUntil, holdReason }: ScopeRecord, now: number): Hold | undefined {
  if (holdUntil === undefined || Date.parse(holdUntil) <= now) return undefined;
  return { until: Date.parse(holdUntil), note: holdReason ?? 'the scope is on hold' };
}

/**
 * The hold after a registration token could not be minted: without a token nothing can be launched in the scope.
 *
 * @returns undefined when GitHub did not answer: that passes, and holds nobody
 */
export function holdAfterMint(error: Error, now: number): Hold | undefined {
  if (error instanceof GitHubError) {
    if (error.kind === 'unavailable') return undefined;
    return hold(error.message, error.retryAt ?? now + 5 * minute, now);
  }
  return hold(error.message, now + minute, now);
}

/**
 * The hold after GitHub refused to answer about one job.
 *
 * @returns undefined unless the App is not installed or suspended: any other refusal may be about that job alone
 */
export function holdAfterLook(error: Error, now: number): Hold | undefined {
  if (!(error instanceof GitHubError)) return undefined;
  if (error.kind !== 'not-installed' && error.kind !== 'suspended') return undefined;
  return hold(error.message, now + 5 * minute, now);
}

function hold(note: string, until: number, now: number): Hold {
  return { note, until: Math.min(until, now + longestHoldMs) };
}

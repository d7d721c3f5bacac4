/** What GitHub last said about the rate limit in a scope. */
export type RateLimit = {
  readonly limit: number;
  readonly remaining: number;
  /** Calls that counted, since this function instance began. */
  readonly spent: number;
};

/** Below this share of a scope's rate limit the rest belongs to minting tokens. */
const reserve = 0.2;

export function isScarce(limit: RateLimit | undefined): boolean {
  return limit !== undefined && limit.remaining < limit.limit * reserve;
}

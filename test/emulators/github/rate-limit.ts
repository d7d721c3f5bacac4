import type { Clock } from '../clock.ts';

const window = 3_600_000;
const minute = 60_000;

export type Allowance = {
  readonly limit: number;
  readonly remaining: number;
  readonly used: number;
  /** Seconds since the epoch. */
  readonly reset: number;
};

type Usage = { opened: number; used: number; minuteOpened: number; points: number };

/** Counts requests by their bearer: an installation, or the App. */
export class RateLimits {
  readonly #clock: Clock;
  readonly #usage = new Map<string, Usage>();
  readonly #limits = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A limit for one bearer alone, and how much of it is used up by now. */
  set(bearer: string, { limit, used }: { readonly limit?: number; readonly used?: number }): void {
    if (limit !== undefined) this.#limits.set(bearer, limit);
    if (used !== undefined) this.#usageOf(bearer).used = used;
  }

  look(bearer: string, usualLimit: number): Allowance {
    const { used, opened } = this.#usageOf(bearer);
    const limit = this.#limits.get(bearer) ?? usualLimit;
    return { limit, used, remaining: Math.max(0, limit - used), reset: Math.ceil((opened + window) / 1000) };
  }

  count(bearer: string): void {
    this.#usageOf(bearer).used += 1;
  }

  /** The points a bearer spent within this minute, these included. */
  spend(bearer: string, points: number): number {
    const usage = this.#usageOf(bearer);
    const now = this.#clock.now();
    if (now - usage.minuteOpened >= minute) {
      usage.minuteOpened = now;
      usage.points = 0;
    }
    return (usage.points += points);
  }

  #usageOf(bearer: string): Usage {
    const now = this.#clock.now();
    const known = this.#usage.get(bearer);
    if (known !== undefined && now - known.opened < window) return known;
    const fresh = { opened: now, used: 0, minuteOpened: now, points: 0 };
    this.#usage.set(bearer, fresh);
    return fresh;
  }
}

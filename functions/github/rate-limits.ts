import { RequestError } from '@octokit/request-error';
import type { Octokit } from '@octokit/rest';
import type { RateLimit } from '../contracts/with-github/rate-limit.ts';
import { isNotModified } from './remember-answers.ts';

type Headers = Readonly<Record<string, string | number | undefined>>;

/** What GitHub last said of the rate limit, by scope. What was said before the limit began anew counts for nothing. */
export class RateLimits {
  readonly #limits = new Map<string, RateLimit & { readonly resetAt: number }>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  get(scope: string): RateLimit | undefined {
    const limit = this.#limits.get(scope);
    return limit === undefined || limit.resetAt <= this.#now() ? undefined : limit;
  }

  /** Listens to the answers themselves: call it before anything that answers from memory is hooked in. */
  watch(octokit: Octokit, scope: string): void {
    octokit.hook.wrap('request', async (request, options) => {
      try {
        const answer = await request(options);
        this.#note(scope, answer.headers, 1);
        return answer;
      } catch (error) {
        // An answer that has not changed is free, but it says what is left.
        if (error instanceof RequestError)
          this.#note(scope, error.response?.headers ?? {}, isNotModified(error) ? 0 : 1);
        throw error;
      }
    });
  }

  #note(scope: string, headers: Headers, spent: number): void {
    const { 'x-ratelimit-limit': limit, 'x-ratelimit-remaining': remaining, 'x-ratelimit-reset': reset } = headers;
    if (!(Number(limit) > 0) || !(Number(remaining) >= 0)) return;
    // A limit begins anew after an hour at most. A time that is wrong must not keep the scope back for longer.
    const atMost = this.#now() + 3_600_000;
    this.#limits.set(scope, {
      limit: Number(limit),
      remaining: Number(remaining),
      spent: (this.#limits.get(scope)?.spent ?? 0) + spent,
      resetAt: Number(reset) > 0 ? Math.min(Number(reset) * 1000, atMost) : atMost,
    });
  }
}

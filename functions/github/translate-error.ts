import { RequestError } from '@octokit/request-error';
import { GitHubError, type GitHubFailure, messageOf } from '../contracts/with-github/errors.ts';

type Request = { readonly method?: string; readonly url?: string };

/** A secondary limit that does not say how long. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const waitUntoldMs = 60_000;

/** Says who was asked what, and what came: never a header, never a body that was sent. */
export function translateError(error: unknown, { method = '', url = '' }: Request, now: number): unknown {
  if (error instanceof GitHubError) return error;
  const what = `${method} ${withoutQuery(url)}`;
  if (!(error instanceof RequestError)) {
    // auth-app throws plain errors for a key it cannot read; what the network throws is a TypeError or an abort.
    const unreachable =
      error instanceof TypeError || (error instanceof Error && error.name.endsWith('Error') && 'code' in error);
    const aborted = error instanceof Error && ['AbortError', 'TimeoutError'].includes(error.name);
    const kind: GitHubFailure = unreachable || aborted ? 'unavailable' : 'refused';
    return new GitHubError(kind, `${what}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (error.status === 304) return error;
  const headers = error.response?.headers ?? {};
  const message = `${what}: ${error.status} ${error.message} (request ${headers['x-github-request-id'] ?? 'unknown'})`;
  const retryAt = retryTime(error, now);
  if (retryAt !== undefined) return new GitHubError('rate-limited', message, { status: error.status, retryAt });
  return new GitHubError(kindOf(error, url), message, { status: error.status });
}

/** Who was asked is in the path; a query has nothing that helps. */
function withoutQuery(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname : url;
}

function kindOf({ status, message }: RequestError, url: string): GitHubFailure {
  if (status >= 500 || status === 408) return 'unavailable';
  const installing = url.includes('/access_tokens') || url.endsWith('/installation');
  if (status === 404 && installing) return 'not-installed';
  if (status === 403 && (installing || /suspended/i.test(message))) return 'suspended';
  return 'refused';
}

function retryTime({ status, message, response }: RequestError, now: number): number | undefined {
  if (status !== 403 && status !== 429) return undefined;
  const {
    'retry-after': after,
    'x-ratelimit-remaining': remaining,
    'x-ratelimit-reset': reset,
  } = response?.headers ?? {};
  if (after !== undefined) return retryAfter(String(after), now);
  if (remaining === '0' && reset !== undefined) return Number(reset) * 1000;
  return status === 429 || /rate limit/i.test(message) ? now + waitUntoldMs : undefined;
}

/** Seconds, as GitHub sends it, or a date, as HTTP allows: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfter(value: string, now: number): number {
  const seconds = Number(value);
  if (!Number.isNaN(seconds)) return now + seconds * 1000;
  const date = Date.parse(value);
  return Number.isNaN(date) ? now + waitUntoldMs : date;
}

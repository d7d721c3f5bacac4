import { RequestError } from '@octokit/request-error';
import { GitHubError, type GitHubFailure, messageOf, MissingSecretError } from '../contracts/with-github/errors.ts';

type Request = { readonly method?: string; readonly url?: string };

/** A secondary limit that does not say how long. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api */
const waitUntoldMs = 60_000;
/** Every limit of GitHub begins anew within an hour. If a limit lasts longer, the next call is told so again. */
const longestWaitMs = 3_600_000;

/** Says who was asked what, and what came: never a header, never a body that was sent. */
export function translateError(error: unknown, { method = '', url = '' }: Request, now: number): unknown {
  if (error instanceof GitHubError || error instanceof MissingSecretError) return error;
  const what = `${method} ${withoutQuery(url)}`;
  // octokit makes a RequestError with the status 500 of what the network throws; only an answer has a `response`.
  if (!(error instanceof RequestError) || error.response === undefined) return unanswered(error, what);
  if (error.status === 304) return error;
  const { headers } = error.response;
  const message = `${what}: ${error.status} ${error.message} (request ${headers['x-github-request-id'] ?? 'unknown'})`;
  const retryAt = retryTime(error, now);
  if (retryAt !== undefined) return new GitHubError('rate-limited', message, { status: error.status, retryAt });
  return new GitHubError(kindOf(error, url), message, { status: error.status });
}

function unanswered(error: unknown, what: string): GitHubError {
  const codes = codesOf(error);
  const certificate = codes.find((code) => certificateFaults.has(code));
  if (certificate !== undefined) {
    const must = 'GitHub must show a certificate that is valid for its address and comes from a public authority';
    return new GitHubError('refused', `${what}: ${must}, got ${certificate}: ${messageOf(error)}`, { cause: error });
  }
  const kind: GitHubFailure = isOfTheNetwork(error, codes) ? 'unavailable' : 'refused';
  return new GitHubError(kind, `${what}: ${messageOf(error)}`, { cause: error });
}

/** The codes of an error and of what caused it: the code of a broken connection stands two causes deep. */
function codesOf(error: unknown): string[] {
  const codes: string[] = [];
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 5; depth += 1) {
    if ('code' in at && typeof at.code === 'string') codes.push(at.code);
    at = 'cause' in at ? at.cause : undefined;
  }
  return codes;
}

/** What the network does passes. What Node says of its own arguments (`ERR_INVALID_URL`) or of a key (`ERR_OSSL_...`) does not. */
function isOfTheNetwork(error: unknown, codes: readonly string[]): boolean {
  if (codes.some((code) => /^(E(?!RR_)[A-Z0-9_]+|UND_ERR_\w+|ERR_SSL_\w+)$/.test(code) && !lasting.has(code)))
    return true;
  if (codes.length > 0) return false;
  const isAborted = error instanceof Error && ['AbortError', 'TimeoutError'].includes(error.name);
  return isAborted || error instanceof RequestError;
}

/** The port speaks something else than TLS. */
const lasting = new Set(['ERR_SSL_WRONG_VERSION_NUMBER']);

/** https://nodejs.org/api/tls.html#x509-certificate-error-codes */
const certificateFaults = new Set([
  'CERT_CHAIN_TOO_LONG',
  'CERT_HAS_EXPIRED',
  'CERT_NOT_YET_VALID',
  'CERT_REJECTED',
  'CERT_REVOKED',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'ERR_TLS_CERT_ALTNAME_INVALID',
  'HOSTNAME_MISMATCH',
  'INVALID_CA',
  'INVALID_PURPOSE',
  'PATH_LENGTH_EXCEEDED',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
]);

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
  if (after !== undefined) return atMostAnHour(retryAfter(String(after), now), now);
  if (remaining === '0' && reset !== undefined) return atMostAnHour(Number(reset) * 1000, now);
  return status === 429 || /rate limit/i.test(message) ? now + waitUntoldMs : undefined;
}

/** Seconds, as GitHub sends it, or a date, as HTTP allows: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after */
function retryAfter(value: string, now: number): number {
  const seconds = Number(value);
  return Number.isNaN(seconds) ? Date.parse(value) : now + seconds * 1000;
}

/** A time that has passed, or is none, says as little as no time. */
function atMostAnHour(at: number, now: number): number {
  return at > now ? Math.min(at, now + longestWaitMs) : now + waitUntoldMs;
}

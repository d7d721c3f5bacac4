import { RequestError } from '@octokit/request-error';
import { describe, expect, test } from '@jest/globals';
import { GitHubError, MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import { translateError } from '../../functions/github/translate-error.ts';

const minute = 60_000;
const now = Date.parse('2026-09-01T10:00:00Z');
const asked = { method: 'GET', url: 'https://github.acme.example/api/v3/orgs/acme/installation?x=1' };
const request = { ...asked, headers: {} } as never;

function translate(error: unknown): GitHubError {
  const translated = translateError(error, asked, now);
  if (translated instanceof GitHubError) return translated;
  throw new Error(`the error must become one of ours, got ${String(translated)}`);
}
function withCode(message: string, code: string): Error {
  return Object.assign(new Error(message), { code });
}
/** What octokit makes of what undici makes of a broken connection. */
function fetchFailed(cause: Error): RequestError {
  const error = new RequestError(cause.message, 500, { request });
  error.cause = new TypeError('fetch failed', { cause });
  return error;
}
function answered(status: number, headers: Record<string, string>, message = 'no'): RequestError {
  return new RequestError(message, status, {
    request,
    response: { status, headers, url: asked.url, data: {} },
  });
}

describe('what keeps a call from an answer', () => {
  test.each([
    ['self-signed certificate in certificate chain', 'SELF_SIGNED_CERT_IN_CHAIN'],
    ['unable to verify the first certificate', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['unable to get local issuer certificate', 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY'],
    ['self-signed certificate', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['certificate has expired', 'CERT_HAS_EXPIRED'],
    ["Hostname/IP does not match certificate's altnames", 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('lasts when it is a certificate: %s', (message, code) => {
    const error = translate(fetchFailed(withCode(message, code)));
    expect(error).toMatchObject({ kind: 'refused', status: undefined });
    expect(error.message).toBe(
      `GET /api/v3/orgs/acme/installation: GitHub must show a certificate that is valid for its address and comes from a public authority, got ${code}: ${message}`,
    );
  });

  test.each([
    ['an unreadable key', withCode('error:1E08010C:DECODER routines::unsupported', 'ERR_OSSL_UNSUPPORTED')],
    ['an address that is none', fetchFailed(Object.assign(new TypeError('Invalid URL'), { code: 'ERR_INVALID_URL' }))],
    ['a port without TLS', fetchFailed(withCode('wrong version number', 'ERR_SSL_WRONG_VERSION_NUMBER'))],
    ['a mistake of ours', new TypeError('x is not a function')],
    ['what auth-app says of its options', new Error('[@octokit/auth-app] appId option is required')],
  ])('lasts when it is %s', (_, error) => {
    expect(translate(error)).toMatchObject({ kind: 'refused' });
  });

  test.each([
    ['a broken connection', fetchFailed(withCode('read ECONNRESET', 'ECONNRESET'))],
    ['nobody who listens', fetchFailed(withCode('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'))],
    ['a name that cannot be looked up', fetchFailed(withCode('getaddrinfo EAI_AGAIN', 'EAI_AGAIN'))],
    ['a broken handshake', fetchFailed(withCode('write EPROTO', 'EPROTO'))],
    ['a server that hangs up', fetchFailed(withCode('other side closed', 'UND_ERR_SOCKET'))],
    ['a network that does not say more', fetchFailed(new Error('terminated'))],
    [
      'no answer in time',
      Object.assign(new Error('The operation was aborted due to timeout'), { name: 'TimeoutError' }),
    ],
    [
      'no answer in time, as fetch tells it',
      Object.assign(new Error('This operation was aborted'), { name: 'AbortError' }),
    ],
  ])('passes when it is %s', (_, error) => {
    expect(translate(error)).toMatchObject({ kind: 'unavailable', retryAt: undefined });
  });

  test('stays itself when a parameter is wrong', () => {
    const missing = new MissingSecretError('the parameter /app-key must hold an RSA private key');
    expect(translateError(missing, asked, now)).toBe(missing);
  });
});

describe('the time that a limit ends', () => {
  const reset = (value: number | string) => ({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(value) });

  test.each<[string, Record<string, string>, number]>([
    ['in 150 seconds', { 'retry-after': '150' }, 150_000],
    ['in a year', { 'retry-after': '31536000' }, 60 * minute],
    ['on a day in a year', { 'retry-after': new Date(now + 31_536_000_000).toUTCString() }, 60 * minute],
    ['at once', { 'retry-after': '0' }, minute],
    ['in the past', { 'retry-after': '-5' }, minute],
    ['on a day that is over', { 'retry-after': 'Tue, 01 Sep 2020 10:00:00 GMT' }, minute],
    ['at no time', { 'retry-after': 'soon' }, minute],
    ['with an empty text', { 'retry-after': '' }, minute],
    ['never', { 'retry-after': 'Infinity' }, 60 * minute],
    ['at its reset', reset(now / 1000 + 600), 10 * minute],
    ['at a reset in a year', reset(now / 1000 + 31_536_000), 60 * minute],
    ['at a reset that is over', reset(now / 1000 - 5), minute],
    ['at a reset that is none', reset('soon'), minute],
  ])('is within the hour when GitHub says %s', (_, headers, waitMs) => {
    expect(translate(answered(403, headers))).toMatchObject({ kind: 'rate-limited', retryAt: now + waitMs });
  });
});

import { describe, expect, test } from '@jest/globals';
import { isPassing } from '../../functions/aws/requests.ts';

const anError = (parts: object): Error => Object.assign(new Error('no'), parts);

describe('a failed request to AWS', () => {
  test.each([
    ['AWS breaks down', { $fault: 'server', name: 'InternalServerError' }],
    ['AWS asks for another try', { $fault: 'client', name: 'RequestTimeout', $retryable: {} }],
    ['AWS throttles it', { $fault: 'client', name: 'ThrottlingException' }],
    ['no answer comes', { name: 'TimeoutError' }],
    ['the connection breaks', { code: 'ECONNRESET' }],
    ['a certificate is not trusted', { code: 'SELF_SIGNED_CERT_IN_CHAIN' }],
    ['a certificate is for another name', { code: 'ERR_TLS_CERT_ALTNAME_INVALID' }],
    ['the name cannot be looked up', { code: 'EAI_AGAIN' }],
  ])('passes when %s', (_, parts) => {
    expect(isPassing(anError(parts))).toBe(true);
  });

  test.each([
    ['AWS refuses it', { $fault: 'client', name: 'AccessDeniedException' }],
    ['OpenSSL cannot read a key', { code: 'ERR_OSSL_UNSUPPORTED' }],
    ['its address is none', { code: 'ERR_INVALID_URL' }],
    ['we made a mistake', {}],
  ])('lasts when %s', (_, parts) => {
    expect(isPassing(anError(parts))).toBe(false);
  });

  test('lasts when what was thrown is no error', () => {
    expect(isPassing('ECONNRESET')).toBe(false);
  });
});

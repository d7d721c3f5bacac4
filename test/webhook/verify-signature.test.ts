import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { isSignature, verifySignature } from '../../functions/webhook/verify-signature.ts';

/** https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation */
const secret = "It's a Secret to Everybody";
const body = Buffer.from('Hello, World!');
const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';

const sign = (bytes: Uint8Array, key: string) => `sha256=${createHmac('sha256', key).update(bytes).digest('hex')}`;

describe('a signature', () => {
  test("is good when it is GitHub's own example", () => {
    expect(verifySignature(body, signature, [secret])).toBe(true);
  });

  test('is good for any of the secrets in force', () => {
    expect(verifySignature(body, signature, ['the next one', secret])).toBe(true);
    expect(verifySignature(body, sign(body, 'the next one'), ['the next one', secret])).toBe(true);
  });

  test('is of the bytes as they came, text or not', () => {
    const bytes = Uint8Array.from([0xff, 0xfe, 0x00, 0xc3]);
    expect(verifySignature(bytes, sign(bytes, secret), [secret])).toBe(true);
    expect(verifySignature(Buffer.from(Buffer.from(bytes).toString()), sign(bytes, secret), [secret])).toBe(false);
  });

  test.each([
    ['of another body', signature, 'Hello, World?'],
    ['of another digit', signature.replace('757', '758'), undefined],
    ['in upper case', signature.toUpperCase(), undefined],
    ['without its name', signature.slice(7), undefined],
    ['by SHA-1', `sha1=${createHmac('sha1', secret).update(body).digest('hex')}`, undefined],
    ['cut short', signature.slice(0, -1), undefined],
    ['with more behind it', `${signature}0`, undefined],
    ['empty', '', undefined],
    ['of characters that are longer as bytes', `${signature.slice(0, -1)}é`, undefined],
  ])('is wrong %s', (_, given, other) => {
    expect(verifySignature(other === undefined ? body : Buffer.from(other), given, [secret])).toBe(false);
  });

  test.each(['x', '', signature.toUpperCase(), `${signature}\n`, signature.replace('sha256', 'sha512')])(
    'that has another form costs no hash: %j',
    (given) => {
      expect([isSignature(signature), isSignature(given)]).toEqual([true, false]);
      const unreadable = {} as Uint8Array;
      expect(verifySignature(unreadable, given, [secret])).toBe(false);
      expect(() => verifySignature(unreadable, signature, [secret])).toThrow('"data" argument');
    },
  );

  test('is wrong without a secret to check it by', () => {
    expect(verifySignature(body, signature, [])).toBe(false);
    expect(verifySignature(body, signature, ['another'])).toBe(false);
  });
});

import { randomBytes } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeClaim, encodeClaim, type Claim, newClaimId } from '../../../functions/contracts/with-tasks/claim.ts';

const claim: Claim = {
  url: 'https://github.com/acme',
  token: 'AAAA-secret',
  name: 'ci-1a2b3c-81230000001-1',
  labels: ['self-hosted', 'linux', 'x64', 'fargate-small'],
  group: 'big ones',
  idleSeconds: 300,
  maxSeconds: 21_600,
  release: { version: '2.330.0', url: 'https://github.com/actions/runner/x.tar.gz', sha256: 'a'.repeat(64) },
};

describe('a claim', () => {
  test('arrives as it was sent', () => {
    expect(decodeClaim(encodeClaim(claim))).toEqual(claim);
  });

  test('is lines that a shell can read', () => {
    const { group: _, release: __, ...least } = claim;
    expect(Buffer.from(encodeClaim(least), 'base64').toString()).toBe(
      [
        'url https://github.com/acme',
        'token AAAA-secret',
        'name ci-1a2b3c-81230000001-1',
        'labels self-hosted,linux,x64,fargate-small',
        'idle-seconds 300',
        'max-seconds 21600',
        '',
      ].join('\n'),
    );
    expect(decodeClaim(encodeClaim(least))).toEqual(least);
  });

  test('arrives whatever its one-line values are', () => {
    const text = fc.string({ unit: 'binary', minLength: 1 }).filter((value) => !/[\r\n\0\ud800-\udfff]/.test(value));
    const values = fc.record({ url: text, token: text, name: text, group: text });
    fc.assert(
      fc.property(values, (parts) => {
        expect(decodeClaim(encodeClaim({ ...claim, ...parts }))).toEqual({ ...claim, ...parts });
      }),
    );
  });

  test('gives whole seconds, never fewer than were asked for', () => {
    expect(decodeClaim(encodeClaim({ ...claim, idleSeconds: 0.5 * 60 + 0.1 }))).toMatchObject({ idleSeconds: 31 });
  });

  test.each(['\n', '\r', '\0'])('is refused when a value could pass for another line: %j', (character) => {
    const forged = { ...claim, group: `x${character}token stolen` };
    expect(() => encodeClaim(forged)).toThrow("a claim's group must be one line of text");
  });

  test('that lacks a line says which, and never says its token', () => {
    const text = Buffer.from('url https://github.com/acme\ntoken AAAA-secret\n').toString('base64');
    expect(() => decodeClaim(text)).toThrow('a claim must have a line "name", it has none');
    expect(() => encodeClaim({ ...claim, token: 'AAAA-secret\n' })).toThrow(/^((?!AAAA-secret).)*$/s);
  });
});

describe('the name of a claim', () => {
  test('is 24 random bytes, in letters that an environment variable and a key can carry', () => {
    expect(newClaimId((size) => Buffer.alloc(size, 0xff))).toBe('_'.repeat(32));
    const ids = new Set(Array.from({ length: 1000 }, () => newClaimId(randomBytes)));
    expect(ids.size).toBe(1000);
    expect([...ids].filter((id) => !/^[\w-]{32}$/.test(id))).toEqual([]);
  });
});

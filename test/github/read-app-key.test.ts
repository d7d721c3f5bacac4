import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { readAppId, readAppKey } from '../../functions/github/read-app-key.ts';

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pkcs1 = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const base64 = (text: string) => Buffer.from(text).toString('base64');
const oneLine = (pem: string, lineEnd: string) => pem.trim().replaceAll('\n', lineEnd);

describe('the key of the App', () => {
  test.each([
    ['as GitHub gives it (PKCS#1)', pkcs1],
    ['as PKCS#8', pkcs8],
    ['without its last line end', pkcs1.trim()],
    ['with \\n for its line ends (PKCS#1)', oneLine(pkcs1, '\\n')],
    ['with \\n for its line ends (PKCS#8)', oneLine(pkcs8, '\\n')],
    ['with line ends of Windows', pkcs1.replaceAll('\n', '\r\n')],
    ['with \\r\\n for its line ends', oneLine(pkcs1, '\\r\\n')],
    ['in double quotes', `"${oneLine(pkcs1, '\\n')}"`],
    ['in single quotes, over several lines', `'${pkcs1}'\n`],
    ['in base64 (PKCS#1)', base64(pkcs1)],
    ['in base64 (PKCS#8)', base64(pkcs8)],
    ['in base64 of lines', base64(pkcs1).replaceAll(/.{76}/g, '$&\n')],
    ['in base64 of what has \\n for its line ends', base64(oneLine(pkcs1, '\\n'))],
    ['with spaces for its line ends (PKCS#1)', oneLine(pkcs1, ' ')],
    ['with spaces for its line ends (PKCS#8)', oneLine(pkcs8, ' ')],
    ['without its line ends (PKCS#1)', oneLine(pkcs1, '')],
    ['without its line ends (PKCS#8)', oneLine(pkcs8, '')],
    ['indented', pkcs1.replaceAll(/^/gm, '   ')],
    ['after a comment', `# the key of our App\n${pkcs1}`],
  ])('is read %s', (_, text) => {
    expect(readAppKey(text)).toBe(pkcs8);
  });

  test.each([
    ['nothing', ''],
    ['its first line alone', '-----BEGIN RSA PRIVATE KEY-----'],
    ['a key that was cut after 1,000 characters', pkcs1.slice(0, 1000)],
    ['a key with a part missing in the middle', pkcs1.slice(0, 400) + pkcs1.slice(800)],
    ['a key without its last line', pkcs1.slice(0, pkcs1.indexOf('-----END'))],
    ['a key whose first and last line differ', pkcs1.replace('END RSA', 'END')],
    ['an EC key (PKCS#8)', ec.export({ type: 'pkcs8', format: 'pem' }).toString()],
    ['an EC key (SEC1)', ec.export({ type: 'sec1', format: 'pem' }).toString()],
    [
      'a key of OpenSSH',
      '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----\n',
    ],
    [
      'an encrypted key',
      privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' }).toString(),
    ],
    ['the public half', createPublicKey(pkcs1).export({ type: 'spki', format: 'pem' }).toString()],
    ["the App's client secret", '0123456789abcdef0123456789abcdef01234567'],
    ['a path that nobody expanded', 'file://app.private-key.pem'],
    ['base64 of something else', base64('no key')],
  ])('is not read from %s', (_, text) => {
    expect(readAppKey(text)).toBeUndefined();
  });

  test('that was read is one that Node takes', () => {
    const key = createPrivateKey(readAppKey(oneLine(pkcs1, ' ')) ?? '');
    expect(key.equals(privateKey)).toBe(true);
  });
});

describe('the id of the App', () => {
  test.each([
    ['123456', '123456'],
    [' 123456\n', '123456'],
    ['"123456"', '123456'],
    ['Iv1.8a61f9b3a7aba766', 'Iv1.8a61f9b3a7aba766'],
    ["'Iv23liEmulatedApp001'", 'Iv23liEmulatedApp001'],
  ])('is read from %j', (text, id) => {
    expect(readAppId(text)).toBe(id);
  });

  test.each(['', 'my-app', '12 34', '-1', '1e6', 'https://github.com/apps/ci', pkcs1])(
    'is not read from %j',
    (text) => {
      expect(readAppId(text)).toBeUndefined();
    },
  );
});

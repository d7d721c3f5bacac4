import { createPrivateKey, type KeyObject } from 'node:crypto';

/**
 * The App's private key as PKCS#8 in PEM form, from what people store: the file that GitHub gives (PKCS#1) or a PKCS#8 one, in
 * base64, with `\n` for its line ends, in quotes, indented, or as one line.
 *
 * @returns undefined when the text holds no whole RSA private key
 */
export function readAppKey(text: string): string | undefined {
  const plain = unescaped(text);
  const pem = plain.includes('-----BEGIN') ? plain : unescaped(Buffer.from(plain, 'base64').toString('utf8'));
  const [, label, lines = ''] = /-----BEGIN (RSA PRIVATE KEY|PRIVATE KEY)-----(.*?)-----END \1-----/s.exec(pem) ?? [];
  const body = lines.replaceAll(/\s/g, '');
  if (label === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(body)) return undefined;
  const key = parse(Buffer.from(body, 'base64'), label === 'PRIVATE KEY' ? 'pkcs8' : 'pkcs1');
  return key?.asymmetricKeyType === 'rsa' ? key.export({ type: 'pkcs8', format: 'pem' }).toString() : undefined;
}

/**
 * The App's id, or its client id, which GitHub takes as well.
 * https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/generating-a-json-web-token-jwt-for-a-github-app
 *
 * @returns undefined when the text is neither
 */
export function readAppId(text: string): string | undefined {
  const id = withoutQuotes(text);
  return /^(\d+|Iv[\w.]+)$/.test(id) ? id : undefined;
}

function unescaped(text: string): string {
  return withoutQuotes(text).replaceAll('\\r', '').replaceAll('\\n', '\n');
}

function withoutQuotes(text: string): string {
  return text.trim().replace(/^(["'])(.*)\1$/s, '$2');
}

function parse(key: Buffer, type: 'pkcs1' | 'pkcs8'): KeyObject | undefined {
  try {
    return createPrivateKey({ key, format: 'der', type });
  } catch {
    // OpenSSL says nothing that a reader could use.
    return undefined;
  }
}

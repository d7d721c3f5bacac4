import { createHmac, timingSafeEqual } from 'node:crypto';

/** Has the signature GitHub's form? Anybody may send another, which must not cost the hash of a large body. */
export function isSignature(signature: string): boolean {
  return /^sha256=[0-9a-f]{64}$/.test(signature);
}

/**
 * Does the signature come from one of the secrets? GitHub signs bytes, so bytes are what is checked: octokit's `verify`
 * takes text, and a body that is not valid UTF-8 would be another body by then.
 * https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function verifySignature(body: Uint8Array, signature: string, secrets: readonly string[]): boolean {
  if (!isSignature(signature)) return false;
  const given = Buffer.from(signature);
  return secrets.some((secret) => {
    const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
    return given.length === expected.length && timingSafeEqual(given, expected);
  });
}

import { createVerify, generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Installation, Permissions, Repository } from './accounts.ts';

const maxLifetime = 600;
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export type InstallationToken = {
  readonly token: string;
  readonly installation: Installation;
  readonly permissions: Permissions;
  /** Undefined means all that the installation covers. */
  readonly repositories: readonly Repository[] | undefined;
  readonly expiresAt: number;
};

export type AppIdentity = { readonly id: string; readonly clientId: string };

/** The App's key and what it opens: JWTs are checked against it, installation tokens are made and remembered. */
export class AppAuth {
  readonly #clock: Clock;
  readonly #app: AppIdentity;
  readonly #publicKeys: KeyObject[] = [];
  readonly #tokens = new Map<string, InstallationToken>();
  #privateKey: string;

  constructor(clock: Clock, app: AppIdentity) {
    this.#clock = clock;
    this.#app = app;
    this.#privateKey = this.#addKey();
  }

  /** PKCS#1 PEM, as GitHub hands it out. */
  get privateKey(): string {
    return this.#privateKey;
  }

  /** An App may have many keys: the old one is good until it is deleted. */
  rotateKey({ deleteOld = true }: { readonly deleteOld?: boolean } = {}): string {
    if (deleteOld) this.#publicKeys.length = 0;
    return (this.#privateKey = this.#addKey());
  }

  /** What is wrong with a JWT in GitHub's words (octokit reads them to set its clock right); undefined when it is good. */
  refuseJwt(jwt: string): string | undefined {
    const [header = '', claims = '', signature = ''] = jwt.split('.');
    const signed = `${header}.${claims}`;
    const good = this.#publicKeys.some((key) =>
      createVerify('RSA-SHA256').update(signed).verify(key, signature, 'base64url'),
    );
    if (!good || parseJson(header)['alg'] !== 'RS256') return 'A JSON web token could not be decoded';
    const { iss, iat, exp } = parseJson(claims);
    const now = Math.floor(this.#clock.now() / 1000);
    if (![this.#app.id, this.#app.clientId].includes(String(iss))) return "'Issuer' claim ('iss') must be an Integer";
    if (typeof iat !== 'number' || iat > now) {
      return "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued";
    }
    if (typeof exp !== 'number' || exp <= now) {
      return "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires";
    }
    if (exp > now + maxLifetime) return "'Expiration time' claim ('exp') is too far in the future";
    return undefined;
  }

  issueToken(grant: Omit<InstallationToken, 'token'>): InstallationToken {
    // The format of 2026, several hundred characters long: whoever counts on forty of them shall notice.
    const header = encode({ alg: 'RS256', typ: 'JWT', kid: randomBytes(16).toString('hex') });
    const claims = encode({
      iss: 'github',
      sub: `installation:${grant.installation.id}`,
      exp: Math.floor(grant.expiresAt / 1000),
      jti: randomBytes(16).toString('hex'),
    });
    const token = `ghs_${this.#app.id}_${header}.${claims}.${randomBytes(256).toString('base64url')}`;
    const issued = { ...grant, token };
    this.#tokens.set(token, issued);
    for (const [old, { expiresAt }] of this.#tokens) {
      if (expiresAt > this.#clock.now()) break;
      this.#tokens.delete(old);
    }
    return issued;
  }

  findToken(token: string): InstallationToken | undefined {
    const found = this.#tokens.get(token);
    return found !== undefined && found.expiresAt > this.#clock.now() ? found : undefined;
  }

  revokeToken(token: string): void {
    this.#tokens.delete(token);
  }

  revokeTokensOf(installation: Installation): void {
    for (const [token, { installation: held }] of this.#tokens) {
      if (held.id === installation.id) this.#tokens.delete(token);
    }
  }

  #addKey(): string {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.#publicKeys.push(publicKey);
    return privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  }
}

function parseJson(part: string): Record<string, unknown> {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString('utf8')) as Record<string, unknown>;
  } catch {
    return {};
  }
}

import type { Registration } from '../contracts/with-github/registration.ts';
import type { GitHubRunners } from './runners.ts';

/** A token is renewed this long before it expires: it must outlive the claims it is put into. */
const renewedBeforeMs = 25 * 60_000;

/**
 * One mint serves every runner of a scope until its token has 25 minutes left: from memory, from the store that all function instances
 * share, or from GitHub. Callers that come together share one mint. A token that GitHub has refused since it was minted is not handed
 * out again.
 */
export function registrationReader({
  github,
  store,
  now = Date.now,
}: {
  readonly github: Pick<GitHubRunners, 'mintToken' | 'listReleases'>;
  readonly store: {
    readonly readRegistration: (scope: string) => Promise<Registration | undefined>;
    readonly writeRegistration: (scope: string, registration: Registration) => Promise<void>;
  };
  readonly now?: () => number;
}): (scope: string, mintedAfter?: number) => Promise<Registration> {
  const known = new Map<string, Promise<Registration>>();
  const isGood = ({ tokenExpiresAt, mintedAt = 0 }: Registration, mintedAfter: number): boolean =>
    tokenExpiresAt - now() > renewedBeforeMs && mintedAt >= mintedAfter;

  async function find(scope: string, mintedAfter: number): Promise<Registration> {
    const stored = await store.readRegistration(scope);
    if (stored !== undefined && isGood(stored, mintedAfter)) return stored;
    const [{ token, expiresAt }, releases] = await Promise.all([
      github.mintToken(scope),
      // A runner starts without knowing which version GitHub wants; it cannot without a token.
      github.listReleases(scope).catch(() => stored?.releases ?? {}),
    ]);
    const minted = { token, tokenExpiresAt: expiresAt, mintedAt: now(), releases };
    await store.writeRegistration(scope, minted);
    return minted;
  }

  return async (scope, mintedAfter = 0) => {
    const kept = known.get(scope);
    if (kept !== undefined && isGood(await kept, mintedAfter)) return kept;
    if (known.get(scope) === kept) {
      const finding = find(scope, mintedAfter);
      known.set(scope, finding);
      finding.catch(() => known.delete(scope));
    }
    return known.get(scope) ?? find(scope, mintedAfter);
  };
}

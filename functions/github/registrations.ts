import type { RunnerRelease } from '../contracts/with-tasks/claim.ts';
import type { GitHubRunners } from './runners.ts';

type Registration = {
  readonly token: string;
  readonly tokenExpiresAt: number;
  readonly releases: Readonly<Record<string, RunnerRelease>>;
};

/** A token is renewed so long before it expires: it must outlive the claims it is put into. */
const renewedBeforeMs = 25 * 60_000;

/**
 * One mint serves every runner of a scope for half an hour: from memory, from the store that all function instances
 * share, or from GitHub. Callers that come together share one mint.
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
}): (scope: string) => Promise<Registration> {
  const known = new Map<string, Promise<Registration>>();
  const isGood = (registration: Registration): boolean => registration.tokenExpiresAt - now() > renewedBeforeMs;

  async function find(scope: string): Promise<Registration> {
    const stored = await store.readRegistration(scope);
    if (stored !== undefined && isGood(stored)) return stored;
    const [{ token, expiresAt }, releases] = await Promise.all([
      github.mintToken(scope),
      // A runner starts without knowing which version GitHub wants; it cannot without a token.
      github.listReleases(scope).catch(() => stored?.releases ?? {}),
    ]);
    const minted = { token, tokenExpiresAt: expiresAt, releases };
    await store.writeRegistration(scope, minted);
    return minted;
  }

  return async (scope) => {
    const kept = known.get(scope);
    if (kept !== undefined && isGood(await kept)) return kept;
    if (known.get(scope) === kept) {
      const finding = find(scope);
      known.set(scope, finding);
      finding.catch(() => known.delete(scope));
    }
    return known.get(scope) ?? find(scope);
  };
}

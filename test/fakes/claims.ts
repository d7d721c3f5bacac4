import type { registrationStore } from '../../functions/aws/claims.ts';
import type { Registration } from '../../functions/contracts/with-github/registration.ts';
import type { Item } from '../../functions/aws/ledger/table.ts';
import { claimKeyPrefix, decodeClaim, type Claim } from '../../functions/contracts/with-tasks/claim.ts';

export type FakeClaims = ReturnType<typeof registrationStore> & {
  /** By key. */
  readonly items: Map<string, Item>;
  /** By claim id; `expiresAt` in seconds, as in the table. */
  readonly open: () => ReadonlyMap<string, { readonly body: string; readonly expiresAt: number }>;
  readonly registrations: Map<string, Registration>;
  /** Every claim id there ever was. */
  readonly issued: string[];
  /** What a task does: takes the claim away. Whoever comes second, or too late, finds none. */
  readonly fetch: (claimId: string) => Claim | undefined;
};

/** The table of secrets on their way to tasks, in memory. */
export function fakeClaims(now: () => number): FakeClaims {
  const issued: string[] = [];
  const items = new (class extends Map<string, Item> {
    override set(key: string, item: Item): this {
      if (!this.has(key)) issued.push(key.slice(claimKeyPrefix.length));
      return super.set(key, item);
    }
  })();
  const registrations = new Map<string, Registration>();
  return {
    items,
    registrations,
    issued,
    open: () =>
      new Map(
        [...items].map(([key, { body, expiresAt }]) => [
          key.slice(claimKeyPrefix.length),
          { body: String(body), expiresAt: Number(expiresAt) },
        ]),
      ),
    fetch: (claimId) => {
      const key = `${claimKeyPrefix}${claimId}`;
      const claim = items.get(key);
      if (claim === undefined || Number(claim['expiresAt']) * 1000 <= now()) return undefined;
      items.delete(key);
      return decodeClaim(String(claim['body']));
    },
    readRegistration: async (scope) => registrations.get(scope),
    writeRegistration: async (scope, registration) => {
      registrations.set(scope, registration);
    },
  };
}

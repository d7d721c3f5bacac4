import { decodeClaim, type Claim } from '../../functions/contracts/with-tasks/claim.ts';
import type { Registration, claimStore } from '../../functions/aws/claims.ts';

type StoredClaim = { readonly body: string; readonly expiresAt: number };

export type FakeClaims = ReturnType<typeof claimStore> & {
  /** By claim id; `expiresAt` in seconds, as in the table. */
  readonly open: Map<string, StoredClaim>;
  readonly registrations: Map<string, Registration>;
  /** Every claim id there ever was. */
  readonly issued: string[];
  readonly put: (claimId: string, claim: StoredClaim) => void;
  /** What a task does: takes the claim away. Whoever comes second, or too late, finds none. */
  readonly fetch: (claimId: string) => Claim | undefined;
};

/** The table of secrets on their way to tasks, in memory. */
export function fakeClaims(now: () => number): FakeClaims {
  const open = new Map<string, StoredClaim>();
  const registrations = new Map<string, Registration>();
  const issued: string[] = [];
  return {
    open,
    registrations,
    issued,
    put: (claimId, claim) => {
      open.set(claimId, claim);
      issued.push(claimId);
    },
    fetch: (claimId) => {
      const claim = open.get(claimId);
      if (claim === undefined || claim.expiresAt * 1000 <= now()) return undefined;
      open.delete(claimId);
      return decodeClaim(claim.body);
    },
    revokeClaim: async (claimId) => open.delete(claimId),
    readRegistration: async (scope) => registrations.get(scope),
    writeRegistration: async (scope, registration) => {
      registrations.set(scope, registration);
    },
  };
}

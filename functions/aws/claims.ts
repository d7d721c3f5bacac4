import * as v from 'valibot';
import { claimKeyPrefix, type RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { table, type Table } from './ledger/table.ts';

const releaseSchema = v.object({ version: v.string(), url: v.string(), sha256: v.string() });
const registrationSchema = v.object({
  token: v.string(),
  /** Milliseconds since the epoch. */
  tokenExpiresAt: v.number(),
  releases: v.record(v.string(), releaseSchema),
});

/** What every runner of a scope registers with. Secret. */
export type Registration = {
  readonly token: string;
  readonly tokenExpiresAt: number;
  /** By architecture. */
  readonly releases: Readonly<Record<string, RunnerRelease>>;
};

/** The table of secrets on their way to tasks. */
export function claimStore(
  name: string,
  claims: Table = table(name),
): {
  readonly readRegistration: (scope: string) => Promise<Registration | undefined>;
  readonly writeRegistration: (scope: string, registration: Registration) => Promise<void>;
  /** Takes a claim back. True when no task had fetched it: then none ever will. */
  readonly revokeClaim: (claimId: string) => Promise<boolean>;
} {
  return {
    readRegistration: async (scope) => {
      const item = await claims.read(tokenKeyOf(scope));
      const known = v.safeParse(registrationSchema, item);
      return known.success ? known.output : undefined;
    },
    writeRegistration: async (scope, registration) => {
      await claims.change({
        id: tokenKeyOf(scope),
        set: { ...registration, expiresAt: Math.floor(registration.tokenExpiresAt / 1000) },
      });
    },
    revokeClaim: async (claimId) => claims.remove(`${claimKeyPrefix}${claimId}`),
  };
}

function tokenKeyOf(scope: string): string {
  return `token#${scope}`;
}

import * as v from 'valibot';
import { registrationSchema, type Registration } from '../contracts/with-github/registration.ts';
import { table, type Table } from './ledger/table.ts';

/** The table of secrets on their way to tasks. */
export function registrationStore(
  name: string,
  claims: Table = table(name),
): {
  readonly readRegistration: (scope: string) => Promise<Registration | undefined>;
  readonly writeRegistration: (scope: string, registration: Registration) => Promise<void>;
} {
  return {
    readRegistration: async (scope) => {
      const item = await claims.read(tokenKeyOf(scope));
      const known = v.safeParse(registrationSchema, item);
      return known.success ? known.output : undefined;
    },
    writeRegistration: async (scope, registration) => {
      await claims.change<Registration>({
        id: tokenKeyOf(scope),
        set: { ...registration, expiresAt: Math.floor(registration.tokenExpiresAt / 1000) },
      });
    },
  };
}

function tokenKeyOf(scope: string): string {
  return `token#${scope}`;
}

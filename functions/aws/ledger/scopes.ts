import { decodeScopeRecord, type ScopeRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { Table } from './table.ts';

export type ScopeLedger = {
  readonly readScope: (scope: string) => Promise<ScopeRecord>;
  /** Nothing is launched in the scope until then; what waits says why. */
  readonly holdScope: (scope: string, hold: { readonly until: number; readonly reason: string }) => Promise<void>;
};

export function scopeLedger(table: Table): ScopeLedger {
  return {
    readScope: async (scope) => decodeScopeRecord({ scope, ...(await table.read(scopeKeyOf(scope))) }),
    holdScope: async (scope, { until, reason }) => {
      await table.change({
        id: scopeKeyOf(scope),
        set: { scope, holdUntil: new Date(until).toISOString(), holdReason: reason },
      });
    },
  };
}

export function scopeKeyOf(scope: string): string {
  return `scope#${scope}`;
}

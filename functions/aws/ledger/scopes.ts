import { decodeScopeRecord, type ScopeRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { absentOr, below, present } from './condition.ts';
import type { Table } from './table.ts';

type ScopeLedger = Pick<Ledger, 'readScope' | 'holdScope' | 'endHold' | 'noteTokenRefused'>;

export function scopeLedger(table: Table, now: () => number): ScopeLedger {
  return {
    readScope: async (scope) => decodeScopeRecord({ scope, ...(await table.read(scopeKeyOf(scope))) }),
    holdScope: async (scope, { until, note }) => {
      const holdUntil = new Date(until).toISOString();
      await table.change<ScopeRecord>({
        id: scopeKeyOf(scope),
        set: { scope, holdUntil, holdReason: note },
        when: { holdUntil: absentOr(below(holdUntil)) },
      });
    },
    endHold: async (scope) => {
      await table.change<ScopeRecord>({
        id: scopeKeyOf(scope),
        remove: ['holdUntil', 'holdReason'],
        when: { holdUntil: present },
      });
    },
    noteTokenRefused: async (scope) => {
      await table.change<ScopeRecord>({
        id: scopeKeyOf(scope),
        set: { scope, tokenRefusedAt: new Date(now()).toISOString() },
      });
    },
  };
}

export function scopeKeyOf(scope: string): string {
  return `scope#${scope}`;
}

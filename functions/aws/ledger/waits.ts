import {
  decodeBreakerRecord,
  decodeCapacityRecord,
  type BreakerRecord,
  type CapacityRecord,
} from '../../contracts/between-rooms/ledger-records.ts';
import type { BreakerKey, CapacityKey, Ledger } from '../../fleet/ledger.ts';
import { isCount } from './condition.ts';
import type { Table } from './table.ts';

type WaitLedger = Pick<Ledger, 'readBreaker' | 'changeBreaker' | 'readCapacity' | 'changeCapacity'>;

/** The records of `fleet/waits/`: read, compared by their revision, and set. */
export function waitLedger(table: Table): WaitLedger {
  async function change(id: string, after: BreakerRecord | CapacityRecord): Promise<boolean> {
    const { revision, ...rest } = after;
    const cleared = Object.entries(rest).filter(([, value]) => value === undefined);
    const { done } = await table.change<BreakerRecord & CapacityRecord>({
      id,
      set: { ...rest, revision: revision + 1 },
      remove: cleared.map(([name]) => name as keyof typeof rest),
      when: { revision: isCount(revision) },
    });
    return done;
  }

  return {
    readBreaker: async (key) => decodeBreakerRecord((await table.read(breakerKeyOf(key))) ?? {}),
    changeBreaker: async (key, after) => change(breakerKeyOf(key), after),
    readCapacity: async (key) => decodeCapacityRecord((await table.read(capacityKeyOf(key))) ?? {}),
    changeCapacity: async (key, after) => change(capacityKeyOf(key), after),
  };
}

function breakerKeyOf({ profile, scope }: BreakerKey): string {
  return `breaker#${profile}@${scope}`;
}

function capacityKeyOf({ profile, provider }: CapacityKey): string {
  return `capacity#${profile}@${provider}`;
}

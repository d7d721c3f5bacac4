import { decodeDeliveryCursor, type DeliveryCursor } from '../../contracts/between-rooms/ledger-records.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { present } from './condition.ts';
import type { Table } from './table.ts';

/** What the sweeps must remember from one run to the next. */
type SweepMemory = Pick<
  Ledger,
  'readCursor' | 'writeCursor' | 'noteStranger' | 'forgetStranger' | 'readSeeded' | 'writeSeeded'
>;

type Orphan = { readonly firstAt: number };

const cursorId = 'cursor#deliveries';
/** A stranger that is not seen for this long is forgotten, and must be seen twice anew. */
const strangersKeptSeconds = 3600;

export function sweepMemory(table: Table, now: () => number): SweepMemory {
  return {
    readCursor: async () => {
      const item = await table.read(cursorId);
      return item && decodeDeliveryCursor(item);
    },
    writeCursor: async (cursor) => {
      await table.change<DeliveryCursor>({ id: cursorId, set: cursor });
    },
    readSeeded: async (owner) => (await table.read(`seeded#${owner}`)) !== undefined,
    writeSeeded: async (owner) => {
      await table.change<{ readonly at: string }>({
        id: `seeded#${owner}`,
        set: { at: new Date(now()).toISOString() },
      });
    },
    forgetStranger: async (what) => {
      await table.change<Orphan>({ id: `stranger#${what}`, remove: ['firstAt'], when: { firstAt: present } });
    },
    noteStranger: async (what) => {
      const id = `stranger#${what}`;
      // TTL removes an item days late at times: what has expired counts as gone.
      const known = await table.read(id);
      const expired = known?.['firstAt'] === undefined || Number(known['expiresAt']) * 1000 < now();
      const firstAt = expired ? now() : Number(known['firstAt']);
      await table.change<Orphan>({ id, set: { firstAt, expiresAt: Math.floor(now() / 1000) + strangersKeptSeconds } });
      return firstAt;
    },
  };
}

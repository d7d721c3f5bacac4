import { decodeDeliveryCursor, type DeliveryCursor } from '../../contracts/between-rooms/ledger-records.ts';
import type { Table } from './table.ts';

/** What the sweeps must remember from one run to the next. */
export type SweepMemory = {
  readonly readCursor: () => Promise<DeliveryCursor | undefined>;
  readonly writeCursor: (cursor: DeliveryCursor) => Promise<void>;
  /** Notes that something nobody knows was seen at rest; says since when it has been, milliseconds since the epoch. */
  readonly noteStranger: (what: string) => Promise<number>;
  /** It moved, or somebody knows it after all: a later sight is a first one again. */
  readonly forgetStranger: (what: string) => Promise<void>;
  /** Were all repositories that the App may see noted once, since the ledger was made? */
  readonly readSeeded: (owner: string) => Promise<boolean>;
  readonly writeSeeded: (owner: string) => Promise<void>;
};

const cursorId = 'cursor#deliveries';
/** A stranger not seen for so long is forgotten, and would have to be seen twice anew. */
const strangersKeptSeconds = 3600;

export function sweepMemory(table: Table, now: () => number): SweepMemory {
  return {
    readCursor: async () => {
      const item = await table.read(cursorId);
      return item && decodeDeliveryCursor(item);
    },
    writeCursor: async (cursor) => {
      await table.change({ id: cursorId, set: cursor });
    },
    readSeeded: async (owner) => (await table.read(`seeded#${owner}`)) !== undefined,
    writeSeeded: async (owner) => {
      await table.change({ id: `seeded#${owner}`, set: { at: new Date(now()).toISOString() } });
    },
    forgetStranger: async (what) => {
      await table.change({ id: `stranger#${what}`, remove: ['firstAt'], when: 'attribute_exists(#firstAt)' });
    },
    noteStranger: async (what) => {
      const id = `stranger#${what}`;
      // TTL removes an item days late at times: what has expired counts as gone.
      const known = await table.read(id);
      const expired = known?.['firstAt'] === undefined || Number(known['expiresAt']) * 1000 < now();
      const firstAt = expired ? now() : Number(known['firstAt']);
      await table.change({ id, set: { firstAt, expiresAt: Math.floor(now() / 1000) + strangersKeptSeconds } });
      return firstAt;
    },
  };
}

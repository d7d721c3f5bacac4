import type { DeliveryRecord } from '../contracts/with-github/delivery-record.ts';
import { GitHubError } from '../contracts/with-github/errors.ts';
import type { DeliveryCursor, FailedDelivery } from '../contracts/between-rooms/ledger-records.ts';
import { decideRedelivery } from './decide-redelivery.ts';

export type RedeliveryPorts = {
  readonly now: () => number;
  readonly readCursor: () => Promise<DeliveryCursor | undefined>;
  readonly writeCursor: (cursor: DeliveryCursor) => Promise<void>;
  readonly listDeliveries: (
    since: number,
    mayAsk: (pages: number) => boolean,
  ) => Promise<{ readonly deliveries: readonly DeliveryRecord[]; readonly complete: boolean }>;
  readonly redeliver: (id: string) => Promise<void>;
  /** When the webhook secret was last changed. */
  readonly secretChangedAt: () => Promise<number | undefined>;
};

export type RedeliveryVerdict = {
  readonly redelivered: readonly { readonly delivery: string; readonly tries: number }[];
  readonly forgotten: readonly { readonly delivery: string; readonly note: string }[];
  readonly pending: number;
  /** False when more came than one pass can look at. */
  readonly complete: boolean;
  readonly failures: readonly string[];
};

/** The list is read again from a little before where the last pass ended: it may show a delivery late. */
const overlapMs = 5 * 60_000;
const oldestMs = 24 * 3_600_000;
const mostPages = 80;
const mostAPass = 50;
/** A record holds 400 KB at most. */
const mostRemembered = 1000;
/** The list may take this long, and all of the pass that long: the function has 30 seconds. */
const listedWithinMs = 14_000;
const doneWithinMs = 20_000;

/** Asks GitHub again for what it could not deliver. Its own list counts the tries. */
export async function redeliverWebhooks(ports: RedeliveryPorts): Promise<RedeliveryVerdict> {
  const now = ports.now();
  const cursor = await ports.readCursor();
  // A first deploy begins now: what failed before it was never ours.
  if (cursor === undefined) {
    const begunAt = new Date(now).toISOString();
    await ports.writeCursor({ begunAt, scannedTo: begunAt, failed: [] });
    return { redelivered: [], forgotten: [], pending: 0, complete: true, failures: [] };
  }
  const since = Math.max(Date.parse(cursor.begunAt), Date.parse(cursor.scannedTo) - overlapMs, now - oldestMs);
  const listed = await ports.listDeliveries(since, (pages) => pages < mostPages && ports.now() - now < listedWithinMs);
  const failed = merge(cursor.failed, listed.deliveries);
  const secretChangedAt = failed.some(({ statusCode }) => statusCode === 401)
    ? await ports.secretChangedAt()
    : undefined;
  const pass = await redeliverDue(failed, { now, secretChangedAt }, ports);

  // A record that is full keeps what has been tried the least, oldest first. The rest is looked up again in the next pass.
  const inOrder = pass.kept.toSorted((a, b) => a.tries - b.tries || a.firstAt.localeCompare(b.firstAt));
  const kept = inOrder.slice(0, mostRemembered);
  const dropped = inOrder.slice(mostRemembered).map(({ firstAt }) => Date.parse(firstAt));
  await ports.writeCursor({
    begunAt: cursor.begunAt,
    // Also when the list was cut: it is newest first, so a pass that began at the old place would never get any further.
    scannedTo: new Date(Math.min(now, ...dropped)).toISOString(),
    failed: kept,
  });
  return {
    redelivered: pass.redelivered,
    forgotten: pass.forgotten,
    failures: pass.failures,
    pending: inOrder.length - pass.redelivered.length,
    complete: listed.complete && dropped.length === 0,
  };
}

type Pass = Pick<RedeliveryVerdict, 'redelivered' | 'forgotten' | 'failures'> & { readonly kept: FailedDelivery[] };

async function redeliverDue(
  failed: readonly FailedDelivery[],
  { now, secretChangedAt }: { readonly now: number; readonly secretChangedAt: number | undefined },
  ports: RedeliveryPorts,
): Promise<Pass> {
  const kept: FailedDelivery[] = [];
  const redelivered: RedeliveryVerdict['redelivered'][number][] = [];
  const forgotten: RedeliveryVerdict['forgotten'][number][] = [];
  const failures: string[] = [];
  let stopped = false;
  for (const delivery of failed) {
    const decision = decideRedelivery(delivery, { now, secretChangedAt });
    if (decision.kind === 'forget') {
      forgotten.push({ delivery: delivery.guid, note: decision.note });
      continue;
    }
    const tried = redelivered.length + failures.length;
    if (decision.kind === 'wait' || stopped || tried === mostAPass || ports.now() - now > doneWithinMs) {
      kept.push(delivery);
      continue;
    }
    try {
      await ports.redeliver(delivery.deliveryId);
      kept.push({ ...delivery, asked: delivery.asked + 1 });
      redelivered.push({ delivery: delivery.guid, tries: delivery.tries + 1 });
    } catch (error) {
      if (!(error instanceof GitHubError)) throw error;
      if (error.status === 404) {
        forgotten.push({ delivery: delivery.guid, note: 'GitHub knows it no more' });
        continue;
      }
      kept.push(delivery);
      failures.push(`${delivery.guid}: ${error.message}`);
      // Whoever does not answer, or has had enough of us, is not asked fifty times.
      stopped = error.kind !== 'refused';
    }
  }
  return { kept, redelivered, forgotten, failures };
}

/** Groups by GUID: what has one delivery that went well is done, however often it failed. */
function merge(known: readonly FailedDelivery[], deliveries: readonly DeliveryRecord[]): FailedDelivery[] {
  const failed = new Map(known.map((delivery) => [delivery.guid, delivery]));
  const done = new Set<string>();
  const jobs = deliveries.filter(({ event }) => event === 'workflow_job');
  for (const delivery of jobs.toSorted((a, b) => a.deliveredAt - b.deliveredAt)) {
    const { guid, id, ok, statusCode } = delivery;
    if (ok) done.add(guid);
    const at = new Date(delivery.deliveredAt).toISOString();
    const before = failed.get(guid);
    // The passes overlap: one that was counted is not counted again.
    if (before !== undefined && (before.lastAt > at || before.deliveryId === id)) continue;
    failed.set(guid, {
      guid,
      deliveryId: id,
      firstAt: before?.firstAt ?? at,
      lastAt: at,
      tries: (before?.tries ?? 0) + 1,
      asked: before?.asked ?? 0,
      statusCode,
    });
  }
  return [...failed.values()].filter(({ guid }) => !done.has(guid));
}

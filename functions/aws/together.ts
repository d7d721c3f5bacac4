import DataLoader from 'dataloader';

/** The answer to one of several calls that went out as one request. */
export type Result<V> = V | Error;

/**
 * Calls that are made in one turn of the event loop go out as one request: the messages of a batch run side by side, and ask the ledger
 * once instead of ten times. Nothing is remembered from one request to the next.
 */
export function together<K, V>(
  act: (keys: readonly K[]) => Promise<readonly Result<V>[]>,
  most = 100,
): (key: K) => Promise<V> {
  const loader = new DataLoader<K, V>(act, { cache: false, maxBatchSize: most });
  return async (key) => loader.load(key);
}

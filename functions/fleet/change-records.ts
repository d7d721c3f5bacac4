import type { BreakerRecord, CapacityRecord, JobRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { BreakerKey, CapacityKey, Ledger } from './ledger.ts';

const mostTries = 10;

/**
 * Applies a rule to a job's record.
 *
 * @param rule gives the record as it must become, or undefined where nothing changes
 * @returns the record before the rule, and after it; `after` is undefined where nothing changed
 */
export async function changeJob(
  jobId: string,
  rule: (record: JobRecord | undefined) => JobRecord | undefined,
  { readJob, changeJob: set }: Pick<Ledger, 'readJob' | 'changeJob'>,
): Promise<{ readonly before: JobRecord | undefined; readonly after: JobRecord | undefined }> {
  return compareAndSet(`job ${jobId}`, { read: async () => readJob(jobId), rule, set });
}

/** Applies a rule to a breaker's record. A rule that changes nothing costs one read. */
export async function changeBreaker(
  key: BreakerKey,
  rule: (record: BreakerRecord) => BreakerRecord | undefined,
  ports: Pick<Ledger, 'readBreaker' | 'changeBreaker'>,
): Promise<void> {
  await compareAndSet(`the breaker of ${key.profile} in ${key.scope}`, {
    read: async () => ports.readBreaker(key),
    rule,
    set: async (_, after) => ports.changeBreaker(key, after),
  });
}

/** Applies a rule to what is known of AWS's room. A rule that changes nothing costs one read. */
export async function changeCapacity(
  key: CapacityKey,
  rule: (record: CapacityRecord) => CapacityRecord | undefined,
  ports: Pick<Ledger, 'readCapacity' | 'changeCapacity'>,
): Promise<void> {
  await compareAndSet(`the room of ${key.profile} on ${key.provider}`, {
    read: async () => ports.readCapacity(key),
    rule,
    set: async (_, after) => ports.changeCapacity(key, after),
  });
}

type Change<Before, After> = {
  readonly read: () => Promise<Before>;
  readonly rule: (before: Before) => After | undefined;
  /** @returns false when the record has changed since it was read */
  readonly set: (before: Before, after: After) => Promise<boolean>;
};

async function compareAndSet<Before, After>(
  what: string,
  { read, rule, set }: Change<Before, After>,
): Promise<{ readonly before: Before; readonly after: After | undefined }> {
  for (let attempt = 1; attempt <= mostTries; attempt += 1) {
    const before = await read();
    const after = rule(before);
    if (after === undefined || (await set(before, after))) return { before, after };
  }
  throw new Error(`${what} was changed by others ${mostTries} times while it was written`);
}

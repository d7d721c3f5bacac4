import { decodeJobRecord, recordVersion, type JobRecord } from '../../contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../../contracts/with-infra/limits.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { absent, absentOr, below, is, isCount, present } from './condition.ts';
import { decodeEach, last, type Change, type Item, type Table } from './table.ts';

/** GitHub keeps a job waiting for a day at most. For a week more people may ask what happened. */
const keptSeconds = 8 * 24 * 3600;

type JobLedger = Pick<
  Ledger,
  | 'readJob'
  | 'changeJob'
  | 'explainWait'
  | 'askLaunch'
  | 'rememberJob'
  | 'listWaiting'
  | 'listBlocked'
  | 'listWaitingPools'
  | 'listWaitingJobs'
>;

export function jobLedger(table: Table, now: () => number): JobLedger {
  return {
    readJob: async (jobId) => {
      const item = await table.read(jobKeyOf(jobId));
      return item && decodeJobRecord(item);
    },
    changeJob: async (before, after) => {
      const { done } = await table.change(jobChange(before, after, now()));
      return done;
    },
    explainWait: async (jobId, { reason, note, until }) => {
      const notBefore = until === undefined ? undefined : new Date(until).toISOString();
      await table.change<JobRecord>({
        id: jobKeyOf(jobId),
        set: { reason, note, decidedAt: new Date(now()).toISOString(), notBefore },
        remove: ['askedAt'],
        when: { state: is('waiting') },
      });
    },
    askLaunch: async (jobId, launch) => {
      const { done } = await table.change<JobRecord>({
        id: jobKeyOf(jobId),
        set: { askedAt: new Date(now()).toISOString() },
        when: {
          state: is('waiting'),
          launches: isCount(launch - 1),
          askedAt: absentOr(below(new Date(now() - askedForMs).toISOString())),
        },
      });
      return done;
    },
    rememberJob: async (jobId) => {
      await table.change<JobRecord>({
        id: jobKeyOf(jobId),
        set: { expiresAt: expiry(now()) },
        when: { job: present },
      });
    },
    listWaiting: async () => decodeEach(await table.listOpen('job'), decodeJobRecord),
    listBlocked: async () => decodeEach(await table.listOpen('blocked'), decodeJobRecord),
    listWaitingPools: async (profile) => {
      const pools: string[] = [];
      const to = `${profile}@${last}`;
      for (let from = `${profile}@`; ;) {
        const [first] = await table.listOpen('job', { from, to, limit: 1 });
        if (first === undefined) return pools;
        const [pool] = groupOf(first);
        pools.push(pool);
        from = `${pool}|${last}`;
      }
    },
    listWaitingJobs: async (pool, { ofEach, repositories }) => {
      const groups = new Map<string, Item[]>();
      const to = `${pool}|${last}`;
      for (let from = `${pool}|`; ;) {
        const page = await table.listOpen('job', { from, to, limit: ofEach });
        for (const [group, items] of Map.groupBy(page, (item) => groupOf(item)[1])) {
          groups.set(group, [...(groups.get(group) ?? []), ...items].slice(0, ofEach));
        }
        const end = page.at(-1);
        const [, group] = groupOf(end);
        const isWhole = groups.get(group)?.length === ofEach;
        const hasAll = groups.size > repositories || (groups.size === repositories && isWhole);
        if (end === undefined || page.length < ofEach || hasAll) {
          return decodeEach([...groups.values()].slice(0, repositories).flat(), decodeJobRecord);
        }
        // The page may end in the middle of a repository.
        from = isWhole ? `${pool}|${group}|${last}` : `${String(end['openKey'])}${next}`;
      }
    },
  };
}

/** Writes what differs between two records, on condition that the ledger still holds the job as it was read. */
export function jobChange(before: JobRecord | undefined, after: JobRecord, now: number): Change<JobRecord> {
  const { seenAt, ...rest } = after;
  const names = Object.keys({ ...before, ...rest }) as (keyof JobRecord)[];
  // The first release knows a job without launches by the attribute that is absent: it may come back by a rollback.
  const isUntold = (value: unknown): boolean => before === undefined && (value === 0 || value === false);
  const differing = names.filter((name) => !isSame(before?.[name], after[name]) && !isUntold(after[name]));
  const open = after.state === 'waiting' ? 'job' : after.state === 'blocked' ? 'blocked' : undefined;
  return {
    id: jobKeyOf(after.job.id),
    set: {
      ...Object.fromEntries(differing.map((name) => [name, after[name]])),
      version: recordVersion,
      expiresAt: expiry(now),
      open,
      openKey: open && openKeyOf(after),
    },
    setOnce: { seenAt },
    remove: [
      ...differing.filter((name) => after[name] === undefined),
      ...(open === undefined ? (['open', 'openKey'] as const) : []),
    ],
    when:
      before === undefined
        ? { order: absent }
        : {
            order: is(before.order),
            pool: is(before.pool),
            launches: isCount(before.launches),
            unservedLaunch: isCount(before.unservedLaunch),
          },
  };
}

export function jobKeyOf(jobId: string): string {
  return `job#${jobId}`;
}

function expiry(now: number): number {
  return Math.floor(now / 1000) + keptSeconds;
}

function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** By pool, then by repository, then oldest first, so that a list can be cut in each. Parked jobs stand behind the others. */
export function openKeyOf({ pool, parked, job }: JobRecord): string {
  return `${pool}|${parked ? '~' : ''}${job.repository.id}|${job.createdAt}|${job.id}`;
}

/** Behind a key, and before every other that follows it. */
const next = '\u0000';

/** Pool and repository of a waiting job. The first release left the repository out: there each job is a group of its own. */
function groupOf(item: Item | undefined): [string, string] {
  const [pool = '', group = ''] = String(item?.['openKey']).split('|');
  return [pool, group];
}

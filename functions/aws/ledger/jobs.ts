import type { ExplainedWait, JobNews, RecordedJob, UnservedLaunch } from '../../contracts/between-rooms/job-news.ts';
import type { Job } from '../../contracts/between-rooms/job.ts';
import {
  decodeJobRecord,
  jobOrder,
  recordVersion,
  type JobRecord,
} from '../../contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../../contracts/with-infra/limits.ts';
import { decodeEach, last, type Table } from './table.ts';

/** GitHub keeps a job waiting for a day at most; a week more is for whoever asks what happened. */
const keptSeconds = 8 * 24 * 3600;

export type JobLedger = {
  /** Moves a job forward to what the news says, never back. */
  readonly recordJob: (job: Job, news: JobNews) => Promise<RecordedJob>;
  readonly readJob: (jobId: string) => Promise<JobRecord | undefined>;
  /** Says why a job waits. Does nothing when it no longer does. */
  readonly explainWait: (jobId: string, wait: ExplainedWait) => Promise<void>;
  /** Takes it upon the caller to ask for a launch: of all who would at the same time, one does. */
  readonly askLaunch: (jobId: string, launch: number) => Promise<boolean>;
  /** Ends our own care for a job that still waits. */
  readonly giveUpJob: (job: JobRecord, state: 'refused' | 'expired', note: string) => Promise<boolean>;
  /** Counts a launch that served nobody, with what follows from it; false when it was counted or the job moved on. */
  readonly raiseUnserved: (job: JobRecord, raise: UnservedLaunch) => Promise<boolean>;
  /** Puts a waiting job into another pool: its profile was renamed or now fits better. */
  readonly moveJob: (job: JobRecord, to: { readonly pool: string; readonly profile: string }) => Promise<boolean>;
  readonly listWaiting: () => Promise<readonly JobRecord[]>;
  readonly listBlocked: () => Promise<readonly JobRecord[]>;
  readonly listWaitingPools: (profile: string) => Promise<readonly string[]>;
  readonly listWaitingJobs: (pool: string, limit: number) => Promise<readonly JobRecord[]>;
};

export function jobLedger(table: Table, now: () => number): JobLedger {
  const timestamp = (): string => new Date(now()).toISOString();

  async function readJob(jobId: string): Promise<JobRecord | undefined> {
    const item = await table.read(keyOf(jobId));
    return item && decodeJobRecord(item);
  }

  return {
    readJob,
    recordJob: async (job, news) => {
      const at = timestamp();
      const order = jobOrder(job.attempt, news.state);
      const open = news.state === 'waiting' ? 'job' : news.state === 'blocked' ? 'blocked' : undefined;
      // What earlier launches came to says nothing about a wait that begins.
      const remove = open === undefined ? [...noLongerWaiting, 'note'] : ['held', 'unserved', 'unservedLaunch'];
      const set = {
        version: recordVersion,
        ...news,
        order,
        job,
        decidedAt: at,
        expiresAt: Math.floor(now() / 1000) + keptSeconds,
        ...(open && { open, openKey: openKeyOf(news.pool, job) }),
        ...(news.state === 'waiting' && { waitingSince: at }),
        ...(news.state === 'blocked' && { wasBlocked: true }),
      };
      const changed = await table.change({
        id: keyOf(job.id),
        set,
        setOnce: { seenAt: at },
        remove,
        when: 'attribute_not_exists(#id) OR #order < :order',
        values: { order },
      });
      if (changed === undefined) {
        const known = await readJob(job.id);
        if (known === undefined) throw new Error(`job ${job.id} was in the ledger and is gone`);
        return { before: known, record: known, moved: false };
      }
      const before = changed.before && decodeJobRecord(changed.before);
      const kept = Object.entries(changed.before ?? {}).filter(([name]) => !remove.includes(name));
      const record = decodeJobRecord({ ...Object.fromEntries(kept), seenAt: before?.seenAt ?? at, ...set });
      return { before, record, moved: true };
    },
    explainWait: async (jobId, { reason, note, notBefore }) => {
      await table.change({
        id: keyOf(jobId),
        set: {
          reason,
          note,
          decidedAt: timestamp(),
          notBefore: notBefore === undefined ? undefined : new Date(notBefore).toISOString(),
        },
        remove: ['askedAt'],
        when: '#state = :waiting',
        values: { waiting: 'waiting' },
      });
    },
    askLaunch: async (jobId, launch) => {
      const changed = await table.change({
        id: keyOf(jobId),
        set: { askedAt: timestamp() },
        when: [
          '#state = :waiting',
          launch === 1 ? 'attribute_not_exists(#launches)' : '#launches = :before',
          '(attribute_not_exists(#askedAt) OR #askedAt < :longAgo)',
        ].join(' AND '),
        values: {
          waiting: 'waiting',
          longAgo: new Date(now() - askedForMs).toISOString(),
          ...(launch > 1 && { before: launch - 1 }),
        },
      });
      return changed !== undefined;
    },
    giveUpJob: async ({ job }, state, note) => {
      const changed = await table.change({
        id: keyOf(job.id),
        set: { state, note, order: jobOrder(job.attempt, state), decidedAt: timestamp() },
        remove: noLongerWaiting,
        when: '#state = :waiting',
        values: { waiting: 'waiting' },
      });
      return changed !== undefined;
    },
    raiseUnserved: async ({ job, pool }, { launch, unserved, held, notBefore, note }) => {
      const changed = await table.change({
        id: keyOf(job.id),
        set: {
          unserved,
          unservedLaunch: launch,
          held,
          notBefore: notBefore === undefined ? undefined : new Date(notBefore).toISOString(),
          reason: held ? 'held' : 'backing-off',
          // Last in its pool: whoever asks for the oldest few must find those that can be launched.
          ...(held && { openKey: openKeyOf(pool, job, held) }),
          note,
          decidedAt: timestamp(),
        },
        when: '#state = :waiting AND #pool = :pool AND (attribute_not_exists(#unservedLaunch) OR #unservedLaunch < :launch)',
        values: { waiting: 'waiting', pool, launch },
      });
      return changed !== undefined;
    },
    moveJob: async ({ job, held, pool: from }, { pool, profile }) => {
      const changed = await table.change({
        id: keyOf(job.id),
        set: { pool, profile, openKey: openKeyOf(pool, job, held) },
        when: '#state = :waiting AND #pool = :from',
        values: { waiting: 'waiting', from },
      });
      return changed !== undefined;
    },
    listWaiting: async () => decodeEach(await table.listOpen('job'), decodeJobRecord),
    listBlocked: async () => decodeEach(await table.listOpen('blocked'), decodeJobRecord),
    listWaitingPools: async (profile) => {
      const pools: string[] = [];
      const to = `${profile}@${last}`;
      for (let from = `${profile}@`; ;) {
        const [next] = await table.listOpen('job', { from, to, limit: 1 });
        if (next === undefined) return pools;
        const [pool = ''] = String(next['openKey']).split('|', 1);
        pools.push(pool);
        from = `${pool}|${last}`;
      }
    },
    listWaitingJobs: async (pool, limit) =>
      decodeEach(await table.listOpen('job', { from: `${pool}|`, to: `${pool}|${last}`, limit }), decodeJobRecord),
  };
}

/** What is said of a job while it waits is over with the waiting. */
const noLongerWaiting = ['open', 'openKey', 'notBefore', 'askedAt', 'reason'];

export function keyOf(jobId: string): string {
  return `job#${jobId}`;
}

function openKeyOf(pool: string, job: Job, held = false): string {
  return `${pool}|${held ? '~' : ''}${job.createdAt}|${job.id}`;
}

import { claimKeyPrefix } from '../../functions/contracts/with-tasks/claim.ts';
import { jobKeyOf, openKeyOf } from '../../functions/aws/ledger/jobs.ts';
import { ledger } from '../../functions/aws/ledger/ledger.ts';
import { profileKeyOf, runnerKeyOf } from '../../functions/aws/ledger/runners.ts';
import type { Item } from '../../functions/aws/ledger/table.ts';
import {
  decodeJobRecord,
  decodeRunnerRecord,
  type JobRecord,
  type RunnerRecord,
} from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { Ledger } from '../../functions/fleet/ledger.ts';
import type { FakeClaims } from './claims.ts';
import { fakeTable } from './table.ts';

export type FakeLedger = Ledger & {
  /** What it holds, by key. */
  readonly items: Map<string, Item>;
  readonly jobs: () => JobRecord[];
  readonly runners: () => RunnerRecord[];
  readonly live: () => RunnerRecord[];
  /** The job as it is recorded; it must be. */
  readonly job: (jobId: string) => JobRecord;
  readonly runner: (runnerId: string) => RunnerRecord;
  readonly putJob: (job: JobRecord) => JobRecord;
  /** A live runner takes its lease with it, whatever the cap, and its claim if it has one and no task. */
  readonly putRunner: (runner: RunnerRecord) => RunnerRecord;
  readonly countLeases: (profile: string) => number;
};

/** The real ledger over a table in memory. */
export function fakeLedger(now: () => number, claims: FakeClaims): FakeLedger {
  const table = fakeTable({ Claims: claims.items });
  const real = ledger({ ledger: 'Ledger', claims: 'Claims' }, now, table);
  const { items } = table;
  const all = (prefix: string): Item[] => [...items].filter(([id]) => id.startsWith(prefix)).map(([, item]) => item);
  const countLeases = (profile: string): number => Number(items.get(profileKeyOf(profile))?.['leases'] ?? 0);
  const put = (item: Item & { readonly id: string }): void => {
    items.set(item.id, Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined)));
  };
  const runners = (): RunnerRecord[] => all('runner#').map((item) => decodeRunnerRecord(item));

  return {
    ...real,
    items,
    jobs: () => all('job#').map((item) => decodeJobRecord(item)),
    runners,
    live: () => runners().filter(({ endedAt }) => endedAt === undefined),
    job: (jobId) => decodeJobRecord(present(items.get(jobKeyOf(jobId)), `job ${jobId}`)),
    runner: (runnerId) => decodeRunnerRecord(present(items.get(runnerKeyOf(runnerId)), `runner ${runnerId}`)),
    putJob: (job) => {
      const open = job.state === 'waiting' ? 'job' : job.state === 'blocked' ? 'blocked' : undefined;
      put({ ...job, id: jobKeyOf(job.job.id), open, openKey: open && openKeyOf(job) });
      return job;
    },
    putRunner: (runner) => {
      const id = runnerKeyOf(runner.runnerId);
      const before = items.get(id);
      const wasLive = before !== undefined && before['endedAt'] === undefined;
      const isLive = runner.endedAt === undefined;
      put({
        ...runner,
        id,
        ...(isLive && { open: 'runner', openKey: `${runner.pool}|${runner.createdAt}|${runner.runnerId}` }),
      });
      const leases = countLeases(runner.profile) + Number(isLive) - Number(wasLive);
      put({ id: profileKeyOf(runner.profile), leases });
      if (isLive && runner.claimId !== undefined && runner.taskArn === undefined) {
        const key = `${claimKeyPrefix}${runner.claimId}`;
        if (!claims.items.has(key)) claims.items.set(key, { id: key, body: '', expiresAt: now() / 1000 + 900 });
      }
      return runner;
    },
    countLeases,
  };
}

function present<R>(record: R | undefined, what: string): R {
  if (record === undefined) throw new Error(`the ledger must hold ${what}, and it does not`);
  return record;
}

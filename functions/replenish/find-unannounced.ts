import { GitHubError } from '../contracts/with-github/errors.ts';
import type { JobLook } from '../contracts/between-rooms/job-look.ts';
import { scopeOf, type Job, type Repository } from '../contracts/between-rooms/job.ts';
import type { JobRecord, RepositoryRecord } from '../contracts/between-rooms/ledger-records.ts';
import { sweepLimitMs } from '../contracts/with-infra/limits.ts';
import type { JobEvent, LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { isScarce, type RateLimit } from '../contracts/with-github/rate-limit.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';

export type SweepPorts = {
  readonly now: () => number;
  readonly fleet: Fleet;
  readonly listRepositories: () => Promise<readonly RepositoryRecord[]>;
  /** The repositories of an owner that the App may see. */
  readonly listInstalled: (owner: string) => Promise<readonly Repository[]>;
  /** Were the owner's repositories noted once, since the ledger was made? */
  readonly readSeeded: (owner: string) => Promise<boolean>;
  readonly writeSeeded: (owner: string) => Promise<void>;
  readonly noteRepository: (repository: Repository) => Promise<void>;
  readonly noteAsked: (repositoryId: string) => Promise<void>;
  readonly listUnfinishedJobs: (
    repository: Repository,
    mayAsk: () => boolean,
  ) => Promise<{ readonly jobs: readonly JobLook[]; readonly complete: boolean }>;
  readonly lookAtJob: (job: Job) => Promise<JobLook | 'gone'>;
  readonly readJob: (jobId: string) => Promise<JobRecord | undefined>;
  readonly listWaiting: () => Promise<readonly JobRecord[]>;
  readonly listBlocked: () => Promise<readonly JobRecord[]>;
  readonly rateLimit: (scope: string) => RateLimit | undefined;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
  readonly sendEvent: (event: JobEvent) => Promise<void>;
};

export type SweepVerdict = {
  readonly asked: number;
  /** Repositories whose turn it was and that had to wait: the rate limit is nearly used up, or the pass was full. */
  readonly putOff: number;
  /** Jobs that GitHub never announced to us, or whose end it never did. */
  readonly found: readonly { readonly job: string; readonly state: string; readonly repository: string }[];
  readonly failures: readonly string[];
};

const minute = 60_000;
/** A repository is asked so often. */
const askedEveryMs = 5 * minute;
/** One without a job for so long is not asked. */
const lately = 3 * 24 * 60 * minute;
/** An announcement may take so long without being lost. */
const announcedWithinMs = 2 * minute;
/** What one pass may spend of an hour's rate limit: sixty such passes make 15 %. */
const passShare = 0.15 / 60;
const mostRepositoriesAPass = 50;
const mostLooksAPass = 50;

/**
 * Asks GitHub itself for jobs of the repositories seen lately: deliveries get lost, and GitHub does not send them
 * again by itself. What it finds goes the way a delivery would have gone.
 */
export async function findUnannounced(ports: SweepPorts): Promise<SweepVerdict> {
  const failures: string[] = [];
  const end = ports.now() + sweepLimitMs;
  await seed(ports, failures);
  const due = await dueRepositories(ports);
  const [waiting, blocked] = await Promise.all([ports.listWaiting(), ports.listBlocked()]);
  const open = [...waiting, ...blocked];
  const found: Found[] = [];
  const budget = budgetOf(ports, end);
  let begun = 0;
  for (const repository of due.slice(0, mostRepositoriesAPass)) {
    const mayAsk = budget(scopeOf(repository));
    if (!mayAsk()) continue;
    begun += 1;
    try {
      // Before it is asked, so that one that takes all the time there is does not come first again and again.
      await ports.noteAsked(repository.id);
      found.push(...(await sweep(repository, open, mayAsk, ports)));
    } catch (error) {
      if (!(error instanceof GitHubError)) throw error;
      failures.push(`${repository.fullName}: ${error.message}`);
    }
  }
  return { asked: begun, putOff: due.length - begun, found, failures };
}

type Found = SweepVerdict['found'][number];

/** On a first deploy, or after a ledger was lost, nothing has been seen lately: begin with all that the App may see. */
async function seed(ports: SweepPorts, failures: string[]): Promise<void> {
  for (const owner of ports.fleet.owners) {
    if (await ports.readSeeded(owner)) continue;
    try {
      for (const repository of await ports.listInstalled(owner)) await ports.noteRepository(repository);
      await ports.writeSeeded(owner);
    } catch (error) {
      if (!(error instanceof GitHubError)) throw error;
      failures.push(`${owner}: ${error.message}`);
    }
  }
}

async function dueRepositories(ports: SweepPorts): Promise<RepositoryRecord[]> {
  const now = ports.now();
  return (await ports.listRepositories())
    .filter(({ seenAt }) => now - Date.parse(seenAt) < lately)
    .filter(({ askedAt }) => askedAt === undefined || now - Date.parse(askedAt) >= askedEveryMs)
    .toSorted((a, b) => (a.askedAt ?? '').localeCompare(b.askedAt ?? ''));
}

/** What may still be asked in a scope: within the pass's share, above the reserve, and before the function's time is up. */
function budgetOf(ports: SweepPorts, end: number): (scope: string) => () => boolean {
  const spentBefore = new Map<string, number>();
  return (scope) => {
    if (!spentBefore.has(scope)) spentBefore.set(scope, ports.rateLimit(scope)?.spent ?? 0);
    return () => {
      if (ports.now() > end) return false;
      const limit = ports.rateLimit(scope);
      if (limit === undefined) return true;
      if (isScarce(limit)) return false;
      return limit.spent - (spentBefore.get(scope) ?? 0) < Math.max(3, limit.limit * passShare);
    };
  };
}

async function sweep(
  repository: RepositoryRecord,
  open: readonly JobRecord[],
  mayAsk: () => boolean,
  ports: SweepPorts,
): Promise<Found[]> {
  const { jobs, complete } = await ports.listUnfinishedJobs(repository, mayAsk);
  const looks = [...jobs];
  if (complete) {
    const listed = new Set(looks.map(({ job }) => job.id));
    // What the ledger still holds open and the lists do not show is over, or was deleted with its run.
    const missing = open.filter(({ job }) => job.repository.id === repository.id && !listed.has(job.id));
    for (const { job } of oneAfterTheOther(missing, ports.now())) {
      if (!mayAsk()) break;
      if (ports.now() - Date.parse(job.createdAt) < announcedWithinMs) continue;
      const look = await ports.lookAtJob(job);
      looks.push(look === 'gone' ? { job, state: 'completed' } : look);
    }
  }
  const found: Found[] = [];
  for (const look of looks) {
    if (await tell(look, ports)) found.push({ job: look.job.id, state: look.state, repository: repository.fullName });
  }
  return found;
}

/** So many at a time, and others the next time: the same ones must not come first for ever. */
function oneAfterTheOther<T>(all: readonly T[], now: number): T[] {
  if (all.length <= mostLooksAPass) return [...all];
  const first = (Math.floor(now / askedEveryMs) * mostLooksAPass) % all.length;
  return [...all.slice(first), ...all.slice(0, first)].slice(0, mostLooksAPass);
}

/** @returns whether the ledger did not know */
async function tell(look: JobLook, ports: SweepPorts): Promise<boolean> {
  const { job, state } = look;
  if (ports.now() - Date.parse(job.createdAt) < announcedWithinMs) return false;
  const known = await ports.readJob(job.id);
  if (state === 'queued') {
    if (admitJob(job, ports.fleet).kind === 'not-ours' || (known !== undefined && known.state !== 'blocked'))
      return false;
    await ports.sendLaunches([{ version: 1, kind: 'queued', job, delivery: 'sweep', returns: 0 }]);
    return true;
  }
  // A job that we would start nothing for may run on one of ours: then that runner is no supply.
  const isOnOurs = known === undefined && look.runnerName?.startsWith(`${ports.fleet.prefix}-`) === true;
  const isOpen = known?.state === 'waiting' || known?.state === 'blocked' || known?.state === 'in_progress';
  if (!isOnOurs && (!isOpen || known.state === state)) return false;
  if (state === 'blocked') return false;
  await ports.sendEvent({
    version: 1,
    kind: state,
    job,
    delivery: 'sweep',
    at: (state === 'completed' ? look.completedAt : look.startedAt) ?? new Date(ports.now()).toISOString(),
    ...(look.runnerName !== undefined && { runnerName: look.runnerName }),
    ...(look.conclusion !== undefined && { conclusion: look.conclusion }),
  });
  return true;
}

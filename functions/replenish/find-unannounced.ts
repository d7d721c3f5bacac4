import { GitHubError, messageOf, MissingSecretError } from '../contracts/with-github/errors.ts';
import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { scopeOf, type Job, type Repository } from '../contracts/between-rooms/job.ts';
import type { JobRecord, RepositoryRecord } from '../contracts/between-rooms/ledger-records.ts';
import { sweepLimitMs } from '../contracts/with-infra/limits.ts';
import type { LaunchMessage, SightingMessage } from '../contracts/between-rooms/messages.ts';
import { isScarce, type RateLimit } from '../contracts/with-github/rate-limit.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { findNamedRunner, recordSighting } from '../fleet/record-sighting.ts';
import { isGone } from '../fleet/waits/not-found.ts';
import { holdOf } from '../fleet/waits/scope-hold.ts';
import { decideSighting } from './decide-sighting.ts';

export type SweepPorts = Pick<
  Ledger,
  | 'listRepositories'
  | 'readSeeded'
  | 'writeSeeded'
  | 'noteRepository'
  | 'noteAsked'
  | 'readJob'
  | 'readRunner'
  | 'changeJob'
  | 'rememberJob'
  | 'listWaiting'
  | 'listBlocked'
  | 'readScope'
  | 'endHold'
> & {
  readonly now: () => number;
  readonly fleet: Fleet;
  /** The repositories of an owner that the App may see. */
  readonly listInstalled: (owner: string) => Promise<readonly Repository[]>;
  readonly listUnfinishedJobs: (
    repository: Repository,
    mayAsk: () => boolean,
  ) => Promise<{ readonly jobs: readonly JobSighting[]; readonly complete: boolean }>;
  readonly lookAtJob: (job: Job) => Promise<JobSighting | 'gone'>;
  readonly rateLimit: (scope: string) => RateLimit | undefined;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
  readonly sendEvent: (event: SightingMessage) => Promise<void>;
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
/** How often a repository is asked. */
const askedEveryMs = 5 * minute;
/** A repository without a job in this time is not asked. */
const lately = 3 * 24 * 60 * minute;
/** A delivery may take this long and is not lost. */
const announcedWithinMs = 2 * minute;
/** The share of an hour's rate limit for one pass: sixty such passes make 15 %. */
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
      // Before the repository is asked: a repository that takes all the time must not come first in every pass.
      await ports.noteAsked(repository.id);
      found.push(...(await sweep(repository, open, mayAsk, ports)));
      await endHold(scopeOf(repository), ports);
    } catch (error) {
      // Without the App's key no repository can be asked. Whatever else fails for one says nothing about the others.
      if (error instanceof MissingSecretError) throw error;
      failures.push(`${repository.fullName}: ${messageOf(error)}`);
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

/** GitHub has answered in the scope: a hold of the scope is over. */
async function endHold(scope: string, ports: SweepPorts): Promise<void> {
  const hold = holdOf(await ports.readScope(scope), ports.now());
  if (hold !== undefined) await ports.endHold(scope);
}

async function sweep(
  repository: RepositoryRecord,
  open: readonly JobRecord[],
  mayAsk: () => boolean,
  ports: SweepPorts,
): Promise<Found[]> {
  const { jobs, complete } = await ports.listUnfinishedJobs(repository, mayAsk);
  const found: Found[] = [];
  const note = (job: Job, state: string, isNews: boolean): void => {
    if (isNews) found.push({ job: job.id, state, repository: repository.fullName });
  };
  for (const sighting of jobs) note(sighting.job, sighting.state, await tell(sighting, ports));
  if (!complete) return found;
  const listed = new Set(jobs.map(({ job }) => job.id));
  // A job that is open in the ledger and not on the lists is over, or was deleted with its run.
  const missing = open.filter(({ job }) => job.repository.id === repository.id && !listed.has(job.id));
  for (const record of oneAfterTheOther(missing, ports.now())) {
    if (!mayAsk()) break;
    if (ports.now() - Date.parse(record.job.createdAt) < announcedWithinMs) continue;
    const seen = await ports.lookAtJob(record.job);
    if (seen === 'gone') note(record.job, 'completed', await noteGone(record, ports));
    else note(seen.job, seen.state, await tell(seen, ports));
  }
  return found;
}

/** Some of the jobs in this pass, and others in the next: the same jobs must not come first for ever. */
function oneAfterTheOther<T>(all: readonly T[], now: number): T[] {
  if (all.length <= mostLooksAPass) return [...all];
  const first = (Math.floor(now / askedEveryMs) * mostLooksAPass) % all.length;
  return [...all.slice(first), ...all.slice(0, first)].slice(0, mostLooksAPass);
}

/** @returns whether the ledger did not know */
async function tell(sighting: JobSighting, ports: SweepPorts): Promise<boolean> {
  const { job } = sighting;
  const now = ports.now();
  if (now - Date.parse(job.createdAt) < announcedWithinMs) return false;
  const [known, runner] = await Promise.all([ports.readJob(job.id), findNamedRunner(sighting, ports)]);
  const decision = decideSighting(sighting, {
    known,
    isAdmitted: admitJob(job, ports.fleet).kind === 'admitted',
    namesIdle: runner !== undefined && runner.busyJobId === undefined,
    now,
  });
  switch (decision) {
    case 'known':
      return false;
    case 'remember':
      await ports.rememberJob(job.id);
      return false;
    case 'found-again':
      if (known !== undefined) await ports.changeJob(known, { ...known, goneSince: undefined });
      return false;
    case 'launch':
      await ports.sendLaunches([{ version: 1, kind: 'queued', job, delivery: sighting.by, returns: 0 }]);
      return true;
    case 'track':
      await ports.sendEvent({ version: 2, sighting });
      return true;
  }
}

/** @returns whether the job's record ended */
async function noteGone(record: JobRecord, ports: SweepPorts): Promise<boolean> {
  const now = ports.now();
  const { goneSince, job } = record;
  if (goneSince === undefined) {
    await ports.changeJob(record, { ...record, goneSince: new Date(now).toISOString() });
    return false;
  }
  if (!isGone(record, now)) return false;
  const { moved } = await recordSighting({ job, state: 'completed', by: 'look' }, record, ports, { inferred: true });
  return moved;
}

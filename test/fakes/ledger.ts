import type { JobLedger } from '../../functions/aws/ledger/jobs.ts';
import type { SweepMemory } from '../../functions/aws/ledger/memory.ts';
import type { Pace } from '../../functions/aws/ledger/pace.ts';
import type { RepositoryLedger } from '../../functions/aws/ledger/repositories.ts';
import type { RunnerLedger } from '../../functions/aws/ledger/runners.ts';
import type { ScopeLedger } from '../../functions/aws/ledger/scopes.ts';
import type { LeaseRequest, LeaseResult } from '../../functions/contracts/between-rooms/lease.ts';
import {
  jobOrder,
  recordVersion,
  type DeliveryCursor,
  type JobRecord,
  type ProfileRecord,
  type RepositoryRecord,
  type RunnerRecord,
  type ScopeRecord,
} from '../../functions/contracts/between-rooms/ledger-records.ts';
import { askedForMs, breakerPauseMs, claimLifetimeMs } from '../../functions/contracts/with-infra/limits.ts';
import type { FakeClaims } from './claims.ts';

export type FakeLedger = JobLedger &
  RunnerLedger &
  ScopeLedger &
  RepositoryLedger &
  SweepMemory & {
    readonly takeTurn: (pace: Pace, now: number, horizonMs: number) => Promise<number | undefined>;
    /** What it holds, for a test to look at and to set up. */
    readonly jobs: Map<string, JobRecord>;
    readonly runners: Map<string, RunnerRecord>;
    readonly profiles: Map<string, ProfileRecord>;
    readonly scopes: Map<string, ScopeRecord>;
    readonly repositories: Map<string, RepositoryRecord>;
    readonly putJob: (job: JobRecord) => JobRecord;
    /** A live runner takes its lease with it, whatever the cap. */
    readonly putRunner: (runner: RunnerRecord) => RunnerRecord;
    readonly live: () => RunnerRecord[];
    /** The job as it is recorded; it must be. */
    readonly job: (jobId: string) => JobRecord;
    readonly runner: (runnerId: string) => RunnerRecord;
  };

const notedEveryMs = 10 * 60_000;
const strangersKeptMs = 3600_000;

/**
 * The ledger in memory, as `functions/aws/ledger` is over DynamoDB: each operation is one step that nothing can come
 * between. Held against the real one by the suite in `test/aws/ledger`.
 */
export function fakeLedger(now: () => number, claims: FakeClaims): FakeLedger {
  const jobs = new Map<string, JobRecord>();
  const runners = new Map<string, RunnerRecord>();
  const profiles = new Map<string, ProfileRecord>();
  const scopes = new Map<string, ScopeRecord>();
  const repositories = new Map<string, RepositoryRecord>();
  const noted = new Map<string, number>();
  const strangers = new Map<string, { firstAt: number; lastAt: number }>();
  const nextFree = new Map<string, number>();
  const seeded = new Set<string>();
  let cursor: DeliveryCursor | undefined;
  const timestamp = (later = 0): string => new Date(now() + later).toISOString();

  const profileOf = (name: string): ProfileRecord => profiles.get(name) ?? { leases: 0, failures: 0 };
  const changeProfile = (name: string, parts: Partial<ProfileRecord>): ProfileRecord => {
    const changed = without(profileOf(name), parts);
    profiles.set(name, changed);
    return changed;
  };
  const changeJob = (jobId: string, holds: (job: JobRecord) => boolean, parts: Partial<JobRecord>): boolean => {
    const job = jobs.get(jobId);
    if (job === undefined || !holds(job)) return false;
    jobs.set(jobId, without(job, parts));
    return true;
  };
  const changeRunner = (
    runnerId: string,
    holds: (runner: RunnerRecord) => boolean,
    parts: Partial<RunnerRecord>,
  ): boolean => {
    const runner = runners.get(runnerId);
    if (runner === undefined || !holds(runner)) return false;
    runners.set(runnerId, without(runner, parts));
    return true;
  };
  const open = (state: JobRecord['state']): JobRecord[] =>
    [...jobs.values()].filter((job) => job.state === state).toSorted(byKey((job) => keyOfJob(job)));
  const live = (): RunnerRecord[] =>
    [...runners.values()]
      .filter(({ endedAt }) => endedAt === undefined)
      .toSorted(byKey(({ pool, createdAt, runnerId }) => `${pool}|${createdAt}|${runnerId}`));

  function hindrance({ runner, cap, probe }: LeaseRequest): LeaseResult | undefined {
    const { leases, failures, breakerUntil } = profileOf(runner.profile);
    const { jobId, launch = 0 } = runner;
    if (jobId !== undefined) {
      const job = jobs.get(jobId);
      if (job?.state !== 'waiting' || job.launches !== launch - 1) return { kind: 'overtaken' };
    }
    if (runners.has(runner.runnerId)) return { kind: 'begun' };
    const { holdUntil } = scopes.get(runner.scope) ?? {};
    if (holdUntil !== undefined && holdUntil >= timestamp()) return { kind: 'held' };
    const broken = breakerUntil !== undefined && breakerUntil !== probe;
    if (!broken && leases < cap) return undefined;
    return breakerUntil === undefined ? { kind: 'full', leases } : { kind: 'breaker', until: breakerUntil, failures };
  }

  return {
    jobs,
    runners,
    profiles,
    scopes,
    repositories,
    live,
    putJob: (job) => {
      jobs.set(job.job.id, job);
      return job;
    },
    putRunner: (runner) => {
      const before = runners.get(runner.runnerId);
      runners.set(runner.runnerId, runner);
      const gained =
        Number(runner.endedAt === undefined) - Number(before !== undefined && before.endedAt === undefined);
      changeProfile(runner.profile, { leases: profileOf(runner.profile).leases + gained });
      return runner;
    },
    job: (jobId) => present(jobs.get(jobId), `job ${jobId}`),
    runner: (runnerId) => present(runners.get(runnerId), `runner ${runnerId}`),

    readJob: async (jobId) => jobs.get(jobId),
    recordJob: async (job, news) => {
      const before = jobs.get(job.id);
      const order = jobOrder(job.attempt, news.state);
      if (before !== undefined && before.order >= order) return { before, record: before, moved: false };
      const waits = news.state === 'waiting' || news.state === 'blocked';
      const record = without<JobRecord>(
        before ?? {
          version: recordVersion,
          seenAt: timestamp(),
          launches: 0,
          unserved: 0,
          unservedLaunch: 0,
          held: false,
          wasBlocked: false,
          order,
          job,
          ...news,
        },
        {
          ...news,
          job,
          order,
          decidedAt: timestamp(),
          ...(news.state === 'waiting' && { waitingSince: timestamp() }),
          ...(news.state === 'blocked' && { wasBlocked: true }),
          ...(waits && { held: false, unserved: 0, unservedLaunch: 0 }),
        },
        waits ? [] : ['notBefore', 'askedAt', 'reason', 'note'],
      );
      jobs.set(job.id, record);
      return { before, record, moved: true };
    },
    explainWait: async (jobId, { reason, note, notBefore }) => {
      changeJob(jobId, ({ state }) => state === 'waiting', {
        reason,
        note,
        decidedAt: timestamp(),
        askedAt: undefined,
        ...(notBefore !== undefined && { notBefore: new Date(notBefore).toISOString() }),
      });
    },
    askLaunch: async (jobId, launch) => {
      const longAgo = timestamp(-askedForMs);
      return changeJob(
        jobId,
        ({ state, launches, askedAt }) =>
          state === 'waiting' && launches === launch - 1 && (askedAt === undefined || askedAt < longAgo),
        { askedAt: timestamp() },
      );
    },
    giveUpJob: async ({ job }, state, note) => {
      const parts = { state, note, order: jobOrder(job.attempt, state), decidedAt: timestamp() };
      return changeJob(job.id, (known) => known.state === 'waiting', {
        ...parts,
        notBefore: undefined,
        askedAt: undefined,
        reason: undefined,
      });
    },
    raiseUnserved: async ({ job, pool }, { launch, unserved, held, notBefore, note }) =>
      changeJob(job.id, (known) => known.state === 'waiting' && known.pool === pool && known.unservedLaunch < launch, {
        unserved,
        unservedLaunch: launch,
        held,
        reason: held ? 'held' : 'backing-off',
        note,
        decidedAt: timestamp(),
        ...(notBefore !== undefined && { notBefore: new Date(notBefore).toISOString() }),
      }),
    moveJob: async ({ job, pool: from }, { pool, profile }) =>
      changeJob(job.id, (known) => known.state === 'waiting' && known.pool === from, { pool, profile }),
    listWaiting: async () => open('waiting'),
    listBlocked: async () => open('blocked'),
    listWaitingPools: async (profile) => [
      ...new Set(
        open('waiting')
          .map(({ pool }) => pool)
          .filter((pool) => pool.startsWith(`${profile}@`)),
      ),
    ],
    listWaitingJobs: async (pool, limit) =>
      open('waiting')
        .filter((job) => job.pool === pool)
        .slice(0, limit),

    takeLease: async (request) => {
      const hindered = hindrance(request);
      if (hindered !== undefined) return hindered;
      const { runner } = request;
      const record: RunnerRecord = { ...runner, version: recordVersion, createdAt: timestamp(), revoked: false };
      runners.set(runner.runnerId, record);
      changeProfile(runner.profile, { leases: profileOf(runner.profile).leases + 1 });
      if (runner.jobId !== undefined) {
        changeJob(runner.jobId, () => true, {
          launches: runner.launch ?? 0,
          askedAt: undefined,
          reason: 'starting',
          note: `runner ${runner.runnerId} is starting`,
          decidedAt: timestamp(),
        });
      }
      return { kind: 'taken', runner: record };
    },
    readRunner: async (runnerId) => runners.get(runnerId),
    issueClaim: async ({ runnerId, jobId }, { claimId, provider, taskDefinition, claim, expiresAt }) => {
      const runner = runners.get(runnerId);
      if (runner === undefined || runner.endedAt !== undefined || runner.claimId !== undefined) return 'begun';
      if (jobId !== undefined && jobs.get(jobId)?.state !== 'waiting') return 'job-over';
      runners.set(runnerId, { ...runner, claimId, provider, taskDefinition, claimedAt: timestamp() });
      const seconds = Math.floor(Math.min(now() + claimLifetimeMs, expiresAt) / 1000);
      claims.put(claimId, { body: claim, expiresAt: seconds });
      return 'issued';
    },
    changeProvider: async (runnerId, provider) => {
      changeRunner(runnerId, () => true, { provider });
    },
    recordTask: async (runnerId, taskArn) => {
      changeRunner(runnerId, (runner) => runner.taskArn === undefined, { taskArn, launchedAt: timestamp() });
      return runners.get(runnerId);
    },
    markBusy: async (runnerId, jobId, at) => {
      changeRunner(runnerId, (runner) => runner.busyJobId === undefined, { busyJobId: jobId, busyAt: at });
      return runners.get(runnerId);
    },
    markRevoked: async (runnerId) => {
      changeRunner(runnerId, () => true, { revoked: true });
    },
    markMissing: async (runnerId, missing) => {
      changeRunner(runnerId, (runner) => (runner.missingSince === undefined) === missing, {
        missingSince: missing ? timestamp() : undefined,
      });
    },
    markDeregistered: async (runnerId) => {
      changeRunner(runnerId, (runner) => runner.deregisteredAt === undefined, { deregisteredAt: timestamp() });
    },
    endRunnerRecord: async ({ runnerId, profile, claimId }, ending) => {
      const isAsRead = (runner: RunnerRecord): boolean => runner.taskArn === undefined && runner.claimId === claimId;
      const ended = changeRunner(
        runnerId,
        (runner) => runner.endedAt === undefined && (ending !== 'not-launched' || isAsRead(runner)),
        { endedAt: timestamp(), ending },
      );
      if (!ended) return false;
      changeProfile(profile, { leases: profileOf(profile).leases - 1 });
      if (claimId !== undefined) claims.open.delete(claimId);
      return true;
    },
    listLive: async () => live(),
    listRunners: async (profile) => live().filter(({ pool }) => pool.startsWith(`${profile}@`)),
    readProfile: async (profile) => profileOf(profile),
    countLeases: async (profile) => profileOf(profile).leases,
    claimProbe: async (profile, { until, failures }) => {
      if (profiles.get(profile)?.breakerUntil !== until) return undefined;
      const next = timestamp(breakerPauseMs(failures + 1));
      changeProfile(profile, { breakerUntil: next, failures: failures + 1 });
      return next;
    },
    noteStartFailure: async (profile) => {
      if (profileOf(profile).breakerUntil !== undefined) return;
      const { failures } = changeProfile(profile, { failures: profileOf(profile).failures + 1 });
      const pause = breakerPauseMs(failures);
      if (pause > 0) changeProfile(profile, { breakerUntil: timestamp(pause) });
    },
    noteGoodStart: async (profile) => {
      if (profiles.has(profile)) changeProfile(profile, { failures: 0, breakerUntil: undefined });
    },

    readScope: async (scope) => scopes.get(scope) ?? { scope },
    holdScope: async (scope, { until, reason }) => {
      scopes.set(scope, { scope, holdUntil: new Date(until).toISOString(), holdReason: reason });
    },

    noteRepository: async (repository) => {
      const before = noted.get(repository.id);
      if (before !== undefined && now() - before < notedEveryMs) return;
      repositories.set(repository.id, { ...repositories.get(repository.id), ...repository, seenAt: timestamp() });
      noted.set(repository.id, now());
    },
    noteAsked: async (repositoryId) => {
      const known = repositories.get(repositoryId);
      if (known !== undefined) repositories.set(repositoryId, { ...known, askedAt: timestamp() });
    },
    listRepositories: async () => [...repositories.values()].toSorted(byKey(({ fullName }) => fullName.toLowerCase())),

    readCursor: async () => cursor,
    writeCursor: async (next) => {
      cursor = next;
    },
    readSeeded: async (owner) => seeded.has(owner),
    writeSeeded: async (owner) => {
      seeded.add(owner);
    },
    forgetStranger: async (what) => {
      strangers.delete(what);
    },
    noteStranger: async (what) => {
      const known = strangers.get(what);
      const isKept = known !== undefined && now() - known.lastAt <= strangersKeptMs;
      const firstAt = isKept ? known.firstAt : now();
      strangers.set(what, { firstAt, lastAt: now() });
      return firstAt;
    },
    takeTurn: async ({ key, intervalMs, burst }, at, horizonMs) => {
      const free = Math.max(nextFree.get(key) ?? at, at);
      if (free >= at + burst * intervalMs + horizonMs) return undefined;
      const next = free + intervalMs;
      nextFree.set(key, next);
      return Math.max(at, next - burst * intervalMs);
    },
  };
}

/** The record with these parts; what is undefined among them is removed from it. */
function without<R extends object>(record: R, parts: Partial<R>, removed: readonly (keyof R)[] = []): R {
  const entries = Object.entries({ ...record, ...parts });
  return Object.fromEntries(
    entries.filter(([key, value]) => value !== undefined && !removed.includes(key as keyof R)),
  ) as R;
}

function keyOfJob({ pool, job, held }: JobRecord): string {
  return `${pool}|${held ? '~' : ''}${job.createdAt}|${job.id}`;
}

function byKey<R>(keyOf: (record: R) => string): (a: R, b: R) => number {
  return (a, b) => (keyOf(a) < keyOf(b) ? -1 : 1);
}

function present<R>(record: R | undefined, what: string): R {
  if (record === undefined) throw new Error(`the ledger must hold ${what}, and it does not`);
  return record;
}

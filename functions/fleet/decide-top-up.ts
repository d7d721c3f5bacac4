import type { JobRecord, ProfileRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../contracts/with-infra/limits.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import { isSupply } from './supply.ts';

export type PoolView = {
  readonly pool: string;
  /** Waiting jobs, oldest first. May be cut short, but not below supply + room. */
  readonly jobs: readonly JobRecord[];
  readonly runners: readonly RunnerRecord[];
  /** How many idle runners the pool must have beyond its waiting jobs. */
  readonly warm: number;
  /** Nothing may be launched in the pool's scope until then. */
  readonly holdUntil?: string | undefined;
};

export type TopUp = {
  readonly launches: readonly { readonly jobId: string; readonly launch: number }[];
  readonly warm: readonly { readonly pool: string; readonly count: number }[];
};

/**
 * How many runners of a profile may be asked for. None while its breaker is open: each would only be told to wait. One
 * when the breaker's pause is over: the probe.
 */
export function decideRoom(profile: Profile, { leases, breakerUntil }: ProfileRecord, now: number): number {
  const free = Math.max(0, profile.maxRunners - leases);
  if (breakerUntil === undefined) return free;
  return Date.parse(breakerUntil) > now ? 0 : Math.min(free, 1);
}

/**
 * Demand is compared with supply in each pool of one profile, and what is missing is asked for while the profile has
 * room. Pairs of job and runner do not matter: GitHub gives any waiting job to any idle runner. A place goes to the
 * pool with the fewest live runners, so that no pool starves beside a busy one.
 */
export function decideTopUp({
  pools,
  room,
  now,
}: {
  readonly pools: readonly PoolView[];
  readonly room: number;
  readonly now: number;
}): TopUp {
  const open = pools.filter(({ holdUntil }) => holdUntil === undefined || Date.parse(holdUntil) <= now);
  const wants = open.map((view) => wantOf(view, now));
  const launches: { jobId: string; launch: number }[] = [];
  // What was asked for and is still on its way will take a place too.
  let left = room - pools.flatMap(({ jobs }) => jobs.filter((job) => isAsked(job, now))).length;
  for (; left > 0; left -= 1) {
    const want = fewestRunners(wants.filter(({ jobs }) => jobs.length > 0));
    const job = want?.jobs.shift();
    if (want === undefined || job === undefined) break;
    want.runners += 1;
    launches.push({ jobId: job.job.id, launch: job.launches + 1 });
  }

  const warm = new Map<string, number>();
  for (; left > 0; left -= 1) {
    const want = fewestRunners(wants.filter((candidate) => candidate.warm > 0));
    if (want === undefined) break;
    want.warm -= 1;
    want.runners += 1;
    warm.set(want.pool, (warm.get(want.pool) ?? 0) + 1);
  }
  return { launches, warm: [...warm].map(([pool, count]) => ({ pool, count })) };
}

/** May a runner be started for this job now? */
export function isLaunchable(job: JobRecord, now: number): boolean {
  if (job.state !== 'waiting' || job.held) return false;
  return job.notBefore === undefined || Date.parse(job.notBefore) <= now;
}

/** Was its launch asked for a moment ago? Then it is as good as started. */
function isAsked({ askedAt }: JobRecord, now: number): boolean {
  return askedAt !== undefined && now - Date.parse(askedAt) <= askedForMs;
}

type Want = { readonly pool: string; readonly jobs: JobRecord[]; warm: number; runners: number };

function wantOf({ pool, jobs, runners, warm }: PoolView, now: number): Want {
  const supply = runners.filter((runner) => isSupply(runner, now));
  const launchable = jobs.filter((job) => isLaunchable(job, now));
  const startedFor = new Set(supply.map((runner) => runner.jobId));
  const unasked = launchable.filter((job) => !isAsked(job, now));
  const missing = Math.max(0, unasked.length - supply.length);
  // A job whose own runner is on its way comes after those that have none.
  const inOrder = [
    ...unasked.filter(({ job }) => !startedFor.has(job.id)),
    ...unasked.filter(({ job }) => startedFor.has(job.id)),
  ];
  return {
    pool,
    jobs: inOrder.slice(0, missing),
    warm: Math.max(0, unasked.length + warm - supply.length) - missing,
    runners: runners.length,
  };
}

function fewestRunners(wants: readonly Want[]): Want | undefined {
  return wants.reduce<Want | undefined>(
    (best, want) => (best === undefined || want.runners < best.runners ? want : best),
    undefined,
  );
}

import type {
  BreakerRecord,
  JobRecord,
  ProfileRecord,
  RunnerRecord,
  ScopeRecord,
} from '../contracts/between-rooms/ledger-records.ts';
import { askedForMs } from '../contracts/with-infra/limits.ts';
import { decideStart, type Capacity, type StartDecision, type StartView } from './decide-start.ts';
import { isSupply } from './supply.ts';
import { busySinceOf, releasable, release } from './waits/back-off.ts';

export type PoolView = {
  readonly pool: string;
  /** Waiting jobs, oldest first in each repository. May be cut short, but not below supply + room. */
  readonly jobs: readonly JobRecord[];
  readonly runners: readonly RunnerRecord[];
  /** When runners of the pool that have ended since began their jobs. */
  readonly served?: readonly string[];
  /** How many idle runners the pool must have beyond its waiting jobs. */
  readonly warm: number;
  readonly scope: ScopeRecord;
  readonly breaker: BreakerRecord;
};

export type ProfileView = Pick<StartView, 'profile' | 'room' | 'now'> & {
  readonly record: ProfileRecord;
  readonly pools: readonly PoolView[];
};

export type TopUp = {
  readonly launches: readonly {
    readonly jobId: string;
    readonly launch: number;
    readonly profile: string;
    readonly scope: string;
    /** The job is parked: it must be released first. */
    readonly parked?: JobRecord | undefined;
  }[];
  readonly warm: readonly { readonly pool: string; readonly count: number }[];
};

/**
 * Demand is compared with supply in each pool of one profile, and what is missing is asked for while the profile has
 * room. Pairs of job and runner do not matter: GitHub gives any waiting job to any idle runner. A place goes to the
 * pool with the fewest live runners, and in a pool to the repository with the fewest, so that neither starves beside a
 * busy one.
 *
 * @param most how many launches at most
 */
export function decideTopUp(view: ProfileView, most = Infinity): TopUp {
  const { profile, record, pools } = view;
  const busyWith = new Set(pools.flatMap(({ runners }) => runners.map(({ busyJobId }) => busyJobId)));
  const wants = pools.map((pool) => wantOf(pool, view, busyWith));
  const asked = wants.reduce((sum, want) => sum + want.asked, 0);
  // Launches that were asked for and are still on their way will take a place too.
  let left = Math.min(profile.maxRunners - record.leases - asked, most);
  const probes = new Probes(wants.filter((want) => want.asked > 0).map(({ scope }) => scope));

  const launches: TopUp['launches'][number][] = [];
  while (left > 0) {
    const want = fewestRunners(wants.filter(({ missing, queues }) => missing > 0 && queues.length > 0));
    if (want === undefined) break;
    const next = takeNext(want);
    if (next === undefined || !probes.allow(next.decision, want.scope)) continue;
    left -= 1;
    want.missing -= 1;
    want.runners += 1;
    const { job } = next;
    launches.push({
      jobId: job.job.id,
      launch: job.launches + 1,
      profile: profile.name,
      scope: want.scope,
      parked: job.parked ? job : undefined,
    });
  }

  const warm = new Map<string, number>();
  while (left > 0) {
    const want = fewestRunners(wants.filter((candidate) => candidate.warm > 0));
    if (want === undefined) break;
    want.warm -= 1;
    if (want.start.kind !== 'start' || !probes.allow(want.start, want.scope)) continue;
    left -= 1;
    want.runners += 1;
    warm.set(want.pool, (warm.get(want.pool) ?? 0) + 1);
  }
  return { launches, warm: [...warm].map(([pool, count]) => ({ pool, count })) };
}

/** Why a job of the profile waits now; undefined when nothing keeps it from starting. */
export function whyItWaits(job: JobRecord, pool: PoolView, view: ProfileView): JobRecord['reason'] {
  const decision = startOf(job, pool, view);
  return decision.kind === 'wait' ? decision.reason : undefined;
}

type Candidate = { readonly job: JobRecord; readonly decision: Extract<StartDecision, { kind: 'start' }> };

/** Jobs of one repository, the most urgent first. */
type Queue = {
  readonly jobs: readonly Candidate[];
  /** How many of them were taken. */
  taken: number;
  /** The runners of these jobs are on their way: jobs that have none come first. */
  readonly haveRunners: boolean;
  /** Live runners of the repository, and what is about to be asked for. */
  readonly repository: { runners: number };
};

type Want = {
  readonly pool: string;
  readonly scope: string;
  /** The jobs that a launch may be asked for. No queue is empty. */
  queues: readonly Queue[];
  readonly start: StartDecision;
  readonly asked: number;
  missing: number;
  warm: number;
  runners: number;
};

function wantOf(pool: PoolView, view: ProfileView, busyWith: ReadonlySet<string | undefined>): Want {
  const { now } = view;
  const supply = pool.runners.filter((runner) => isSupply(runner, now));
  // A job that a runner is busy with is no demand, though its own record may say so a moment later.
  const waiting = pool.jobs.filter(({ job }) => !busyWith.has(job.id));
  const released = new Set(releasable(waiting, [...busySinceOf(pool.runners), ...(pool.served ?? [])], now));
  const asked = waiting.filter((job) => isAsked(job, now));
  const unasked = waiting.flatMap((job): Candidate[] => {
    if (isAsked(job, now)) return [];
    const decision = startOf(released.has(job) ? release(job, now) : job, pool, view);
    return decision.kind === 'start' ? [{ job, decision }] : [];
  });
  const startedFor = new Set(supply.map((runner) => runner.jobId));
  const missing = Math.max(0, unasked.length - supply.length);
  return {
    pool: pool.pool,
    scope: pool.scope.scope,
    queues: queuesOf(unasked, pool.runners, startedFor),
    start: startOf(undefined, pool, view),
    asked: asked.length,
    missing,
    warm: Math.max(0, unasked.length + pool.warm - supply.length) - missing,
    runners: pool.runners.length,
  };
}

function startOf(job: JobRecord | undefined, { scope, breaker }: PoolView, view: ProfileView): StartDecision {
  const { profile, record, room, now } = view;
  return decideStart({ job, profile, leases: record.leases, scope, breaker, room, now });
}

/** Was the job's launch asked for a moment ago? Then a runner for the job counts as started. */
function isAsked({ askedAt }: JobRecord, now: number): boolean {
  return askedAt !== undefined && now - Date.parse(askedAt) <= askedForMs;
}

function queuesOf(
  candidates: readonly Candidate[],
  runners: readonly RunnerRecord[],
  startedFor: ReadonlySet<string | undefined>,
): Queue[] {
  const live = Map.groupBy(runners, ({ repository }) => repository);
  return [...Map.groupBy(candidates, repositoryOf)].flatMap(([name, ofRepository]) => {
    const repository = { runners: live.get(name)?.length ?? 0 };
    return [false, true].flatMap((haveRunners): Queue[] => {
      const jobs = ofRepository.filter(({ job }) => startedFor.has(job.job.id) === haveRunners);
      return jobs.length === 0 ? [] : [{ jobs, taken: 0, haveRunners, repository }];
    });
  });
}

function repositoryOf({ job }: Candidate): string {
  return job.job.repository.fullName;
}

/** The first job of the repository with the fewest live runners. */
function takeNext(want: Want): Candidate | undefined {
  const [first, ...others] = want.queues;
  if (first === undefined) return undefined;
  const queue = others.reduce((best, other) => (comesBefore(other, best) ? other : best), first);
  const next = queue.jobs[queue.taken];
  queue.taken += 1;
  queue.repository.runners += 1;
  if (queue.taken === queue.jobs.length) want.queues = want.queues.filter((other) => other !== queue);
  return next;
}

function comesBefore(one: Queue, other: Queue): boolean {
  if (one.haveRunners !== other.haveRunners) return other.haveRunners;
  return one.repository.runners < other.repository.runners;
}

/** Lets one launch through where a wait is probed: of the breaker of each scope, and of the room on each kind of capacity. */
class Probes {
  readonly #breakers: Set<string>;
  readonly #rooms: Set<Capacity>;

  /** @param scopesAsked where a launch was asked for a moment ago: that launch probes */
  constructor(scopesAsked: readonly string[]) {
    this.#breakers = new Set(scopesAsked);
    this.#rooms = new Set(scopesAsked.length > 0 ? ['on-demand', 'spot'] : []);
  }

  allow({ capacity, probes, instead }: Extract<StartDecision, { kind: 'start' }>, scope: string): boolean {
    if (probes.breaker && this.#breakers.has(scope)) return false;
    if (probes.room && instead === undefined && this.#rooms.has(capacity)) return false;
    if (probes.breaker) this.#breakers.add(scope);
    if (probes.room) this.#rooms.add(capacity);
    return true;
  }
}

function fewestRunners(wants: readonly Want[]): Want | undefined {
  return wants.reduce<Want | undefined>(
    (best, want) => (best === undefined || want.runners < best.runners ? want : best),
    undefined,
  );
}

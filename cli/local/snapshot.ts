import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { JobBoard, JobView, LoggedDecision, RunnerView, Told } from './job-board.ts';

type Pool = {
  readonly name: string;
  readonly starting: number;
  readonly idle: number;
  readonly busy: number;
  readonly waiting: number;
};

export type ProfileState = {
  readonly name: string;
  readonly labels: readonly string[];
  readonly size: string;
  readonly capacity: string;
  readonly cap: number;
  readonly live: number;
  readonly starting: number;
  readonly idle: number;
  readonly busy: number;
  readonly waiting: number;
  readonly pools: readonly Pool[];
};

export type Count = { readonly name: string; readonly count: number };

/** What the terminal's summary, the page and `/state.json` show. Seconds are real ones unless their name says otherwise. */
export type Snapshot = {
  readonly state: 'starting' | 'playing' | 'quiet' | 'stopping';
  readonly now: number;
  /** ISO; ahead of the wall clock by what it was turned. */
  readonly fleetClock: string;
  readonly turnedMinutes: number;
  readonly profiles: readonly ProfileState[];
  readonly counts: Counts;
  readonly numbers: Numbers;
  readonly waiting: readonly { readonly reason: string; readonly note: string; readonly jobs: readonly number[] }[];
  readonly verdicts: readonly Count[];
  readonly endings: readonly Count[];
  readonly ended: readonly RunnerView[];
  readonly jobs: readonly JobView[];
  readonly decisions: readonly LoggedDecision[];
  readonly told: readonly Told[];
};

export type Counts = {
  readonly jobs: number;
  readonly queued: number;
  readonly starting: number;
  readonly running: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
};

export type Numbers = {
  /** From queued to running, of jobs that nothing kept waiting. */
  readonly start: Percentiles | undefined;
  /** Of those that had to wait for room, or after a runner that died. */
  readonly held: Percentiles | undefined;
  /** Of those that saw the clock being turned, by that clock: real seconds and turned ones together. */
  readonly turned: Percentiles | undefined;
  readonly launches: readonly Count[];
  readonly recovered: readonly Count[];
  readonly stolen: number;
  readonly reaped: number;
  /** How many jobs ever waited for a reason. */
  readonly waited: readonly Count[];
};

export type Percentiles = {
  readonly jobs: number;
  readonly p50: number;
  readonly p95: number;
  readonly least: number;
  readonly most: number;
};

export function takeSnapshot(
  board: JobBoard,
  view: {
    readonly state: Snapshot['state'];
    readonly now: number;
    readonly clock: number;
    readonly profiles: readonly Profile[];
  },
): Snapshot {
  const { jobs, runners } = board;
  const waiting = jobs.filter(({ phase }) => phase === 'queued');
  return {
    state: view.state,
    now: view.now,
    fleetClock: new Date(view.clock).toISOString(),
    turnedMinutes: Math.round(board.turnedMs / 60_000),
    profiles: view.profiles.map((profile) => describeProfile(profile, runners, waiting)),
    counts: countJobs(jobs),
    numbers: measure(board, jobs),
    waiting: [...Map.groupBy(waiting, reasonOf)].map(([reason, group]) => ({
      reason,
      note: group[0]?.waits?.note ?? unexplained[reason] ?? '',
      jobs: group.map(({ number }) => number),
    })),
    verdicts: countsOf(board.verdicts),
    endings: countsOf(board.endings),
    ended: runners.filter(({ ending }) => ending !== undefined && ending !== 'ran-a-job').slice(-12),
    jobs,
    decisions: board.decisions,
    told: board.told,
  };
}

/** What no function can say: either it has not heard of the job, or it is about to decide. */
const unexplained: Readonly<Record<string, string>> = {
  unheard: 'the delivery did not arrive; redelivery or the sweep will find it',
  starting: 'in the queue, a launch is on its way',
};

function reasonOf({ waits, unheard }: JobView): string {
  return waits?.reason ?? (unheard ? 'unheard' : 'starting');
}

function describeProfile(profile: Profile, runners: readonly RunnerView[], waiting: readonly JobView[]): ProfileState {
  const { name, labels, cpu, memoryGiB, arch, capacity, maxRunners } = profile;
  const live = runners.filter((runner) => runner.profile === name && runner.state !== 'ended');
  const jobs = waiting.filter((job) => job.profile === name);
  const inState = (state: RunnerView['state'], of = live): number => of.filter((one) => one.state === state).length;
  const pools = Map.groupBy(live, ({ scope }) => scope ?? '');
  return {
    name,
    labels,
    size: `${cpu} vCPU, ${memoryGiB} GiB, ${arch}`,
    capacity,
    cap: maxRunners,
    live: live.length,
    starting: inState('starting'),
    idle: inState('idle'),
    busy: inState('busy'),
    waiting: jobs.length,
    pools: [...pools].map(([scope, of]) => ({
      name: scope === '' ? 'on their way' : `${name}@${scope}`,
      starting: inState('starting', of),
      idle: inState('idle', of),
      busy: inState('busy', of),
      waiting: jobs.filter(({ repository }) => isIn(repository, scope)).length,
    })),
  };
}

/** A scope is an org, or one repository. */
function isIn(repository: string, scope: string): boolean {
  const name = repository.toLowerCase();
  return scope !== '' && (name === scope.toLowerCase() || name.startsWith(`${scope.toLowerCase()}/`));
}

export function countJobs(jobs: readonly JobView[]): Counts {
  const of = (...conclusions: readonly string[]): number =>
    jobs.filter(({ phase, conclusion }) => phase === 'done' && conclusions.includes(conclusion ?? '')).length;
  const inPhase = (...phases: readonly string[]): number => jobs.filter(({ phase }) => phases.includes(phase)).length;
  return {
    jobs: jobs.length,
    queued: inPhase('queued'),
    starting: inPhase('task', 'registered'),
    running: inPhase('running'),
    succeeded: of('success'),
    failed: of('failure'),
    cancelled: of('cancelled', 'gone'),
  };
}

export function measure(board: JobBoard, jobs: readonly JobView[]): Numbers {
  const started = jobs.flatMap((job) =>
    job.startedAt === undefined
      ? []
      : [{ seconds: (job.startedAt - job.queuedAt + job.turnedMs) / 1000, kind: kindOf(job) }],
  );
  const of = (kind: 'start' | 'held' | 'turned'): Percentiles | undefined =>
    percentiles(started.flatMap((one) => (one.kind === kind ? one.seconds : [])));
  const recovered = jobs.flatMap((job) => job.recovered ?? []);
  return {
    start: of('start'),
    held: of('held'),
    turned: of('turned'),
    launches: countsOf(board.launches),
    recovered: tally(recovered),
    stolen: board.stolen,
    reaped: board.reaped,
    waited: tally(jobs.flatMap(({ waitedFor }) => waitedFor)),
  };
}

function kindOf({ turnedMs, waitedFor }: JobView): 'start' | 'held' | 'turned' {
  if (turnedMs > 0) return 'turned';
  return waitedFor.length > 0 ? 'held' : 'start';
}

/** Nearest rank: every number shown is one that was measured. */
export function percentiles(values: readonly number[]): Percentiles | undefined {
  if (values.length === 0) return undefined;
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  return { jobs: sorted.length, p50: at(0.5), p95: at(0.95), least: at(0), most: at(1) };
}

function tally(names: readonly string[]): Count[] {
  return countsOf(new Map([...Map.groupBy(names, (name) => name)].map(([name, group]) => [name, group.length])));
}

function countsOf(counts: ReadonlyMap<string, number>): Count[] {
  return [...counts].map(([name, count]) => ({ name, count })).toSorted((a, b) => b.count - a.count);
}

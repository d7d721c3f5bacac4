import { createHash } from 'node:crypto';
import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import { warmRunnerIdOf } from '../contracts/between-rooms/runner-id.ts';
import { messageOf } from '../contracts/with-github/errors.ts';
import { sweepLimitMs } from '../contracts/with-infra/limits.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';
import { giveUp } from '../fleet/decide-move.ts';
import { decideTopUp, whyItWaits, type PoolView, type ProfileView } from '../fleet/decide-top-up.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { isSupply } from '../fleet/supply.ts';
import { askFor, readGates, readRoom, type Asked, type AskPorts, type RoomPorts } from '../fleet/top-up-profile.ts';
import { minutesLeft, warmIdleMinutes } from './decide-warmth.ts';
import { decideWaiting } from './decide-waiting.ts';

export type PoolPorts = AskPorts &
  RoomPorts &
  Pick<Ledger, 'listWaiting' | 'listLive' | 'readProfile' | 'readScope' | 'readBreaker'> & { readonly fleet: Fleet };

/** One profile after the pass. */
type ProfileReport = {
  readonly profile: string;
  readonly live: number;
  readonly busy: number;
  readonly idle: number;
  readonly waiting: readonly { readonly reason: string; readonly jobs: number }[];
  /** Seconds; 0 when nothing waits. */
  readonly oldestWaiting: number;
  /** Of the jobs that nothing keeps from starting. Above a minute or two something is wrong, whatever it is. */
  readonly oldestRunnable: number;
  readonly breakerOpen: boolean;
  readonly launches: number;
  readonly warm: number;
};

export type PoolsVerdict = {
  readonly profiles: readonly ProfileReport[];
  readonly gaveUp: readonly { readonly job: string; readonly note: string }[];
  /** Profiles that could not be looked at, and launches that could not be asked for. */
  readonly failures: readonly string[];
};

/** Compares demand with supply in every pool, and asks for the runners that are missing. A waiting job gets a runner or a visible reason. */
export async function topUpPools(ports: PoolPorts): Promise<PoolsVerdict> {
  const end = ports.now() + sweepLimitMs;
  const [listed, live] = await Promise.all([ports.listWaiting(), ports.listLive()]);
  const { waiting, gaveUp } = await sort(listed, ports);
  const profiles: ProfileReport[] = [];
  const failures: string[] = [];
  for (const profile of ports.fleet.profiles) {
    try {
      const done = await topUp(
        profile,
        waiting.filter((job) => job.profile === profile.name),
        live.filter((runner) => runner.profile === profile.name),
        { ...ports, hasTime: () => ports.now() <= end },
      );
      profiles.push(done.report);
      failures.push(...done.failures);
    } catch (error) {
      // The other profiles get their runners; the pass fails when all is done.
      failures.push(`profile ${profile.name}: ${messageOf(error)}`);
    }
  }
  return { profiles, gaveUp, failures };
}

async function sort(
  listed: readonly JobRecord[],
  ports: PoolPorts,
): Promise<{ waiting: JobRecord[]; gaveUp: { job: string; note: string }[] }> {
  const waiting: JobRecord[] = [];
  const gaveUp: { job: string; note: string }[] = [];
  for (const job of listed) {
    const decision = decideWaiting(job, admitJob(job.job, ports.fleet), ports.now());
    switch (decision.kind) {
      case 'keep':
        waiting.push(job);
        break;
      case 'move':
        {
          const moved = { ...job, pool: decision.pool, profile: decision.profile };
          if (await ports.changeJob(job, moved)) waiting.push(moved);
        }
        break;
      case 'give-up':
        if (await ports.changeJob(job, giveUp(job, decision, ports.now())))
          gaveUp.push({ job: job.job.id, note: decision.note });
        break;
    }
  }
  return { waiting, gaveUp };
}

async function topUp(
  profile: Profile,
  jobs: readonly JobRecord[],
  runners: readonly RunnerRecord[],
  ports: PoolPorts & { readonly hasTime: () => boolean },
): Promise<{ readonly report: ProfileReport; readonly failures: readonly string[] }> {
  const now = ports.now();
  const [record, room] = await Promise.all([ports.readProfile(profile.name), readRoom(profile.name, ports)]);
  const windows = profile.warm.flatMap((window) => {
    const left = minutesLeft(window, now);
    return left === undefined ? [] : [{ ...window, left, pool: poolOf(profile, window.scope) }];
  });
  const scopes = new Map([...jobs, ...runners, ...windows].map(({ pool, scope }) => [pool, scope]));
  const pools: PoolView[] = await Promise.all(
    [...scopes].map(async ([pool, scope]) => ({
      pool,
      jobs: jobs.filter((job) => job.pool === pool),
      runners: runners.filter((runner) => runner.pool === pool),
      warm: windows.filter((window) => window.pool === pool).reduce((sum, { count }) => sum + count, 0),
      ...(await readGates({ profile: profile.name, scope }, ports)),
    })),
  );
  const view: ProfileView = { profile, record, room, pools, now };
  const { launches, warm } = decideTopUp(view);
  const asked = await askFor(launches, ports, ports.hasTime);

  const messages: LaunchMessage[] = [];
  for (const { pool, count } of warm) {
    const open = windows.filter((window) => window.pool === pool).toSorted((x, y) => y.left - x.left);
    // Each window has its own runners and its own end; those that last longest come first.
    const ends = open.flatMap((window) => Array.from({ length: window.count }, () => window.left));
    const [window] = open;
    if (window !== undefined) messages.push(...warmLaunches(profile, { ...window, ends: ends.slice(0, count) }, ports));
  }
  const warmed = await sendWarm(messages, ports);

  const asking = new Set(launches.map(({ jobId }) => jobId));
  const waits = pools.flatMap((pool) => {
    const probed = probedIn(pool, view);
    return pool.jobs.map((job) => {
      const reason = whyItWaits(job, pool, view);
      const isAsked = asking.has(job.job.id) || job.askedAt !== undefined;
      return {
        reason: reason ?? (isAsked ? undefined : probed?.reason) ?? 'starting',
        runnableSince: reason === undefined ? runnableSince(job, probed) : undefined,
      };
    });
  });
  const busy = runners.filter(({ busyJobId }) => busyJobId !== undefined).length;
  const report: ProfileReport = {
    profile: profile.name,
    live: runners.length,
    busy,
    idle: runners.filter((runner) => isSupply(runner, now)).length,
    waiting: [...Map.groupBy(waits, ({ reason }) => reason)].map(([reason, group]) => ({
      reason,
      jobs: group.length,
    })),
    oldestWaiting: oldest(jobs, now),
    oldestRunnable: Math.max(0, ...waits.map(({ runnableSince: since = now }) => (now - since) / 1000)),
    breakerOpen: pools.some(({ breaker }) => breaker.until !== undefined),
    launches: asked.sent,
    warm: warmed.sent,
  };
  return {
    report,
    failures: [...asked.failures, ...warmed.failures].map((failure) => `profile ${profile.name}: ${failure}`),
  };
}

async function sendWarm(messages: readonly LaunchMessage[], ports: PoolPorts): Promise<Asked> {
  if (messages.length === 0) return { sent: 0, failures: [] };
  try {
    await ports.sendLaunches(messages);
    return { sent: messages.length, failures: [] };
  } catch (error) {
    return { sent: 0, failures: [messageOf(error)] };
  }
}

type Probed = { readonly reason: WaitReason; readonly until: number };

/** The wait that one launch of the pool probes now, while the others wait: of a breaker, or for room at AWS. */
function probedIn({ breaker }: PoolView, { profile, room, now }: ProfileView): Probed | undefined {
  const { until, reason = 'no-capacity' } = room[profile.capacity === 'on-demand' ? 'on-demand' : 'spot'];
  const probes = [
    { reason: 'breaker-open' as const, until: breaker.until },
    { reason, until },
  ].flatMap((wait) => (wait.until === undefined ? [] : [{ ...wait, until: Date.parse(wait.until) }]));
  return probes.find((wait) => wait.until <= now);
}

/** Since when nothing keeps a job from starting. A job that waited hours for room has only now become runnable. */
function runnableSince(job: JobRecord, probed: Probed | undefined): number {
  const ends = [job.notBefore, job.decidedAt].map((at) => (at === undefined ? 0 : Date.parse(at)));
  return Math.max(queuedAt(job), probed?.until ?? 0, ...ends);
}

function oldest(jobs: readonly JobRecord[], now: number): number {
  return Math.max(0, ...jobs.map((job) => (now - queuedAt(job)) / 1000));
}

/** The same minute makes the same ids, so that passes that overlap start the same runners, not more. */
function warmLaunches(
  profile: Profile,
  { scope, pool, ends }: { readonly scope: string; readonly pool: string; readonly ends: readonly number[] },
  ports: PoolPorts,
): LaunchMessage[] {
  const now = ports.now();
  const poolHash = createHash('sha256').update(pool).digest('hex').slice(0, 8);
  const minute = Math.floor(now / 60_000).toString(36);
  return ends.map((left, index) => ({
    version: 1,
    kind: 'warm',
    runnerId: warmRunnerIdOf(ports.fleet.prefix, { poolHash, minute, index }),
    profile: profile.name,
    scope,
    until: new Date(now + warmIdleMinutes(left, index) * 60_000).toISOString(),
    returns: 0,
  }));
}

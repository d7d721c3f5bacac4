import { createHash } from 'node:crypto';
import {
  queuedAt,
  type JobRecord,
  type ProfileRecord,
  type RunnerRecord,
  type ScopeRecord,
} from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';
import { decideRoom, decideTopUp, isLaunchable, type PoolView } from '../fleet/decide-top-up.ts';
import { isSupply } from '../fleet/supply.ts';
import { askFor, type AskPorts } from '../fleet/top-up-profile.ts';
import { minutesLeft, warmIdleMinutes } from './decide-warmth.ts';
import { decideWaiting } from './decide-waiting.ts';

export type PoolPorts = AskPorts & {
  readonly now: () => number;
  readonly fleet: Fleet;
  readonly listWaiting: () => Promise<readonly JobRecord[]>;
  readonly listLive: () => Promise<readonly RunnerRecord[]>;
  readonly readProfile: (profile: string) => Promise<ProfileRecord>;
  readonly readScope: (scope: string) => Promise<ScopeRecord>;
  readonly moveJob: (job: JobRecord, to: { readonly pool: string; readonly profile: string }) => Promise<boolean>;
  readonly giveUpJob: (job: JobRecord, state: 'refused' | 'expired', note: string) => Promise<boolean>;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
};

/** What one profile looks like after the pass. */
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
  readonly gaveUp: readonly { readonly job: string; readonly reason: string }[];
};

/** Compares demand with supply in every pool and asks for what is missing: whatever went wrong before, a waiting job gets a runner or a visible reason. */
export async function topUpPools(ports: PoolPorts): Promise<PoolsVerdict> {
  const [listed, live] = await Promise.all([ports.listWaiting(), ports.listLive()]);
  const { waiting, gaveUp } = await sort(listed, ports);
  const profiles: ProfileReport[] = [];
  for (const profile of ports.fleet.profiles) {
    profiles.push(
      await topUp(
        profile,
        waiting.filter((job) => job.profile === profile.name),
        live.filter((runner) => runner.profile === profile.name),
        ports,
      ),
    );
  }
  return { profiles, gaveUp };
}

async function sort(
  listed: readonly JobRecord[],
  ports: PoolPorts,
): Promise<{ waiting: JobRecord[]; gaveUp: { job: string; reason: string }[] }> {
  const waiting: JobRecord[] = [];
  const gaveUp: { job: string; reason: string }[] = [];
  for (const job of listed) {
    const decision = decideWaiting(job, admitJob(job.job, ports.fleet), ports.now());
    switch (decision.kind) {
      case 'keep':
        waiting.push(job);
        break;
      case 'move':
        if (await ports.moveJob(job, decision))
          waiting.push({ ...job, pool: decision.pool, profile: decision.profile });
        break;
      case 'give-up':
        if (await ports.giveUpJob(job, decision.state, decision.reason))
          gaveUp.push({ job: job.job.id, reason: decision.reason });
        break;
    }
  }
  return { waiting, gaveUp };
}

async function topUp(
  profile: Profile,
  jobs: readonly JobRecord[],
  runners: readonly RunnerRecord[],
  ports: PoolPorts,
): Promise<ProfileReport> {
  const now = ports.now();
  const record = await ports.readProfile(profile.name);
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
      holdUntil: (await ports.readScope(scope)).holdUntil,
    })),
  );
  const { launches, warm } = decideTopUp({ pools, room: decideRoom(profile, record, now), now });

  const asked = await askFor(launches, ports);
  const messages = [...asked];
  for (const { pool, count } of warm) {
    const open = windows.filter((window) => window.pool === pool).toSorted((x, y) => y.left - x.left);
    // Each window has its own runners and its own end; those that last longest come first.
    const ends = open.flatMap((window) => Array.from({ length: window.count }, () => window.left));
    const [window] = open;
    if (window !== undefined) messages.push(...warmLaunches(profile, { ...window, ends: ends.slice(0, count) }, ports));
  }
  if (messages.length > 0) await ports.sendLaunches(messages);

  const busy = runners.filter(({ busyJobId }) => busyJobId !== undefined).length;
  return {
    profile: profile.name,
    live: runners.length,
    busy,
    idle: runners.filter((runner) => isSupply(runner, now)).length,
    waiting: [...Map.groupBy(jobs, ({ reason }) => reason ?? 'starting')].map(([reason, group]) => ({
      reason,
      jobs: group.length,
    })),
    oldestWaiting: oldest(jobs, now),
    oldestRunnable: oldestRunnable(jobs, { profile, record, pools }, now),
    breakerOpen: record.breakerUntil !== undefined,
    launches: asked.length,
    warm: messages.length - asked.length,
  };
}

/** Counts from when nothing keeps a job from starting any more: a job that waited hours for room has just become runnable. */
function oldestRunnable(
  jobs: readonly JobRecord[],
  {
    profile,
    record,
    pools,
  }: { readonly profile: Profile; readonly record: ProfileRecord; readonly pools: readonly PoolView[] },
  now: number,
): number {
  if (record.leases >= profile.maxRunners || record.breakerUntil !== undefined) return 0;
  const held = new Set(
    pools.filter(({ holdUntil }) => holdUntil !== undefined && Date.parse(holdUntil) > now).map(({ pool }) => pool),
  );
  const runnable = jobs.filter((job) => isLaunchable(job, now) && !held.has(job.pool));
  const since = runnable.map((job) =>
    Math.max(queuedAt(job), ...[job.notBefore, job.decidedAt].map((at) => (at === undefined ? 0 : Date.parse(at)))),
  );
  return Math.max(0, ...since.map((at) => (now - at) / 1000));
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
  const hash = createHash('sha256').update(pool).digest('hex').slice(0, 8);
  const minute = Math.floor(now / 60_000).toString(36);
  return ends.map((left, index) => ({
    version: 1,
    kind: 'warm',
    runnerId: `${ports.fleet.prefix}-w${hash}-${minute}-${index}`,
    profile: profile.name,
    scope,
    until: new Date(now + warmIdleMinutes(left, index) * 60_000).toISOString(),
    returns: 0,
  }));
}

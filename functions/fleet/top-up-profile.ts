import type { JobRecord, ProfileRecord, RunnerRecord, ScopeRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import { decideRoom, decideTopUp, type TopUp } from './decide-top-up.ts';
import { isSupply } from './supply.ts';

export type AskPorts = {
  /** Of all who would ask for a launch at the same time, one does. */
  readonly askLaunch: (jobId: string, launch: number) => Promise<boolean>;
};

export type TopUpPorts = AskPorts & {
  readonly now: () => number;
  /** Leases and breaker of the profile. Read consistently. */
  readonly readProfile: (profile: string) => Promise<ProfileRecord>;
  readonly readScope: (scope: string) => Promise<ScopeRecord>;
  readonly listRunners: (profile: string) => Promise<readonly RunnerRecord[]>;
  /** The pools of the profile that have a waiting job. */
  readonly listWaitingPools: (profile: string) => Promise<readonly string[]>;
  /** The oldest waiting jobs of a pool. */
  readonly listWaitingJobs: (pool: string, limit: number) => Promise<readonly JobRecord[]>;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
};

/** A stop frees one place; what more is free is filled by this much at a time, and by the minute's sweep. */
const mostAtOnce = 25;

/**
 * Lets the next waiting jobs of a profile in at once, without waiting for the minute's sweep: one for every free place,
 * as of several tasks that stop together none knows which place the others have filled.
 *
 * @returns how many launches were sent
 */
export async function topUpProfile(profile: Profile, ports: TopUpPorts): Promise<number> {
  const waiting = await ports.listWaitingPools(profile.name);
  if (waiting.length === 0) return 0;
  const now = ports.now();
  const room = Math.min(decideRoom(profile, await ports.readProfile(profile.name), now), mostAtOnce);
  if (room <= 0) return 0;

  const runners = await ports.listRunners(profile.name);
  const supply = runners.filter((runner) => isSupply(runner, now)).length;
  const pools = await Promise.all(
    waiting.map(async (pool) => {
      const jobs = await ports.listWaitingJobs(pool, supply + 2 * mostAtOnce);
      const scope = jobs[0]?.scope;
      const { holdUntil } = scope === undefined ? {} : await ports.readScope(scope);
      return { pool, jobs, runners: runners.filter((runner) => runner.pool === pool), warm: 0, holdUntil };
    }),
  );
  const { launches } = decideTopUp({ pools, room, now });
  const messages = await askFor(launches, ports);
  if (messages.length > 0) await ports.sendLaunches(messages);
  return messages.length;
}

/** @returns the launches that nobody else is asking for at this moment */
export async function askFor(launches: TopUp['launches'], { askLaunch }: AskPorts): Promise<LaunchMessage[]> {
  const asked = await Promise.all(launches.map(async ({ jobId, launch }) => askLaunch(jobId, launch)));
  return launches
    .filter((_, index) => asked[index])
    .map(({ jobId, launch }) => ({ version: 1, kind: 'launch', jobId, launch, returns: 0 }));
}

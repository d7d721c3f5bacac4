import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { asError, messageOf } from '../contracts/with-github/errors.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Providers } from '../contracts/with-infra/providers.ts';
import type { StartView } from './decide-start.ts';
import { decideTopUp, type TopUp } from './decide-top-up.ts';
import type { BreakerKey, Ledger } from './ledger.ts';
import { isSupply } from './supply.ts';
import { release } from './waits/back-off.ts';

export type AskPorts = Pick<Ledger, 'askLaunch' | 'changeJob'> & {
  readonly now: () => number;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
};

export type RoomPorts = Pick<Ledger, 'readCapacity'> & {
  /** The capacity providers of a profile's tasks. */
  readonly providers: (profile: string) => Providers;
};

export type TopUpPorts = AskPorts &
  RoomPorts &
  Pick<Ledger, 'readProfile' | 'readScope' | 'readBreaker' | 'listRunners' | 'listWaitingPools' | 'listWaitingJobs'>;

/** A place of the profile is free. `served`: runners that have just ended after a job, so their pool is served. */
export type TopUpAsked = {
  readonly profile: Profile;
  readonly served: readonly { readonly pool: string; readonly at: string }[];
};

/** A stop frees one place. Of more free places this many are filled at a time, and the rest by the minute's pass. */
const mostAtOnce = 25;
/** Of how many repositories of a pool the waiting jobs are read. */
const mostRepositories = 25;
/** How many launches are asked for and sent together. */
const portionSize = 10;

/**
 * Lets the next waiting jobs of a profile in at once, without waiting for the minute's pass: one for every free place, as several tasks
 * may stop together.
 *
 * @param served runners that have just ended after a job
 * @returns how many launches were sent
 */
export async function topUpProfile(
  profile: Profile,
  ports: TopUpPorts,
  served: TopUpAsked['served'] = [],
): Promise<number> {
  const waiting = await ports.listWaitingPools(profile.name);
  if (waiting.length === 0) return 0;
  const now = ports.now();
  const [record, room] = await Promise.all([ports.readProfile(profile.name), readRoom(profile.name, ports)]);
  if (record.leases >= profile.maxRunners) return 0;

  const runners = await ports.listRunners(profile.name);
  const supply = runners.filter((runner) => isSupply(runner, now)).length;
  const pools = await Promise.all(
    waiting.map(async (pool) => {
      const jobs = await ports.listWaitingJobs(pool, {
        ofEach: supply + 2 * mostAtOnce,
        repositories: mostRepositories,
      });
      const [first] = jobs;
      // None of them waits any more.
      if (first === undefined) return [];
      const { scope } = first;
      const view = {
        pool,
        jobs,
        runners: runners.filter((runner) => runner.pool === pool),
        served: served.filter((one) => one.pool === pool).map(({ at }) => at),
        warm: 0,
        ...(await readGates({ profile: profile.name, scope }, ports)),
      };
      return [view];
    }),
  );
  const { launches } = decideTopUp({ profile, record, room, pools: pools.flat(), now }, mostAtOnce);
  const { sent, failures } = await askFor(launches, ports);
  if (failures.length > 0) throw new Error(`${failures.length} launches could not be asked for: ${failures[0]}`);
  return sent;
}

/**
 * Tops each profile up once, however many ends ask for it.
 *
 * @returns how many launches were sent, told to the first that asked for the profile
 */
export async function topUpOnce(asked: readonly TopUpAsked[], ports: TopUpPorts): Promise<readonly (number | Error)[]> {
  const sent = new Map<TopUpAsked, number | Error>();
  await Promise.all(
    [...Map.groupBy(asked, ({ profile }) => profile.name).values()].map(async (group) => {
      const [first] = group;
      if (first === undefined) return;
      const served = group.flatMap((one) => one.served);
      try {
        sent.set(first, await topUpProfile(first.profile, ports, served));
      } catch (error) {
        sent.set(first, asError(error));
      }
    }),
  );
  return asked.map((one) => sent.get(one) ?? 0);
}

/** What may keep all runners of a profile in a scope from starting. Read side by side: the ledger is asked once. */
export async function readGates(
  key: BreakerKey,
  ports: Pick<Ledger, 'readScope' | 'readBreaker'>,
): Promise<Pick<StartView, 'scope' | 'breaker'>> {
  const [scope, breaker] = await Promise.all([ports.readScope(key.scope), ports.readBreaker(key)]);
  return { scope, breaker };
}

export async function readRoom(profile: string, ports: RoomPorts): Promise<StartView['room']> {
  const { onDemand, spot } = ports.providers(profile);
  const [first, second] = await Promise.all([
    ports.readCapacity({ profile, provider: onDemand }),
    ports.readCapacity({ profile, provider: spot }),
  ]);
  return { 'on-demand': first, spot: second };
}

export type Asked = { readonly sent: number; readonly failures: readonly string[] };

/**
 * Asks for launches that nobody else is asking for at this moment, a portion at a time. Each portion is sent before the next
 * portion is asked for. A portion that fails does not stop the others.
 *
 * @param hasTime false when nothing new may be begun; the rest is asked for in the next pass
 */
export async function askFor(
  launches: TopUp['launches'],
  ports: AskPorts,
  hasTime: () => boolean = () => true,
): Promise<Asked> {
  const failures: string[] = [];
  let sent = 0;
  for (let at = 0; at < launches.length && hasTime(); at += portionSize) {
    const results = await Promise.allSettled(
      launches.slice(at, at + portionSize).map(async (launch) => ask(launch, ports)),
    );
    const messages = results.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []));
    failures.push(...results.flatMap((result) => (result.status === 'rejected' ? [messageOf(result.reason)] : [])));
    if (messages.length === 0) continue;
    try {
      await ports.sendLaunches(messages);
      sent += messages.length;
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return { sent, failures };
}

async function ask(
  { jobId, launch, profile, scope, parked }: TopUp['launches'][number],
  ports: AskPorts,
): Promise<LaunchMessage | undefined> {
  if (parked !== undefined && !(await ports.changeJob(parked, release(parked, ports.now())))) return undefined;
  if (!(await ports.askLaunch(jobId, launch))) return undefined;
  return { version: 1, kind: 'launch', jobId, launch, profile, scope, returns: 0 };
}

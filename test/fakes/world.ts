import { scopeOf, type Job } from '../../functions/contracts/between-rooms/job.ts';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { recordSighting, type RecordedSighting } from '../../functions/fleet/record-sighting.ts';
import { paceLedger } from '../../functions/aws/ledger/pace.ts';
import { topUpProfile } from '../../functions/fleet/top-up-profile.ts';
import { longestTurnMs } from '../../functions/contracts/with-infra/limits.ts';
import { isScarce } from '../../functions/contracts/with-github/rate-limit.ts';
import type { JobRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { providersOf } from '../../functions/contracts/with-infra/providers.ts';
import type { SweepPorts } from '../../functions/replenish/find-unannounced.ts';
import type { PoolPorts } from '../../functions/replenish/top-up-pools.ts';
import type { RedeliveryPorts } from '../../functions/redeliver/redeliver-webhooks.ts';
import type { FleetPorts } from '../../functions/scale-down/sweep-fleet.ts';
import type { LaunchPorts } from '../../functions/scale-up/launch-runner.ts';
import type { SettlePorts } from '../../functions/task-stopped/settle-task.ts';
import type { EventPorts } from '../../functions/track-jobs/record-event.ts';
import type { DeliveryPorts } from '../../functions/webhook/receive-delivery.ts';
import { aProfile, prefix } from './builders.ts';
import { fakeClaims, type FakeClaims } from './claims.ts';
import { fakeClock, type FakeClock } from './clock.ts';
import { fakeGitHub, type FakeGitHub } from './github.ts';
import { fakeLedger, type FakeLedger } from './ledger.ts';
import { fakeQueues, type FakeQueues } from './queues.ts';
import { fakeTable } from './table.ts';
import { fakeTasks, type FakeTasks } from './tasks.ts';

/** What every flow needs of the outside, in one object: hand it, or a part of it with other functions, to any flow. */
type WorldPorts = DeliveryPorts &
  LaunchPorts &
  EventPorts &
  SettlePorts &
  PoolPorts &
  SweepPorts &
  FleetPorts &
  RedeliveryPorts;

export type FakeWorld = {
  readonly clock: FakeClock;
  readonly ledger: FakeLedger;
  readonly claims: FakeClaims;
  readonly tasks: FakeTasks;
  readonly queues: FakeQueues;
  readonly github: FakeGitHub;
  readonly profiles: readonly Profile[];
  readonly ports: WorldPorts;
  /** Writes down what GitHub says of a job, for profile `small` unless told otherwise. */
  readonly record: (
    job: Job,
    state: JobSighting['state'],
    parts?: Partial<JobSighting>,
    profile?: string,
  ) => Promise<RecordedSighting>;
  /** A runner's name: the first launch of a job unless told otherwise. */
  readonly runnerId: (jobId: string, launch?: number) => string;
};

export type WorldOptions = {
  /** @default one, {@link aProfile} */
  readonly profiles?: Profile[];
  /** @default acme and octo */
  readonly owners?: readonly string[];
  readonly startsAt?: string;
  /** Jobs that the ledger knows already. */
  readonly jobs?: readonly JobRecord[];
  /** @default one that tests sign with */
  readonly secrets?: readonly string[];
  /** When the webhook secret was last written; milliseconds since the epoch. */
  readonly secretChangedAt?: number;
  /** How fast tasks may start; the default is faster than any test. */
  readonly pace?: { readonly intervalMs: number; readonly burst: number };
};

export const webhookSecret = "It's a Secret to Everybody";

/** AWS and GitHub in memory, and a clock that stands still. */
export function fakeWorld({
  profiles = [aProfile()],
  owners = ['acme', 'octo'],
  startsAt,
  jobs = [],
  secrets = [webhookSecret],
  secretChangedAt,
  pace = { intervalMs: 50, burst: 1000 },
}: WorldOptions = {}): FakeWorld {
  const clock = fakeClock(startsAt);
  const claims = fakeClaims(clock.now);
  const ledger = fakeLedger(clock.now, claims);
  const tasks = fakeTasks(clock.now, prefix);
  const queues = fakeQueues();
  const github = fakeGitHub(clock.now);
  for (const job of jobs) ledger.putJob(job);
  const turns = paceLedger(fakeTable(), clock.now);
  let claimsNamed = 0;

  const ports: WorldPorts = {
    ...ledger,
    takeTurn: async (scope) => (await turns.takeTurns({ key: scope, ...pace }, 1, longestTurnMs))[0],
    countTurns: async () => turns.countTurns({ key: 'acme', ...pace }),
    now: clock.now,
    pause: clock.pause,
    fleet: { prefix, owners, profiles },
    readSecrets: async () => secrets,
    secretChangedAt: async () => secretChangedAt,
    newClaimId: () => `claim-${++claimsNamed}`,
    registrationUrl: (scope) => `https://github.com/${scope}`,
    taskDefinition: (profile) => `${profile}:1`,
    providers: (profile) =>
      providersOf('github-runners-ci', {
        name: profile,
        docker: profiles.some((one) => one.name === profile && one.docker),
      }),

    sendLaunch: queues.sendLaunch,
    sendLaunches: queues.sendLaunches,
    sendEvent: queues.sendEvent,
    sendBack: queues.sendLaunch,

    readRegistration: github.readRegistration,
    lookAtJob: github.lookAtJob,
    listUnfinishedJobs: github.listUnfinishedJobs,
    listInstalled: github.listInstalled,
    listRegistered: github.listRegistered,
    findRegistered: github.findRegistered,
    deleteRegistered: github.deleteRegistered,
    listDeliveries: github.listDeliveries,
    redeliver: github.redeliver,
    rateLimit: github.rateLimit,
    isScarce: (scope) => isScarce(github.rateLimit(scope)),

    runTask: tasks.runTask,
    stopTask: tasks.stopTask,
    findTasks: tasks.findTasks,
    listTasks: tasks.listTasks,
    findRunning: tasks.findRunning,

    hasImage: async () => true,
    topUp: async (asked) => topUpProfile(asked.profile, ports, asked.served),
  };
  return {
    clock,
    ledger,
    claims,
    tasks,
    queues,
    github,
    profiles,
    ports,
    record: async (job, state, parts = {}, profile = 'small') => {
      const scope = scopeOf(job.repository);
      const place = { profile, scope, pool: `${profile}@${scope}` };
      return recordSighting({ job, state, by: 'delivery-1', ...parts }, place, ports);
    },
    runnerId: (jobId, launch = 1) => `${prefix}-${jobId}-${launch}`,
  };
}

import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { scopeOf } from '../contracts/between-rooms/job.ts';
import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import { runnerIdOf } from '../contracts/between-rooms/runner-id.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob, type Admission } from '../fleet/admit-job.ts';
import { decideMove } from '../fleet/decide-move.ts';
import type { StartView } from '../fleet/decide-start.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { readGates, readRoom, type RoomPorts } from '../fleet/top-up-profile.ts';
import type { LaunchView } from './decide-launch.ts';
import type { Outcome, Step } from './outcome.ts';

export type LookPorts = RoomPorts &
  Pick<Ledger, 'readJob' | 'readRunner' | 'readProfile' | 'readScope' | 'readBreaker' | 'countTurns'> & {
    readonly now: () => number;
    readonly fleet: Fleet;
  };

export type Seen = LaunchView & {
  readonly message: LaunchMessage;
  readonly runnerId: string;
  /** What the ledger holds of the job. */
  readonly before: JobRecord | undefined;
  /** `job` says more than the ledger holds: it is written with whatever comes of this launch. */
  readonly isNews: boolean;
  /** How many minutes after its start a warm runner ends. */
  readonly warmMinutes: number | undefined;
};

type Surroundings = Pick<StartView, 'leases' | 'scope' | 'breaker' | 'room'>;
type Place = { readonly profile: string; readonly scope: string };

/**
 * Reads all that the ledger knows about a launch. The reads are made side by side, those of a whole batch of messages too: the ledger
 * sends them as one consistent BatchGetItem.
 */
export async function look(message: LaunchMessage, receivedBefore: boolean, ports: LookPorts): Promise<Step<Seen>> {
  switch (message.kind) {
    case 'queued':
      return lookAtQueued(message, receivedBefore, ports);
    case 'launch':
      return lookAtLaunch(message, receivedBefore, ports);
    case 'warm':
      return lookAtWarm(message, receivedBefore, ports);
  }
}

async function lookAtQueued(
  message: Extract<LaunchMessage, { kind: 'queued' }>,
  receivedBefore: boolean,
  ports: LookPorts,
): Promise<Step<Seen>> {
  const { job, delivery } = message;
  const admission = admitJob(job, ports.fleet);
  if (admission.kind === 'not-ours') return notYetOurs(message, admission.note);
  const { profile } = admission;
  const place = { profile: profile.name, scope: scopeOf(job.repository) };
  const [before, first, around, turnsAhead] = await Promise.all([
    ports.readJob(job.id),
    ports.readRunner(runnerIdOf(ports.fleet.prefix, job.id, 1)),
    lookAround(place, ports),
    ports.countTurns(),
  ]);
  const sighting: JobSighting = { job, state: 'queued', by: delivery };
  const now = ports.now();
  const after = decideMove(before, sighting, { ...place, pool: poolOf(profile, place.scope) }, now);
  const record = after ?? before;
  if (record === undefined) throw new Error(`job ${job.id} must have a record after it was seen`);
  // A job that begins to wait needs its next launch. A job that waits already needs the launch that may be unfinished.
  const launch = after === undefined ? Math.max(1, record.launches) : record.launches + 1;
  const runner = launch === 1 ? first : await ports.readRunner(runnerIdOf(ports.fleet.prefix, job.id, launch));
  return withSurroundings(
    {
      message,
      receivedBefore,
      before,
      job: record,
      isNews: after !== undefined,
      launch,
      runner,
      admission,
      place,
      around,
      turnsAhead,
      now,
    },
    ports,
  );
}

/** A message whose job no profile serves is looked at again: this often, and after this time. */
const mostLooks = 3;
const lookedAtAgainAfterMs = 60_000;

/** The webhook found a profile for the job. During a deployment it may know more profiles than this function does. */
function notYetOurs(message: Extract<LaunchMessage, { kind: 'queued' }>, note: string): Outcome {
  if (message.returns >= mostLooks) return { kind: 'drop', note };
  return {
    kind: 'returned',
    note,
    message: { ...message, returns: message.returns + 1 },
    delayMs: lookedAtAgainAfterMs,
  };
}

async function lookAtLaunch(
  message: Extract<LaunchMessage, { kind: 'launch' }>,
  receivedBefore: boolean,
  ports: LookPorts,
): Promise<Step<Seen>> {
  const { jobId, launch, profile, scope } = message;
  const hint = profile === undefined || scope === undefined ? undefined : { profile, scope };
  const [job, runner, around] = await Promise.all([
    ports.readJob(jobId),
    ports.readRunner(runnerIdOf(ports.fleet.prefix, jobId, launch)),
    hint && lookAround(hint, ports),
  ]);
  if (job === undefined) return { kind: 'drop', note: 'the ledger does not know the job' };
  const admission = admitJob(job.job, ports.fleet);
  return withSurroundings(
    {
      message,
      receivedBefore,
      before: job,
      job,
      isNews: false,
      launch,
      runner,
      admission,
      place: hint,
      around,
      turnsAhead: 0,
      now: ports.now(),
    },
    ports,
  );
}

async function lookAtWarm(
  message: Extract<LaunchMessage, { kind: 'warm' }>,
  receivedBefore: boolean,
  ports: LookPorts,
): Promise<Step<Seen>> {
  const { runnerId, profile: name, scope, until } = message;
  const profile = ports.fleet.profiles.find((candidate) => candidate.name === name);
  if (profile === undefined) return { kind: 'drop', note: `profile ${name} is gone` };
  const now = ports.now();
  const warmMinutes = (Date.parse(until) - now) / 60_000;
  if (warmMinutes <= 0) return { kind: 'drop', note: 'its window is over' };
  const [runner, around] = await Promise.all([ports.readRunner(runnerId), lookAround({ profile: name, scope }, ports)]);
  return {
    ...around,
    message,
    runnerId,
    receivedBefore,
    before: undefined,
    job: undefined,
    isNews: false,
    launch: 0,
    runner,
    hasTurn: message.slot !== undefined,
    admission: { kind: 'admitted', profile },
    begunUnder: runner && profile,
    turnsAhead: 0,
    warmMinutes,
    now,
  };
}

type Found = Pick<
  Seen,
  'message' | 'receivedBefore' | 'before' | 'isNews' | 'launch' | 'runner' | 'admission' | 'turnsAhead' | 'now'
> & {
  readonly job: JobRecord;
  /** The profile and scope whose records were read, and what these hold. */
  readonly place: Place | undefined;
  readonly around: Surroundings | undefined;
};

/** A launch that was begun goes on under the profile in its runner's record, whatever the job would get now. */
async function withSurroundings({ place, around, ...found }: Found, ports: LookPorts): Promise<Step<Seen>> {
  const { job, runner, admission, launch } = found;
  const real = placeOf(job, runner, admission);
  const isThere = place?.profile === real.profile && place.scope === real.scope;
  return {
    ...found,
    ...(isThere && around !== undefined ? around : await lookAround(real, ports)),
    runnerId: runnerIdOf(ports.fleet.prefix, job.job.id, launch),
    hasTurn: found.message.slot !== undefined,
    begunUnder: runner && ports.fleet.profiles.find(({ name }) => name === runner.profile),
    warmMinutes: undefined,
  };
}

function placeOf(job: JobRecord, runner: RunnerRecord | undefined, admission: Admission): Place {
  if (runner !== undefined) return { profile: runner.profile, scope: runner.scope };
  return { profile: admission.kind === 'admitted' ? admission.profile.name : job.profile, scope: job.scope };
}

async function lookAround(place: Place, ports: LookPorts): Promise<Surroundings> {
  const [{ leases }, gates, room] = await Promise.all([
    ports.readProfile(place.profile),
    readGates(place, ports),
    readRoom(place.profile, ports),
  ]);
  return { leases, ...gates, room };
}

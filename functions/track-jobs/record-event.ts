import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { scopeOf } from '../contracts/between-rooms/job.ts';
import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import { runnerIdOf } from '../contracts/between-rooms/runner-id.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';
import { changeBreaker } from '../fleet/change-records.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { findNamedRunner, noteBusy, recordSighting, type RecordedSighting } from '../fleet/record-sighting.ts';
import { isSupply } from '../fleet/supply.ts';
import { topUpProfile, type TopUpPorts } from '../fleet/top-up-profile.ts';
import { afterGoodStart } from '../fleet/waits/breaker.ts';
import { decideCancel, decideTransition } from './decide-transition.ts';

export type EventPorts = TopUpPorts &
  Pick<Ledger, 'readJob' | 'readRunner' | 'noteRepository' | 'markBusy' | 'revokeClaim' | 'changeBreaker'> & {
    readonly fleet: Fleet;
    readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
  };

export type EventVerdict = {
  readonly kind: JobSighting['state'] | 'known';
  readonly note: string;
  readonly job: string;
  readonly delivery: string;
  readonly runner?: string | undefined;
  readonly profile?: string | undefined;
  readonly conclusion?: string | undefined;
  readonly stolenFrom?: string | undefined;
  /** The job's end became known by this very event. */
  readonly isCompletion: boolean;
  /** From when the job waited for a runner to its start; told once a job. */
  readonly secondsToStart?: number | undefined;
};

/** Writes down a sighting that is not `queued`, and acts on what it means for runners. */
export async function recordEvent(sighting: JobSighting, ports: EventPorts): Promise<EventVerdict> {
  const { job, state } = sighting;
  const runner = await findNamedRunner(sighting, ports);
  // Before the job's own record: supply must not count this runner when the job is no longer demand.
  if (runner !== undefined && state !== 'blocked') {
    await noteBusy(runner, sighting, ports);
    // It took a job, so image, network and registration are sound. The breaker need not wait for its end.
    if (runner.busyJobId === undefined) await changeBreaker(runner, afterGoodStart, ports);
  }

  const admission = admitJob(job, ports.fleet);
  const profile = admission.kind === 'admitted' ? admission.profile : undefined;
  const recorded = await record(sighting, profile, ports);
  const transition = decideTransition({ sighting, ...recorded, runner });
  const acts = [
    transition.stolen && runner !== undefined ? await replaceStolen(runner, ports) : undefined,
    transition.cancelledEarly && recorded.record !== undefined ? await cancelRunner(recorded.record, ports) : undefined,
  ].filter((note) => note !== undefined);
  const known = recorded.moved ? `the job is ${state}` : 'the ledger knew as much';
  return {
    kind: recorded.moved || runner !== undefined ? state : 'known',
    note: acts.length > 0 ? acts.join('; ') : known,
    job: job.id,
    delivery: sighting.by,
    isCompletion: transition.completed,
    runner: sighting.runnerName,
    profile: profile?.name,
    conclusion: sighting.conclusion,
    stolenFrom: transition.stolen ? runner?.jobId : undefined,
    secondsToStart: transition.started ? secondsToStart(sighting, recorded.before, ports.now()) : undefined,
  };
}

async function record(
  sighting: JobSighting,
  profile: Profile | undefined,
  ports: EventPorts,
): Promise<RecordedSighting> {
  if (profile === undefined) return { before: undefined, record: undefined, moved: false };
  const { repository } = sighting.job;
  const scope = scopeOf(repository);
  const [recorded] = await Promise.all([
    recordSighting(sighting, { pool: poolOf(profile, scope), profile: profile.name, scope }, ports),
    ports.noteRepository(repository),
  ]);
  return recorded;
}

/**
 * GitHub's clock and ours differ by seconds: no wait is shorter than none.
 *
 * @returns undefined when only the end of the job was told
 */
function secondsToStart(
  { job, state, startedAt }: JobSighting,
  before: JobRecord | undefined,
  now: number,
): number | undefined {
  if (startedAt === undefined && state !== 'in_progress') return undefined;
  const queued = before === undefined ? Date.parse(job.createdAt) : queuedAt(before);
  const started = startedAt === undefined ? now : Date.parse(startedAt);
  return Math.max(0, started - queued) / 1000;
}

/** The job that a runner was started for waits on, and its own pool may be one short now. */
async function replaceStolen(runner: RunnerRecord, ports: EventPorts): Promise<string> {
  const profile = ports.fleet.profiles.find(({ name }) => name === runner.profile);
  const launches = profile === undefined ? 0 : await topUpProfile(profile, ports);
  return `runner ${runner.runnerId} was started for job ${runner.jobId} and took another; ${launches} launches sent`;
}

/** How many waiting jobs of a pool are read. In a larger pool a runner may be taken back that is needed: the minute's pass replaces it. */
const mostDemand = { ofEach: 1000, repositories: 1000 };

async function cancelRunner(job: JobRecord, ports: EventPorts): Promise<string> {
  const runner = await ports.readRunner(runnerIdOf(ports.fleet.prefix, job.job.id, job.launches));
  const [runners, waiting] = await Promise.all([
    ports.listRunners(job.profile),
    ports.listWaitingJobs(job.pool, mostDemand),
  ]);
  const now = ports.now();
  const supply = runners.filter((other) => other.pool === job.pool && isSupply(other, now)).length;
  // The index may still show the job itself.
  const demand = waiting.filter((other) => other.job.id !== job.job.id).length;
  const decision = decideCancel({ runner, supply, demand });
  switch (decision.kind) {
    case 'keep':
      return `cancelled; ${decision.note}`;
    case 'revoke':
      if (!(await ports.revokeClaim(decision.runner))) {
        return 'cancelled; its runner is up and ends by itself when idle';
      }
      break;
    case 'stop':
      break;
  }
  // No task can register any more: stopping one that boots harms nobody.
  const { runnerId } = decision.runner;
  const { taskArn } = (await ports.readRunner(runnerId)) ?? decision.runner;
  if (taskArn !== undefined) await ports.stopTask(taskArn, 'the job was cancelled');
  return `cancelled; the claim of ${runnerId} was revoked: ${decision.note}`;
}

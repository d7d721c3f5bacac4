import type { JobNews, RecordedJob } from '../contracts/between-rooms/job-news.ts';
import { scopeOf, type Job, type Repository } from '../contracts/between-rooms/job.ts';
import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { JobEvent } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';
import { isSupply } from '../fleet/supply.ts';
import { topUpProfile, type TopUpPorts } from '../fleet/top-up-profile.ts';
import { decideCancel, decideTransition } from './decide-transition.ts';

export type EventPorts = TopUpPorts & {
  readonly fleet: Fleet;
  readonly recordJob: (job: Job, news: JobNews) => Promise<Pick<RecordedJob, 'before' | 'moved'>>;
  readonly noteRepository: (repository: Repository) => Promise<void>;
  readonly readRunner: (runnerId: string) => Promise<RunnerRecord | undefined>;
  readonly markBusy: (runnerId: string, jobId: string, at: string) => Promise<unknown>;
  readonly noteGoodStart: (profile: string) => Promise<void>;
  readonly markRevoked: (runnerId: string) => Promise<void>;
  readonly revokeClaim: (claimId: string) => Promise<boolean>;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
};

export type EventVerdict = {
  readonly kind: JobEvent['kind'] | 'known';
  readonly reason: string;
  readonly job: string;
  readonly delivery: string;
  readonly runner?: string;
  readonly profile?: string;
  readonly conclusion?: string;
  readonly stolenFrom?: string;
  /** The job's end became known by this very event. */
  readonly isCompletion: boolean;
  /** From when the job waited for a runner to its start; told once a job. */
  readonly secondsToStart?: number;
};

/** Takes note of what became of a job, and acts on what that means for runners. */
export async function recordEvent(event: JobEvent, ports: EventPorts): Promise<EventVerdict> {
  const { job } = event;
  const runnerName = event.runnerName?.startsWith(`${ports.fleet.prefix}-`) ? event.runnerName : undefined;
  const runner = runnerName === undefined ? undefined : await ports.readRunner(runnerName);
  // Before the job's own record: supply must not count this runner when the job is no longer demand.
  if (runner !== undefined && event.kind !== 'blocked') {
    await ports.markBusy(runner.runnerId, job.id, event.at);
    // It took a job, so image, network and registration are sound: no breaker need wait for its end to know.
    if (runner.busyJobId === undefined) await ports.noteGoodStart(runner.profile);
  }

  const admission = admitJob(job, ports.fleet);
  const profile = admission.kind === 'admitted' ? admission.profile : undefined;
  const recorded = profile === undefined ? { before: undefined, moved: false } : await record(event, profile, ports);
  const transition = decideTransition({ event: { ...event, jobId: job.id }, ...recorded, runner });

  const done = [
    transition.stolen && runner !== undefined ? await replaceStolen(runner, ports) : undefined,
    transition.cancelledEarly && recorded.before !== undefined ? await cancelRunner(recorded.before, ports) : undefined,
  ].filter((note) => note !== undefined);
  return {
    kind: recorded.moved || runner !== undefined ? event.kind : 'known',
    reason: done.length > 0 ? done.join('; ') : recorded.moved ? `the job is ${event.kind}` : 'the ledger knew as much',
    job: job.id,
    delivery: event.delivery,
    isCompletion: transition.completed,
    ...(event.runnerName !== undefined && { runner: event.runnerName }),
    ...(profile !== undefined && { profile: profile.name }),
    ...(event.conclusion !== undefined && { conclusion: event.conclusion }),
    ...(transition.stolen && runner?.jobId !== undefined && { stolenFrom: runner.jobId }),
    ...(transition.started &&
      event.kind === 'in_progress' && {
        secondsToStart:
          (Date.parse(event.at) - (recorded.before ? queuedAt(recorded.before) : Date.parse(job.createdAt))) / 1000,
      }),
  };
}

async function record(
  event: JobEvent,
  profile: Profile,
  ports: EventPorts,
): Promise<Pick<RecordedJob, 'before' | 'moved'>> {
  const scope = scopeOf(event.job.repository);
  const [recorded] = await Promise.all([
    ports.recordJob(event.job, {
      state: event.kind,
      pool: poolOf(profile, scope),
      profile: profile.name,
      scope,
      ...(event.runnerName !== undefined && { runnerName: event.runnerName }),
      ...(event.conclusion !== undefined && { conclusion: event.conclusion }),
      ...(event.kind === 'in_progress' && { startedAt: event.at }),
      ...(event.kind === 'completed' && { completedAt: event.at }),
    }),
    ports.noteRepository(event.job.repository),
  ]);
  return recorded;
}

/** The job that a runner was started for waits on, and its own pool may be one short now. */
async function replaceStolen(runner: RunnerRecord, ports: EventPorts): Promise<string> {
  const profile = ports.fleet.profiles.find(({ name }) => name === runner.profile);
  const launches = profile === undefined ? 0 : await topUpProfile(profile, ports);
  return `runner ${runner.runnerId} was started for job ${runner.jobId} and took another; ${launches} launches sent`;
}

async function cancelRunner(job: JobRecord, ports: EventPorts): Promise<string | undefined> {
  if (job.launches === 0) return undefined;
  const runner = await ports.readRunner(`${ports.fleet.prefix}-${job.job.id}-${job.launches}`);
  const [runners, waiting] = await Promise.all([ports.listRunners(job.profile), ports.listWaitingJobs(job.pool, 1000)]);
  const now = ports.now();
  const supply = runners.filter((one) => one.pool === job.pool && isSupply(one, now)).length;
  // The index may still show the job itself.
  const demand = waiting.filter((one) => one.job.id !== job.job.id).length;
  const decision = decideCancel({ runner, supply, demand });
  if (decision.kind === 'keep' || runner?.claimId === undefined) return `cancelled; ${decision.reason}`;
  if (!(await ports.revokeClaim(runner.claimId))) return 'cancelled; its runner is up and ends by itself when idle';
  // No task can register any more: stopping one that boots harms nobody.
  await ports.markRevoked(runner.runnerId);
  const { taskArn } = (await ports.readRunner(runner.runnerId)) ?? runner;
  if (taskArn !== undefined) await ports.stopTask(taskArn, 'the job was cancelled');
  return `cancelled; the claim of ${runner.runnerId} was revoked: ${decision.reason}`;
}

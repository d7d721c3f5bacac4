import type { Job, Repository } from '../../functions/contracts/between-rooms/job.ts';
import { scopeOf } from '../../functions/contracts/between-rooms/job.ts';
import {
  jobOrder,
  recordVersion,
  type JobRecord,
  type RunnerRecord,
} from '../../functions/contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../../functions/contracts/between-rooms/messages.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { StoppedTask } from '../../functions/contracts/with-tasks/stopped-task.ts';
import { beginning } from './clock.ts';

/** Begins the names of this fleet's runners. */
export const prefix = 'ci-1a2b3c';

export type JobParts = Partial<Omit<Job, 'repository'>> & { readonly repository?: Partial<Repository> };

/** A job of a private repository of the org `acme`, created at the beginning, for {@link aProfile}. */
export function aJob({ repository, ...parts }: JobParts = {}): Job {
  return {
    id: '81230000001',
    runId: '71230000001',
    attempt: 1,
    name: 'build',
    labels: ['fargate-small'],
    createdAt: beginning,
    ...parts,
    repository: { id: '31230000001', fullName: 'acme/web', ownerType: 'Organization', private: true, ...repository },
  };
}

export function aProfile(parts: Partial<Profile> = {}): Profile {
  return {
    name: 'small',
    labels: ['fargate-small'],
    arch: 'x64',
    cpu: 2,
    memoryGiB: 8,
    diskGiB: 20,
    capacity: 'on-demand',
    maxRunners: 10,
    idleMinutes: 5,
    maxHours: 6,
    catchAll: false,
    publicRepositories: false,
    repositories: { allow: [], deny: [] },
    warm: [],
    docker: false,
    ...parts,
  };
}

/** A waiting job's record, as the fast path writes it before any launch. */
export function aJobRecord({
  job: jobParts,
  ...parts
}: Partial<Omit<JobRecord, 'job'>> & { job?: JobParts } = {}): JobRecord {
  const job = aJob(jobParts);
  const scope = parts.scope ?? scopeOf(job.repository);
  const profile = parts.profile ?? 'small';
  const state = parts.state ?? 'waiting';
  return {
    version: recordVersion,
    state,
    order: jobOrder(job.attempt, state),
    job,
    pool: `${profile}@${scope}`,
    profile,
    scope,
    seenAt: beginning,
    launches: 0,
    unserved: 0,
    unservedLaunch: 0,
    parked: false,
    releases: 0,
    inferred: false,
    withoutSpot: false,
    wasBlocked: false,
    ...parts,
  };
}

/** A live runner with its lease and its claim, and no task yet, started for {@link aJob}. Without a job: `{ jobId: undefined, launch: undefined }`. */
export function aRunner(parts: Partial<RunnerRecord> = {}): RunnerRecord {
  const profile = parts.profile ?? 'small';
  const scope = parts.scope ?? 'acme';
  const { jobId = '81230000001', launch = 1 } = parts;
  return {
    version: recordVersion,
    runnerId: `${prefix}-${jobId}-${launch}`,
    pool: `${profile}@${scope}`,
    profile,
    scope,
    createdAt: beginning,
    idleMinutes: 5,
    jobId,
    launch,
    claimId: `claim-of-${prefix}-${jobId}-${launch}`,
    claimedAt: parts.createdAt ?? beginning,
    provider: 'FARGATE',
    taskDefinition: `${profile}:1`,
    revoked: false,
    ...parts,
  };
}

/** A runner whose task runs. */
export function aLaunchedRunner(parts: Partial<RunnerRecord> = {}): RunnerRecord {
  const runner = aRunner(parts);
  return {
    ...runner,
    taskArn: `arn:task/${runner.runnerId}`,
    launchedAt: runner.createdAt,
    ...parts,
  };
}

/** The end of a task that ran its job. */
export function aStoppedTask(parts: Partial<StoppedTask> = {}): StoppedTask {
  const { runnerId = `${prefix}-81230000001-1` } = parts;
  return {
    taskArn: `arn:task/${runnerId}`,
    runnerId,
    stopCode: 'EssentialContainerExited',
    reason: 'Essential container in task exited',
    exitCode: 0,
    outOfMemory: false,
    started: true,
    provider: 'FARGATE',
    ...parts,
  };
}

export function queuedMessage(
  job: Job,
  parts: Partial<Extract<LaunchMessage, { kind: 'queued' }>> = {},
): LaunchMessage {
  return { version: 1, kind: 'queued', job, delivery: 'delivery-1', returns: 0, ...parts };
}

export function launchMessage(
  jobId: string,
  launch: number,
  parts: Partial<Extract<LaunchMessage, { kind: 'launch' }>> = {},
): LaunchMessage {
  return { version: 1, kind: 'launch', jobId, launch, returns: 0, ...parts };
}

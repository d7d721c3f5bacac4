import type { RecordedJob } from '../contracts/between-rooms/job-news.ts';
import { scopeOf, type Job, type Repository } from '../contracts/between-rooms/job.ts';
import type { LeaseRequest, LeaseResult } from '../contracts/between-rooms/lease.ts';
import { queuedAt, type JobRecord, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob, type Admission } from '../fleet/admit-job.ts';
import { decideBegun, decideLaunch } from './decide-launch.ts';
import { lookFirst, type LookPorts } from './look-first.ts';
import { startRunner, type Start, type StartPorts } from './start-runner.ts';

export type LaunchPorts = StartPorts &
  LookPorts & {
    readonly fleet: Fleet;
    readonly readJob: (jobId: string) => Promise<JobRecord | undefined>;
    readonly giveUpJob: (job: JobRecord, state: 'refused' | 'expired', note: string) => Promise<boolean>;
    readonly noteRepository: (repository: Repository) => Promise<void>;
    /** Only until the first build of the stack's own image is there not one. */
    readonly hasImage: (profile: Profile) => Promise<boolean>;
    readonly takeLease: (request: LeaseRequest) => Promise<LeaseResult>;
    readonly readRunner: (runnerId: string) => Promise<RunnerRecord | undefined>;
    readonly readHold: (scope: string) => Promise<string | undefined>;
    readonly claimProbe: (
      profile: string,
      breaker: { readonly until: string; readonly failures: number },
    ) => Promise<string | undefined>;
  };

export type LaunchVerdict = {
  readonly kind: 'launched' | 'returned' | 'wait' | 'drop' | 'give-up' | 'abandon';
  readonly reason: string;
  readonly wait?: WaitReason;
  readonly job?: string;
  readonly runner?: string;
  readonly profile?: string;
  readonly provider?: string;
  readonly delivery?: string;
  /** We had not heard of the job before. */
  readonly isNew?: boolean;
  /** From the job's creation by GitHub to its task. */
  readonly secondsFromQueued?: number;
};

const imageIsBuilt = 'the runner image is being built';
/** A first build takes some minutes. */
const lookForImageAfterMs = 60_000;

/** Starts the runner that a message asks for, or says why not. */
export async function launchRunner(
  message: LaunchMessage,
  receivedBefore: boolean,
  ports: LaunchPorts,
): Promise<LaunchVerdict> {
  switch (message.kind) {
    case 'warm':
      return launchWarm(message, ports);
    case 'queued': {
      const admission = admitJob(message.job, ports.fleet);
      if (admission.kind === 'not-ours') return { kind: 'drop', reason: admission.reason, job: message.job.id };
      const { record, before } = await recordWaiting(message.job, admission, ports);
      const verdict = await launchFor({ job: record, launch: 1, message, admission, receivedBefore }, ports);
      return { ...verdict, delivery: message.delivery, isNew: before === undefined };
    }
    case 'launch': {
      const job = await ports.readJob(message.jobId);
      if (job === undefined) return { kind: 'drop', reason: 'the ledger does not know the job', job: message.jobId };
      const admission = admitJob(job.job, ports.fleet);
      return launchFor({ job, launch: message.launch, message, admission, receivedBefore }, ports);
    }
  }
}

async function recordWaiting(
  job: Job,
  { profile }: Extract<Admission, { kind: 'admitted' }>,
  ports: LaunchPorts,
): Promise<RecordedJob> {
  const scope = scopeOf(job.repository);
  const [recorded] = await Promise.all([
    ports.recordJob(job, { state: 'waiting', pool: poolOf(profile, scope), profile: profile.name, scope }),
    ports.noteRepository(job.repository),
  ]);
  return recorded;
}

type Asked = {
  readonly job: JobRecord;
  readonly launch: number;
  readonly message: LaunchMessage;
  readonly admission: Admission;
  readonly receivedBefore: boolean;
};

async function launchFor(asked: Asked, ports: LaunchPorts): Promise<LaunchVerdict> {
  const { job, launch, message, admission, receivedBefore } = asked;
  const runnerId = `${ports.fleet.prefix}-${job.job.id}-${launch}`;
  const about = { job: job.job.id, runner: runnerId, profile: job.profile };
  const begun = launch <= job.launches ? await ports.readRunner(runnerId) : undefined;
  const decision = decideLaunch({ job, launch, runner: begun, admission, receivedBefore, now: ports.now() });
  switch (decision.kind) {
    case 'drop':
      return { kind: 'drop', reason: decision.reason, ...about };
    case 'wait':
      await ports.explainWait(job.job.id, { reason: decision.reason, note: decision.note });
      return { kind: 'wait', wait: decision.reason, reason: decision.note, ...about };
    case 'give-up':
      await ports.giveUpJob(job, decision.state, decision.reason);
      return { kind: 'give-up', reason: decision.reason, ...about };
    case 'abandon':
      await ports.endRunnerRecord(decision.runner, 'not-launched');
      return { kind: 'abandon', reason: decision.reason, ...about };
    case 'resume':
      return finish({ runner: decision.runner, job, message, profile: profileOf(admission, job, ports) }, about, ports);
    case 'look-first': {
      const stop = await lookFirst(job, launch, ports);
      if (stop !== undefined) return { ...stop, ...about };
      return leaseAndStart(asked, runnerId, about, ports);
    }
    case 'launch':
      return leaseAndStart(asked, runnerId, about, ports);
  }
}

async function leaseAndStart(
  { job, launch, message, admission }: Asked,
  runnerId: string,
  about: { readonly job: string; readonly runner: string; readonly profile: string },
  ports: LaunchPorts,
): Promise<LaunchVerdict> {
  const profile = profileOf(admission, job, ports);
  if (!(await ports.hasImage(profile))) {
    const wait = { reason: 'image-building', note: imageIsBuilt } as const;
    await ports.explainWait(job.job.id, { ...wait, notBefore: ports.now() + lookForImageAfterMs });
    return { kind: 'wait', wait: wait.reason, reason: wait.note, ...about };
  }
  const lease = await takeLease(
    {
      cap: profile.maxRunners,
      runner: {
        runnerId,
        pool: poolOf(profile, job.scope),
        profile: profile.name,
        scope: job.scope,
        idleMinutes: profile.idleMinutes,
        jobId: job.job.id,
        launch,
      },
    },
    ports,
  );
  switch (lease.kind) {
    case 'wait':
      await ports.explainWait(job.job.id, { reason: lease.wait, note: lease.note });
      return { kind: 'wait', wait: lease.wait, reason: lease.note, ...about };
    case 'drop':
      return { kind: 'drop', reason: lease.reason, ...about };
    case 'taken':
      return finish({ runner: lease.runner, job, message, profile }, about, ports);
  }
}

type Lease =
  | { readonly kind: 'taken'; readonly runner: RunnerRecord }
  | { readonly kind: 'wait'; readonly wait: WaitReason; readonly note: string }
  | { readonly kind: 'drop'; readonly reason: string };

async function takeLease(request: LeaseRequest, ports: LaunchPorts): Promise<Lease> {
  const { profile, scope } = request.runner;
  const lease = await ports.takeLease(request);
  switch (lease.kind) {
    case 'taken':
      return lease;
    case 'full':
      return {
        kind: 'wait',
        wait: 'profile-full',
        note: `profile ${profile} is full (${lease.leases} of ${request.cap})`,
      };
    case 'held':
      return { kind: 'wait', wait: 'scope-held', note: (await ports.readHold(scope)) ?? `${scope} is held` };
    case 'breaker': {
      const note = `profile ${profile} paused until ${lease.until}: ${lease.failures} starts in a row failed`;
      const isOver = Date.parse(lease.until) <= ports.now();
      const probe = isOver && request.probe === undefined ? await ports.claimProbe(profile, lease) : undefined;
      return probe === undefined
        ? { kind: 'wait', wait: 'breaker-open', note }
        : takeLease({ ...request, probe }, ports);
    }
    case 'begun':
      return { kind: 'drop', reason: 'another delivery of this message has begun the launch' };
    case 'overtaken':
      return { kind: 'drop', reason: 'the job has moved on' };
  }
}

async function finish(
  start: Omit<Start, 'job'> & { readonly job: JobRecord },
  about: object,
  ports: LaunchPorts,
): Promise<LaunchVerdict> {
  const started = await startRunner(start, ports);
  if (started.kind !== 'launched') return { ...started, ...about };
  const secondsFromQueued = (ports.now() - queuedAt(start.job)) / 1000;
  return { ...started, ...about, secondsFromQueued };
}

async function launchWarm(
  message: Extract<LaunchMessage, { kind: 'warm' }>,
  ports: LaunchPorts,
): Promise<LaunchVerdict> {
  const { runnerId, scope } = message;
  const about = { runner: runnerId, profile: message.profile };
  const profile = ports.fleet.profiles.find(({ name }) => name === message.profile);
  if (profile === undefined || profile.maxRunners === 0) {
    return { kind: 'drop', reason: `profile ${message.profile} is gone or paused`, ...about };
  }
  const idleMinutes = (Date.parse(message.until) - ports.now()) / 60_000;
  if (idleMinutes <= 0) return { kind: 'drop', reason: 'its window is over', ...about };
  const begun = await ports.readRunner(runnerId);
  if (begun !== undefined) {
    const decision = decideBegun('waiting', begun, ports.now());
    if (decision.kind !== 'resume') return { kind: 'drop', reason: decision.reason, ...about };
    return { ...(await startRunner({ runner: begun, job: undefined, message, profile }, ports)), ...about };
  }
  if (!(await ports.hasImage(profile))) return { kind: 'drop', reason: imageIsBuilt, ...about };
  const runner = { runnerId, pool: poolOf(profile, scope), profile: profile.name, scope, idleMinutes };
  const lease = await takeLease({ runner, cap: profile.maxRunners }, ports);
  // Nobody waits for a warm runner: the next minute decides again.
  if (lease.kind === 'wait') return { kind: 'drop', reason: lease.note, ...about };
  if (lease.kind === 'drop') return { ...lease, ...about };
  return { ...(await startRunner({ runner: lease.runner, job: undefined, message, profile }, ports)), ...about };
}

/** A job that is admitted no more but whose launch has begun goes on with the profile it was admitted to. */
function profileOf(admission: Admission, job: JobRecord, ports: LaunchPorts): Profile {
  if (admission.kind === 'admitted') return admission.profile;
  const profile = ports.fleet.profiles.find(({ name }) => name === job.profile);
  if (profile === undefined) throw new Error(`job ${job.job.id} has begun under profile ${job.profile}, which is gone`);
  return profile;
}

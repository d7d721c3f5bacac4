import { encodeClaim, type RunnerRelease } from '../contracts/with-tasks/claim.ts';
import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';
import type { ExplainedWait } from '../contracts/between-rooms/job-news.ts';
import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { longestTurnMs } from '../contracts/with-infra/limits.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { runnerLabels, type Profile } from '../contracts/with-infra/profile.ts';
import type { Providers } from '../contracts/with-infra/providers.ts';
import type { Ending, WaitReason } from '../contracts/with-infra/reasons.ts';
import type { RunResult, TaskOrder } from '../contracts/with-tasks/task-order.ts';

export type StartPorts = {
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /** The next turn to register in the scope and to call RunTask, whichever is later; undefined when it is too far off. */
  readonly takeTurn: (scope: string) => Promise<number | undefined>;
  readonly sendBack: (message: LaunchMessage, delayMs: number) => Promise<void>;
  /** What the scope's runners register with. Secret. @throws GitHubError */
  readonly readRegistration: (scope: string) => Promise<{
    readonly token: string;
    readonly tokenExpiresAt: number;
    readonly releases: Readonly<Record<string, RunnerRelease>>;
  }>;
  readonly newClaimId: () => string;
  readonly registrationUrl: (scope: string) => string;
  readonly taskDefinition: (profile: string) => string;
  readonly providers: (profile: string) => Providers;
  readonly issueClaim: (
    runner: Pick<RunnerRecord, 'runnerId' | 'jobId'>,
    launch: {
      readonly claimId: string;
      readonly provider: string;
      readonly taskDefinition: string;
      readonly claim: string;
      readonly expiresAt: number;
    },
  ) => Promise<'issued' | 'begun' | 'job-over'>;
  readonly changeProvider: (runnerId: string, provider: string) => Promise<void>;
  readonly runTask: (order: TaskOrder) => Promise<RunResult>;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
  readonly recordTask: (runnerId: string, taskArn: string) => Promise<RunnerRecord | undefined>;
  readonly endRunnerRecord: (runner: RunnerRecord, ending: Ending) => Promise<boolean>;
  readonly explainWait: (jobId: string, wait: ExplainedWait) => Promise<void>;
  readonly holdScope: (scope: string, hold: { readonly until: number; readonly reason: string }) => Promise<void>;
  readonly noteStartFailure: (profile: string) => Promise<void>;
};

export type HoldPorts = Pick<StartPorts, 'now' | 'holdScope'>;

/** A runner with its lease, on its way to a task. A warm one has no job. */
export type Start = {
  readonly runner: RunnerRecord;
  readonly job: JobRecord | undefined;
  readonly profile: Profile;
  readonly message: LaunchMessage;
};

export type StartVerdict =
  | { readonly kind: 'launched'; readonly reason: string; readonly provider: string }
  | { readonly kind: 'returned'; readonly reason: string }
  | { readonly kind: 'wait'; readonly wait: WaitReason; readonly reason: string }
  | { readonly kind: 'drop'; readonly reason: string };

/** A turn so near is waited for on the spot; one further off sends the message back. */
const waitedForMs = 1000;
/** How often a message is sent back because ECS throttles. */
const mostReturns = 5;
/** A claim is never good for longer than the token in it less this. */
const tokenMarginMs = 5 * 60_000;

/** Takes a runner from its lease to its task. Whatever stops it on the way, the lease comes back and the job says why. */
export async function startRunner(start: Start, ports: StartPorts): Promise<StartVerdict> {
  const turn = await waitForTurn(start, ports);
  if (turn !== undefined) return turn;
  const claimed = await claim(start, ports);
  if ('kind' in claimed) return claimed;
  return run({ ...start, runner: claimed }, ports);
}

async function waitForTurn({ runner, job, message }: Start, ports: StartPorts): Promise<StartVerdict | undefined> {
  // Who holds a claim has had its turn.
  if (runner.claimId !== undefined) return undefined;
  const slot = message.slot ?? (await ports.takeTurn(runner.scope));
  const delay = slot === undefined ? Infinity : slot - ports.now();
  if (delay > longestTurnMs) {
    const note = 'more is launched or registered than GitHub and Fargate take in five minutes';
    return stepBack({ runner, job }, { reason: 'pacing', note, pauseMs: 60_000 }, ports);
  }
  if (delay > waitedForMs) {
    await ports.sendBack({ ...again(message), slot }, delay);
    return { kind: 'returned', reason: `its turn comes in ${Math.ceil(delay / 1000)} s` };
  }
  if (delay > 0) await ports.pause(delay);
  return undefined;
}

/** The ledger knows the job by now: what goes back need not carry it. */
function again(message: LaunchMessage): LaunchMessage {
  if (message.kind !== 'queued') return message;
  return { version: 1, kind: 'launch', jobId: message.job.id, launch: 1, returns: message.returns };
}

/** @returns the runner with its claim, or the verdict that ends the launch here */
async function claim({ runner, job, profile }: Start, ports: StartPorts): Promise<RunnerRecord | StartVerdict> {
  if (runner.claimId !== undefined) return runner;
  let registration: Awaited<ReturnType<StartPorts['readRegistration']>>;
  try {
    registration = await ports.readRegistration(runner.scope);
  } catch (error) {
    if (!(error instanceof GitHubError || error instanceof MissingSecretError)) throw error;
    return stepBack({ runner, job }, await holdFor(runner.scope, error, ports), ports);
  }
  const { token, tokenExpiresAt, releases } = registration;
  const claimId = ports.newClaimId();
  const provider = chooseProvider(profile, { ...ports.providers(profile.name), launch: runner.launch });
  const taskDefinition = ports.taskDefinition(profile.name);
  const issued = await ports.issueClaim(runner, {
    claimId,
    provider,
    taskDefinition,
    expiresAt: tokenExpiresAt - tokenMarginMs,
    claim: encodeClaim({
      url: ports.registrationUrl(runner.scope),
      token,
      name: runner.runnerId,
      labels: runnerLabels(profile),
      ...(profile.runnerGroup !== undefined && { group: profile.runnerGroup }),
      idleSeconds: runner.idleMinutes * 60,
      maxSeconds: profile.maxHours * 3600,
      ...(releases[profile.arch] && { release: releases[profile.arch] }),
    }),
  });
  switch (issued) {
    case 'issued':
      return { ...runner, claimId, provider, taskDefinition };
    case 'begun':
      return { kind: 'drop', reason: 'another delivery of this message goes on with the launch' };
    case 'job-over':
      await ports.endRunnerRecord(runner, 'not-launched');
      return { kind: 'drop', reason: 'the job was over before its runner was launched' };
  }
}

/** What keeps one registration back keeps all of its scope back: the scope is held, and not single jobs. */
export async function holdFor(scope: string, error: GitHubError | MissingSecretError, ports: HoldPorts): Promise<Wait> {
  const minute = 60_000;
  if (error instanceof GitHubError && error.kind === 'unavailable') {
    return { reason: 'github-unavailable', note: error.message, pauseMs: minute / 2 };
  }
  const retryAt = error instanceof GitHubError ? (error.retryAt ?? ports.now() + 5 * minute) : ports.now() + minute;
  await ports.holdScope(scope, { until: retryAt, reason: error.message });
  return { reason: 'scope-held', note: error.message, pauseMs: 0 };
}

/**
 * Only Fargate says at once that Spot has no room. Managed Instances take a task, look for an instance, and may find none: so the
 * next launch of the job does without Spot where the profile allows, and a warm runner, which has no next launch, from the start.
 */
function chooseProvider(
  { capacity, docker }: Profile,
  { onDemand, spot, launch }: Providers & { readonly launch: number | undefined },
): string {
  if (capacity === 'on-demand') return onDemand;
  return capacity === 'spot-preferred' && docker && launch !== 1 ? onDemand : spot;
}

async function run(start: Start, ports: StartPorts): Promise<StartVerdict> {
  const { runner, job, profile, message } = start;
  const { claimId, taskDefinition } = runner;
  if (claimId === undefined || taskDefinition === undefined) throw new Error(`runner ${runner.runnerId} has no claim`);
  const { onDemand, spot } = ports.providers(profile.name);
  const provider = runner.provider === spot ? spot : onDemand;
  const result = await ports.runTask({
    runnerId: runner.runnerId,
    claimId,
    provider,
    taskDefinition,
    scope: runner.scope,
    tags: {
      'github-runners:profile': profile.name,
      ...(job && { 'github-runners:repository': job.job.repository.fullName, 'github-runners:job': job.job.id }),
    },
  });
  switch (result.kind) {
    case 'started':
      return started(runner, provider, result.taskArn, ports);
    case 'no-capacity': {
      if (provider === spot && profile.capacity === 'spot-preferred') {
        await ports.changeProvider(runner.runnerId, onDemand);
        return run({ ...start, runner: { ...runner, provider: onDemand } }, ports);
      }
      return stepBack({ runner, job }, { reason: 'no-capacity', note: result.detail, pauseMs: 60_000 }, ports);
    }
    case 'quota':
      return stepBack({ runner, job }, { reason: 'quota', note: result.detail, pauseMs: 60_000 }, ports);
    case 'throttled': {
      if (message.returns >= mostReturns) {
        return stepBack({ runner, job }, { reason: 'pacing', note: result.detail, pauseMs: 60_000 }, ports);
      }
      await ports.sendBack({ ...again(message), returns: message.returns + 1 }, 2000 * 2 ** message.returns);
      return { kind: 'returned', reason: result.detail };
    }
    case 'refused':
      await ports.noteStartFailure(profile.name);
      return stepBack({ runner, job }, { reason: 'launch-refused', note: result.detail, pauseMs: 60_000 }, ports);
  }
}

async function started(
  runner: RunnerRecord,
  provider: string,
  taskArn: string,
  ports: StartPorts,
): Promise<StartVerdict> {
  const record = await ports.recordTask(runner.runnerId, taskArn);
  if (record?.revoked) {
    // The job was cancelled while the task was on its way. Without its claim it can never become a runner.
    await ports.stopTask(taskArn, 'the job was cancelled');
    return { kind: 'drop', reason: 'the job was cancelled while its task was on its way' };
  }
  if (record?.endedAt !== undefined) {
    // The claim went with the record: the task finds none and ends, or it had fetched it before and may be at work.
    return { kind: 'drop', reason: 'the sweep gave the launch up while its task was on its way' };
  }
  return { kind: 'launched', provider, reason: taskArn };
}

export type Wait = { readonly reason: WaitReason; readonly note: string; readonly pauseMs: number };

/** Gives the lease back and lets the job wait: the slow path launches it again, under the next number. */
async function stepBack(
  { runner, job }: Pick<Start, 'runner' | 'job'>,
  { reason, note, pauseMs }: Wait,
  ports: StartPorts,
): Promise<StartVerdict> {
  if (!(await ports.endRunnerRecord(runner, 'not-launched'))) {
    return { kind: 'drop', reason: 'another delivery of this message goes on with the launch' };
  }
  if (job !== undefined) {
    await ports.explainWait(job.job.id, {
      reason,
      note,
      ...(pauseMs > 0 && { notBefore: ports.now() + pauseMs }),
    });
  }
  return { kind: 'wait', wait: reason, reason: note };
}

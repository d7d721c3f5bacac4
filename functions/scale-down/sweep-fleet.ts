import type { JobLook } from '../contracts/between-rooms/job-look.ts';
import { scopeOf, type Repository } from '../contracts/between-rooms/job.ts';
import type { RepositoryRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { sweepLimitMs } from '../contracts/with-infra/limits.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { RegisteredRunner } from '../contracts/with-github/registered-runner.ts';
import type { RunnerTask } from '../contracts/with-tasks/task-order.ts';
import { decideEnding, type EndingDecision } from '../fleet/decide-ending.ts';
import { endRunner, type EndRunnerPorts } from '../fleet/end-runner.ts';
import { decideFate, isWorthALook, type Fate } from './decide-fate.ts';
import { sweepRegistration, sweepTask, type StrangerPorts } from './sweep-strangers.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

export type FleetPorts = EndRunnerPorts &
  StrangerPorts & {
    readonly fleet: Pick<Fleet, 'prefix' | 'profiles'>;
    readonly listLive: () => Promise<readonly RunnerRecord[]>;
    readonly listTasks: () => Promise<readonly RunnerTask[]>;
    readonly findTasks: (runner: {
      readonly runnerId: string;
      readonly taskArn?: string | undefined;
    }) => Promise<readonly RunnerTask[]>;
    readonly listRepositories: () => Promise<readonly RepositoryRecord[]>;
    readonly listRegistered: (scope: string) => Promise<readonly RegisteredRunner[]>;
    readonly listUnfinishedJobs: (
      repository: Repository,
    ) => Promise<{ readonly jobs: readonly JobLook[]; readonly complete: boolean }>;
    readonly markMissing: (runnerId: string, missing: boolean) => Promise<void>;
    readonly markDeregistered: (runnerId: string) => Promise<void>;
  };

export type SweptRunner = {
  readonly kind: Exclude<Fate['kind'], 'keep'> | 'delete-registration' | 'stop-stranger';
  readonly runner: string;
  readonly profile?: string;
  readonly reason: string;
  readonly result?: string;
  /** Its lease came back by this sweep. */
  readonly ending?: Ending;
  readonly held?: boolean;
};

export type FleetVerdict = {
  readonly swept: readonly SweptRunner[];
  /** What this sweep had no time for, and the next one comes to. */
  readonly putOff: number;
  readonly failures: readonly string[];
};

/** Reaps what cannot end itself. Finishes the sweep whatever fails, and reports what did. */
export async function sweepFleet(ports: FleetPorts): Promise<FleetVerdict> {
  const failures: string[] = [];
  const swept: SweptRunner[] = [];
  const end = ports.now() + sweepLimitMs;
  let putOff = 0;
  const attempt = async (what: string, act: () => Promise<SweptRunner | undefined>): Promise<void> => {
    if (ports.now() > end) {
      putOff += 1;
      return;
    }
    try {
      const done = await act();
      if (done !== undefined) swept.push(done);
    } catch (error) {
      failures.push(`${what}: ${messageOf(error)}`);
    }
  };

  const [live, tasks, repositories] = await Promise.all([
    ports.listLive(),
    ports.listTasks(),
    ports.listRepositories(),
  ]);
  const hasJob = async (scope: string, runnerId: string): Promise<boolean> =>
    isAtWork(
      runnerId,
      repositories.filter((one) => scopeOf(one) === scope),
      ports,
    );
  const running = new Set(tasks.map(({ runnerId }) => runnerId));
  for (const runner of inTurn(live, running, ports.now())) {
    await attempt(runner.runnerId, async () => sweepRunner(runner, running.has(runner.runnerId), hasJob, ports));
  }

  const known = new Set(live.map(({ runnerId }) => runnerId));
  for (const task of tasks.filter(({ runnerId }) => !known.has(runnerId))) {
    await attempt(task.runnerId, async () => sweepTask(task, hasJob, ports));
  }

  const scopes = new Set([...live, ...repositories.map((one) => ({ scope: scopeOf(one) }))].map(({ scope }) => scope));
  for (const scope of scopes) {
    if (ports.isScarce(scope)) continue;
    await attempt(scope, async () => {
      const ours = (await ports.listRegistered(scope)).filter(({ name }) => name.startsWith(`${ports.fleet.prefix}-`));
      for (const registered of ours.filter(({ name }) => !known.has(name))) {
        await attempt(registered.name, async () => sweepRegistration(scope, registered, ports));
      }
      return undefined;
    });
  }
  return { swept, putOff, failures };
}

/**
 * First those whose task is over: to give their leases back needs nobody's answer. Then the others, from another place
 * each minute: a few that cost all the time there is must not keep the rest from their turn.
 */
function inTurn(live: readonly RunnerRecord[], running: ReadonlySet<string>, now: number): RunnerRecord[] {
  const [up, over] = [true, false].map((is) => live.filter(({ runnerId }) => running.has(runnerId) === is));
  const first = up === undefined || up.length === 0 ? 0 : Math.floor(now / 60_000) % up.length;
  return [...(over ?? []), ...(up ?? []).slice(first), ...(up ?? []).slice(0, first)];
}

async function sweepRunner(
  candidate: RunnerRecord,
  running: boolean,
  hasJob: (scope: string, runnerId: string) => Promise<boolean>,
  ports: FleetPorts,
): Promise<SweptRunner | undefined> {
  const { runnerId, scope, profile } = candidate;
  // A profile that is gone from the settings still ends its last runners.
  const maxHours = ports.fleet.profiles.find(({ name }) => name === profile)?.maxHours ?? 6;
  if (!isWorthALook({ runner: candidate, running, maxHours, now: ports.now() })) return undefined;

  // The index and the lists lag: what is acted on is read anew, alone.
  const runner = await ports.readRunner(runnerId);
  if (runner === undefined || runner.endedAt !== undefined) return undefined;
  const tasks = await ports.findTasks(runner);
  const task = stateOf(tasks);
  // Whether a lease comes back must not hang on GitHub: it is asked about tasks that run, and no others.
  const registration = task === 'running' ? await lookFor(runner, ports) : 'unknown';
  const fate = decideFate({ runner, task, registration, maxHours, now: ports.now() });
  const about = { runner: runnerId, profile };
  switch (fate.kind) {
    case 'keep':
      return undefined;
    case 'settle': {
      const stopped = tasks.find((one) => one.stopped !== undefined)?.stopped;
      if (stopped === undefined) return undefined;
      return { kind: 'settle', ...about, ...(await settle(runner, decideEnding(runner, stopped), ports)) };
    }
    case 'miss':
      await ports.markMissing(runnerId, true);
      return { kind: 'miss', ...about, reason: fate.reason };
    case 'found-again':
      await ports.markMissing(runnerId, false);
      return { kind: 'found-again', ...about, reason: 'its task is there after all' };
    case 'lose':
      return { kind: 'lose', ...about, ...(await settle(runner, lost(runner, fate.reason), ports)) };
    case 'deregister': {
      const result = await ports.deleteRegistered(scope, fate.registrationId);
      if (result !== 'busy') await ports.markDeregistered(runnerId);
      return { kind: 'deregister', ...about, reason: fate.reason, result };
    }
    case 'stop-if-jobless': {
      if (await hasJob(scope, runnerId)) {
        return { kind: fate.kind, ...about, reason: fate.reason, result: 'it has a job' };
      }
      await ports.markDeregistered(runnerId);
      await stop(tasks, fate.reason, ports);
      return { kind: fate.kind, ...about, reason: fate.reason, result: 'stopped' };
    }
    case 'stop':
      await stop(tasks, fate.reason, ports);
      return { kind: 'stop', ...about, reason: fate.reason, result: 'stopped' };
  }
}

type Settled = { readonly reason: string; readonly ending?: Ending; readonly held?: boolean };

async function settle(
  runner: RunnerRecord,
  decision: Pick<EndingDecision, 'ending' | 'listened' | 'unserved' | 'reason'>,
  ports: FleetPorts,
): Promise<Settled> {
  const { ended, held } = await endRunner(runner, decision, ports);
  return { reason: decision.reason, held, ...(ended && { ending: decision.ending }) };
}

function lost(
  runner: RunnerRecord,
  reason: string,
): Pick<EndingDecision, 'ending' | 'listened' | 'unserved' | 'reason'> {
  if (runner.revoked) return { ending: 'revoked', listened: false, unserved: false, reason };
  // One that never got its claim was never launched: its job did nothing wrong.
  if (runner.claimId === undefined) return { ending: 'not-launched', listened: false, unserved: false, reason };
  if (runner.busyJobId !== undefined) {
    return { ending: 'interrupted-in-a-job', listened: true, unserved: false, reason };
  }
  return { ending: 'lost', listened: false, unserved: true, reason };
}

function stateOf(tasks: readonly RunnerTask[]): 'running' | 'stopped' | 'absent' {
  if (tasks.length === 0) return 'absent';
  return tasks.some(({ stopped }) => stopped === undefined) ? 'running' : 'stopped';
}

/** Absence from a list that is read page by page while runners come and go proves nothing: ask for this one by name. */
async function lookFor(
  { scope, runnerId }: RunnerRecord,
  ports: FleetPorts,
): Promise<RegisteredRunner | 'absent' | 'unknown'> {
  if (ports.isScarce(scope)) return 'unknown';
  return (await ports.findRegistered(scope, runnerId)) ?? 'absent';
}

/** GitHub's own list of jobs in progress is the last word before a task is stopped. */
async function isAtWork(
  runnerId: string,
  repositories: readonly RepositoryRecord[],
  ports: FleetPorts,
): Promise<boolean> {
  for (const repository of repositories) {
    const { jobs } = await ports.listUnfinishedJobs(repository);
    if (jobs.some((job) => job.state === 'in_progress' && job.runnerName === runnerId)) return true;
  }
  return false;
}

async function stop(tasks: readonly RunnerTask[], reason: string, ports: FleetPorts): Promise<void> {
  for (const task of tasks) if (task.stopped === undefined) await ports.stopTask(task.taskArn, reason);
}

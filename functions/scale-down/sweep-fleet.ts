import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { scopeOf, type Repository } from '../contracts/between-rooms/job.ts';
import type { RepositoryRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { isOurs } from '../contracts/between-rooms/runner-id.ts';
import { sweepLimitMs } from '../contracts/with-infra/limits.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { RegisteredRunner } from '../contracts/with-github/registered-runner.ts';
import type { RunnerTask } from '../contracts/with-tasks/task-order.ts';
import { decideEnding, decideLoss, type EndingDecision } from '../fleet/decide-ending.ts';
import { endRunner, type EndRunnerPorts } from '../fleet/end-runner.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { decideFate, isWorthALook } from './decide-fate.ts';
import type { SweptRunner } from './swept-runner.ts';
import { sweepRegistration, sweepTask, type StrangerPorts } from './sweep-strangers.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

export type FleetPorts = EndRunnerPorts &
  StrangerPorts &
  Pick<Ledger, 'listLive' | 'listRepositories' | 'markMissing' | 'markDeregistered'> & {
    readonly fleet: Pick<Fleet, 'prefix' | 'profiles'>;
    readonly listTasks: () => Promise<readonly RunnerTask[]>;
    readonly findTasks: (runner: {
      readonly runnerId: string;
      readonly taskArn?: string | undefined;
    }) => Promise<readonly RunnerTask[]>;
    readonly listRegistered: (scope: string) => Promise<readonly RegisteredRunner[]>;
    readonly listUnfinishedJobs: (
      repository: Repository,
    ) => Promise<{ readonly jobs: readonly JobSighting[]; readonly complete: boolean }>;
  };

export type FleetVerdict = {
  readonly swept: readonly SweptRunner[];
  /** What this sweep had no time for, and the next one comes to. */
  readonly putOff: number;
  readonly failures: readonly string[];
};

/** GitHub's own limit for a job on its runners, where neither the record nor the config says how long a job may run. */
const mostHoursUntold = 6;

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
      const ours = (await ports.listRegistered(scope)).filter(({ name }) => isOurs(name, ports.fleet.prefix));
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
  const up = live.filter(({ runnerId }) => running.has(runnerId));
  const over = live.filter(({ runnerId }) => !running.has(runnerId));
  const first = up.length === 0 ? 0 : Math.floor(now / 60_000) % up.length;
  return [...over, ...up.slice(first), ...up.slice(0, first)];
}

async function sweepRunner(
  candidate: RunnerRecord,
  running: boolean,
  hasJob: (scope: string, runnerId: string) => Promise<boolean>,
  ports: FleetPorts,
): Promise<SweptRunner | undefined> {
  const { runnerId, scope, profile } = candidate;
  // The limit in its claim counts: a changed config must not change a job that runs.
  const maxHours =
    candidate.maxHours ?? ports.fleet.profiles.find(({ name }) => name === profile)?.maxHours ?? mostHoursUntold;
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
      return { kind: 'miss', ...about, note: fate.note };
    case 'found-again':
      await ports.markMissing(runnerId, false);
      return { kind: 'found-again', ...about, note: 'its task is there after all' };
    case 'lose':
      return { kind: 'lose', ...about, ...(await settle(runner, decideLoss(runner, fate.note), ports)) };
    case 'deregister': {
      const result = await ports.deleteRegistered(scope, fate.registrationId);
      if (result !== 'busy') await ports.markDeregistered(runnerId);
      return { kind: 'deregister', ...about, note: fate.note, result };
    }
    case 'stop-if-jobless': {
      if (await hasJob(scope, runnerId)) {
        return { kind: fate.kind, ...about, note: fate.note, result: 'it has a job' };
      }
      await ports.markDeregistered(runnerId);
      await stop(tasks, fate.note, ports);
      return { kind: fate.kind, ...about, note: fate.note, result: 'stopped' };
    }
    case 'stop':
      await stop(tasks, fate.note, ports);
      return { kind: 'stop', ...about, note: fate.note, result: 'stopped' };
  }
}

type Settled = { readonly note: string; readonly ending?: Ending; readonly parked?: boolean };

async function settle(runner: RunnerRecord, decision: EndingDecision, ports: FleetPorts): Promise<Settled> {
  const { ended, parked } = await endRunner(runner, decision, ports);
  return { note: decision.note, parked, ending: ended ? decision.ending : undefined };
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

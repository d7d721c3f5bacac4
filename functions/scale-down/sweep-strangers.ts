import type { RegisteredRunner } from '../contracts/with-github/registered-runner.ts';
import type { RunnerTask } from '../contracts/with-tasks/task-order.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { decideRegistration, decideTask } from './decide-stranger.ts';
import type { SweptRunner } from './swept-runner.ts';

export type StrangerPorts = Pick<Ledger, 'readRunner' | 'noteStranger' | 'forgetStranger'> & {
  readonly now: () => number;
  readonly findRegistered: (scope: string, name: string) => Promise<RegisteredRunner | undefined>;
  readonly deleteRegistered: (scope: string, id: string) => Promise<'deleted' | 'gone' | 'busy'>;
  /** What is left of the scope's rate limit belongs to minting tokens. */
  readonly isScarce: (scope: string) => boolean;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
};

/** A task that bears one of our names and has no live record: it runs beyond the cap, and perhaps it works. */
export async function sweepTask(
  task: RunnerTask,
  hasJob: (scope: string, runnerId: string) => Promise<boolean>,
  ports: StrangerPorts,
): Promise<SweptRunner | undefined> {
  const { runnerId, scope, taskArn } = task;
  const record = await ports.readRunner(runnerId);
  // A record written since the list was read.
  if (record !== undefined && record.endedAt === undefined) return undefined;
  const mayAsk = scope !== undefined && !ports.isScarce(scope);
  const registered = mayAsk ? await ports.findRegistered(scope, runnerId) : undefined;
  const registration = !mayAsk ? 'unknown' : registered === undefined ? 'absent' : registered.busy ? 'busy' : 'idle';
  const isResting = registration === 'absent' || registration === 'idle';
  const decision = decideTask({
    age: ports.now() - (task.createdAt ?? ports.now()),
    registration,
    restingSince: await since(`task#${runnerId}`, isResting, ports),
    now: ports.now(),
  });
  const about = { runner: runnerId, note: 'its task runs without a live record' };
  if (decision === 'keep' || scope === undefined) return undefined;
  if (decision === 'deregister') {
    const result = registered === undefined ? 'gone' : await ports.deleteRegistered(scope, registered.id);
    // Whether GitHub let it go or not: before its task is touched it must have been at rest for as long again.
    await ports.forgetStranger(`task#${runnerId}`);
    return { kind: 'deregister', ...about, result };
  }
  if (await hasJob(scope, runnerId)) return { kind: 'stop-stranger', ...about, result: 'it has a job' };
  await ports.stopTask(taskArn, about.note);
  return { kind: 'stop-stranger', ...about, result: 'stopped' };
}

/** A registration that bears one of our names and has no live record. */
export async function sweepRegistration(
  scope: string,
  registered: RegisteredRunner,
  ports: StrangerPorts,
): Promise<SweptRunner | undefined> {
  const record = await ports.readRunner(registered.name);
  const offlineSince =
    record === undefined ? await since(`registration#${registered.name}`, !registered.online, ports) : undefined;
  if (decideRegistration({ record, offlineSince, now: ports.now() }) === 'keep') return undefined;
  const result = await ports.deleteRegistered(scope, registered.id);
  return {
    kind: 'delete-registration',
    runner: registered.name,
    profile: record?.profile,
    note: 'its runner is over',
    result,
  };
}

async function since(what: string, isResting: boolean, ports: StrangerPorts): Promise<number | undefined> {
  if (isResting) return ports.noteStranger(what);
  await ports.forgetStranger(what);
  return undefined;
}

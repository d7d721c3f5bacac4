import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { RunResult, TaskOrder } from '../contracts/with-tasks/task-order.ts';
import type { Providers } from '../contracts/with-infra/providers.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import { changeCapacity } from '../fleet/change-records.ts';
import type { CapacityKey, Ledger } from '../fleet/ledger.ts';
import { afterRefusal, afterRoom } from '../fleet/waits/capacity.ts';
import type { Seen } from './look.ts';
import type { Outcome } from './outcome.ts';
import { again, type Begun } from './start-launch.ts';

export type RunPorts = Pick<Ledger, 'changeProvider' | 'recordTask' | 'readCapacity' | 'changeCapacity'> & {
  readonly now: () => number;
  readonly providers: (profile: string) => Providers;
  readonly runTask: (order: TaskOrder) => Promise<RunResult>;
  /** The ARN of a task of this runner that is not told to stop. */
  readonly findRunning: (runnerId: string) => Promise<string | undefined>;
  readonly stopTask: (taskArn: string, reason: string) => Promise<void>;
};

/** How often a message is sent back because ECS throttles. */
const mostReturns = 5;
const minute = 60_000;

/**
 * RunTask may have been called for this runner before, and its answer lost. So the task is looked for first: only where there is none
 * does a "no" of RunTask mean that no task runs.
 */
export async function findOrRun(begun: Begun, seen: Seen, ports: RunPorts): Promise<Outcome> {
  const taskArn = await ports.findRunning(begun.runner.runnerId);
  if (taskArn !== undefined) return recordTask(begun.runner, taskArn, ports);
  return runTask(begun, seen, ports);
}

/** Gives back the lease of a launch that will not be finished. A launch that has its task goes on. */
export async function abandon(
  runner: RunnerRecord,
  { note, reason }: { readonly note: string; readonly reason: WaitReason | undefined },
  ports: RunPorts,
): Promise<Outcome> {
  const taskArn = await ports.findRunning(runner.runnerId);
  if (taskArn !== undefined) return recordTask(runner, taskArn, ports);
  return reason === undefined
    ? { kind: 'drop', note, giveBack: { runner } }
    : { kind: 'wait', reason, note, giveBack: { runner } };
}

/** Starts the task of a launch that was begun, and writes down which task it is. */
export async function runTask(begun: Begun, seen: Seen, ports: RunPorts): Promise<Outcome> {
  const { runner, profile } = begun;
  const { runnerId, claimId, taskDefinition, scope } = runner;
  if (claimId === undefined || taskDefinition === undefined) throw new Error(`runner ${runnerId} has no claim`);
  const { onDemand, spot } = ports.providers(profile.name);
  const provider = runner.provider === spot ? spot : onDemand;
  const { job } = seen;
  const result = await ports.runTask({
    runnerId,
    claimId,
    provider,
    taskDefinition,
    scope,
    tags: {
      'github-runners:profile': profile.name,
      ...(job && { 'github-runners:repository': job.job.repository.fullName, 'github-runners:job': job.job.id }),
    },
  });
  const until = ports.now() + minute;
  switch (result.kind) {
    case 'started': {
      const foundRoom = await noteRoom({ profile: profile.name, provider }, seen, ports);
      const outcome = await recordTask(runner, result.taskArn, ports);
      return outcome.kind === 'launched' ? { ...outcome, foundRoom } : outcome;
    }
    case 'no-capacity':
    case 'quota': {
      const refusal = { reason: result.kind, note: result.detail };
      if (provider === spot && profile.capacity === 'spot-preferred' && spot !== onDemand) {
        await changeCapacity(
          { profile: profile.name, provider },
          (room) => afterRefusal(room, refusal, ports.now()),
          ports,
        );
        await ports.changeProvider(runnerId, onDemand);
        return runTask({ ...begun, runner: { ...runner, provider: onDemand } }, seen, ports);
      }
      return { kind: 'wait', ...refusal, giveBack: { runner, noRoomOn: provider } };
    }
    case 'throttled': {
      const { returns } = seen.message;
      if (returns >= mostReturns) {
        return { kind: 'wait', reason: 'pacing', note: result.detail, giveBack: { runner, noRoomOn: provider } };
      }
      const message = { ...again(seen), returns: returns + 1 };
      return { kind: 'returned', note: result.detail, message, delayMs: 2000 * 2 ** returns };
    }
    case 'refused':
      return {
        kind: 'wait',
        reason: 'launch-refused',
        note: result.detail,
        until,
        giveBack: { runner, isBadStart: true },
      };
  }
}

/**
 * Notes that the capacity provider has room again, where it had none.
 *
 * @returns whether it had none
 */
async function noteRoom(key: CapacityKey, { room }: Seen, ports: RunPorts): Promise<boolean> {
  const { spot } = ports.providers(key.profile);
  const { until } = room[key.provider === spot ? 'spot' : 'on-demand'];
  if (until === undefined) return false;
  await changeCapacity(key, (record) => afterRoom(record, ports.now()), ports);
  return true;
}

async function recordTask(runner: RunnerRecord, taskArn: string, ports: RunPorts): Promise<Outcome> {
  const record = await ports.recordTask(runner.runnerId, taskArn);
  if (record?.revoked) {
    // The job was cancelled while the task was on its way. Without its claim it can never become a runner.
    await ports.stopTask(taskArn, 'the job was cancelled');
    return { kind: 'drop', note: 'the job was cancelled while its task was on its way' };
  }
  if (record?.endedAt !== undefined) {
    // The claim went with the record: the task finds none and ends, or it had fetched it before and may be at work.
    return { kind: 'drop', note: 'the sweep gave the launch up while its task was on its way' };
  }
  return { kind: 'launched', note: taskArn, provider: runner.provider ?? '' };
}

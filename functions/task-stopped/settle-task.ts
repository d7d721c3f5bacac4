import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { StoppedTask } from '../contracts/with-tasks/stopped-task.ts';
import { decideEnding } from '../fleet/decide-ending.ts';
import { deleteRegistration, endRunner, type EndRunnerPorts, type Registrations } from '../fleet/end-runner.ts';
import { topUpProfile, type TopUpPorts } from '../fleet/top-up-profile.ts';

export type SettlePorts = EndRunnerPorts &
  TopUpPorts &
  Registrations & {
    readonly fleet: Pick<Fleet, 'prefix' | 'profiles'>;
    readonly readRunner: (runnerId: string) => Promise<RunnerRecord | undefined>;
  };

export type SettleVerdict = {
  readonly kind: 'ended' | 'known' | 'not-ours';
  readonly reason: string;
  readonly runner?: string;
  readonly job?: string;
  readonly profile?: string;
  readonly ending?: Ending;
  readonly held?: boolean;
  /** Launches sent to fill the place. */
  readonly letIn?: number;
  readonly registration?: string;
};

/**
 * Gives the place of a task that is over to the next job. May come twice or never: the sweep does the same from what
 * ECS still knows.
 */
export async function settleTask(task: StoppedTask, ports: SettlePorts): Promise<SettleVerdict> {
  if (!task.runnerId?.startsWith(`${ports.fleet.prefix}-`))
    return { kind: 'not-ours', reason: 'another fleet started the task' };
  const runner = await ports.readRunner(task.runnerId);
  if (runner === undefined)
    return { kind: 'not-ours', reason: 'the ledger does not know the runner', runner: task.runnerId };
  const about = { runner: runner.runnerId, job: runner.busyJobId ?? runner.jobId, profile: runner.profile };
  if (runner.endedAt !== undefined) return { kind: 'known', reason: `ended before: ${runner.ending}`, ...about };
  if (runner.taskArn !== undefined && runner.taskArn !== task.taskArn) {
    return { kind: 'known', reason: `the runner has another task, ${runner.taskArn}`, ...about };
  }

  const decision = decideEnding(runner, task);
  const { ended, held } = await endRunner(runner, decision, ports);
  if (!ended) return { kind: 'known', reason: 'ended at the same moment elsewhere', ...about };
  const profile = ports.fleet.profiles.find(({ name }) => name === runner.profile);
  const letIn = decision.healthy && profile !== undefined ? await topUpProfile(profile, ports) : 0;
  const registration = decision.mayBeRegistered ? await deleteRegistration(runner, ports) : undefined;
  return { kind: 'ended', ...about, ending: decision.ending, reason: decision.reason, held, letIn, registration };
}

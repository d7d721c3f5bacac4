import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { isOurs } from '../contracts/between-rooms/runner-id.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import type { StoppedTask } from '../contracts/with-tasks/stopped-task.ts';
import { decideEnding } from '../fleet/decide-ending.ts';
import { deleteRegistration, endRunner, type EndRunnerPorts, type Registrations } from '../fleet/end-runner.ts';
import type { Ledger } from '../fleet/ledger.ts';
import type { TopUpAsked } from '../fleet/top-up-profile.ts';

export type SettlePorts = EndRunnerPorts &
  Registrations &
  Pick<Ledger, 'readRunner'> & {
    readonly fleet: Pick<Fleet, 'prefix' | 'profiles'>;
    /** Lets the next jobs of a profile in, once for all ends that ask together. @returns how many launches were sent */
    readonly topUp: (asked: TopUpAsked) => Promise<number>;
  };

export type SettleVerdict = {
  readonly kind: 'ended' | 'known' | 'not-ours';
  readonly note: string;
  readonly runner?: string | undefined;
  readonly job?: string | undefined;
  readonly profile?: string | undefined;
  readonly ending?: Ending;
  /** The job it was started for gets no more launches for now. */
  readonly parked?: boolean;
  /** Launches sent to fill the place. */
  readonly letIn?: number;
  readonly registration?: string | undefined;
};

/**
 * Gives the place of a task that is over to the next job. May come twice or never: the sweep does the same from what
 * ECS still knows.
 */
export async function settleTask(task: StoppedTask, ports: SettlePorts): Promise<SettleVerdict> {
  if (task.runnerId === undefined || !isOurs(task.runnerId, ports.fleet.prefix)) {
    return { kind: 'not-ours', note: 'another fleet started the task' };
  }
  const runner = await ports.readRunner(task.runnerId);
  if (runner === undefined) {
    return { kind: 'not-ours', note: 'the ledger does not know the runner', runner: task.runnerId };
  }
  const about = { runner: runner.runnerId, job: runner.busyJobId ?? runner.jobId, profile: runner.profile };
  if (runner.endedAt !== undefined) return { kind: 'known', note: `ended before: ${runner.ending}`, ...about };
  if (runner.taskArn !== undefined && runner.taskArn !== task.taskArn) {
    return { kind: 'known', note: `the runner has another task, ${runner.taskArn}`, ...about };
  }

  const decision = decideEnding(runner, task);
  const { ended, parked } = await endRunner(runner, decision, ports);
  if (!ended) return { kind: 'known', note: 'ended at the same moment elsewhere', ...about };
  const profile = ports.fleet.profiles.find(({ name }) => name === runner.profile);
  const letIn = decision.healthy && profile !== undefined ? await ports.topUp(topUpAfter(runner, profile)) : 0;
  const registration = decision.mayBeRegistered ? await deleteRegistration(runner, ports) : undefined;
  return { kind: 'ended', ...about, ending: decision.ending, note: decision.note, parked, letIn, registration };
}

function topUpAfter({ pool, busyAt }: RunnerRecord, profile: Profile): TopUpAsked {
  return { profile, served: busyAt === undefined ? [] : [{ pool, at: busyAt }] };
}

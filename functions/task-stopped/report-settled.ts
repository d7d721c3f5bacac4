import type { Settings } from '../contracts/with-infra/settings.ts';
import type { Measure, Report } from '../contracts/with-infra/report.ts';
import type { StoppedTask } from '../contracts/with-tasks/stopped-task.ts';
import { estimateCost } from './estimate-cost.ts';
import type { SettleVerdict } from './settle-task.ts';

/** The log line and the metrics of a task that stopped. */
export function reportSettled(
  task: StoppedTask,
  verdict: SettleVerdict,
  { profiles, tasks }: Pick<Settings, 'profiles'> & { readonly tasks: Pick<Settings['tasks'], 'assignPublicIp'> },
): Report {
  const about = { level: 'info', line: `task stopped: ${verdict.kind}`, about: verdict } as const;
  if (verdict.kind !== 'ended') return { ...about, measures: [] };
  const { profile: Profile, ending: Reason, parked } = verdict;
  const profile = profiles.find(({ name }) => name === Profile);
  const cost =
    profile &&
    estimateCost({
      profile,
      seconds: task.billedSeconds,
      provider: task.provider,
      hasPublicAddress: tasks.assignPublicIp === 'ENABLED',
    });
  const measured: readonly [Measure['name'], number | undefined][] = [
    ['JobsHeld', parked ? 1 : undefined],
    ['ProvisioningSeconds', task.provisioningSeconds],
    ['PullSeconds', task.pullSeconds],
    ['BootSeconds', task.bootSeconds],
    ['RunnerSeconds', task.runSeconds],
    ['CostDollars', cost],
  ];
  return {
    ...about,
    measures: [
      { name: 'RunnersEnded', value: 1, dimensions: { Profile, Reason } },
      ...measured.map(([name, value]) => ({ name, value, dimensions: { Profile } })),
    ],
  };
}

/** The log line of a stop that could not be settled. */
export function reportFailedStop(
  { messageId, receives }: { readonly messageId: string; readonly receives: number },
  error: unknown,
): Report {
  return { level: 'error', line: 'task stopped: failed', about: { messageId, receives, error }, measures: [] };
}

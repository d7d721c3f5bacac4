import { exitCodes, type TaskOutcome } from '../contracts/with-tasks/exit-code.ts';
import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { StoppedTask } from '../contracts/with-tasks/stopped-task.ts';

export type EndingDecision = {
  readonly ending: Ending;
  /** Why, as a sentence for the log. */
  readonly reason: string;
  /** The runner had GitHub's ear: the image, the network and the registration are sound. */
  readonly listened: boolean;
  /** It ended without a job, so the job it was started for may still wait. */
  readonly unserved: boolean;
  /** The place may be filled at once. After a bad end the sweep fills it, so that a broken start is no hot loop. */
  readonly healthy: boolean;
  /** GitHub may still list its registration. */
  readonly mayBeRegistered: boolean;
};

const listening = { listened: true, mayBeRegistered: true };
const verdicts: Record<Ending, Omit<EndingDecision, 'ending' | 'reason'>> = {
  'ran-a-job': { ...listening, unserved: false, healthy: true, mayBeRegistered: false },
  idle: { ...listening, unserved: true, healthy: true },
  revoked: { listened: false, unserved: false, healthy: true, mayBeRegistered: false },
  'no-claim': { listened: false, unserved: true, healthy: false, mayBeRegistered: false },
  'not-launched': { listened: false, unserved: false, healthy: false, mayBeRegistered: false },
  'registration-refused': { listened: false, unserved: true, healthy: false, mayBeRegistered: false },
  'failed-to-start': { listened: false, unserved: true, healthy: false, mayBeRegistered: true },
  'failed-before-a-job': { ...listening, unserved: true, healthy: false },
  'interrupted-before-a-job': { listened: false, unserved: true, healthy: false, mayBeRegistered: true },
  'interrupted-in-a-job': { ...listening, unserved: false, healthy: true },
  'spot-interrupted': { listened: false, unserved: true, healthy: true, mayBeRegistered: true },
  'out-of-memory': { ...listening, unserved: true, healthy: false },
  'over-max-hours': { ...listening, unserved: false, healthy: true },
  // It was taken because it did nothing: whether it ever listened nobody knows.
  reaped: { listened: false, unserved: true, healthy: true, mayBeRegistered: true },
  lost: { listened: false, unserved: true, healthy: false, mayBeRegistered: true },
};

/**
 * How a runner ended, from what ECS says of its task and what events said of the runner. Events count for more: a job
 * can make its task exit as it likes, but it cannot unsay that GitHub gave it to this runner.
 */
export function decideEnding(runner: RunnerRecord, task: StoppedTask): EndingDecision {
  const outcome: TaskOutcome | undefined = exitCodes[task.exitCode as keyof typeof exitCodes];
  const ending = endingOf(runner, task, outcome);
  const ranJob = runner.busyJobId !== undefined || outcome === 'ran-a-job' || outcome === 'interrupted-in-a-job';
  const verdict = verdicts[ending];
  return {
    ...verdict,
    ending,
    unserved: verdict.unserved && !ranJob,
    listened: verdict.listened || ranJob,
    healthy: verdict.healthy || ranJob,
    reason: [task.stopCode, task.exitCode === undefined ? 'no exit code' : `exit ${task.exitCode}`, task.reason]
      .filter((part) => part !== undefined && part !== '')
      .join(', '),
  };
}

function endingOf(runner: RunnerRecord, task: StoppedTask, outcome: TaskOutcome | undefined): Ending {
  if (runner.revoked) return 'revoked';
  if (task.stopCode === 'SpotInterruption' || task.stopCode === 'TerminationNotice') return 'spot-interrupted';
  if (task.outOfMemory) return 'out-of-memory';
  switch (outcome) {
    case 'ran-a-job':
    case 'over-max-hours':
    case 'interrupted-in-a-job':
      return outcome;
    case 'idle':
    case 'no-claim':
    case 'interrupted-before-a-job':
      if (runner.busyJobId !== undefined) return 'interrupted-in-a-job';
      return outcome === 'interrupted-before-a-job' && runner.deregisteredAt !== undefined ? 'reaped' : outcome;
    case 'ended-without-a-job':
      // The listener gives up when its registration is gone: that is how the reaper ends it.
      if (runner.deregisteredAt !== undefined) return 'reaped';
      return runner.busyJobId === undefined ? 'failed-before-a-job' : 'ran-a-job';
    case 'registration-refused':
      return runner.busyJobId === undefined ? 'registration-refused' : 'ran-a-job';
    case 'github-unreachable':
    case 'version-deprecated':
    case 'no-claim-server':
    case 'broken-image':
      return runner.busyJobId === undefined ? 'failed-to-start' : 'ran-a-job';
    case undefined:
      if (runner.busyJobId !== undefined) return 'interrupted-in-a-job';
      return runner.deregisteredAt === undefined ? 'failed-to-start' : 'reaped';
  }
}

import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { Ending } from '../contracts/with-infra/reasons.ts';
import { exitCodes, type TaskOutcome } from '../contracts/with-tasks/exit-code.ts';
import type { StoppedTask } from '../contracts/with-tasks/stopped-task.ts';

export type EndingDecision = {
  readonly ending: Ending;
  /** What ECS said, as a sentence for the log and for the job's record. */
  readonly note: string;
  /**
   * What the end says of how runners of this profile start in this scope. `bad`: our fault, the image's, or the registration's.
   * `unknown` where AWS, a person or an earlier decision of ours ended it.
   */
  readonly start: 'good' | 'bad' | 'unknown';
  /** It ended without a job, so the job it was started for may still wait. */
  readonly unserved: boolean;
  /** The end can be the fault of that job: GitHub gives the job to none of its runners. */
  readonly counts: boolean;
  /** The place may be filled at once. After a bad end the minute's pass fills it, so that a broken start is no hot loop. */
  readonly healthy: boolean;
  /** GitHub may still list its registration. */
  readonly mayBeRegistered: boolean;
  /** AWS took the task and did not start it, or took its capacity back. `certain`: AWS said that it has no room. */
  readonly lostTask: { readonly certain: boolean } | undefined;
};

type Verdict = Omit<EndingDecision, 'ending' | 'note' | 'lostTask'>;

const ranAJob = { start: 'good', unserved: false, counts: false, healthy: true } as const;
const badStart = { start: 'bad', unserved: true, counts: false, healthy: false } as const;
const verdicts: Record<Ending, Verdict> = {
  'ran-a-job': { ...ranAJob, mayBeRegistered: false },
  idle: { start: 'good', unserved: true, counts: true, healthy: true, mayBeRegistered: true },
  revoked: { start: 'unknown', unserved: false, counts: false, healthy: true, mayBeRegistered: false },
  'not-launched': { start: 'unknown', unserved: false, counts: false, healthy: false, mayBeRegistered: false },
  'no-claim': { ...badStart, mayBeRegistered: false },
  'registration-refused': { ...badStart, mayBeRegistered: false },
  'failed-to-start': { ...badStart, mayBeRegistered: true },
  'failed-before-a-job': { ...badStart, mayBeRegistered: true },
  'out-of-memory': { ...badStart, mayBeRegistered: true },
  lost: { ...badStart, mayBeRegistered: true },
  'not-started-by-aws': { start: 'unknown', unserved: true, counts: false, healthy: false, mayBeRegistered: false },
  'interrupted-before-a-job': {
    start: 'unknown',
    unserved: true,
    counts: false,
    healthy: false,
    mayBeRegistered: true,
  },
  'spot-interrupted': { start: 'unknown', unserved: true, counts: false, healthy: true, mayBeRegistered: true },
  'interrupted-in-a-job': { ...ranAJob, mayBeRegistered: true },
  'over-max-hours': { ...ranAJob, mayBeRegistered: true },
  // The sweep ended the runner because it did nothing. Nobody knows whether the runner ever listened.
  reaped: { start: 'unknown', unserved: true, counts: true, healthy: true, mayBeRegistered: true },
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
  const isLost = ending === 'not-started-by-aws' || (ending === 'spot-interrupted' && !ranJob);
  return {
    ...verdict,
    ...(ranJob && ranAJob),
    ending,
    lostTask: isLost ? { certain: task.awsFault === 'no-capacity' } : undefined,
    note: [task.stopCode, task.exitCode === undefined ? 'no exit code' : `exit ${task.exitCode}`, task.reason]
      .filter((part) => part !== undefined && part !== '')
      .join(', '),
  };
}

function endingOf(runner: RunnerRecord, task: StoppedTask, outcome: TaskOutcome | undefined): Ending {
  if (runner.revoked) return 'revoked';
  if (task.awsFault === 'spot-interruption') return 'spot-interrupted';
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
      // The listener gives up when its registration is gone: that is how the sweep ends it.
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
      if (task.awsFault !== undefined) return 'not-started-by-aws';
      // The sweep also stops a task that never came up: that is a failed start, and no fault of the job.
      return runner.deregisteredAt !== undefined && task.started ? 'reaped' : 'failed-to-start';
  }
}

/** The end of a runner that ECS knows no task of. */
export function decideLoss(runner: RunnerRecord, note: string): EndingDecision {
  const decide = (ending: Ending): EndingDecision => ({ ...verdicts[ending], ending, note, lostTask: undefined });
  if (runner.revoked) return decide('revoked');
  // The first release began it and did not launch it: its job did nothing wrong.
  if (runner.claimId === undefined) return decide('not-launched');
  return decide(runner.busyJobId === undefined ? 'lost' : 'interrupted-in-a-job');
}

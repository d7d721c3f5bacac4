import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import { isSpot } from '../contracts/with-infra/providers.ts';
import { messageOf } from '../contracts/with-github/errors.ts';
import { changeBreaker, changeCapacity, changeJob } from './change-records.ts';
import type { EndingDecision } from './decide-ending.ts';
import type { Ledger } from './ledger.ts';
import { afterUnserved } from './waits/back-off.ts';
import { afterBadStart, afterGoodStart } from './waits/breaker.ts';
import { afterLostTask, afterStart } from './waits/capacity.ts';

export type EndRunnerPorts = { readonly now: () => number } & Pick<
  Ledger,
  | 'readJob'
  | 'changeJob'
  | 'endRunnerRecord'
  | 'noteTokenRefused'
  | 'readBreaker'
  | 'changeBreaker'
  | 'readCapacity'
  | 'changeCapacity'
>;

export type EndedRunner = {
  /** False when somebody else had ended it. */
  readonly ended: boolean;
  /** The job it was started for is parked now. */
  readonly parked: boolean;
};

type End = Pick<EndingDecision, 'ending' | 'start' | 'unserved' | 'counts' | 'note' | 'lostTask'>;

/** Gives a runner's lease back, and writes what its end says about its job, its profile and AWS. Each step may be repeated. */
export async function endRunner(runner: RunnerRecord, end: End, ports: EndRunnerPorts): Promise<EndedRunner> {
  // Before the record ends: a second event for the same end finds it ended and does nothing.
  const parked = end.unserved && (await noteUnserved(runner, end, ports));
  const ended = await ports.endRunnerRecord(runner, end.ending);
  if (!ended) return { ended, parked };
  await Promise.all([
    noteStart(runner, end, ports),
    noteCapacity(runner, end, ports),
    end.ending === 'registration-refused' ? ports.noteTokenRefused(runner.scope) : undefined,
  ]);
  return { ended, parked };
}

/** @returns whether the job is parked from now on */
async function noteUnserved(runner: RunnerRecord, end: End, ports: EndRunnerPorts): Promise<boolean> {
  const { jobId, launch = 0, provider } = runner;
  if (jobId === undefined) return false;
  const unserved = {
    launch,
    counts: end.counts,
    note: `its runner ended: ${end.ending} (${end.note})`,
    lostSpot: end.lostTask !== undefined && provider !== undefined && isSpot(provider),
  };
  const { before, after } = await changeJob(jobId, (job) => job && afterUnserved(job, unserved, ports.now()), ports);
  return after !== undefined && after.parked && before?.parked === false;
}

async function noteStart(runner: RunnerRecord, { start }: End, ports: EndRunnerPorts): Promise<void> {
  if (start === 'bad') await changeBreaker(runner, (breaker) => afterBadStart(breaker, runner, ports.now()), ports);
  if (start === 'good') await changeBreaker(runner, afterGoodStart, ports);
}

async function noteCapacity({ profile, provider }: RunnerRecord, end: End, ports: EndRunnerPorts): Promise<void> {
  if (provider === undefined) return;
  const { lostTask, note, start } = end;
  if (lostTask !== undefined) {
    await changeCapacity(
      { profile, provider },
      (room) => afterLostTask(room, { ...lostTask, note }, ports.now()),
      ports,
    );
  } else if (start === 'good') {
    await changeCapacity({ profile, provider }, afterStart, ports);
  }
}

export type Registrations = {
  readonly findRegistered: (scope: string, name: string) => Promise<{ readonly id: string } | undefined>;
  readonly deleteRegistered: (scope: string, id: string) => Promise<'deleted' | 'gone' | 'busy'>;
};

/**
 * Takes a runner that is over off GitHub's list, or leaves that to the sweep: GitHub believes a runner that died in a job busy for
 * another quarter of an hour.
 */
export async function deleteRegistration(
  runner: Pick<RunnerRecord, 'scope' | 'runnerId'>,
  github: Registrations,
): Promise<'deleted' | 'gone' | 'busy' | `left to the sweep: ${string}`> {
  try {
    const registered = await github.findRegistered(runner.scope, runner.runnerId);
    return registered === undefined ? 'gone' : await github.deleteRegistered(runner.scope, registered.id);
  } catch (error) {
    return `left to the sweep: ${messageOf(error)}`;
  }
}

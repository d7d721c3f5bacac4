import type { UnservedLaunch } from '../contracts/between-rooms/job-news.ts';
import type { JobRecord, RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { EndingDecision } from './decide-ending.ts';
import { backOff } from '../contracts/with-infra/limits.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

export type EndRunnerPorts = {
  readonly now: () => number;
  readonly readJob: (jobId: string) => Promise<JobRecord | undefined>;
  /** Counts a launch that served nobody, once per launch, while the job still waits. */
  readonly raiseUnserved: (job: JobRecord, raise: UnservedLaunch) => Promise<boolean>;
  /** Ends the record, gives the lease back and takes back what is left of the claim, in one. False when it was ended before. */
  readonly endRunnerRecord: (runner: RunnerRecord, ending: EndingDecision['ending']) => Promise<boolean>;
  readonly noteStartFailure: (profile: string) => Promise<void>;
  readonly noteGoodStart: (profile: string) => Promise<void>;
};

export type EndedRunner = {
  /** False when somebody else had ended it. */
  readonly ended: boolean;
  /** The job it was started for waits for a person now. */
  readonly held: boolean;
};

/** Gives a runner's place back and lets what was learned from its end count. Each step may be repeated. */
export async function endRunner(
  runner: RunnerRecord,
  decision: Pick<EndingDecision, 'ending' | 'listened' | 'unserved'>,
  ports: EndRunnerPorts,
): Promise<EndedRunner> {
  // Before the record ends: a second event for the same end finds it ended and does nothing.
  const held = decision.unserved && (await raiseUnserved(runner, decision.ending, ports));
  const ended = await ports.endRunnerRecord(runner, decision.ending);
  if (!ended) return { ended, held };
  const failed = failedStarts.has(decision.ending) || endsForNobody(runner, decision.ending);
  if (failed) await ports.noteStartFailure(runner.profile);
  else if (decision.listened) await ports.noteGoodStart(runner.profile);
  return { ended, held };
}

/** The image, the network or GitHub failed: any other job would have fared alike, so they are not held against this one. */
const nobodysFault: ReadonlySet<EndingDecision['ending']> = new Set(['failed-to-start', 'no-claim', 'lost']);
/** The breaker minds these. A refused registration may be the profile's fault, or that of one scope's group. */
const failedStarts: ReadonlySet<EndingDecision['ending']> = new Set([...nobodysFault, 'registration-refused']);

/** A warm runner that gives up has no job whose back-off would slow its successors down. */
function endsForNobody(runner: RunnerRecord, ending: EndingDecision['ending']): boolean {
  return ending === 'failed-before-a-job' && runner.jobId === undefined;
}

/** @returns whether the job is held from now on */
async function raiseUnserved(
  runner: RunnerRecord,
  ending: EndingDecision['ending'],
  ports: EndRunnerPorts,
): Promise<boolean> {
  if (runner.jobId === undefined || runner.launch === undefined) return false;
  const job = await ports.readJob(runner.jobId);
  if (job?.state !== 'waiting') return false;
  const counts = !nobodysFault.has(ending);
  const unserved = counts ? job.unserved + 1 : job.unserved;
  const pause = counts ? backOff(unserved) : backOff(1);
  const raised = await ports.raiseUnserved(job, {
    launch: runner.launch,
    unserved,
    held: pause.held,
    note: counts ? `${unserved} runners started for it ended without a job` : `its runner ended: ${ending}`,
    ...(!pause.held && { notBefore: ports.now() + pause.pauseMs }),
  });
  return raised && pause.held;
}

export type Registrations = {
  readonly findRegistered: (scope: string, name: string) => Promise<{ readonly id: string } | undefined>;
  readonly deleteRegistered: (scope: string, id: string) => Promise<'deleted' | 'gone' | 'busy'>;
};

/**
 * Takes a runner that is over off GitHub's list. What GitHub does not let us do now the sweep does later: it believes a
 * runner that died in a job busy for another quarter of an hour.
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

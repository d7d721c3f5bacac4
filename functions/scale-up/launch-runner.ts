import { queuedAt } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Ledger } from '../fleet/ledger.ts';
import { topUpProfile, type TopUpPorts } from '../fleet/top-up-profile.ts';
import { applyOutcome, type ApplyPorts } from './apply-outcome.ts';
import { askGitHub, type AskGitHubPorts } from './ask-github.ts';
import { decideLaunch, type LaunchDecision } from './decide-launch.ts';
import { look, type LookPorts, type Seen } from './look.ts';
import { isOutcome, type Outcome } from './outcome.ts';
import { abandon, findOrRun, runTask, type RunPorts } from './run-task.ts';
import { begin, register, takeTurn, waitForTurn, type StartPorts } from './start-launch.ts';

export type LaunchPorts = LookPorts &
  AskGitHubPorts &
  StartPorts &
  RunPorts &
  ApplyPorts &
  TopUpPorts &
  Pick<Ledger, 'noteRepository'> & {
    /** False until the stack has built its first runner image. */
    readonly hasImage: (profile: Profile) => Promise<boolean>;
  };

type About = {
  readonly job?: string | undefined;
  readonly runner?: string | undefined;
  readonly profile?: string | undefined;
  readonly delivery?: string | undefined;
  /** We had not heard of the job before. */
  readonly isNew?: boolean | undefined;
  /** From the job's creation by GitHub to its task. */
  readonly secondsFromQueued?: number | undefined;
};

export type LaunchVerdict = Outcome & About;

/** One launch, one line. Starts the runner that a message asks for, or says why not. */
export async function launchRunner(
  message: LaunchMessage,
  receivedBefore: boolean,
  ports: LaunchPorts,
): Promise<LaunchVerdict> {
  const seen = await look(message, receivedBefore, ports);
  if (isOutcome(seen)) return { ...(await applyOutcome(seen, nothingSeen, ports)), ...aboutMessage(message) };
  const [attempted] = await Promise.all([attempt(seen, ports), noteRepository(seen, ports)]);
  const outcome = await applyOutcome(attempted, seen, ports);
  if (outcome.kind === 'launched' && outcome.foundRoom) await letNextIn(seen, ports);
  return { ...outcome, ...aboutMessage(message), ...aboutLaunch(seen, outcome, ports.now()) };
}

/** The look itself ended the launch: nothing is known of the job. */
const nothingSeen = { job: undefined, before: undefined, isNews: false };

/** look, decide, turn, registration, begin, run, record. Before `begin` there is nothing to give back. */
async function attempt(seen: Seen, ports: LaunchPorts): Promise<Outcome> {
  const decision = decideLaunch(seen);
  switch (decision.kind) {
    case 'drop':
    case 'wait':
    case 'give-up':
      return decision;
    case 'abandon':
      return abandon(decision.runner, decision, ports);
    case 'resume':
      return findOrRun(decision, seen, ports);
    case 'start':
      return start(seen, decision, ports);
  }
}

async function start(
  seen: Seen,
  decision: Extract<LaunchDecision, { kind: 'start' }>,
  ports: LaunchPorts,
): Promise<Outcome> {
  const { profile } = decision;
  const building = await checkImage(profile, ports);
  if (building !== undefined) return building;
  const turn = await takeTurn(seen, ports);
  if (isOutcome(turn)) return turn;
  const ended = decision.asksGitHub && seen.job !== undefined ? await askGitHub(seen.job, ports) : undefined;
  if (ended !== undefined) return ended;
  const registration = await register(seen, ports);
  if (isOutcome(registration)) return registration;
  const begun = await begin(seen, decision, registration, ports);
  if (isOutcome(begun)) return begun;
  await waitForTurn(turn, ports);
  return runTask(begun, seen, ports);
}

/** A first build takes some minutes. */
const lookForImageAfterMs = 60_000;

/** @returns the outcome where there is no image yet */
async function checkImage(profile: Profile, ports: LaunchPorts): Promise<Outcome | undefined> {
  if (await ports.hasImage(profile)) return undefined;
  const until = ports.now() + lookForImageAfterMs;
  return { kind: 'wait', reason: 'image-building', note: 'the runner image is being built', until };
}

async function noteRepository({ message }: Seen, ports: LaunchPorts): Promise<void> {
  if (message.kind === 'queued') await ports.noteRepository(message.job.repository);
}

/** After AWS had no room, one launch follows another: the next one is asked for when this one has found room. */
async function letNextIn({ admission }: Seen, ports: LaunchPorts): Promise<void> {
  if (admission.kind === 'admitted') await topUpProfile(admission.profile, ports);
}

function aboutMessage(message: LaunchMessage): About {
  switch (message.kind) {
    case 'queued':
      return { job: message.job.id, delivery: message.delivery };
    case 'launch':
      return { job: message.jobId };
    case 'warm':
      return { runner: message.runnerId, profile: message.profile };
  }
}

function aboutLaunch({ job, before, runnerId }: Seen, { kind }: Outcome, now: number): About {
  if (job === undefined) return {};
  return {
    runner: runnerId,
    profile: job.profile,
    isNew: before === undefined,
    secondsFromQueued: kind === 'launched' ? Math.max(0, now - queuedAt(job)) / 1000 : undefined,
  };
}

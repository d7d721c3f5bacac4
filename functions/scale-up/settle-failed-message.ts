import { decodeLaunchMessage } from '../contracts/between-rooms/messages.ts';
import { messageOf } from '../contracts/with-github/errors.ts';
import { applyOutcome, type ApplyPorts } from './apply-outcome.ts';
import { decideFailedMessage } from './decide-failed-message.ts';

export type FailedPorts = ApplyPorts & {
  /** Did AWS fail, or the way to it? */
  readonly isPassing: (error: unknown) => boolean;
};

/**
 * Writes what becomes of a launch that threw.
 *
 * @returns whether the message is done with
 */
export async function settleFailedMessage(
  { body, receives }: { readonly body: string; readonly receives: number },
  error: unknown,
  ports: FailedPorts,
): Promise<boolean> {
  const decision = decideFailedMessage({
    receives,
    isPassing: ports.isPassing(error),
    error: messageOf(error),
    now: ports.now(),
  });
  const jobId = decision.kind === 'retry' ? undefined : jobOf(body);
  const job = jobId === undefined ? undefined : await ports.readJob(jobId);
  if (job?.state !== 'waiting') return false;
  const seen = { job, before: job, isNews: false };
  switch (decision.kind) {
    case 'retry':
      return false;
    case 'refuse':
      await applyOutcome({ ...decision, kind: 'give-up', state: 'refused' }, seen, ports);
      return false;
    case 'wait':
      await applyOutcome(decision, seen, ports);
      return true;
  }
}

function jobOf(body: string): string | undefined {
  try {
    const message = decodeLaunchMessage(body);
    if (message.kind === 'queued') return message.job.id;
    return message.kind === 'launch' ? message.jobId : undefined;
  } catch {
    // A message that cannot be read names no job: the dead-letter queue keeps it for a person.
    return undefined;
  }
}

import { mostReceives } from '../contracts/with-infra/queue-limits.ts';

export type FailedMessageDecision =
  /** The message comes back. */
  | { readonly kind: 'retry' }
  /** The last try failed. The job is refused for an hour, or it would fail all day. The message becomes a dead letter. */
  | { readonly kind: 'refuse'; readonly note: string; readonly until: number }
  /** AWS failed, not we: the job waits like any other, and nobody need look at the message. */
  | { readonly kind: 'wait'; readonly reason: 'aws-unavailable'; readonly note: string; readonly until: number };

const waitsForMs = 5 * 60_000;
const refusedForMs = 60 * 60_000;

/** What becomes of a message whose launch threw. */
export function decideFailedMessage({
  receives,
  isPassing,
  error,
  now,
}: {
  /** How often the message was received, this time included. */
  readonly receives: number;
  /** AWS failed, or the way to it: the same may work later. */
  readonly isPassing: boolean;
  readonly error: string;
  readonly now: number;
}): FailedMessageDecision {
  if (!isLast(receives)) return { kind: 'retry' };
  const note = `its launch failed ${receives} times: ${error}`;
  if (isPassing) return { kind: 'wait', reason: 'aws-unavailable', note, until: now + waitsForMs };
  return { kind: 'refuse', note, until: now + refusedForMs };
}

/** After this receive SQS moves the message to the dead-letter queue. */
export function isLast(receives: number): boolean {
  return receives >= mostReceives;
}

import * as v from 'valibot';
import { parseJson } from '../with-github/json.ts';
import { jobSchema } from './job.ts';

const text = v.pipe(v.string(), v.minLength(1));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const moment = v.pipe(v.string(), v.isoTimestamp());

/** Set on a launch that was sent back to wait for its turn: what it already has, so that it does not queue twice. */
const turnSchema = v.object({
  /** Milliseconds since the epoch. */
  slot: v.optional(v.number()),
  /** How often it was sent back already. */
  returns: v.optional(count, 0),
});

const launchMessageSchema = v.variant('kind', [
  /** The fast path: a job GitHub has just queued; its first launch. */
  v.object({
    version: v.literal(1),
    kind: v.literal('queued'),
    job: jobSchema,
    /** GitHub's delivery GUID, or what else found the job; for the log alone. */
    delivery: text,
    ...turnSchema.entries,
  }),
  /** The slow path: the sender has read the ledger and decided on this launch number. */
  v.object({
    version: v.literal(1),
    kind: v.literal('launch'),
    jobId: text,
    launch: v.pipe(count, v.minValue(1)),
    ...turnSchema.entries,
  }),
  /** A runner that waits for whatever job comes, until its window ends. */
  v.object({
    version: v.literal(1),
    kind: v.literal('warm'),
    runnerId: text,
    profile: text,
    scope: text,
    /** The end of its window: later nobody wants it. */
    until: moment,
    ...turnSchema.entries,
  }),
]);

/** On the jobs queue: start a runner. */
export type LaunchMessage = v.InferOutput<typeof launchMessageSchema>;

const jobEventSchema = v.object({
  version: v.literal(1),
  kind: v.picklist(['blocked', 'in_progress', 'completed']),
  job: jobSchema,
  delivery: text,
  at: moment,
  runnerName: v.optional(text),
  conclusion: v.optional(text),
});

/** On the events queue: what became of a job. */
export type JobEvent = v.InferOutput<typeof jobEventSchema>;

/** @throws Error saying which field of the message must be what */
export function decodeLaunchMessage(body: string): LaunchMessage {
  return decode(launchMessageSchema, body, 'launch message');
}

/** @throws Error saying which field of the message must be what */
export function decodeJobEvent(body: string): JobEvent {
  return decode(jobEventSchema, body, 'job event');
}

/** Every character that SQS refuses is escaped: what a job is called must not keep it from the queue. */
export function encodeMessage(message: LaunchMessage | JobEvent): string {
  return JSON.stringify(message).replaceAll(
    refusedBySqs,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * `JSON.stringify` has escaped control characters and lone surrogates; U+FFFE and U+FFFF it leaves.
 * https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
 */
const refusedBySqs = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/gu;

function decode<S extends v.GenericSchema>(schema: S, body: string, what: string): v.InferOutput<S> {
  let value: unknown;
  try {
    value = parseJson(body);
  } catch {
    throw new Error(`a ${what} must be JSON`);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new Error(`a ${what}'s ${v.getDotPath(issue) ?? 'text'} is wrong: ${issue.message}`);
}

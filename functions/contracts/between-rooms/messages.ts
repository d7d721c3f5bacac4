import * as v from 'valibot';
import { parseJson } from '../with-github/json.ts';
import { jobSchema } from './job.ts';
import { jobSightingSchema, type JobSighting } from './job-sighting.ts';

const text = v.pipe(v.string(), v.minLength(1));
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const moment = v.pipe(v.string(), v.isoTimestamp());

/** On a launch that was sent back: its turn, which it does not take twice, and how often it was sent. */
const turnSchema = v.object({
  /** Milliseconds since the epoch. */
  slot: v.optional(v.number()),
  /** How often it was sent back already. */
  returns: v.optional(count, 0),
});

const launchMessageSchema = v.variant('kind', [
  /** The fast path: GitHub has just queued this job. Asks for its first launch. */
  v.object({
    version: v.literal(1),
    kind: v.literal('queued'),
    job: jobSchema,
    /** `by` of the sighting that this message comes from; for the log, and to tell a delivery from GitHub's list. */
    delivery: text,
    ...turnSchema.entries,
  }),
  /** The slow path: the sender has read the ledger and decided on this launch number. */
  v.object({
    version: v.literal(1),
    kind: v.literal('launch'),
    jobId: text,
    launch: v.pipe(count, v.minValue(1)),
    /** Of the job when the launch was asked for: their records are read together with the job's. */
    profile: v.optional(text),
    scope: v.optional(text),
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

/** What the version before wrote. Its messages may still be in the queue when a deployment is over. */
const jobEventSchema = v.pipe(
  v.object({
    version: v.literal(1),
    kind: v.picklist(['blocked', 'in_progress', 'completed']),
    job: jobSchema,
    delivery: text,
    at: moment,
    runnerName: v.optional(text),
    conclusion: v.optional(text),
  }),
  v.transform(({ kind, job, delivery, at, runnerName, conclusion }): SightingMessage => ({
    version: 2,
    sighting: {
      job,
      state: kind,
      by: delivery,
      runnerName,
      conclusion,
      startedAt: kind === 'in_progress' ? at : undefined,
      completedAt: kind === 'completed' ? at : undefined,
    },
  })),
);

const sightingMessageSchema = v.variant('version', [
  jobEventSchema,
  v.object({ version: v.literal(2), sighting: jobSightingSchema }),
]);

/** On the events queue: what GitHub says of a job that is not queued any more, or not yet. */
export type SightingMessage = { readonly version: 2; readonly sighting: JobSighting };

/** @throws Error saying which field of the message must be what */
export function decodeLaunchMessage(body: string): LaunchMessage {
  return decode(launchMessageSchema, body, 'launch message');
}

/** @throws Error saying which field of the message must be what */
export function decodeSightingMessage(body: string): SightingMessage {
  return decode(sightingMessageSchema, body, 'job event');
}

/** Every character that SQS refuses is escaped: what a job is called must not keep it from the queue. */
export function encodeMessage(message: LaunchMessage | SightingMessage): string {
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

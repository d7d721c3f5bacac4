import * as v from 'valibot';
import { jobSchema } from './job.ts';
import { endings, waitReasonNames } from '../with-infra/reasons.ts';

const text = v.pipe(v.string(), v.minLength(1));
const count = v.pipe(v.number(), v.integer());
const moment = v.pipe(v.string(), v.isoTimestamp());

/**
 * Readers take this version. What the first release wrote has the same version: attributes that it lacks are optional here, and
 * {@link decodeJobRecord} knows its names.
 */
export const recordVersion = 1;

export const jobStates = ['blocked', 'waiting', 'refused', 'expired', 'in_progress', 'completed'] as const;
export type JobState = (typeof jobStates)[number];

/**
 * Events come late, twice and out of order; a job's record only ever moves forward, and this is the way forward:
 * GitHub's attempt first, then the state. What GitHub says of a job that we gave up on still counts, so `refused` and
 * `expired` stand before `in_progress`.
 */
export function jobOrder(attempt: number, state: JobState): number {
  return attempt * 10 + jobStates.indexOf(state);
}

const jobRecordSchema = v.object({
  version: v.literal(recordVersion),
  state: v.picklist(jobStates),
  order: count,
  job: jobSchema,
  pool: text,
  profile: text,
  scope: text,
  /** When we first heard of it. */
  seenAt: moment,
  /** When we heard that it waits for a runner. */
  waitingSince: v.optional(moment),
  /** It was held back by a protection rule first, so its creation says nothing about its wait. */
  wasBlocked: v.optional(v.boolean(), false),
  /** Our own conclusion, which no event told us: GitHub's later word undoes it. */
  inferred: v.optional(v.boolean(), false),
  /** Since when GitHub says that it does not know the job. */
  goneSince: v.optional(moment),
  /** How many runners were started for it. */
  launches: v.optional(count, 0),
  /** How many of those ended without a job while it still waited. */
  unserved: v.optional(count, 0),
  /** The last launch that is counted in `unserved`. */
  unservedLaunch: v.optional(count, 0),
  notBefore: v.optional(moment),
  /** When its next launch was last asked for; cleared when that came to something. */
  askedAt: v.optional(moment),
  /** It gets no more launches until a probe of its pool releases it, or a person does. */
  parked: v.optional(v.boolean(), false),
  parkedAt: v.optional(moment),
  /** How often it was released. */
  releases: v.optional(count, 0),
  /** A Spot task for it was taken back, or never got room: the next one is on demand where the profile allows that. */
  withoutSpot: v.optional(v.boolean(), false),
  // A reason that only a newer version knows is no reason to lose sight of the job.
  reason: v.fallback(v.optional(v.picklist(waitReasonNames)), undefined),
  /** The last decision about it, as a sentence. */
  note: v.optional(v.string()),
  decidedAt: v.optional(moment),
  startedAt: v.optional(moment),
  completedAt: v.optional(moment),
  runnerName: v.optional(v.string()),
  conclusion: v.optional(v.string()),
});
export type JobRecord = v.InferOutput<typeof jobRecordSchema>;

/** Since when a job waits for a runner; milliseconds since the epoch. */
export function queuedAt({ job, wasBlocked, waitingSince }: JobRecord): number {
  return Date.parse(wasBlocked && waitingSince !== undefined ? waitingSince : job.createdAt);
}

const runnerRecordSchema = v.object({
  version: v.literal(recordVersion),
  runnerId: text,
  pool: text,
  profile: text,
  scope: text,
  createdAt: moment,
  /** The repository of the job it was started for: within a pool, repositories are served in turn. */
  repository: v.optional(text),
  /** When it ends by itself without a job, counted from its start. */
  idleMinutes: v.number(),
  /** How long its job may run; absent on what the first release wrote. */
  maxHours: v.optional(v.number()),
  /** What it was started for; a warm runner has neither. */
  jobId: v.optional(text),
  launch: v.optional(count),
  /** Absent only on what the first release wrote: now a record begins with its claim. */
  claimId: v.optional(text),
  claimedAt: v.optional(moment),
  provider: v.optional(text),
  taskDefinition: v.optional(text),
  taskArn: v.optional(text),
  launchedAt: v.optional(moment),
  /** The job that some event named this runner with. */
  busyJobId: v.optional(text),
  busyAt: v.optional(moment),
  /** The claim was taken back before any task could use it. */
  revoked: v.optional(v.boolean(), false),
  /** The sweep that first could not find its task. */
  missingSince: v.optional(moment),
  /** When the reaper deleted its registration. */
  deregisteredAt: v.optional(moment),
  endedAt: v.optional(moment),
  ending: v.fallback(v.optional(v.picklist(endings)), undefined),
});
/** One runner, from its lease on. Live until it has `endedAt`. */
export type RunnerRecord = v.InferOutput<typeof runnerRecordSchema>;

const profileRecordSchema = v.object({
  /** How many runners of the profile are live. */
  leases: v.optional(count, 0),
});
export type ProfileRecord = v.InferOutput<typeof profileRecordSchema>;

/** What a compare-and-set compares: it grows by one with each change. */
const revision = v.optional(count, 0);

const breakerRecordSchema = v.object({
  revision,
  /** Starts in a row that failed before the runner listened. */
  failures: v.optional(count, 0),
  /** Set while the breaker is open; once past, one probe may try. */
  until: v.optional(moment),
  /** When it opened: what began later is a probe. */
  openedAt: v.optional(moment),
  /** The runner that probes. */
  probe: v.optional(text),
});
/** The breaker of a profile in a scope; the rule is in `fleet/waits/breaker.ts`. */
export type BreakerRecord = v.InferOutput<typeof breakerRecordSchema>;

const capacityRecordSchema = v.object({
  revision,
  reason: v.fallback(v.optional(v.picklist(waitReasonNames)), undefined),
  /** What AWS said. */
  note: v.optional(v.string()),
  /** When AWS said no last. */
  refusedAt: v.optional(moment),
  /** Set while AWS has no room; once past, one probe may try. */
  until: v.optional(moment),
  /** Tasks in a row that AWS took and did not start. */
  failures: v.optional(count, 0),
});
/** What AWS has room for, for a profile on one capacity provider; the rule is in `fleet/waits/capacity.ts`. */
export type CapacityRecord = v.InferOutput<typeof capacityRecordSchema>;

const scopeRecordSchema = v.object({
  scope: text,
  holdUntil: v.optional(moment),
  holdReason: v.optional(v.string()),
  /** GitHub refused a runner's registration: a token minted before may be bad. */
  tokenRefusedAt: v.optional(moment),
});
export type ScopeRecord = v.InferOutput<typeof scopeRecordSchema>;

const repositoryRecordSchema = v.object({
  ...jobSchema.entries.repository.entries,
  seenAt: moment,
  askedAt: v.optional(moment),
});
export type RepositoryRecord = v.InferOutput<typeof repositoryRecordSchema>;

const failedDeliverySchema = v.object({
  guid: text,
  /** The newest delivery of this GUID: what GitHub is asked to attempt again. Beyond 2^53, so text. */
  deliveryId: text,
  firstAt: moment,
  lastAt: moment,
  /** How often GitHub's list shows it, and how often we asked for it again: a list may be cut. */
  tries: count,
  asked: v.optional(count, 0),
  statusCode: count,
});
const deliveryCursorSchema = v.object({
  /** When this fleet was first deployed: what failed earlier was never its own. */
  begunAt: moment,
  /** Everything delivered up to here has been looked at. */
  scannedTo: moment,
  /** What has failed so far and was not delivered since. */
  failed: v.array(failedDeliverySchema),
});
export type FailedDelivery = v.InferOutput<typeof failedDeliverySchema>;
export type DeliveryCursor = v.InferOutput<typeof deliveryCursorSchema>;

const decodeJob = decoder(jobRecordSchema, 'job');

/** @throws Error saying which attribute must be what */
export function decodeJobRecord(item: Readonly<Record<string, unknown>>): JobRecord {
  const { held, reason, state } = item;
  // The first release said `held` of a job where now it is parked, and did not say that `refused` is its own conclusion.
  return decodeJob({
    parked: held,
    inferred: state === 'refused' || state === 'expired',
    ...item,
    reason: reason === 'held' ? 'parked' : reason,
  });
}
export const decodeRunnerRecord = decoder(runnerRecordSchema, 'runner');
export const decodeProfileRecord = decoder(profileRecordSchema, 'profile');
export const decodeBreakerRecord = decoder(breakerRecordSchema, 'breaker');
export const decodeCapacityRecord = decoder(capacityRecordSchema, 'capacity');
export const decodeScopeRecord = decoder(scopeRecordSchema, 'scope');
export const decodeRepositoryRecord = decoder(repositoryRecordSchema, 'repository');
export const decodeDeliveryCursor = decoder(deliveryCursorSchema, 'cursor');

function decoder<S extends v.GenericSchema>(schema: S, what: string): (item: unknown) => v.InferOutput<S> {
  return (item) => {
    const result = v.safeParse(schema, item);
    if (result.success) return result.output;
    const [issue] = result.issues;
    throw new Error(`a ${what} record's ${v.getDotPath(issue) ?? 'item'} is wrong: ${issue.message}`);
  };
}

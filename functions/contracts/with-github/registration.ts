import * as v from 'valibot';

const releaseSchema = v.object({ version: v.string(), url: v.string(), sha256: v.string() });

export const registrationSchema = v.object({
  token: v.string(),
  /** Milliseconds since the epoch. */
  tokenExpiresAt: v.number(),
  /** By our own clock; absent on what the first release stored. */
  mintedAt: v.optional(v.number()),
  /** By architecture. */
  releases: v.record(v.string(), releaseSchema),
});

/** Every runner of a scope registers with it. Secret. */
export type Registration = v.InferOutput<typeof registrationSchema>;

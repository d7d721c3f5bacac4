import * as v from 'valibot';
import { jobSchema } from './job.ts';
import { isOurs } from './runner-id.ts';

const text = v.pipe(v.string(), v.minLength(1));
const moment = v.pipe(v.string(), v.isoTimestamp());

export const jobSightingSchema = v.object({
  job: jobSchema,
  /** `queued` waits for a runner; `blocked` is held back by GitHub itself: an approval, or a concurrency group. */
  state: v.picklist(['queued', 'blocked', 'in_progress', 'completed']),
  /** Who says so: the GUID of a delivery, `list` (GitHub's list of jobs), or `look` (one job asked for by its id). */
  by: text,
  runnerName: v.optional(text),
  conclusion: v.optional(text),
  startedAt: v.optional(moment),
  completedAt: v.optional(moment),
});

/** The state of a job as somebody tells it: a delivery, GitHub's list of jobs, or a look at one job. */
export type JobSighting = v.InferOutput<typeof jobSightingSchema>;

/** The runner that a sighting names, when that runner belongs to the fleet with this prefix. */
export function runnerOf({ runnerName }: Pick<JobSighting, 'runnerName'>, prefix: string): string | undefined {
  return runnerName !== undefined && isOurs(runnerName, prefix) ? runnerName : undefined;
}

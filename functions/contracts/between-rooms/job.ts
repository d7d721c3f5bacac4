import * as v from 'valibot';

const text = v.pipe(v.string(), v.minLength(1));

export const jobSchema = v.object({
  /** GitHub's id of this execution of the job; a re-run has another. */
  id: text,
  runId: text,
  attempt: v.pipe(v.number(), v.integer(), v.minValue(1)),
  name: v.string(),
  repository: v.object({
    id: text,
    /** `owner/name`, as GitHub spells it. */
    fullName: v.pipe(v.string(), v.regex(/^[^/\s]+\/[^/\s]+$/)),
    ownerType: v.picklist(['Organization', 'User']),
    private: v.boolean(),
  }),
  /** What `runs-on` asks for, as written. */
  labels: v.array(v.string()),
  createdAt: v.pipe(v.string(), v.isoTimestamp()),
});

/** A job as GitHub describes it, in deliveries and in the REST API alike. */
export type Job = v.InferOutput<typeof jobSchema>;

export type Repository = Job['repository'];

/** The org or the account that a repository belongs to. Lower case, as GitHub ignores case. */
export function ownerOf({ fullName }: Pick<Repository, 'fullName'>): string {
  return fullName.slice(0, fullName.indexOf('/')).toLowerCase();
}

/** Where a runner for the repository's jobs registers: its org, or itself when a personal account owns it. */
export function scopeOf(repository: Pick<Repository, 'fullName' | 'ownerType'>): string {
  return repository.ownerType === 'Organization' ? ownerOf(repository) : repository.fullName.toLowerCase();
}

import type { EmitterWebhookEvent } from '@octokit/webhooks';
import * as v from 'valibot';
import { parseJson } from './json.ts';
import { readMoment, readName } from './odd-fields.ts';
import type { Job } from '../between-rooms/job.ts';

const id = v.pipe(v.union([v.string(), v.number()]), v.transform(String), v.regex(/^\d+$/, 'must be a whole number'));
/** A job can be served without these. One that is odd is read as absent: a refused delivery is never sent again. */
const unread = v.optional(v.unknown());
const text = v.fallback(v.nullish(v.string()), undefined);

/** The parts of GitHub's `workflow_job` payload that we read: https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job */
const workflowJobSchema = v.object({
  action: v.string(),
  workflow_job: v.object({
    id,
    run_id: id,
    run_attempt: v.fallback(v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1), 1),
    name: unread,
    labels: v.array(v.string()),
    status: text,
    conclusion: text,
    created_at: unread,
    started_at: unread,
    completed_at: unread,
    runner_name: text,
  }),
  repository: v.object({
    id,
    full_name: v.pipe(v.string(), v.regex(/^[^/\s]+\/[^/\s]+$/, 'must be "owner/name"')),
    private: v.boolean(),
    owner: v.fallback(v.object({ type: text }), { type: undefined }),
  }),
  organization: unread,
});

type GitHubPayload = EmitterWebhookEvent<'workflow_job'>['payload'];

/** What GitHub told us about one job. */
export type WorkflowJobDelivery = {
  readonly action: string;
  readonly status: string;
  readonly job: Job;
  readonly runnerName?: string;
  readonly conclusion?: string;
  readonly startedAt?: string;
  readonly completedAt?: string;
};

/** @throws Error saying which part of the body must be what; never quotes the body */
export function decodeWorkflowJob(body: string): WorkflowJobDelivery {
  // What GitHub's own types describe must satisfy what we read, or this does not compile; what came is parsed.
  const described = parseBody(body) as GitHubPayload satisfies v.InferInput<typeof workflowJobSchema>;
  const payload = v.safeParse(workflowJobSchema, described);
  if (!payload.success) {
    const [issue] = payload.issues;
    const must = issue.message.startsWith('must')
      ? issue.message
      : `must be ${issue.expected ?? 'as GitHub describes it'}`;
    throw new Error(`${v.getDotPath(issue) ?? 'the body'} ${must}`);
  }
  const { action, workflow_job: job, repository, organization } = payload.output;
  const startedAt = readMoment(job.started_at);
  const completedAt = readMoment(job.completed_at);
  const createdAt = readMoment(job.created_at) ?? startedAt;
  if (createdAt === undefined) throw new Error('workflow_job.created_at must be a date');
  return {
    action,
    status: job.status ?? '',
    job: {
      id: job.id,
      runId: job.run_id,
      attempt: job.run_attempt,
      name: readName(job.name),
      labels: job.labels,
      createdAt,
      repository: {
        id: repository.id,
        fullName: repository.full_name,
        ownerType: ownerTypeOf(repository.owner.type, organization),
        private: repository.private,
      },
    },
    // While a job waits GitHub sends null, 0 or "" for what it does not have yet.
    ...(job.runner_name && { runnerName: job.runner_name }),
    ...(job.conclusion && { conclusion: job.conclusion }),
    ...(startedAt !== undefined && { startedAt }),
    ...(completedAt !== undefined && { completedAt }),
  };
}

/**
 * GitHub tells of the organization where there is one. With no word of either, the narrower scope is the safe one: a runner that
 * registers at one repository can take no job of another.
 */
function ownerTypeOf(type: string | null | undefined, organization: unknown): Job['repository']['ownerType'] {
  if (type) return type === 'User' ? 'User' : 'Organization';
  return typeof organization === 'object' && organization !== null ? 'Organization' : 'User';
}

function parseBody(body: string): unknown {
  try {
    return parseJson(body);
  } catch {
    throw new Error('the body must be JSON');
  }
}

import type { EmitterWebhookEvent } from '@octokit/webhooks';
import * as v from 'valibot';
import { parseJson } from './json.ts';
import type { Job } from '../between-rooms/job.ts';

const id = v.pipe(v.union([v.string(), v.number()]), v.transform(String), v.regex(/^\d+$/, 'must be a whole number'));
const date = v.pipe(
  v.string(),
  v.check((value) => !Number.isNaN(Date.parse(value)), 'must be a date'),
  v.transform((value) => new Date(value).toISOString()),
);

/** The parts of GitHub's `workflow_job` payload that we read: https://docs.github.com/en/webhooks/webhook-events-and-payloads#workflow_job */
const workflowJobSchema = v.object({
  action: v.string(),
  workflow_job: v.object({
    id,
    run_id: id,
    run_attempt: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), 1),
    name: v.string(),
    labels: v.array(v.string()),
    status: v.string(),
    conclusion: v.nullish(v.string()),
    created_at: v.nullish(date),
    started_at: v.nullish(date),
    completed_at: v.nullish(date),
    runner_name: v.nullish(v.string()),
  }),
  repository: v.object({
    id,
    full_name: v.pipe(v.string(), v.regex(/^[^/\s]+\/[^/\s]+$/, 'must be "owner/name"')),
    private: v.boolean(),
    owner: v.object({ type: v.string() }),
  }),
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
  const { action, workflow_job: job, repository } = payload.output;
  const createdAt = job.created_at ?? job.started_at;
  if (createdAt === null || createdAt === undefined) throw new Error('workflow_job.created_at: must be a date');
  return {
    action,
    status: job.status,
    job: {
      id: job.id,
      runId: job.run_id,
      attempt: job.run_attempt,
      name: job.name,
      labels: job.labels,
      createdAt,
      repository: {
        id: repository.id,
        fullName: repository.full_name,
        ownerType: repository.owner.type === 'User' ? 'User' : 'Organization',
        private: repository.private,
      },
    },
    // While a job waits GitHub sends null, 0 or "" for what it does not have yet.
    ...(job.runner_name && { runnerName: job.runner_name }),
    ...(job.conclusion && { conclusion: job.conclusion }),
    ...(job.started_at && { startedAt: job.started_at }),
    ...(job.completed_at && { completedAt: job.completed_at }),
  };
}

function parseBody(body: string): unknown {
  try {
    return parseJson(body);
  } catch {
    throw new Error('the body must be JSON');
  }
}

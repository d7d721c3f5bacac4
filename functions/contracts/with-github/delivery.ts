import type { EmitterWebhookEvent } from '@octokit/webhooks';
import * as v from 'valibot';
import { parseJson } from './json.ts';
import { readMoment, readName } from './odd-fields.ts';
import type { JobSighting } from '../between-rooms/job-sighting.ts';
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
  readonly job: Job;
  /** What that says of the job; undefined for an action that asks for nothing. */
  readonly sighting: JobSighting | undefined;
};

/**
 * @param by the delivery's GUID
 * @throws Error saying which part of the body must be what; never quotes the body
 */
export function decodeWorkflowJob(body: string, by: string): WorkflowJobDelivery {
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
  const { action, workflow_job: told, repository, organization } = payload.output;
  const startedAt = readMoment(told.started_at);
  const createdAt = readMoment(told.created_at) ?? startedAt;
  if (createdAt === undefined) throw new Error('workflow_job.created_at must be a date');
  const job: Job = {
    id: told.id,
    runId: told.run_id,
    attempt: told.run_attempt,
    name: readName(told.name),
    labels: [...new Set(told.labels)],
    createdAt,
    repository: {
      id: repository.id,
      fullName: repository.full_name,
      ownerType: ownerTypeOf(repository.owner.type, organization),
      private: repository.private,
    },
  };
  const state = stateOf(action, told.status);
  return {
    action,
    job,
    sighting: state && {
      job,
      state,
      by,
      startedAt,
      completedAt: readMoment(told.completed_at),
      // While a job waits GitHub sends null, 0 or "" for what it does not have yet.
      runnerName: told.runner_name || undefined,
      conclusion: told.conclusion || undefined,
    },
  };
}

function stateOf(action: string, status: string | null | undefined): JobSighting['state'] | undefined {
  switch (action) {
    case 'queued':
      // A job held by a deployment protection rule may be announced as queued while its status says waiting.
      return status === 'waiting' ? 'blocked' : 'queued';
    case 'waiting':
      return 'blocked';
    case 'in_progress':
    case 'completed':
      return action;
    default:
      return undefined;
  }
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

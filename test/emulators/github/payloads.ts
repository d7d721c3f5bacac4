import type { Account, Installation, Repository } from './accounts.ts';
import type { Job, JobAction } from './jobs.ts';
import { formatTime, nodeId, pickExample, without, type AppShape, type Shape, type Shapes } from './shapes.ts';

const isModern = ({ workflow_job: job }: Shape) => typeof job === 'object' && job !== null && 'workflow_name' in job;
const jobExample = (action: JobAction) =>
  pickExample('workflow_job', (example) => example.action === action && isModern(example));

const jobExamples = {
  queued: pickExample('workflow_job', (example) => example.action === 'queued' && 'deployment' in example),
  waiting: jobExample('waiting'),
  in_progress: jobExample('in_progress'),
  completed: pickExample('workflow_job', (example) => example.action === 'completed'),
};

type Step = { readonly [key: string]: unknown };

export type InstallationAction = 'created' | 'deleted' | 'suspend' | 'unsuspend' | 'new_permissions_accepted';

/** What GitHub posts, made from real examples with our ids, names and times in them. */
export class Payloads {
  readonly #shapes: Shapes;
  readonly #app: AppShape;
  readonly #installationOf: (account: Account) => Installation | undefined;

  constructor(shapes: Shapes, app: AppShape, installationOf: (account: Account) => Installation | undefined) {
    this.#shapes = shapes;
    this.#app = app;
    this.#installationOf = installationOf;
  }

  workflowJob(job: Job, action: JobAction): Shape {
    const example = jobExamples[action];
    const exampleJob = example['workflow_job'] as Shape & { readonly steps: readonly Step[] };
    return {
      ...without(example, 'deployment', 'organization', 'installation'),
      ...(job.status === 'waiting' && { deployment: this.#deployment(job) }),
      action,
      workflow_job: { ...exampleJob, ...this.#shapes.job(job), steps: this.#steps(job, exampleJob.steps) },
      ...this.#surroundings(job.repository),
    };
  }

  ping(hook: { readonly id: number; readonly config: Shape }, at: number): Shape {
    const example = pickExample('ping', ({ organization }) => organization !== undefined);
    return {
      ...without(example, 'organization', 'sender'),
      hook_id: hook.id,
      hook: {
        type: 'App',
        id: hook.id,
        name: 'web',
        active: true,
        events: ['workflow_job'],
        config: hook.config,
        updated_at: formatTime(at),
        created_at: formatTime(at),
        app_id: Number(this.#app.id),
      },
    };
  }

  installation(installation: Installation, action: InstallationAction, repositories: readonly Repository[]): Shape {
    const example = pickExample('installation', (each) => each.action === action);
    return {
      ...without(example, 'requester'),
      action,
      installation: this.#shapes.installation(installation, this.#app),
      ...('repositories' in example && {
        repositories: repositories.map((repository) => ({
          id: repository.id,
          node_id: nodeId('R', repository.id),
          name: repository.name,
          full_name: repository.fullName,
          private: repository.private,
        })),
      }),
      sender: this.#shapes.user({ ...installation.account, type: 'User' }),
    };
  }

  #surroundings(repository: Repository): Shape {
    const { owner } = repository;
    const installation = this.#installationOf(owner);
    return {
      repository: this.#shapes.repository(repository),
      ...(owner.type === 'Organization' && { organization: this.#shapes.organization(owner) }),
      sender: this.#shapes.user({ id: 3001, login: owner.type === 'User' ? owner.login : 'dev', type: 'User' }),
      ...(installation && { installation: { id: installation.id, node_id: nodeId('I', installation.id) } }),
    };
  }

  #deployment(job: Job): Shape {
    const url = `${String(this.#shapes.repository(job.repository)['url'])}/deployments/${job.id}`;
    return {
      ...(jobExamples.queued['deployment'] as Shape),
      url,
      id: Number(job.id),
      node_id: nodeId('DE', job.id),
      sha: job.headSha,
      ref: job.headBranch,
      created_at: formatTime(job.createdAt),
      updated_at: formatTime(job.createdAt),
      statuses_url: `${url}/statuses`,
      creator: this.#shapes.user(job.repository.owner),
    };
  }

  /** The example's steps at this job's times; a job that no runner took has none. */
  #steps(job: Job, steps: readonly Step[]): readonly Step[] {
    if (job.runner === null) return [];
    const started = new Date(job.startedAt).toISOString();
    const { completedAt, conclusion } = job;
    return steps.map((step) =>
      completedAt === null
        ? {
            ...step,
            started_at: step['started_at'] === null ? null : started,
            completed_at: step['completed_at'] === null ? null : started,
          }
        : { ...step, conclusion, started_at: started, completed_at: new Date(completedAt).toISOString() },
    );
  }
}

import { createRequire } from 'node:module';
import type { Account, Installation, Permissions, Repository, RunnerGroup } from './accounts.ts';
import type { InstallationToken } from './app-auth.ts';
import type { Delivery } from './deliveries.ts';
import { judgeRun, type Job, type Run } from './jobs.ts';
import type { Runner } from './runners.ts';

export type Shape = Record<string, unknown>;

type Example = Shape & { readonly action?: string };

/** Real payloads, contributed by users of octokit. */
const examples = createRequire(import.meta.url)('@octokit/webhooks-examples') as ReadonlyArray<{
  readonly name: string;
  readonly examples: readonly Example[];
}>;

export function pickExample(event: string, fits: (example: Example) => boolean): Example {
  const found = examples.find(({ name }) => name === event)?.examples.find(fits);
  if (found === undefined) throw new Error(`@octokit/webhooks-examples must have a fitting ${event}`);
  return found;
}

export type AppShape = {
  readonly id: string;
  readonly clientId: string;
  readonly slug: string;
  readonly name: string;
  readonly createdAt: number;
};

export const formatTime = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;
const formatOptionalTime = (ms: number | null | undefined) => (ms === null || ms === undefined ? null : formatTime(ms));

/** Labels that a runner brings with it; the others are custom. */
const ownLabels = new Set(['self-hosted', 'linux', 'windows', 'macos', 'x64', 'x86', 'arm', 'arm64']);

const source = pickExample(
  'workflow_job',
  ({ action, installation }) => action === 'queued' && installation !== undefined,
);
const sourceRepository = source['repository'] as Shape & { full_name: string; owner: { login: string } };
const sourceOrganization = pickExample('workflow_job', ({ organization }) => organization !== undefined)[
  'organization'
] as Shape & { login: string };

/** Our things in GitHub's words: what REST answers and deliveries are made of, grown from real examples. */
export class Shapes {
  readonly #url: string;
  readonly #apiUrl: string;
  readonly #repositories = new Map<string, Shape>();

  constructor(urls: { readonly url: string; readonly apiUrl: string }) {
    this.#url = urls.url;
    this.#apiUrl = urls.apiUrl;
  }

  user(account: Account): Shape {
    return {
      ...this.#rewrite(sourceRepository.owner, [[sourceRepository.owner.login, account.login]]),
      id: account.id,
      node_id: nodeId('U', account.id),
      type: account.type,
    };
  }

  organization(account: Account): Shape {
    return {
      ...this.#rewrite(sourceOrganization, [[sourceOrganization.login, account.login]]),
      id: account.id,
      node_id: nodeId('O', account.id),
    };
  }

  repository(repository: Repository): Shape {
    const known = this.#repositories.get(`${repository.fullName} ${repository.private}`);
    if (known !== undefined) return known;
    const shape = {
      ...this.#rewrite(sourceRepository, [
        [sourceRepository.full_name, repository.fullName],
        [sourceRepository.owner.login, repository.owner.login],
      ]),
      id: repository.id,
      node_id: nodeId('R', repository.id),
      name: repository.name,
      full_name: repository.fullName,
      owner: this.user(repository.owner),
      private: repository.private,
      visibility: repository.private ? 'private' : 'public',
      default_branch: 'main',
    };
    this.#repositories.set(`${repository.fullName} ${repository.private}`, shape);
    return shape;
  }

  /** The details that only GET of one repository has. */
  fullRepository(repository: Repository): Shape {
    return { ...this.repository(repository), has_discussions: false, network_count: 0, subscribers_count: 0 };
  }

  app(app: AppShape, owner: Account, permissions: Permissions, installations: number): Shape {
    return {
      id: Number(app.id),
      slug: app.slug,
      client_id: app.clientId,
      node_id: nodeId('A', app.id),
      owner: this.user(owner),
      name: app.name,
      description: null,
      external_url: this.#url,
      html_url: `${this.#url}/apps/${app.slug}`,
      created_at: formatTime(app.createdAt),
      updated_at: formatTime(app.createdAt),
      permissions,
      events: ['workflow_job'],
      installations_count: installations,
    };
  }

  installation(installation: Installation, app: AppShape): Shape {
    const { id, account, permissions, repositories, createdAt, suspendedAt } = installation;
    return {
      id,
      client_id: app.clientId,
      account: this.user(account),
      repository_selection: repositories === undefined ? 'all' : 'selected',
      access_tokens_url: `${this.#apiUrl}/app/installations/${id}/access_tokens`,
      repositories_url: `${this.#apiUrl}/installation/repositories`,
      html_url: `${this.#url}/organizations/${account.login}/settings/installations/${id}`,
      app_id: Number(app.id),
      app_slug: app.slug,
      target_id: account.id,
      target_type: account.type,
      permissions,
      events: ['workflow_job'],
      created_at: formatTime(createdAt),
      updated_at: formatTime(createdAt),
      single_file_name: null,
      has_multiple_single_files: false,
      single_file_paths: [],
      suspended_by: suspendedAt === undefined ? null : this.user(account),
      suspended_at: formatOptionalTime(suspendedAt),
    };
  }

  installationToken({ token, expiresAt, permissions, repositories, installation }: InstallationToken): Shape {
    const selected = repositories !== undefined || installation.repositories !== undefined;
    return {
      token,
      expires_at: formatTime(expiresAt),
      permissions,
      repository_selection: selected ? 'selected' : 'all',
      ...(repositories && { repositories: repositories.map((repository) => this.repository(repository)) }),
    };
  }

  runner(runner: Runner, { online, busy }: { readonly online: boolean; readonly busy: boolean }): Shape {
    return {
      id: runner.id,
      name: runner.name,
      os: runner.os,
      status: online ? 'online' : 'offline',
      busy,
      labels: runner.labels.map((name, index) =>
        ownLabels.has(name.toLowerCase())
          ? { id: index + 1, name, type: 'read-only' }
          : { id: 100 + index, name, type: 'custom' },
      ),
      runner_group_id: runner.groupId,
      ephemeral: runner.ephemeral,
      version: runner.version,
    };
  }

  runnerGroup(login: string, group: RunnerGroup): Shape {
    const url = `${this.#apiUrl}/orgs/${login}/actions/runner-groups/${group.id}`;
    return {
      id: group.id,
      name: group.name,
      visibility: group.visibility,
      default: group.id === 1,
      runners_url: `${url}/runners`,
      hosted_runners_url: `${url}/hosted-runners`,
      ...(group.visibility === 'selected' && { selected_repositories_url: `${url}/repositories` }),
      inherited: false,
      allows_public_repositories: group.allowsPublicRepositories,
      restricted_to_workflows: false,
      selected_workflows: [],
      workflow_restrictions_read_only: false,
    };
  }

  /** The part that REST and deliveries have in common. */
  job(job: Job): Shape {
    const repository = `${this.#apiUrl}/repos/${job.repository.fullName}`;
    return {
      id: Number(job.id),
      run_id: Number(job.runId),
      workflow_name: job.workflowName,
      head_branch: job.headBranch,
      run_url: `${repository}/actions/runs/${job.runId}`,
      run_attempt: job.runAttempt,
      node_id: nodeId('CR', job.id),
      head_sha: job.headSha,
      url: `${repository}/actions/jobs/${job.id}`,
      html_url: `${this.#url}/${job.repository.fullName}/actions/runs/${job.runId}/job/${job.id}`,
      status: job.status,
      conclusion: job.conclusion,
      created_at: formatTime(job.createdAt),
      started_at: formatTime(job.startedAt),
      completed_at: formatOptionalTime(job.completedAt),
      name: job.name,
      steps: [],
      check_run_url: `${repository}/check-runs/${job.id}`,
      labels: job.labels,
      runner_id: job.runner?.id ?? null,
      runner_name: job.runner?.name ?? null,
      runner_group_id: job.runner?.groupId ?? null,
      runner_group_name: job.runner?.groupName ?? null,
    };
  }

  run(run: Run): Shape {
    const repository = `${this.#apiUrl}/repos/${run.repository.fullName}`;
    const url = `${repository}/actions/runs/${run.id}`;
    return {
      id: Number(run.id),
      name: run.workflowName,
      node_id: nodeId('WFR', run.id),
      check_suite_id: Number(run.id) + 1,
      head_branch: run.headBranch,
      head_sha: run.headSha,
      path: '.github/workflows/ci.yml@main',
      display_title: run.workflowName,
      run_number: run.number,
      event: 'push',
      ...judgeRun(run),
      workflow_id: run.repository.id,
      url,
      html_url: `${this.#url}/${run.repository.fullName}/actions/runs/${run.id}`,
      pull_requests: [],
      created_at: formatTime(run.createdAt),
      updated_at: formatTime(run.updatedAt),
      actor: this.user(run.repository.owner),
      triggering_actor: this.user(run.repository.owner),
      run_attempt: run.attempts.length,
      run_started_at: formatTime(run.attempts.at(-1)?.[0]?.createdAt ?? run.createdAt),
      jobs_url: `${url}/jobs`,
      logs_url: `${url}/logs`,
      check_suite_url: `${repository}/check-suites/${Number(run.id) + 1}`,
      artifacts_url: `${url}/artifacts`,
      cancel_url: `${url}/cancel`,
      rerun_url: `${url}/rerun`,
      previous_attempt_url: run.attempts.length > 1 ? `${url}/attempts/${run.attempts.length - 1}` : null,
      workflow_url: `${repository}/actions/workflows/${run.repository.id}`,
      head_commit: null,
      repository: this.repository(run.repository),
      head_repository: this.repository(run.repository),
    };
  }

  delivery(delivery: Delivery): Shape {
    return {
      // Beyond 2^53 and written as a bare integer: JSON.parse gets it wrong, as it does with GitHub's.
      id: BigInt(delivery.id),
      guid: delivery.guid,
      delivered_at: new Date(delivery.deliveredAt).toISOString(),
      redelivery: delivery.redelivery,
      duration: delivery.durationSeconds,
      status: delivery.status,
      status_code: delivery.statusCode,
      event: delivery.event,
      action: delivery.action,
      installation_id: delivery.installationId === null ? null : Number(delivery.installationId),
      repository_id: delivery.repositoryId === null ? null : Number(delivery.repositoryId),
      throttled_at: null,
    };
  }

  fullDelivery(delivery: Delivery): Shape {
    return {
      ...this.delivery(delivery),
      url: delivery.url,
      request: { headers: delivery.request.headers, payload: JSON.parse(delivery.request.body) as unknown },
      response: { headers: delivery.response?.headers ?? null, payload: delivery.response?.body ?? null },
    };
  }

  /** Puts our names and host in place of the example's, wherever they occur. */
  #rewrite(example: Shape, names: ReadonlyArray<readonly [from: string, to: string]>): Shape {
    const hosts = [
      ['https://api.github.com', this.#apiUrl],
      ['https://github.com', this.#url],
      ['github.com', new URL(this.#url).host],
    ] as const;
    let text = JSON.stringify(example);
    for (const [from, to] of [...names, ...hosts]) text = text.replaceAll(from, to);
    return JSON.parse(text) as Shape;
  }
}

export function without(shape: Shape, ...keys: readonly string[]): Shape {
  return Object.fromEntries(Object.entries(shape).filter(([key]) => !keys.includes(key)));
}

export function nodeId(kind: string, id: string | number): string {
  return `${kind}_${Buffer.from(`emulated:${id}`).toString('base64url')}`;
}

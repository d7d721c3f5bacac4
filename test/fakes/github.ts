import type { Registration } from '../../functions/contracts/with-github/registration.ts';
import { GitHubError, type GitHubFailure } from '../../functions/contracts/with-github/errors.ts';
import { ownerOf, type Job, type Repository } from '../../functions/contracts/between-rooms/job.ts';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import type { GitHubDeliveries } from '../../functions/github/deliveries.ts';
import type { GitHubJobs } from '../../functions/github/jobs.ts';
import type { RateLimit } from '../../functions/contracts/with-github/rate-limit.ts';
import type { GitHubRunners } from '../../functions/github/runners.ts';

type DeliveryRecord = Awaited<ReturnType<GitHubDeliveries['listDeliveries']>>['deliveries'][number];
type RegisteredRunner = Awaited<ReturnType<GitHubRunners['listRegistered']>>[number];

type Operations = GitHubRunners &
  Omit<GitHubJobs, 'listRepositories'> &
  GitHubDeliveries & {
    readonly listInstalled: GitHubJobs['listRepositories'];
    /** A registration good for an hour, minted anew when it has less than 25 minutes left. */
    readonly readRegistration: (scope: string, mintedAfter: number) => Promise<Registration>;
  };

export type FakeGitHub = Operations & {
  readonly rateLimit: (scope: string) => RateLimit | undefined;
  /** By job id: what GitHub says of it. */
  readonly jobs: Map<string, JobSighting>;
  /** By scope. */
  readonly registrations: Map<string, RegisteredRunner[]>;
  readonly repositories: Repository[];
  /** Newest last. */
  readonly deliveries: DeliveryRecord[];
  readonly redelivered: string[];
  /** By scope; none of them is told until it is set. */
  readonly limits: Map<string, RateLimit>;
  /** Each call, as `operation argument`. */
  readonly calls: string[];
  readonly mints: string[];
  readonly tell: (job: Job, look: Partial<Omit<JobSighting, 'job'>>) => void;
  readonly register: (scope: string, name: string, runner?: Partial<RegisteredRunner>) => RegisteredRunner;
  /** The next calls of the operation fail. */
  readonly failNext: (operation: keyof Operations, failure: GitHubError, times?: number) => void;
};

const pageSize = 100;

/** GitHub's side in memory: jobs, registrations, tokens, deliveries, and whatever goes wrong. */
export function fakeGitHub(now: () => number): FakeGitHub {
  const jobs = new Map<string, JobSighting>();
  const registrations = new Map<string, RegisteredRunner[]>();
  const repositories: Repository[] = [];
  const deliveries: DeliveryRecord[] = [];
  const redelivered: string[] = [];
  const limits = new Map<string, RateLimit>();
  const calls: string[] = [];
  const mints: string[] = [];
  const tokens = new Map<string, Registration>();
  const failures = new Map<string, GitHubError[]>();
  let nextId = 1;

  const called = (operation: keyof Operations, ...about: readonly string[]): void => {
    calls.push([operation, ...about].join(' '));
    const failure = failures.get(operation)?.shift();
    if (failure !== undefined) throw failure;
  };
  const registered = (scope: string): RegisteredRunner[] => {
    const runners = registrations.get(scope) ?? [];
    registrations.set(scope, runners);
    return runners;
  };
  const mintToken: Operations['mintToken'] = async (scope) => {
    called('mintToken', scope);
    mints.push(scope);
    return { token: `AAAA-token-${mints.length}`, expiresAt: now() + 3600_000 };
  };
  const listReleases: Operations['listReleases'] = async (scope) => {
    called('listReleases', scope);
    return Object.fromEntries(['x64', 'arm64'].map((arch) => [arch, aRelease(arch)]));
  };

  return {
    jobs,
    registrations,
    repositories,
    deliveries,
    redelivered,
    limits,
    calls,
    mints,
    tell: (job, look) => {
      jobs.set(job.id, { job, state: 'queued', by: 'look', ...look });
    },
    register: (scope, name, parts = {}) => {
      const runner = { id: String(nextId++), name, online: true, busy: false, ...parts };
      registered(scope).push(runner);
      return runner;
    },
    failNext: (operation, failure, times = 1) => {
      const planned = failures.get(operation) ?? [];
      planned.push(...Array.from({ length: times }, () => failure));
      failures.set(operation, planned);
    },
    rateLimit: (scope) => limits.get(scope),

    mintToken,
    listReleases,
    readRegistration: async (scope, mintedAfter) => {
      called('readRegistration', scope);
      const known = tokens.get(scope);
      const isGood = known !== undefined && known.tokenExpiresAt - now() > 25 * 60_000;
      if (isGood && (known.mintedAt ?? 0) >= mintedAfter) return known;
      const [{ token, expiresAt }, releases] = await Promise.all([mintToken(scope), listReleases(scope)]);
      const registration = { token, tokenExpiresAt: expiresAt, mintedAt: now(), releases };
      tokens.set(scope, registration);
      return registration;
    },
    listRegistered: async (scope) => {
      called('listRegistered', scope);
      return [...registered(scope)];
    },
    findRegistered: async (scope, name) => {
      called('findRegistered', scope, name);
      return registered(scope).find((runner) => runner.name === name);
    },
    deleteRegistered: async (scope, id) => {
      called('deleteRegistered', scope, id);
      const runners = registered(scope);
      const at = runners.findIndex((runner) => runner.id === id);
      if (at === -1) return 'gone';
      if (runners[at]?.busy) return 'busy';
      runners.splice(at, 1);
      return 'deleted';
    },
    lookAtJob: async (job) => {
      called('lookAtJob', job.id);
      return jobs.get(job.id) ?? 'gone';
    },
    listUnfinishedJobs: async (repository, mayAsk = () => true) => {
      called('listUnfinishedJobs', repository.fullName);
      if (!mayAsk()) return { jobs: [], complete: false };
      const unfinished = [...jobs.values()].filter(
        ({ job, state }) => job.repository.id === repository.id && state !== 'completed',
      );
      return { jobs: unfinished, complete: true };
    },
    listInstalled: async (owner) => {
      called('listInstalled', owner);
      return repositories.filter((repository) => ownerOf(repository) === owner);
    },
    listDeliveries: async (since, mayAsk) => {
      called('listDeliveries');
      const listed = deliveries.filter(({ deliveredAt }) => deliveredAt >= since).toReversed();
      for (let pages = 1; pages * pageSize < listed.length; pages += 1) {
        if (!mayAsk(pages)) return { deliveries: listed.slice(0, pages * pageSize), complete: false };
      }
      return { deliveries: listed, complete: true };
    },
    redeliver: async (id) => {
      called('redeliver', id);
      redelivered.push(id);
    },
  };
}

export function aRelease(arch: string): { version: string; url: string; sha256: string } {
  return {
    version: '2.330.0',
    url: `https://github.com/actions/runner/releases/download/v2.330.0/actions-runner-linux-${arch}-2.330.0.tar.gz`,
    sha256: arch.padEnd(64, '0'),
  };
}

/** GitHub says no. */
export function aGitHubError(
  kind: GitHubFailure,
  options: ConstructorParameters<typeof GitHubError>[2] = {},
): GitHubError {
  return new GitHubError(kind, `GET /somewhere: ${kind}`, options);
}

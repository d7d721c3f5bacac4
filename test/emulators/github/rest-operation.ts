import type { Clock } from '../clock.ts';
import type { Account, Accounts, Permissions, Repository } from './accounts.ts';
import type { AppAuth, InstallationToken } from './app-auth.ts';
import type { Behaviour } from './behaviour.ts';
import type { Deliveries } from './deliveries.ts';
import type { Jobs } from './jobs.ts';
import type { AppManifests } from './manifests.ts';
import type { RateLimits } from './rate-limit.ts';
import type { RestAnswer } from './rest-answers.ts';
import type { Runners } from './runners.ts';
import type { AppShape, Shapes } from './shapes.ts';

export type RestCall = {
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: Readonly<Record<string, unknown>> | undefined;
  /** The address that was called, without its query. */
  readonly base: string;
  readonly token: InstallationToken | undefined;
  /** Who the rate limit counts for. */
  readonly bearer: string;
};

export type RestOperation = {
  readonly auth: 'app' | 'installation' | 'either' | 'nobody';
  readonly permission?: readonly [name: string, level: 'read' | 'write'];
  readonly answer: (call: RestCall) => RestAnswer;
};

export type RestParts = {
  readonly clock: Clock;
  readonly behaviour: () => Behaviour;
  readonly app: AppShape;
  readonly owner: () => Account;
  readonly accounts: Accounts;
  readonly auth: AppAuth;
  readonly jobs: Jobs;
  readonly runners: Runners;
  readonly deliveries: Deliveries;
  readonly manifests: AppManifests;
  readonly limits: RateLimits;
  readonly shapes: Shapes;
  readonly url: string;
};

const levels = ['read', 'write', 'admin'];

export function permits(held: Permissions, [name, level]: readonly [string, string]): boolean {
  return levels.indexOf(held[name] ?? '') >= levels.indexOf(level);
}

/** A repository that the call's token may see. */
export function findRepository(accounts: Accounts, { token, parameters }: RestCall): Repository | undefined {
  const repository = accounts.findRepository(`${parameters['owner']}/${parameters['repo']}`);
  if (repository === undefined || token === undefined || !accounts.covers(token.installation, repository))
    return undefined;
  const { repositories } = token;
  return repositories === undefined || repositories.some(({ id }) => id === repository.id) ? repository : undefined;
}

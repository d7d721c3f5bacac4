import { randomBytes } from 'node:crypto';
import { notFound, refuse, takePage, type RestAnswer } from './rest-answers.ts';
import { findRepository, type RestCall, type RestOperation, type RestParts } from './rest-operation.ts';
import { scopeOf, type Runner, type Scope } from './runners.ts';
import type { Shape } from './shapes.ts';

const encode = (content: Shape) => Buffer.from(JSON.stringify(content)).toString('base64');

type ScopeCall = RestCall & { readonly scope: Scope };

/** Runners of an organization or a repository, their tokens and groups. */
export function defineRunnerOperations(parts: RestParts): Record<string, RestOperation> {
  const { accounts, behaviour, runners, shapes, url } = parts;
  const show = (runner: Runner) =>
    shapes.runner(runner, { online: runners.isOnline(runner), busy: runners.showsBusy(runner) });
  const single =
    (answer: (runner: Runner) => RestAnswer) =>
    ({ scope, parameters }: ScopeCall) => {
      const runner = runners.byId(scope, Number(parameters['runner_id']));
      return runner === undefined ? notFound : answer(runner);
    };
  const issue =
    (kind: 'registration' | 'remove') =>
    ({ scope }: ScopeCall): RestAnswer => {
      const { token, expiresAt } = runners.issueToken(scope, kind);
      return { status: 201, body: { token, expires_at: new Date(expiresAt).toISOString() } };
    };
  const both = (
    names: readonly [org: string, repo: string],
    level: 'read' | 'write',
    answer: (call: ScopeCall) => RestAnswer,
  ): Record<string, RestOperation> => ({
    [names[0]]: {
      auth: 'installation',
      permission: ['organization_self_hosted_runners', level],
      answer: (call) => {
        const scope = findOrgScope(call);
        return scope === undefined ? notFound : answer({ ...call, scope });
      },
    },
    [names[1]]: {
      auth: 'installation',
      permission: ['administration', level],
      answer: (call) => {
        const repository = findRepository(accounts, call);
        return repository === undefined ? notFound : answer({ ...call, scope: scopeOf(repository.owner, repository) });
      },
    },
  });
  return {
    ...both(
      ['actions/list-self-hosted-runners-for-org', 'actions/list-self-hosted-runners-for-repo'],
      'read',
      ({ scope, query, base }) => {
        const name = query.get('name');
        const all =
          name === null ? runners.of(scope) : [runners.byName(scope, name)].filter((each) => each !== undefined);
        const { items, headers } = takePage(all, query, base);
        return { status: 200, headers, body: { total_count: all.length, runners: items.map(show) } };
      },
    ),
    ...both(
      ['actions/get-self-hosted-runner-for-org', 'actions/get-self-hosted-runner-for-repo'],
      'read',
      single((runner) => ({ status: 200, body: show(runner) })),
    ),
    ...both(
      ['actions/delete-self-hosted-runner-from-org', 'actions/delete-self-hosted-runner-from-repo'],
      'write',
      single((runner) => {
        if (runner.assignment !== undefined) {
          return refuse(422, `Bad request - Runner "${runner.name}" is still running a job`);
        }
        runners.remove(runner, 'deleted');
        return { status: 204 };
      }),
    ),
    ...both(
      ['actions/create-registration-token-for-org', 'actions/create-registration-token-for-repo'],
      'write',
      issue('registration'),
    ),
    ...both(['actions/create-remove-token-for-org', 'actions/create-remove-token-for-repo'], 'write', issue('remove')),
    ...both(['actions/list-runner-applications-for-org', 'actions/list-runner-applications-for-repo'], 'read', () => ({
      status: 200,
      body: behaviour().runnerDownloads,
    })),
    ...both(
      ['actions/generate-runner-jitconfig-for-org', 'actions/generate-runner-jitconfig-for-repo'],
      'write',
      ({ scope, body = {} }) => {
        const group = accounts.groupById(scope.account.login, Number(body['runner_group_id']));
        if (group === undefined || (scope.repository !== undefined && group.id !== 1)) return notFound;
        if (!runners.countRegistration(scope)) return refuse(403, 'You have exceeded a secondary rate limit.');
        const runner = runners.register({
          scope,
          name: String(body['name']),
          group,
          labels: body['labels'] as readonly string[],
          ephemeral: true,
          os: 'unknown',
          version: null,
          replace: false,
        });
        if (runner === undefined) {
          return refuse(409, 'Already exists - A runner with the name *** already exists.');
        }
        return { status: 201, body: { runner: show(runner), encoded_jit_config: encodeJitConfig(runner, url) } };
      },
    ),
    'actions/list-self-hosted-runner-groups-for-org': {
      auth: 'installation',
      permission: ['organization_self_hosted_runners', 'read'],
      answer: (call) => {
        const scope = findOrgScope(call);
        if (scope === undefined) return notFound;
        const { login } = scope.account;
        const visibleTo = call.query.get('visible_to_repository');
        const repository = visibleTo === null ? undefined : accounts.findRepository(`${login}/${visibleTo}`);
        const all = accounts
          .groupsOf(login)
          .filter(({ visibility, repositories }) =>
            visibleTo === null ? true : visibility !== 'selected' || repositories.includes(repository?.fullName ?? ''),
          );
        const { items, headers } = takePage(all, call.query, call.base);
        const body = { total_count: all.length, runner_groups: items.map((each) => shapes.runnerGroup(login, each)) };
        return { status: 200, headers, body };
      },
    },
  };
}

/** The three files that config.sh would have written, as the real one has them; with an RSA key's length of filling. */
function encodeJitConfig(runner: Runner, url: string): string {
  const config = {
    '.runner': encode({
      AgentId: String(runner.id),
      AgentName: runner.name,
      PoolId: String(runner.groupId),
      ServerUrl: url,
      Ephemeral: true,
    }),
    '.credentials': encode({ Scheme: 'OAuth', Data: { ClientId: runner.credential } }),
    '.credentials_rsaparams': encode({ d: randomBytes(1600).toString('base64') }),
  };
  return encode(config);
}

function findOrgScope({ token, parameters }: RestCall): Scope | undefined {
  const account = token?.installation.account;
  if (account?.type !== 'Organization') return undefined;
  return account.login.toLowerCase() === parameters['org']?.toLowerCase() ? scopeOf(account) : undefined;
}

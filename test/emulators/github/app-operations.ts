import type { Accounts, Installation, Permissions, Repository } from './accounts.ts';
import { notFound, refuse, takePage, type RestAnswer } from './rest-answers.ts';
import { permits, type RestOperation, type RestParts } from './rest-operation.ts';

/** The App itself, its installations and their tokens. */
export function defineAppOperations(parts: RestParts): Record<string, RestOperation> {
  const { accounts, app, auth, behaviour, clock, limits, manifests, owner, shapes } = parts;
  const show = (installation: Installation | undefined): RestAnswer =>
    installation === undefined ? notFound : { status: 200, body: shapes.installation(installation, app) };
  const granted: Permissions = {
    actions: 'write',
    administration: 'write',
    metadata: 'read',
    organization_self_hosted_runners: 'write',
  };
  return {
    'apps/get-authenticated': {
      auth: 'app',
      answer: () => ({ status: 200, body: shapes.app(app, owner(), granted, accounts.installations.length) }),
    },
    'apps/list-installations': {
      auth: 'app',
      answer: ({ query, base }) => {
        const { items, headers } = takePage(accounts.installations, query, base);
        return { status: 200, headers, body: items.map((each) => shapes.installation(each, app)) };
      },
    },
    'apps/get-installation': {
      auth: 'app',
      answer: ({ parameters }) => show(accounts.installationById(Number(parameters['installation_id']))),
    },
    'apps/get-org-installation': {
      auth: 'app',
      answer: ({ parameters }) => {
        const account = accounts.findAccount(parameters['org'] ?? '');
        return account?.type === 'Organization' ? show(accounts.installationOf(account.login)) : notFound;
      },
    },
    'apps/get-user-installation': {
      auth: 'app',
      answer: ({ parameters }) => {
        const account = accounts.findAccount(parameters['username'] ?? '');
        return account?.type === 'User' ? show(accounts.installationOf(account.login)) : notFound;
      },
    },
    'apps/get-repo-installation': {
      auth: 'app',
      answer: ({ parameters }) => {
        const repository = accounts.findRepository(`${parameters['owner']}/${parameters['repo']}`);
        const installation = repository && accounts.installationOf(repository.owner.login);
        return repository && installation && accounts.covers(installation, repository) ? show(installation) : notFound;
      },
    },
    'apps/create-installation-access-token': {
      auth: 'app',
      answer: ({ parameters, body = {} }) => {
        const installation = accounts.installationById(Number(parameters['installation_id']));
        if (installation === undefined) return notFound;
        if (installation.suspendedAt !== undefined) return refuse(403, 'This installation has been suspended');
        const wanted = (body['permissions'] ?? installation.permissions) as Permissions;
        const beyond = Object.entries(wanted).filter((permission) => !permits(installation.permissions, permission));
        if (beyond.length > 0) return refuse(422, 'The permissions requested are not granted to this installation.');
        const repositories = narrow(accounts, installation, body);
        if (repositories === 'beyond') {
          return refuse(
            422,
            'There is at least one repository that does not exist or is not accessible to the parent installation.',
          );
        }
        const expiresAt = clock.now() + behaviour().installationTokenMs;
        const permissions = { ...wanted, metadata: 'read' };
        return {
          status: 201,
          body: shapes.installationToken(auth.issueToken({ installation, permissions, repositories, expiresAt })),
        };
      },
    },
    'apps/revoke-installation-access-token': {
      auth: 'installation',
      answer: ({ token }) => {
        auth.revokeToken(token?.token ?? '');
        return { status: 204 };
      },
    },
    'apps/list-repos-accessible-to-installation': {
      auth: 'installation',
      answer: ({ token, query, base }) => {
        const all = token?.repositories ?? (token === undefined ? [] : accounts.repositoriesOf(token.installation));
        const { items, headers } = takePage(all, query, base);
        const selection = token?.installation.repositories === undefined ? 'all' : 'selected';
        const repositories = items.map((each) => shapes.repository(each));
        return {
          status: 200,
          headers,
          body: { total_count: all.length, repository_selection: selection, repositories },
        };
      },
    },
    'apps/create-from-manifest': {
      auth: 'nobody',
      answer: ({ parameters }) => {
        const body = manifests.convert(parameters['code'] ?? '');
        return body === undefined ? notFound : { status: 201, body };
      },
    },
    'meta/get': {
      auth: 'nobody',
      answer: () => ({
        status: 200,
        body: { verifiable_password_authentication: true, installed_version: '3.19.0', hooks: ['127.0.0.0/8'] },
      }),
    },
    'rate-limit/get': {
      auth: 'either',
      answer: ({ bearer }) => {
        const core = limits.look(bearer, behaviour().rateLimit);
        const other = { limit: 30, remaining: 30, used: 0, reset: core.reset };
        return { status: 200, body: { resources: { core, search: other }, rate: core } };
      },
    },
  };
}

function narrow(
  accounts: Accounts,
  installation: Installation,
  body: Readonly<Record<string, unknown>>,
): readonly Repository[] | undefined | 'beyond' {
  const names = body['repositories'] as readonly string[] | undefined;
  const ids = body['repository_ids'] as readonly number[] | undefined;
  if (names === undefined && ids === undefined) return undefined;
  const covered = accounts.repositoriesOf(installation);
  const named = (names ?? []).map((name) => covered.find((each) => each.name.toLowerCase() === name.toLowerCase()));
  const found = [...named, ...(ids ?? []).map((id) => covered.find((each) => each.id === id))];
  const known = found.filter((each) => each !== undefined);
  return known.length === found.length ? known : 'beyond';
}

import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/rest';
import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';
import type { RateLimit } from '../contracts/with-github/rate-limit.ts';
import { RateLimits } from './rate-limits.ts';
import { readAppId, readAppKey } from './read-app-key.ts';
import { rememberAnswers } from './remember-answers.ts';
import { translateError } from './translate-error.ts';

export type AppClient = {
  /** Speaks as the App itself, for its deliveries and installations. */
  readonly asApp: () => Promise<Octokit>;
  /** Speaks as the App's installation on a scope's owner. */
  readonly inScope: (scope: string) => Promise<Octokit>;
  /**
   * Calls GitHub as the installation on a scope's owner. An installation or a token that was remembered and that GitHub refuses is
   * looked up anew, once: the App may have been installed again.
   */
  readonly callIn: <T>(scope: string, act: (octokit: Octokit) => Promise<T>) => Promise<T>;
  /** What GitHub last said about the rate limit in a scope; undefined before the first call and after a reset. */
  readonly rateLimit: (scope: string) => RateLimit | undefined;
};

/** No call to GitHub may take longer: a function has 30 seconds for all it does. */
const timeoutMs = 5000;
const installationKnownForMs = 3_600_000;

type Secrets = { readonly read: (parameter: string) => Promise<string> };
type Installation = { readonly octokit: Octokit; readonly foundAt: number };

export function appClient({
  apiUrl,
  parameters,
  secrets,
  now = Date.now,
}: {
  readonly apiUrl: string;
  readonly parameters: { readonly appId: string; readonly appKey: string };
  readonly secrets: Secrets;
  readonly now?: () => number;
}): AppClient {
  const installations = new Map<string, Installation>();
  const limits = new RateLimits(now);

  /** @throws MissingSecretError naming the parameter, never what is in it */
  async function readIdentity(): Promise<{ readonly appId: string; readonly privateKey: string }> {
    const [id, key] = await Promise.all([secrets.read(parameters.appId), secrets.read(parameters.appKey)]);
    const appId = readAppId(id);
    if (appId === undefined) {
      throw new MissingSecretError(
        `the parameter ${parameters.appId} must hold the App's id, which is a number, or its client id, which begins with "Iv", and it does not`,
      );
    }
    const privateKey = readAppKey(key);
    if (privateKey === undefined) {
      throw new MissingSecretError(
        `the parameter ${parameters.appKey} must hold an RSA private key in PEM form, and it does not`,
      );
    }
    return { appId, privateKey };
  }

  async function octokitFor(scope: string, installationId?: number): Promise<Octokit> {
    const identity = await readIdentity();
    const octokit = new Octokit({
      baseUrl: apiUrl,
      userAgent: 'fargate-github-runners',
      authStrategy: createAppAuth,
      auth: { ...identity, ...(installationId !== undefined && { installationId }) },
      // Nothing but our own lines goes to the log.
      log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    });
    bound(octokit);
    limits.watch(octokit, scope);
    rememberAnswers(octokit);
    octokit.hook.error('request', (error, options) => {
      const translated = translateError(error, octokit.request.endpoint(options), now());
      if (isAboutIdentity(translated)) forget(scope);
      throw translated;
    });
    return octokit;
  }

  let app: Promise<Octokit> | undefined;
  async function asApp(): Promise<Octokit> {
    app ??= octokitFor('');
    try {
      return await app;
    } catch (error) {
      app = undefined;
      throw error;
    }
  }

  /** The key may have been rotated, the installation may be another one: the next call begins anew. */
  function forget(scope: string): void {
    app = undefined;
    installations.delete(scope);
  }

  async function inScope(scope: string): Promise<Octokit> {
    const known = installations.get(scope);
    if (known !== undefined && now() - known.foundAt < installationKnownForMs) return known.octokit;
    const octokit = await octokitFor(scope, await findInstallation(await asApp(), scope));
    installations.set(scope, { octokit, foundAt: now() });
    return octokit;
  }

  return {
    asApp,
    inScope,
    rateLimit: (scope) => limits.get(scope),
    callIn: async (scope, act) => {
      const wasKnown = installations.has(scope);
      try {
        return await act(await inScope(scope));
      } catch (error) {
        if (!wasKnown || !isAboutIdentity(error)) throw error;
        return act(await inScope(scope));
      }
    },
  };
}

function isAboutIdentity(error: unknown): boolean {
  if (!(error instanceof GitHubError)) return false;
  return error.status === 401 || error.kind === 'not-installed' || error.kind === 'suspended';
}

/** The id in a delivery may be that of an installation long gone, so GitHub is asked. */
async function findInstallation(octokit: Octokit, scope: string): Promise<number> {
  const [owner = '', repo] = scope.split('/');
  const { data } =
    repo === undefined ? await findOwner(octokit, owner) : await octokit.rest.apps.getRepoInstallation({ owner, repo });
  if (typeof data.suspended_at === 'string') {
    throw new GitHubError('suspended', `the App's installation on ${owner} is suspended`);
  }
  return data.id;
}

/** An owner is an org as a rule, and a personal account where its repositories are asked for. */
async function findOwner(octokit: Octokit, owner: string): ReturnType<Octokit['rest']['apps']['getOrgInstallation']> {
  try {
    return await octokit.rest.apps.getOrgInstallation({ org: owner });
  } catch (error) {
    if (!(error instanceof GitHubError) || error.kind !== 'not-installed') throw error;
    return octokit.rest.apps.getUserInstallation({ username: owner });
  }
}

function bound(octokit: Octokit): void {
  octokit.hook.before('request', (options) => {
    options.request = { ...options.request, signal: AbortSignal.timeout(timeoutMs) };
  });
}

function ignore(): void {}

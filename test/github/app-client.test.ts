import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import { githubRunners } from '../../functions/github/runners.ts';
import { errorOf, startApp, type AppOnAcme } from './start-app.ts';

const minute = 60_000;
let acme: AppOnAcme;

beforeEach(async () => {
  acme = await startApp();
});
afterEach(async () => {
  jest.useRealTimers();
  await acme.stop();
});

const operations = () => acme.asked.map(({ operation }) => operation);
const answered = (operation: string) =>
  acme.asked.filter((request) => request.operation === operation && request.status !== 401);
/** octokit believes in a token that it has just minted and tries it for five seconds: the date goes past them. */
const passSeconds = (seconds: number) => {
  jest.useFakeTimers({ now: Date.now() + seconds * 1000, doNotFake: [...everythingButDate] });
};
const everythingButDate = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;
const inAcme = async () => acme.app.inScope('acme');
const listRuns = async (scope = 'acme', repo = 'app') => {
  const { rest } = await acme.app.inScope(scope);
  return rest.actions.listWorkflowRunsForRepo({ owner: scope.split('/')[0] ?? '', repo });
};
/** What GitHub itself has counted in acme. */
const used = async () => (await (await inAcme()).rest.rateLimit.get()).data.resources.core.used;

describe('a call in a scope', () => {
  test('is made as the installation on the org, under the API address of an enterprise server', async () => {
    expect(acme.github.apiUrl).toBe(`${acme.github.url}/api/v3`);
    expect((await listRuns()).status).toBe(200);
    expect(operations()).toEqual([
      'apps/get-org-installation',
      'apps/create-installation-access-token',
      'actions/list-workflow-runs-for-repo',
    ]);
  });

  test('looks the installation up once an hour and mints its token once', async () => {
    for (let call = 0; call < 3; call += 1) await listRuns();
    acme.clock.advance(59 * minute);
    await inAcme();
    expect(answered('apps/get-org-installation')).toHaveLength(1);
    expect(answered('apps/create-installation-access-token')).toHaveLength(1);
    acme.clock.advance(2 * minute);
    await inAcme();
    expect(answered('apps/get-org-installation')).toHaveLength(2);
  });

  test('is made as the installation on one repository of a personal account', async () => {
    expect((await listRuns('dev/toy', 'toy')).status).toBe(200);
    expect(operations()[0]).toBe('apps/get-repo-installation');
  });

  test('where the App is not installed says so', async () => {
    acme.github.addAccount({ login: 'other' });
    expect(await errorOf(listRuns('other'))).toMatchObject({ kind: 'not-installed', status: 404 });
  });

  test('where the installation is suspended says so, before and after a token was minted', async () => {
    acme.github.suspend('acme');
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'suspended' });
    acme.github.unsuspend('acme');
    expect((await listRuns()).status).toBe(200);
    acme.github.suspend('acme');
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'suspended', status: 403 });
    acme.github.unsuspend('acme');
    expect((await listRuns()).status).toBe(200);
  });

  test('works again when the App is installed anew before it had minted a token', async () => {
    await inAcme();
    acme.github.uninstall('acme');
    acme.github.install('acme');
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'not-installed' });
    expect((await listRuns()).status).toBe(200);
  });

  test('works again when the App is installed anew after it had minted a token', async () => {
    await listRuns();
    acme.github.uninstall('acme');
    acme.github.install('acme');
    passSeconds(10);
    await errorOf(listRuns());
    expect((await listRuns()).status).toBe(200);
  });

  test('is signed with the new key once GitHub has refused the old one and the parameter says so', async () => {
    await acme.app.asApp();
    acme.secrets.appKey = acme.github.rotatePrivateKey({ deleteOld: true });
    acme.clock.advance(6 * minute);
    const authenticate = async () => (await acme.app.asApp()).rest.apps.getAuthenticated();
    expect(await errorOf(authenticate())).toMatchObject({ kind: 'refused', status: 401 });
    expect((await authenticate()).status).toBe(200);
  });

  test('begins anew when GitHub does not take its token any more', async () => {
    await listRuns();
    passSeconds(10);
    acme.github.behave({ failRequests: ({ path }) => (path.startsWith('/repos/') ? 401 : undefined) });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'refused', status: 401 });
    acme.github.behave({ failRequests: () => undefined });
    expect((await listRuns()).status).toBe(200);
    expect(answered('apps/get-org-installation')).toHaveLength(2);
    expect(answered('apps/create-installation-access-token')).toHaveLength(2);
  });

  describe('that remembers an installation', () => {
    const callRuns = async () =>
      acme.app.callIn('acme', async ({ rest }) => rest.actions.listWorkflowRunsForRepo({ owner: 'acme', repo: 'app' }));

    test.each([true, false])('goes on when the App was installed anew (token minted before: %s)', async (minted) => {
      await (minted ? listRuns() : inAcme());
      acme.github.uninstall('acme');
      acme.github.install('acme');
      passSeconds(10);
      expect((await callRuns()).status).toBe(200);
    });

    test('asks once more, and no more than that, when the App is gone', async () => {
      await inAcme();
      acme.github.uninstall('acme');
      const before = operations().length;
      expect(await errorOf(callRuns())).toMatchObject({ kind: 'not-installed' });
      expect(operations().slice(before)).toEqual([
        'apps/create-installation-access-token',
        'apps/get-org-installation',
        'apps/get-user-installation',
      ]);
    });

    test('does not ask again where it has just looked the installation up', async () => {
      acme.github.uninstall('acme');
      expect(await errorOf(callRuns())).toMatchObject({ kind: 'not-installed' });
      expect(operations().filter((operation) => operation === 'apps/get-org-installation')).toHaveLength(1);
    });
  });

  test('of a personal account is made as the installation on that account', async () => {
    const { rest } = await acme.app.inScope('dev');
    const { data } = await rest.apps.listReposAccessibleToInstallation();
    expect(data.repositories.map(({ full_name: name }) => name)).toEqual(['dev/toy']);
    expect(operations().slice(0, 2)).toEqual(['apps/get-org-installation', 'apps/get-user-installation']);
  });

  test('does not take an owner for a person when GitHub did not answer for the org', async () => {
    await acme.app.asApp();
    acme.github.behave({ failRequests: () => 503 });
    expect(await errorOf(acme.app.inScope('acme'))).toMatchObject({ kind: 'unavailable' });
    expect(operations()).not.toContain('apps/get-user-installation');
  });

  test('asks for the secrets again when they were not there', async () => {
    const { appKey } = acme.secrets;
    acme.secrets.appKey = '';
    await expect(acme.app.inScope('acme')).rejects.toThrow('appKey');
    acme.secrets.appKey = appKey;
    expect((await listRuns()).status).toBe(200);
  });
});

describe('what GitHub says no with', () => {
  test.each([403, 429] as const)(
    'is an exhausted rate limit with the time of its reset, told by a %d',
    async (status) => {
      await listRuns();
      acme.github.behave({ rateLimitStatus: status });
      acme.github.setRateLimit('acme', { used: 5000 });
      const { kind, retryAt = 0 } = await errorOf(listRuns());
      expect(kind).toBe('rate-limited');
      const left = retryAt - acme.clock.now();
      expect(left).toBeGreaterThan(59 * minute);
      expect(left).toBeLessThanOrEqual(60 * minute + 1000);
    },
  );

  test('is a secondary limit with the pause that it asks for', async () => {
    await listRuns();
    acme.github.behave({ secondaryPoints: 0, secondaryRetryAfterSeconds: 150 });
    const { kind, retryAt = 0 } = await errorOf(listRuns());
    expect(kind).toBe('rate-limited');
    expect(Math.abs(retryAt - acme.clock.now() - 150_000)).toBeLessThan(minute / 2);
  });

  test('is a secondary limit that asks for none, which makes it a minute', async () => {
    await listRuns();
    acme.github.behave({ secondaryPoints: 0, secondaryRetryAfterSeconds: undefined });
    const { kind, retryAt = 0 } = await errorOf(listRuns());
    expect(kind).toBe('rate-limited');
    expect(Math.abs(retryAt - acme.clock.now() - minute)).toBeLessThan(minute / 2);
  });

  test.each([
    ['a number of seconds', () => '150', 150_000],
    ['a date', () => new Date(acme.clock.now() + 150_000).toUTCString(), 150_000],
    ['what nobody can read', () => 'soon', minute],
  ])('is a limit with a pause that is told as %s', async (_what, retryAfter, pause) => {
    await listRuns();
    acme.github.behave({ failRequests: () => ({ status: 403, headers: { 'retry-after': retryAfter() } }) });
    const { kind, retryAt = 0 } = await errorOf(listRuns());
    expect(kind).toBe('rate-limited');
    expect(Math.abs(retryAt - acme.clock.now() - pause)).toBeLessThan(minute / 2);
  });

  test.each([500, 502, 503, 504, 408])('may work later when it is a %d', async (status) => {
    await listRuns();
    acme.github.behave({ failRequests: () => status });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'unavailable', status });
  });

  test('may work later when the connection breaks, or nobody listens', async () => {
    await listRuns();
    acme.github.behave({ failRequests: () => 'reset' });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'unavailable' });
    await acme.github.stop();
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'unavailable' });
    // afterEach stops it once more.
    acme.github.stop = async () => Promise.resolve();
  });

  test('may work later when no answer comes within five seconds', async () => {
    await listRuns();
    acme.github.behave({ failRequests: () => ({ delayMs: 10 * minute }) });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'unavailable' });
    acme.clock.advance(10 * minute);
  });

  test.each([400, 404, 409, 422])('is a no for good when it is a %d', async (status) => {
    await listRuns();
    acme.github.behave({ failRequests: () => status });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'refused', status });
  });

  test('is a no for good where the App lacks a permission', async () => {
    acme.github.uninstall('acme');
    acme.github.install('acme', { permissions: { metadata: 'read' } });
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'refused', status: 403 });
  });

  test('is told with method, path, status and request id, and without a token', async () => {
    const { message, cause } = await errorOf(listRuns('acme', 'none'));
    expect(message).toMatch(/^GET \S*\/repos\/\S+\/actions\/runs\S*: 404 .*\(request [0-9A-F:]+\)$/);
    expect(`${message} ${JSON.stringify(cause)}`).not.toMatch(/ghs_|bearer|token /i);
  });

  test('names whom was asked for, not the pattern of the path', async () => {
    expect((await errorOf(listRuns('acme', 'none'))).message).toContain('/repos/acme/none/actions/runs');
  });
});

describe('the identity of the App', () => {
  test.each([
    ['the base64 of its PEM', (pem: string) => Buffer.from(pem).toString('base64')],
    ['one line', (pem: string) => pem.trim().replaceAll('\n', ' ')],
    ['a quoted text', (pem: string) => JSON.stringify(pem)],
  ])('may hold its key as %s', async (_, store) => {
    acme.secrets.appKey = store(acme.secrets.appKey);
    expect((await listRuns()).status).toBe(200);
  });

  test.each([
    ['a client id', () => acme.github.app.clientId],
    ['an id in quotes', () => `"${acme.github.app.id}"`],
  ])('may be %s', async (_, id) => {
    acme.secrets.appId = id();
    expect((await listRuns()).status).toBe(200);
  });

  test('that is no key is missing: its parameter is named, and nothing of it is told', async () => {
    acme.secrets.appKey = acme.secrets.appKey.slice(0, 1000);
    const failure = listRuns().catch((error: unknown) => error);
    expect(await failure).toEqual(
      new MissingSecretError('the parameter appKey must hold an RSA private key in PEM form, and it does not'),
    );
    expect(operations()).toEqual([]);
  });

  test('that is no id is missing: its parameter is named, and nothing of it is told', async () => {
    acme.secrets.appId = 'my-app';
    const failure = listRuns().catch((error: unknown) => error);
    expect(await failure).toEqual(
      new MissingSecretError(
        'the parameter appId must hold the App\'s id, which is a number, or its client id, which begins with "Iv", and it does not',
      ),
    );
  });

  test("that is another App's is refused by GitHub", async () => {
    acme.secrets.appId = '999';
    expect(await errorOf(listRuns())).toMatchObject({ kind: 'refused', status: 401 });
  });
});

describe('the rate limit', () => {
  test('is unknown before the first call, then what GitHub said last', async () => {
    expect(acme.app.rateLimit('acme')).toBeUndefined();
    await listRuns();
    expect(acme.app.rateLimit('acme')).toMatchObject({ limit: 5000, remaining: 4999 });
    acme.github.setRateLimit('acme', { used: 4200 });
    await githubRunners(acme.app).mintToken('acme');
    expect(acme.app.rateLimit('acme')).toMatchObject({ limit: 5000, remaining: 799 });
  });

  test('is not touched by an answer that has not changed', async () => {
    await listRuns();
    const before = await used();
    for (let call = 0; call < 5; call += 1) await listRuns();
    expect(await used()).toBe(before);
  });

  test('counts as spent only what GitHub counts', async () => {
    await listRuns();
    const { spent = 0 } = acme.app.rateLimit('acme') ?? {};
    for (let call = 0; call < 5; call += 1) await listRuns();
    expect(acme.app.rateLimit('acme')?.spent).toBe(spent);
  });

  test('does not rise again through an answer that has not changed', async () => {
    await listRuns();
    acme.github.setRateLimit('acme', { used: 4500 });
    await listRuns();
    expect(acme.app.rateLimit('acme')?.remaining).toBe(500);
  });

  test('is unknown again when its hour is over: what was left then says nothing now', async () => {
    await listRuns();
    acme.github.setRateLimit('acme', { used: 4900 });
    await githubRunners(acme.app).mintToken('acme');
    acme.clock.advance(59 * minute);
    expect(acme.app.rateLimit('acme')).toMatchObject({ remaining: 99 });
    acme.clock.advance(2 * minute);
    expect(acme.app.rateLimit('acme')).toBeUndefined();
  });
});

describe('a rate limit whose numbers are odd', () => {
  const answerWith = (headers: Record<string, string>) => {
    acme.github.behave({ failRequests: () => ({ status: 422, headers }) });
  };

  test.each([
    ['in a year', () => String(acme.clock.now() / 1000 + 31_536_000)],
    ['at no time', () => 'soon'],
  ])('is believed for an hour when it begins anew %s', async (_, reset) => {
    await listRuns();
    answerWith({ 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': reset() });
    await errorOf(listRuns());
    expect(acme.app.rateLimit('acme')).toMatchObject({ remaining: 0 });
    acme.clock.advance(60 * minute + 1000);
    expect(acme.app.rateLimit('acme')).toBeUndefined();
  });

  test('is not believed', async () => {
    await listRuns();
    const before = acme.app.rateLimit('acme');
    answerWith({ 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': 'few' });
    await errorOf(listRuns());
    answerWith({ 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': '0' });
    await errorOf(listRuns());
    expect(acme.app.rateLimit('acme')).toEqual(before);
  });
});

describe('an answer that is remembered', () => {
  test('gives way to a new one as soon as anything has changed', async () => {
    expect((await listRuns()).data.total_count).toBe(0);
    acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
    expect((await listRuns()).data.total_count).toBe(1);
  });

  test('is the same list however often it is read page by page', async () => {
    acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
    acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
    const octokit = await inAcme();
    const read = async () =>
      octokit.paginate(octokit.rest.actions.listWorkflowRunsForRepo, { owner: 'acme', repo: 'app', per_page: 100 });
    const first = (await read()).map(({ id }) => id);
    expect(first).toHaveLength(2);
    expect((await read()).map(({ id }) => id)).toEqual(first);
    expect((await read()).map(({ id }) => id)).toEqual(first);
  });
});

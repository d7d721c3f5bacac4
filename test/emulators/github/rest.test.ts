import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Octokit } from '@octokit/rest';
import { loadContract } from './contract.ts';
import { connect, HandRunner, silence, startAcme } from './start-acme.ts';

const hour = 3_600_000;
let acme: Awaited<ReturnType<typeof startAcme>>;

beforeEach(async () => {
  acme = await startAcme();
});
afterEach(async () => acme.stop());

const asApp = () => connect(acme.github);
const asAcme = () => connect(acme.github, acme.installations.acme);
const asDev = () => connect(acme.github, acme.installations.dev);
const create = (options = {}) =>
  asApp().apps.createInstallationAccessToken({ installation_id: acme.installations.acme, ...options });
const inApp = { owner: 'acme', repo: 'app' };

/** What octokit throws, as far as it matters here. */
async function refusalOf(call: Promise<unknown>): Promise<{ status: number; message: string }> {
  try {
    await call;
  } catch (error) {
    const { status, message } = error as { status: number; message: string };
    return { status, message };
  }
  throw new Error('the call must be refused');
}

describe('the App', () => {
  test('sees itself and where it is installed', async () => {
    expect((await asApp().apps.getAuthenticated()).data).toMatchObject({ id: 700001, installations_count: 2 });
    const { data } = await asApp().apps.listInstallations({ per_page: 1 });
    expect(data).toMatchObject([{ id: acme.installations.acme, target_type: 'Organization' }]);
    expect(await asApp().paginate('GET /app/installations', { per_page: 1 })).toHaveLength(2);
  });

  test('finds its installation by organization, person and repository, and after a new install its new id', async () => {
    const { acme: id, dev } = acme.installations;
    expect((await asApp().apps.getOrgInstallation({ org: 'ACME' })).data.id).toBe(id);
    expect((await asApp().apps.getUserInstallation({ username: 'dev' })).data.id).toBe(dev);
    expect((await asApp().apps.getRepoInstallation(inApp)).data.id).toBe(id);
    acme.github.uninstall('acme');
    expect(await refusalOf(asApp().apps.getOrgInstallation({ org: 'acme' }))).toMatchObject({ status: 404 });
    expect(acme.github.install('acme').id).not.toBe(id);
  });

  test('is refused with a bad, an old or a too long-lived JWT, in the words octokit looks for', async () => {
    acme.clock.advance(2 * hour);
    // octokit sets its clock by the answer's date and tries again.
    expect((await asApp().apps.getAuthenticated()).status).toBe(200);
    const { github } = acme;
    const old = asApp();
    github.rotatePrivateKey();
    expect(await refusalOf(old.apps.getAuthenticated())).toMatchObject({
      status: 401,
      message: expect.stringContaining('A JSON web token could not be decoded') as unknown,
    });
  });

  test('sets its own webhook, whose secret is never shown again', async () => {
    const { data } = await asApp().apps.updateWebhookConfigForApp({
      // Beside `data`, octokit would take `url` for the address to call.
      data: { url: 'http://127.0.0.1:1/', secret: 'other', content_type: 'form' },
    });
    expect(data).toEqual({ url: 'http://127.0.0.1:1/', secret: '********', content_type: 'form', insecure_ssl: '0' });
    expect((await asApp().apps.getWebhookConfigForApp()).data).toEqual(data);
    expect(acme.github.app.webhookSecret).toBe('other');
  });

  test('is made from a manifest whose code is good once', async () => {
    const { github } = acme;
    const manifest = { name: 'x', url: 'https://example.com', redirect_url: 'http://127.0.0.1:1/callback' };
    const form = await fetch(`${github.url}/organizations/acme/settings/apps/new?state=s`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ manifest: JSON.stringify(manifest) }),
    });
    const location = new URL(form.headers.get('location') ?? '');
    expect(location.searchParams.get('state')).toBe('s');
    const code = location.searchParams.get('code') ?? '';
    const anyone = new Octokit({ baseUrl: github.apiUrl, log: silence });
    const { data } = await anyone.apps.createFromManifest({ code });
    expect(data).toMatchObject({ id: 700001, pem: github.app.privateKey });
    expect(await refusalOf(anyone.apps.createFromManifest({ code }))).toMatchObject({ status: 404 });
  });
});

describe('an installation token', () => {
  test('is long, lives an hour, and carries no more than was asked for', async () => {
    const { data } = await create({ permissions: { actions: 'read' } });
    expect(data.token).toMatch(/^ghs_700001_[\w-]+\.[\w-]+\.[\w-]{300,}$/);
    expect(Date.parse(data.expires_at) - acme.clock.now()).toBeGreaterThan(hour - 60_000);
    expect(data.permissions).toEqual({ actions: 'read', metadata: 'read' });
    const ask = async (path: string) =>
      (await fetch(`${acme.github.apiUrl}${path}`, { headers: { authorization: `token ${data.token}` } })).status;
    expect(await ask('/repos/acme/app/actions/runs')).toBe(200);
    expect(await ask('/orgs/acme/actions/runners')).toBe(403);
    acme.clock.advance(hour + 1000);
    expect(await ask('/repos/acme/app/actions/runs')).toBe(401);
  });

  test('sees nothing of others', async () => {
    expect(await refusalOf(asDev().actions.listWorkflowRunsForRepo(inApp))).toMatchObject({ status: 404 });
    expect(await refusalOf(asDev().actions.listSelfHostedRunnersForOrg({ org: 'acme' }))).toMatchObject({
      status: 404,
    });
    expect(await refusalOf(asDev().actions.listSelfHostedRunnersForOrg({ org: 'dev' }))).toMatchObject({ status: 404 });
  });

  test('may be narrowed to repositories', async () => {
    acme.github.addRepository('acme/other');
    expect((await asAcme().apps.listReposAccessibleToInstallation()).data.total_count).toBe(2);
    const { data } = await create({ repositories: ['other'] });
    expect(data).toMatchObject({ repository_selection: 'selected', repositories: [{ full_name: 'acme/other' }] });
    expect(await refusalOf(create({ repositories: ['toy'] }))).toMatchObject({ status: 422 });
    expect(await refusalOf(create({ permissions: { contents: 'write' } }))).toMatchObject({ status: 422 });
  });

  test('is not given to a suspended or unknown installation', async () => {
    acme.github.suspend('acme');
    expect(await refusalOf(create())).toMatchObject({ status: 403 });
    acme.github.unsuspend('acme');
    expect((await create()).status).toBe(201);
    expect(await refusalOf(create({ installation_id: 1 }))).toMatchObject({ status: 404 });
  });
});

describe('runners', () => {
  const org = { org: 'acme' };

  test('are listed by page and by name, read and deleted, for an organization and for a repository', async () => {
    for (const name of ['a', 'b', 'c']) await HandRunner.register(acme.github, 'acme', { name });
    const octokit = asAcme();
    const all = await octokit.paginate(octokit.actions.listSelfHostedRunnersForOrg, { ...org, per_page: 2 });
    expect(all.map(({ name, status, busy }) => [name, status, busy])).toEqual([
      ['a', 'offline', false],
      ['b', 'offline', false],
      ['c', 'offline', false],
    ]);
    const { data } = await octokit.actions.listSelfHostedRunnersForOrg({ ...org, name: 'b' });
    expect(data).toMatchObject({ total_count: 1, runners: [{ name: 'b', version: '2.336.0', ephemeral: true }] });
    const runner_id = data.runners[0]?.id ?? 0;
    expect((await octokit.actions.deleteSelfHostedRunnerFromOrg({ ...org, runner_id })).status).toBe(204);
    expect(await refusalOf(octokit.actions.deleteSelfHostedRunnerFromOrg({ ...org, runner_id }))).toMatchObject({
      status: 404,
    });
    expect(await refusalOf(octokit.actions.getSelfHostedRunnerForOrg({ ...org, runner_id }))).toMatchObject({
      status: 404,
    });

    const toy = { owner: 'dev', repo: 'toy' };
    await HandRunner.register(acme.github, 'dev/toy');
    const { data: own } = await asDev().actions.listSelfHostedRunnersForRepo(toy);
    expect(own).toMatchObject({ total_count: 1, runners: [{ name: 'runner-1' }] });
    const id = { ...toy, runner_id: own.runners[0]?.id ?? 0 };
    expect((await asDev().actions.getSelfHostedRunnerForRepo(id)).data.name).toBe('runner-1');
    expect((await asDev().actions.deleteSelfHostedRunnerFromRepo(id)).status).toBe(204);
  });

  test('have tokens, downloads and groups', async () => {
    const octokit = asAcme();
    const { data: token } = await octokit.actions.createRegistrationTokenForOrg(org);
    expect(Date.parse(token.expires_at) - acme.clock.now()).toBeGreaterThan(hour - 60_000);
    expect((await octokit.actions.createRemoveTokenForOrg(org)).status).toBe(201);
    const download = {
      os: 'linux',
      architecture: 'x64',
      download_url: 'http://127.0.0.1/r.tgz',
      filename: 'r.tgz',
      sha256_checksum: 'ab',
    };
    acme.github.behave({ runnerDownloads: [download] });
    expect((await octokit.actions.listRunnerApplicationsForOrg(org)).data).toEqual([download]);
    acme.github.addRunnerGroup('acme', { name: 'gpu', visibility: 'selected', repositories: ['acme/app'] });
    const { data: groups } = await octokit.request('GET /orgs/{org}/actions/runner-groups', {
      ...org,
      visible_to_repository: 'app',
    });
    expect(groups.runner_groups.map(({ id, name }) => [id, name])).toEqual([
      [1, 'Default'],
      [2, 'gpu'],
    ]);
  });

  test('are registered just in time, once per name', async () => {
    const ask = { ...org, name: 'jit', runner_group_id: 1, labels: ['self-hosted', 'small'] };
    const { data } = await asAcme().actions.generateRunnerJitconfigForOrg(ask);
    expect(data.runner).toMatchObject({ name: 'jit', os: 'unknown', status: 'offline', version: null });
    expect(Object.keys(JSON.parse(Buffer.from(data.encoded_jit_config, 'base64').toString()) as object)).toContain(
      '.runner',
    );
    expect(await refusalOf(asAcme().actions.generateRunnerJitconfigForOrg(ask))).toMatchObject({ status: 409 });
    expect(
      await refusalOf(asAcme().actions.generateRunnerJitconfigForOrg({ ...ask, name: 'x', runner_group_id: 9 })),
    ).toMatchObject({ status: 404 });
  });
});

describe('jobs and runs', () => {
  test('are read one by one and listed by status, run and attempt', async () => {
    const { github } = acme;
    const job = github.queueJob({ repo: 'acme/app', labels: ['small'], name: 'one' });
    const second = github.queueJob({ repo: 'acme/app', labels: ['small'], name: 'two', runId: job.runId });
    github.queueJob({ repo: 'acme/app', labels: ['small'], waiting: true });
    const octokit = asAcme();
    const { data } = await octokit.actions.getJobForWorkflowRun({ ...inApp, job_id: Number(job.id) });
    expect(data).toMatchObject({ name: 'one', status: 'queued', runner_id: null, labels: ['small'] });
    const runs = async (status: 'queued' | 'waiting' | 'in_progress' | 'completed' | 'cancelled') =>
      (await octokit.actions.listWorkflowRunsForRepo({ ...inApp, status })).data.total_count;
    expect([await runs('queued'), await runs('waiting'), await runs('in_progress')]).toEqual([1, 1, 0]);
    github.cancelJob(second.id);
    expect([await runs('queued'), await runs('in_progress')]).toEqual([0, 1]);
    const run = { ...inApp, run_id: Number(job.runId) };
    expect((await octokit.actions.cancelWorkflowRun(run)).status).toBe(202);
    expect([await runs('completed'), await runs('cancelled')]).toEqual([1, 1]);
    expect(await refusalOf(octokit.actions.cancelWorkflowRun(run))).toMatchObject({ status: 409 });

    expect((await octokit.actions.reRunJobForWorkflowRun({ ...inApp, job_id: Number(job.id) })).status).toBe(201);
    const latest = (await octokit.actions.listJobsForWorkflowRun(run)).data.jobs;
    expect(latest.map(({ name, status, run_attempt }) => [name, status, run_attempt])).toEqual([
      ['one', 'queued', 2],
      ['two', 'completed', 2],
    ]);
    expect((await octokit.actions.listJobsForWorkflowRun({ ...run, filter: 'all' })).data.total_count).toBe(4);
    const first = await octokit.actions.listJobsForWorkflowRunAttempt({ ...run, attempt_number: 1 });
    expect(first.data.jobs.map(({ id }) => String(id))).toEqual([job.id, second.id]);
    expect(await refusalOf(octokit.actions.reRunWorkflow(run))).toMatchObject({ status: 403 });
    expect((await octokit.actions.getWorkflowRun(run)).data.run_attempt).toBe(2);
    expect((await octokit.repos.get(inApp)).data.full_name).toBe('acme/app');
  });
});

describe('limits', () => {
  test('are told by headers; an unchanged answer is free', async () => {
    const octokit = asAcme();
    const first = await octokit.actions.listWorkflowRunsForRepo(inApp);
    expect(first.headers).toMatchObject({
      'x-ratelimit-limit': '5000',
      'x-ratelimit-used': '1',
      'x-ratelimit-remaining': '4999',
      'x-ratelimit-resource': 'core',
    });
    expect(first.headers['x-github-request-id']).toMatch(/^[0-9A-F:]+$/);
    const headers = { 'if-none-match': first.headers.etag };
    expect(await refusalOf(octokit.actions.listWorkflowRunsForRepo({ ...inApp, headers }))).toMatchObject({
      status: 304,
    });
    expect((await octokit.rateLimit.get()).data.rate.used).toBe(1);
    acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
    expect((await octokit.actions.listWorkflowRunsForRepo({ ...inApp, headers })).status).toBe(200);
  });

  test('are enforced for each installation by itself, until the hour is over', async () => {
    acme.github.setRateLimit('acme', { limit: 10, used: 10 });
    expect(await refusalOf(asAcme().actions.listWorkflowRunsForRepo(inApp))).toMatchObject({ status: 403 });
    expect((await asDev().apps.listReposAccessibleToInstallation()).status).toBe(200);
    acme.clock.advance(hour);
    expect((await asAcme().actions.listWorkflowRunsForRepo(inApp)).headers['x-ratelimit-used']).toBe('1');
  });

  test('are counted in points by the minute when the secondary limit is on', async () => {
    acme.github.behave({ secondaryPoints: 6, rateLimitStatus: 429, secondaryRetryAfterSeconds: 30 });
    const octokit = asAcme();
    await octokit.actions.createRegistrationTokenForOrg({ org: 'acme' });
    await octokit.actions.listWorkflowRunsForRepo(inApp);
    const refused = octokit.actions.listWorkflowRunsForRepo(inApp);
    await expect(refused).rejects.toMatchObject({ status: 429, response: { headers: { 'retry-after': '30' } } });
    acme.clock.advance(60_000);
    expect((await octokit.actions.listWorkflowRunsForRepo(inApp)).status).toBe(200);
  });
});

describe('trouble', () => {
  test('comes when asked for', async () => {
    const { github, clock } = acme;
    const octokit = asAcme();
    github.behave({
      failRequests: ({ operation }) => (operation === 'actions/create-registration-token-for-org' ? 502 : undefined),
    });
    expect(await refusalOf(octokit.actions.createRegistrationTokenForOrg({ org: 'acme' }))).toMatchObject({
      status: 502,
    });
    expect((await octokit.actions.listWorkflowRunsForRepo(inApp)).status).toBe(200);
    github.behave({ failRequests: () => 'reset' });
    expect(await refusalOf(octokit.actions.listWorkflowRunsForRepo(inApp))).toMatchObject({ status: 500 });
    github.behave({ failRequests: () => undefined });
    github.goDown(60_000);
    expect(await refusalOf(octokit.actions.listWorkflowRunsForRepo(inApp))).toMatchObject({ status: 503 });
    clock.advance(60_000);
    expect((await octokit.actions.listWorkflowRunsForRepo(inApp)).status).toBe(200);
  });

  test('may be an answer that gets lost after the deed', async () => {
    const { github } = acme;
    const octokit = asAcme();
    await octokit.actions.listWorkflowRunsForRepo(inApp);
    github.behave({ failRequests: () => 'lose-answer' });
    const ask = { org: 'acme', name: 'jit', runner_group_id: 1, labels: ['small'] };
    expect(await refusalOf(octokit.actions.generateRunnerJitconfigForOrg(ask))).toMatchObject({ status: 500 });
    github.behave({ failRequests: () => undefined });
    expect(github.runners).toMatchObject([{ name: 'jit' }]);
  });

  test('requests without a user agent or credentials are refused', async () => {
    const { request } = await import('node:http');
    const status = await new Promise((resolve) => {
      request(`${acme.github.apiUrl}/app`, (response) => {
        response.resume();
        resolve(response.statusCode);
      }).end();
    });
    expect(status).toBe(403);
    expect((await fetch(`${acme.github.apiUrl}/app`)).status).toBe(401);
    const headers = { authorization: 'token ghs_wrong' };
    expect((await fetch(`${acme.github.apiUrl}/installation/repositories`, { headers })).status).toBe(401);
  });
});

test('every operation of the description is played', async () => {
  const { github, installations } = acme;
  const { data } = await asApp().apps.createInstallationAccessToken({ installation_id: installations.acme });
  for (const { method, path } of loadContract().operations) {
    if (path === '/installation/token') continue;
    const url = path
      .replace('{org}', 'acme')
      .replace('{owner}/{repo}', 'acme/app')
      .replaceAll(/\{\w+\}/g, '1');
    await fetch(`${github.apiUrl}${url}`, { method, headers: { authorization: `token ${data.token}` } });
  }
  const unplayed = github.contractViolations.filter(({ problem }) => problem.includes('not among the operations'));
  expect(unplayed).toEqual([]);
  // Bodies were left out on purpose here.
  github.contractViolations.length = 0;
});

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { githubRunners, type GitHubRunners } from '../../functions/github/runners.ts';
import { HandRunner } from '../emulators/github/start-acme.ts';
import { errorOf, startApp, type AppOnAcme } from './start-app.ts';

let acme: AppOnAcme;
let github: GitHubRunners;

beforeEach(async () => {
  acme = await startApp({ busyLagMs: 0 });
  github = githubRunners(acme.app);
});
afterEach(async () => {
  await acme.stop();
});

const scopes = ['acme', 'dev/toy'];
const idOf = async (scope: string, name: string) => (await github.findRegistered(scope, name))?.id ?? 'none';

describe('a registration token', () => {
  test.each(scopes)('of %s registers runners there until it expires', async (scope) => {
    const { token, expiresAt } = await github.mintToken(scope);
    const form = { url: `${acme.github.url}/${scope}`, name: 'a', labels: 'self-hosted', version: '2.336.0' };
    const register = async () =>
      HandRunner.call(`${acme.github.url}/_services/register`, `RemoteAuth ${token}`, { ...form, ephemeral: 'true' });
    expect((await register()).status).toBe(200);
    expect(acme.github.runners).toMatchObject([{ name: 'a', scope }]);
    expect(expiresAt - acme.clock.now()).toBeGreaterThan(59 * 60_000);
    acme.clock.advance(expiresAt - acme.clock.now() + 1);
    expect((await register()).status).toBe(404);
  });
});

describe('the runner that GitHub wants', () => {
  test.each(scopes)('in %s is told by architecture, with address and checksum', async (scope) => {
    expect(await github.listReleases(scope)).toEqual({
      x64: {
        version: '2.336.0',
        url: 'https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-x64-2.336.0.tar.gz',
        sha256: '0'.repeat(64),
      },
      arm64: {
        version: '2.336.0',
        url: 'https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-arm64-2.336.0.tar.gz',
        sha256: '1'.repeat(64),
      },
      arm: {
        version: '2.336.0',
        url: 'https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-arm-2.336.0.tar.gz',
        sha256: '2'.repeat(64),
      },
    });
  });

  test('is left out for another system, or without a checksum to hold it against', async () => {
    const one = (os: string, architecture: string, sha256_checksum?: string) => ({
      os,
      architecture,
      download_url: 'https://example.com/runner.tar.gz',
      filename: `actions-runner-${os}-${architecture}-2.340.1.tar.gz`,
      ...(sha256_checksum !== undefined && { sha256_checksum }),
    });
    acme.github.behave({ runnerDownloads: [one('win', 'x64', 'a'), one('linux', 'x64'), one('linux', 'arm64', 'b')] });
    expect(Object.entries(await github.listReleases('acme'))).toEqual([
      ['arm64', { version: '2.340.1', url: 'https://example.com/runner.tar.gz', sha256: 'b' }],
    ]);
  });
});

describe('registered runners', () => {
  test('are listed to the last one, however many pages they take, each time anew', async () => {
    const names = Array.from({ length: 130 }, (_, index) => `runner-${index}`);
    for (const name of names) await HandRunner.register(acme.github, 'acme', { name });
    const sorted = async () => (await github.listRegistered('acme')).map(({ name }) => name).toSorted();
    expect(await sorted()).toEqual(names.toSorted());
    expect(await sorted()).toEqual(names.toSorted());
    await HandRunner.register(acme.github, 'acme', { name: 'one-more' });
    expect(await sorted()).toEqual([...names, 'one-more'].toSorted());
  });

  test.each(scopes)('of %s show whether they are online and busy', async (scope) => {
    const repo = scope === 'acme' ? 'acme/app' : scope;
    await HandRunner.register(acme.github, scope, { name: 'offline' });
    const idle = await HandRunner.register(acme.github, scope, { name: 'idle' });
    await idle.open();
    await idle.poll(0);
    const before = await github.listRegistered(scope);
    expect(before.map(({ name, online, busy }) => ({ name, online, busy }))).toEqual([
      { name: 'offline', online: false, busy: false },
      { name: 'idle', online: true, busy: false },
    ]);
    acme.github.queueJob({ repo, labels: ['small'] });
    await idle.poll();
    await idle.acquire();
    expect(await github.findRegistered(scope, 'idle')).toMatchObject({ name: 'idle', online: true, busy: true });
  });

  test('are found by their whole name alone', async () => {
    for (const name of ['ci-1', 'ci-11']) await HandRunner.register(acme.github, 'acme', { name });
    expect(await github.findRegistered('acme', 'ci-1')).toMatchObject({ name: 'ci-1' });
    expect(await github.findRegistered('acme', 'ci')).toBeUndefined();
    // Should GitHub ever show more than it was asked for.
    const runner = { id: 7, name: 'ci-12', os: 'linux', status: 'online', busy: false, labels: [] };
    acme.github.behave({ failRequests: () => ({ status: 200, body: { total_count: 1, runners: [runner] } }) });
    expect(await github.findRegistered('acme', 'ci-1')).toBeUndefined();
    expect(await github.findRegistered('acme', 'ci-12')).toMatchObject({ id: '7' });
  });

  test('of one scope are not those of another', async () => {
    await HandRunner.register(acme.github, 'dev/toy', { name: 'toy' });
    expect(await github.listRegistered('acme')).toEqual([]);
    expect(await github.findRegistered('acme', 'toy')).toBeUndefined();
  });
});

describe('deleting a registration', () => {
  test.each(scopes)('of %s takes it away; the second time it is gone already', async (scope) => {
    await HandRunner.register(acme.github, scope, { name: 'a' });
    const id = await idOf(scope, 'a');
    expect(await github.deleteRegistered(scope, id)).toBe('deleted');
    expect(acme.github.runners).toEqual([]);
    expect(await github.deleteRegistered(scope, id)).toBe('gone');
  });

  test('is refused while the runner has a job', async () => {
    const runner = await HandRunner.register(acme.github, 'acme', { name: 'a' });
    await runner.open();
    acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
    await runner.poll();
    await runner.acquire();
    expect(await github.deleteRegistered('acme', await idOf('acme', 'a'))).toBe('busy');
    expect(acme.github.runners).toMatchObject([{ name: 'a', busy: true }]);
  });

  test.each(scopes)('of %s asks for its very id, also beyond 2^53', async (scope) => {
    expect(await github.deleteRegistered(scope, '9007199254740993')).toBe('gone');
    const owner = scope === 'acme' ? '/orgs/acme' : '/repos/dev/toy';
    expect(acme.asked.at(-1)?.path).toBe(`${owner}/actions/runners/9007199254740993`);
  });

  test('says what else GitHub says', async () => {
    await HandRunner.register(acme.github, 'acme', { name: 'a' });
    const id = await idOf('acme', 'a');
    acme.github.goDown(60_000);
    expect(await errorOf(github.deleteRegistered('acme', id))).toMatchObject({ kind: 'unavailable', status: 503 });
  });
});

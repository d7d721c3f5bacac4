import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { findPublicReleases } from '../../functions/github/public-releases.ts';

type Asset = { readonly name: string; readonly browser_download_url: string; readonly digest?: string | null };

const x64 = 'a'.repeat(64);
const arm64 = 'b'.repeat(64);
const asset = (name: string, digest: string | null = null): Asset => ({
  name,
  browser_download_url: `https://github.com/actions/runner/releases/download/v2.336.0/${name}`,
  digest,
});
/** As https://api.github.com/repos/actions/runner/releases/latest lists them. */
const assets = [
  asset('actions-runner-linux-arm-2.336.0.tar.gz', `sha256:${'c'.repeat(64)}`),
  asset('actions-runner-linux-arm64-2.336.0.tar.gz', `sha256:${arm64}`),
  asset('actions-runner-linux-x64-2.336.0.tar.gz', `sha256:${x64}`),
  asset('actions-runner-osx-x64-2.336.0.tar.gz', `sha256:${'d'.repeat(64)}`),
  asset('actions-runner-win-x64-2.336.0.zip', `sha256:${'e'.repeat(64)}`),
];

let server: Server;
let asked: IncomingMessage[];
let listed: readonly Asset[];
let status: number;

beforeEach(async () => {
  asked = [];
  listed = assets;
  status = 200;
  server = createServer((request, response) => {
    asked.push(request);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify(status === 200 ? { tag_name: 'v2.336.0', assets: listed } : { message: 'no' }));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
});
const close = async () => {
  server.closeAllConnections();
  await new Promise((resolve) => {
    server.close(resolve);
  });
};
afterEach(close);

const find = async () => findPublicReleases({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });

describe('the newest public runner', () => {
  test('is told by the architectures we build for, with address and checksum', async () => {
    const url = (arch: string) =>
      `https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-${arch}-2.336.0.tar.gz`;
    expect(await find()).toEqual({
      x64: { version: '2.336.0', url: url('x64'), sha256: x64 },
      arm64: { version: '2.336.0', url: url('arm64'), sha256: arm64 },
    });
  });

  test('is asked for as anybody may', async () => {
    await find();
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual(['GET /repos/actions/runner/releases/latest']);
    expect(asked[0]?.headers.authorization).toBeUndefined();
    expect(asked[0]?.headers['user-agent']).toMatch(/^fargate-github-runners/);
  });

  test.each<[string, Asset]>([
    ['without a checksum', asset('actions-runner-linux-x64-2.336.0.tar.gz')],
    ['with a checksum of another kind', asset('actions-runner-linux-x64-2.336.0.tar.gz', `sha512:${x64}`)],
    ['with more in its name', asset('actions-runner-linux-x64-2.336.0-noexternals.tar.gz', `sha256:${x64}`)],
    ['with less in its name', asset('actions-runner-linux-x64.tar.gz', `sha256:${x64}`)],
  ])('is not taken from a file %s', async (_, wrong) => {
    listed = [wrong];
    expect(await find()).toEqual({});
  });

  test.each([403, 404, 500])('is not known when GitHub answers %i', async (code) => {
    status = code;
    await expect(find()).rejects.toMatchObject({
      name: 'GitHubError',
      message: expect.stringMatching(new RegExp(`^GET /repos/actions/runner/releases/latest: ${code} `)) as unknown,
    });
  });

  test('is not known when nobody answers', async () => {
    const { port } = server.address() as AddressInfo;
    await close();
    await expect(findPublicReleases({ baseUrl: `http://127.0.0.1:${port}` })).rejects.toMatchObject({
      kind: 'unavailable',
    });
  });
});

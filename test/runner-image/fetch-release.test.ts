import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const script = join(import.meta.dirname, '../../runner-image/fetch-release.sh');
const archive = 'the runner';
const sha256 = createHash('sha256').update(archive).digest('hex');

let root: string;
let server: Server;
let url: string;
let asked: string[];
let answers: Record<string, string | (() => string)>;

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'fetch-release-'));
  asked = [];
  server = createServer((request, response) => {
    asked.push(request.url ?? '');
    const answer = answers[request.url ?? ''];
    const body = typeof answer === 'function' ? answer() : answer;
    // Longer than it is: the download breaks off.
    if (body === 'cut') response.writeHead(200, { 'content-length': 1000 }).end('half', () => response.destroy());
    else response.writeHead(body === undefined ? 404 : 200).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  answers = { '/file': archive };
});

afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(root, { recursive: true });
});

const file = () => join(root, 'file');

async function fetchRelease(...args: string[]): Promise<{ status: number | null; said: string }> {
  const child = spawn('bash', [script, ...args], { env: { PATH: process.env['PATH'], RELEASES_URL: url } });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  const status = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { status, said };
}

/** As GitHub tells of a release. https://docs.github.com/en/rest/releases/releases */
const release =
  (changes: object = {}) =>
  () =>
    JSON.stringify({
      tag_name: 'v2.337.0',
      assets: [
        {
          name: 'actions-runner-linux-arm64-2.337.0.tar.gz',
          browser_download_url: `${url}/other`,
          digest: 'sha256:no',
        },
        {
          name: 'actions-runner-linux-x64-2.337.0.tar.gz',
          browser_download_url: `${url}/file`,
          digest: `sha256:${sha256}`,
          ...changes,
        },
      ],
    });
const latest = '/actions/runner/releases/latest';
const asset = 'actions-runner-linux-x64-VERSION.tar.gz';
const fetchLatest = async () => fetchRelease('actions/runner', 'latest', asset, file());

describe('a release', () => {
  test('is downloaded from where it was said to be, if it is what it was said to be', async () => {
    const { status } = await fetchRelease('actions/runner', '2.337.0', asset, file(), `${url}/file`, sha256);
    expect(status).toBe(0);
    expect(readFileSync(file(), 'utf8')).toBe(archive);
    expect(asked).toEqual(['/file']);
  });

  test.each([
    ['latest', latest],
    ['2.337.0', '/actions/runner/releases/tags/v2.337.0'],
  ])('%s is looked up on GitHub, with its checksum', async (version, where) => {
    answers[where] = release();
    const { status, said } = await fetchRelease('actions/runner', version, asset, file());
    expect(said).toBe('fetch-release: actions/runner 2.337.0\n');
    expect(status).toBe(0);
    expect(readFileSync(file(), 'utf8')).toBe(archive);
    expect(asked).toEqual([where, '/file']);
  });

  test.each<[string, () => void, string]>([
    ['is not there', () => {}, 'GitHub must tell of the release latest of actions/runner, it did not'],
    [
      'is told of in words',
      () => (answers[latest] = 'sorry'),
      'what GitHub tells of a release must be JSON, it is not',
    ],
    [
      'has no version',
      () => (answers[latest] = '{"tag_name":"nightly"}'),
      'a release of actions/runner must be tagged v1.2.3, it is "nightly"',
    ],
    [
      'has no such file',
      () => (answers[latest] = release({ name: 'x' })),
      'release 2.337.0 of actions/runner must have the file actions-runner-linux-x64-2.337.0.tar.gz, it has none',
    ],
    [
      'has no checksum',
      () => (answers[latest] = release({ digest: null })),
      'the SHA-256 must be 64 digits and letters, got ""',
    ],
    [
      'has another checksum',
      () => (answers[latest] = release({ digest: `sha256:${'0'.repeat(64)}` })),
      `must have the SHA-256 ${'0'.repeat(64)}, it has ${sha256}`,
    ],
    [
      'has a file that is gone',
      () => (answers[latest] = release({ browser_download_url: `${url}/gone` })),
      '/gone could not be downloaded',
    ],
    [
      'breaks off',
      () => Object.assign(answers, { [latest]: release(), '/file': 'cut' }),
      '/file could not be downloaded',
    ],
  ])('that %s is refused, and leaves no file', async (_, arrange, reason) => {
    arrange();
    const { status, said } = await fetchLatest();
    expect(said).toContain(reason);
    expect(status).toBe(1);
    expect(existsSync(file())).toBe(false);
  });

  test.each([
    ['v2.337.0', '', '', 'the version must be "latest" or three numbers, got "v2.337.0"'],
    ['latest', 'http://127.0.0.1:1/file', '', 'an address needs its SHA-256, and a SHA-256 its address'],
    ['latest', '', sha256, 'an address needs its SHA-256, and a SHA-256 its address'],
    ['latest', 'http://127.0.0.1:1/file', 'abc', 'the SHA-256 must be 64 digits and letters, got "abc"'],
  ])('asked for wrongly (%s %s %s) is not asked for', async (version, address, checksum, reason) => {
    const { status, said } = await fetchRelease('actions/runner', version, asset, file(), address, checksum);
    expect(said).toContain(reason);
    expect(status).toBe(1);
    expect(asked).toEqual([]);
  });
});

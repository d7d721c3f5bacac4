import { createHash } from 'node:crypto';
import { chmod, copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32 } from 'node:zlib';
import { closeServer } from '../emulators/close-server.ts';
import { spawned } from './engine.ts';

const standIn = fileURLToPath(new URL('../emulators/actions-runner', import.meta.url));

/** What the real one installs on Debian 12. https://github.com/actions/runner/blob/main/src/Misc/layoutbin/installdependencies.sh */
const installDependencies = `#!/bin/bash
set -e
apt-get update
apt-get install --yes libicu72 libkrb5-3 zlib1g libssl3 liblttng-ust1
`;
/** As in the real one, which keeps in \`.env\` and \`.path\` what \`config.sh\` was started with. */
const envScript = `#!/bin/bash
touch .env
echo "$PATH" >.path
`;

export type File = { readonly name: string; readonly content: Buffer; readonly sha256: string };
/** `cut`: the length of the whole, and half of it. */
type Answer = { readonly status?: number; readonly body: string | Buffer } | 'cut';

/** A server with the releases that the Dockerfile asks GitHub for: the stand-in runner, and container hooks. */
export class StandInRelease {
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly version: string;
  readonly runner: File;
  /** The same without node: where it is only unpacked, that is much quicker. */
  readonly bare: File;
  readonly hooks: File;
  readonly #answers = new Map<string, Answer>();
  readonly #server: Server;

  private constructor({ version, runner, bare, hooks }: Pick<StandInRelease, 'version' | 'runner' | 'bare' | 'hooks'>) {
    this.version = version;
    this.runner = runner;
    this.bare = bare;
    this.hooks = hooks;
    this.#server = createServer((request, response) => {
      this.#serve(request, response);
    });
  }

  static async start(): Promise<StandInRelease> {
    const version = await readVersion();
    const name = `actions-runner-linux-x64-${version}.tar.gz`;
    const release = new StandInRelease({
      version,
      runner: fileOf(name, await packRunner({ node: true })),
      bare: fileOf(name, await packRunner({ node: false })),
      hooks: fileOf(`actions-runner-hooks-k8s-${hooksVersion}.zip`, zip('index.js', '// starts pods\n')),
    });
    await new Promise<void>((resolve) => {
      release.#server.listen(0, '127.0.0.1', resolve);
    });
    release.heal();
    return release;
  }

  /** Everything is as it should be, and nothing was asked for yet. */
  heal(): void {
    this.#answers.clear();
    this.asked.length = 0;
    this.serve(this.runner);
    this.answer(this.pathOf(this.hooks), { body: this.hooks.content });
    this.publish('actions/runner-container-hooks', hooksVersion, [this.hooks]);
  }

  /** As `https://api.github.com/repos`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/repos`;
  }

  urlOf(file: File): string {
    return new URL(this.pathOf(file), this.url).href;
  }

  pathOf({ name }: File): string {
    return `/download/${name}`;
  }

  /** The runner that there is. */
  serve(runner: File): void {
    this.answer(this.pathOf(runner), { body: runner.content });
    this.publish('actions/runner', this.version, [runner]);
  }

  /** The latest release, and the one of its own tag. https://docs.github.com/en/rest/releases/releases */
  publish(repository: string, version: string, files: readonly File[]): void {
    const body = JSON.stringify({
      tag_name: `v${version}`,
      assets: files.map((file) => ({
        name: file.name,
        browser_download_url: this.urlOf(file),
        digest: `sha256:${file.sha256}`,
      })),
    });
    for (const which of ['latest', `tags/v${version}`]) this.answer(`/repos/${repository}/releases/${which}`, { body });
  }

  answer(path: string, answer: Answer): void {
    this.#answers.set(path, answer);
  }

  forget(path: string): void {
    this.#answers.delete(path);
  }

  async stop(): Promise<void> {
    await closeServer(this.#server);
  }

  #serve({ url = '' }: IncomingMessage, response: ServerResponse): void {
    this.asked.push(url);
    const answer = this.#answers.get(url) ?? { status: 404, body: '{"message":"Not Found"}' };
    if (answer === 'cut') {
      response.writeHead(200, { 'content-length': this.bare.content.length });
      response.write(this.bare.content.subarray(0, 1000), () => response.destroy());
      return;
    }
    response.writeHead(answer.status ?? 200, { 'content-length': Buffer.byteLength(answer.body) });
    response.end(answer.body);
  }
}

export const hooksVersion = '0.7.0';

export async function readVersion(): Promise<string> {
  return (await readFile(join(standIn, 'VERSION'), 'utf8')).trim();
}

export function fileOf(name: string, content: Buffer): File {
  return { name, content, sha256: createHash('sha256').update(content).digest('hex') };
}

/** The stand-in in the layout of the real archive; its node is a real one. */
async function packRunner(including: { readonly node: boolean }): Promise<Buffer> {
  const directory = await mkdtemp(join(tmpdir(), 'stand-in-release-'));
  try {
    const root = join(directory, 'runner');
    await cp(standIn, root, { recursive: true });
    const node = join(root, 'externals/node24/bin');
    await mkdir(node, { recursive: true });
    if (including.node) await copyFile(process.execPath, join(node, 'node'));
    const scripts = { 'bin/installdependencies.sh': installDependencies, 'env.sh': envScript };
    for (const [name, text] of Object.entries(scripts)) {
      await writeFile(join(root, name), text);
      await chmod(join(root, name), 0o755);
    }
    const archive = join(directory, 'runner.tar.gz');
    // Others' ids, as in the real one: the image must not take them over. The same files make the same archive.
    const reproducible = ['--sort=name', '--mtime=@0', '--owner=1000', '--group=1000', '--numeric-owner'];
    const packed = await spawned('tar', [
      ...reproducible,
      '--use-compress-program=gzip --fast --no-name',
      '--create',
      `--file=${archive}`,
      `--directory=${root}`,
      '.',
    ]);
    if (packed.code !== 0) throw new Error(`tar must pack the stand-in runner, it said: ${packed.stderr}`);
    return await readFile(archive);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** One file, stored. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
function zip(name: string, text: string): Buffer {
  const content = Buffer.from(text);
  const fields = (signature: number, ...rest: readonly (readonly [bytes: number, value: number])[]): Buffer => {
    const buffer = Buffer.alloc(4 + rest.reduce((sum, [bytes]) => sum + bytes, 0));
    let at = buffer.writeUInt32LE(signature);
    for (const [bytes, value] of rest) at = buffer.writeUIntLE(value, at, bytes);
    return buffer;
  };
  // Version needed, flags, method, time, date, checksum, both sizes, length of the name, of the extra field.
  const common = [
    [2, 20],
    [2, 0],
    [2, 0],
    [2, 0],
    [2, 0x21],
    [4, crc32(content)],
    [4, content.length],
    [4, content.length],
    [2, name.length],
    [2, 0],
  ] as const;
  const local = Buffer.concat([fields(0x04034b50, ...common), Buffer.from(name), content]);
  // Version made by; then comment, disk, attributes inside and outside, offset.
  const central = Buffer.concat([
    fields(0x02014b50, [2, 20], ...common, [2, 0], [2, 0], [2, 0], [4, 0], [4, 0]),
    Buffer.from(name),
  ]);
  // Disks, entries here and in all, size and offset of the directory, comment.
  const end = fields(0x06054b50, [2, 0], [2, 0], [2, 1], [2, 1], [4, central.length], [4, local.length], [2, 0]);
  return Buffer.concat([local, central, end]);
}

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url));
const server = fileURLToPath(new URL('serve.py', import.meta.url));
const home = fileURLToPath(new URL('../../.local/ministack', import.meta.url));
/** Says what was installed; it is there when all of that is. */
const mark = 'installed.txt';

/** Whoever signs with these is the account's root. */
export const rootCredentials = { accessKeyId: 'deploytest', secretAccessKey: 'deploytest' };

type MiniStackOptions = {
  /** What MiniStack writes is in this directory. */
  readonly scratch: string;
  /** Where AWS is for everybody, its functions too. */
  readonly awsUrl: string;
};

/** MiniStack as a process of its own, with its functions' processes; nothing of it is left after `stop`. */
export class MiniStack {
  readonly #options: MiniStackOptions;
  #process: ChildProcess | undefined;
  #port = 0;

  constructor(options: MiniStackOptions) {
    this.#options = options;
  }

  /** @returns the port it listens on */
  async start(): Promise<number> {
    const { scratch, awsUrl } = this.#options;
    const python = await installMiniStack();
    this.#port = await findFreePort();
    const temporary = join(scratch, 'ministack');
    await mkdir(temporary, { recursive: true });
    const log = openSync(this.#log, 'w');
    this.#process = spawn(python, [server, String(this.#port)], {
      cwd: temporary,
      // A session of its own: its functions' processes are in it, and end with it.
      detached: true,
      // Whose end it sees when this process ends, in whatever way.
      stdio: ['pipe', log, log],
      env: {
        PATH: process.env['PATH'],
        HOME: temporary,
        TMPDIR: temporary,
        // In the addresses of queues and APIs.
        GATEWAY_PORT: new URL(awsUrl).port,
        SFTP_ENABLED: '0',
        IOT_MTLS_ENABLED: '0',
        LAMBDA_EXECUTOR: 'local',
        // Of a burst's environments not all stay: fewer processes, and more first starts.
        LAMBDA_WARM_TTL_SECONDS: '10',
        // Whatever a function wants from the real world it does not get.
        NODE_USE_ENV_PROXY: '1',
        HTTPS_PROXY: 'http://127.0.0.1:9',
        // Nobody listens there: tasks are ours (see fargate.ts).
        DOCKER_HOST: 'unix:///nonexistent',
        // Signatures and policies are checked.
        AUTH: 'true',
        AWS_ACCESS_KEY_ID: rootCredentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: rootCredentials.secretAccessKey,
        AWS_ENDPOINT_URL: awsUrl,
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
    closeSync(log);
    this.#process.once('error', () => undefined);
    await this.#answers(this.#process);
    return this.#port;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child?.pid === undefined) return;
    const ended = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once('exit', () => resolve());
    });
    signalGroup(child.pid, 'SIGTERM');
    const hung = setTimeout(signalGroup, 5000, child.pid, 'SIGKILL');
    await ended;
    clearTimeout(hung);
    // What its functions' processes did not hear.
    signalGroup(child.pid, 'SIGKILL');
  }

  get #log(): string {
    return join(this.#options.scratch, 'ministack.log');
  }

  async #answers(child: ChildProcess): Promise<void> {
    const end = Date.now() + 60_000;
    while (child.exitCode === null && Date.now() < end) {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/_ministack/health`).catch(() => undefined);
      if (answer?.ok === true) return;
      await wait(50);
    }
    throw new Error(
      `MiniStack must answer within a minute, it did not:\n${readFileSync(this.#log, 'utf8').slice(-2000)}`,
    );
  }
}

function signalGroup(leader: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(-leader, signal);
  } catch {
    // Nobody is left.
  }
}

/**
 * From PyPI, into a directory that git ignores, once: what is there is used again.
 * @returns the Python that has it
 */
async function installMiniStack(): Promise<string> {
  const python = join(home, 'bin', 'python');
  const wanted = await readFile(requirements, 'utf8');
  const installed = async (): Promise<boolean> =>
    (await readFile(join(home, mark), 'utf8').catch(() => undefined)) === wanted;
  if (await installed()) return python;
  // Made beside it and moved when it is whole: somebody else may be doing the same.
  const making = `${home}-${process.pid}`;
  try {
    await mkdir(making, { recursive: true });
    const venv = ['-m', 'venv', making];
    await explain(
      'python3 with its venv module must be there (on Debian: apt-get install python3-venv)',
      'python3',
      venv,
    );
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps'];
    await explain(`pip must be able to install what ${requirements} names`, join(making, 'bin', 'python'), [
      ...pip,
      '--requirement',
      requirements,
    ]);
    await writeFile(join(making, mark), wanted);
    if (!(await installed())) {
      await rm(home, { recursive: true, force: true });
      await rename(making, home);
    }
  } finally {
    await rm(making, { recursive: true, force: true });
  }
  return python;
}

async function explain(must: string, program: string, args: readonly string[]): Promise<void> {
  try {
    await run(program, args);
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { readonly stdout?: string; readonly stderr?: string };
    throw new Error(`${must}, but ${program} said: ${`${stdout}${stderr}`.trim() || String(error)}`, { cause: error });
  }
}

async function findFreePort(): Promise<number> {
  const listener = createServer();
  await new Promise<void>((resolve) => {
    listener.listen(0, '127.0.0.1', resolve);
  });
  const { port } = listener.address() as AddressInfo;
  await new Promise<void>((resolve) => {
    listener.close(() => {
      resolve();
    });
  });
  return port;
}

import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Debian's packages are named so, too. `.ci/run` installs them. */
const programs = ['buildah', 'podman', 'runc', 'debootstrap'];
const home = fileURLToPath(new URL('../../.local/image', import.meta.url));
const imageFiles = fileURLToPath(new URL('../../runner-image', import.meta.url));
const baseImage = 'localhost/debian:bookworm';

export type Ended = { readonly code: number; readonly stdout: string; readonly stderr: string };

export type BuildOptions = {
  readonly arguments: Readonly<Record<string, string>>;
  readonly tag?: string;
  /** A stage to stop at. */
  readonly target?: string;
  /** Whether the image stays. Only for one without a tag. @default true */
  readonly keep?: boolean;
  /** @default runner-image/ */
  readonly context?: string;
};

export type RunOptions = {
  readonly image: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** Names, or `PREFIX_*`, of variables that it takes over from whoever starts it. */
  readonly inherited?: readonly string[];
  readonly user?: string;
  readonly entryPoint?: readonly string[];
  /** Of `podman run`, such as `--memory=64m`. */
  readonly options?: readonly string[];
};

/**
 * buildah and podman, with a storage and a configuration of their own: whatever else has containers on this machine does not
 * see these, and these do not see it. Images stay between runs, in `.local/image`; nothing that runs or is mounted does.
 */
export class Engine {
  readonly #environment: Readonly<Record<string, string>>;

  private constructor(environment: Readonly<Record<string, string>>) {
    this.#environment = environment;
  }

  /** @throws Error with what must be installed */
  static async open(): Promise<Engine> {
    await checkMachine();
    const engine = new Engine(await writeConfiguration());
    await engine.#removeAbandoned();
    return engine;
  }

  /** Builds what the Dockerfile says, from Debian. Its code is not 0 where it says that this cannot be. */
  async build({ arguments: given, tag, target, keep = true, context = imageFiles }: BuildOptions): Promise<Ended> {
    await this.#makeBase();
    // Named by a build that worked only.
    const options = [
      ...(tag === undefined ? [] : ['--tag', tag]),
      ...(target === undefined ? [] : ['--target', target]),
    ];
    const args = Object.entries({ BASE_IMAGE: baseImage, ...given }).flatMap(([name, value]) => [
      '--build-arg',
      `${name}=${value}`,
    ]);
    const ended = await this.#run('buildah', ['bud', '--layers', '--force-rm', ...options, ...args, context]);
    // The last line is its id.
    const id = ended.stdout.trimEnd().split('\n').at(-1) ?? '';
    if (ended.code === 0 && !keep) await this.podman('image', 'rm', id);
    return ended;
  }

  /** The command line that runs a container in the foreground: signals go to it, and its exit code comes back. */
  runCommand({ image, environment = {}, inherited = [], user, entryPoint, options = [] }: RunOptions): string[] {
    return [
      ...this.#commandOf('podman'),
      'run',
      '--pull=never',
      `--label=owner=${process.pid}`,
      '--network=host',
      '--log-driver=none',
      ...(user === undefined ? [] : [`--user=${user}`]),
      ...(entryPoint === undefined ? [] : [`--entrypoint=${entryPoint[0]}`]),
      ...Object.entries(environment).map(([variable, value]) => `--env=${variable}=${value}`),
      ...inherited.map((variable) => `--env=${variable}`),
      ...options,
      image,
      ...(entryPoint?.slice(1) ?? []),
    ];
  }

  /**
   * The command line that ends a container if it runs, and removes it if it is there.
   * @param which its name, or `--cidfile=FILE`
   */
  removeCommand(which: string): string[] {
    return [...this.#commandOf('podman'), 'rm', '--force', '--ignore', '--time=0', which];
  }

  /** Runs a container to its end, and leaves nothing of it. */
  async run({ options = [], ...rest }: RunOptions): Promise<Ended> {
    const [program = '', ...args] = this.runCommand({ ...rest, options: ['--rm', ...options] });
    return spawned(program, args);
  }

  async podman(...args: readonly string[]): Promise<Ended> {
    return this.#run('podman', args);
  }

  /** @throws Error with what podman said */
  async mustPodman(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.podman(...args);
    if (code !== 0) throw new Error(`podman ${args.join(' ')} must end with 0, it ended with ${code}: ${stderr}`);
    return stdout;
  }

  /** Containers of a process that is gone, and builds that were cut off. */
  async #removeAbandoned(): Promise<void> {
    const listed = await this.mustPodman('ps', '--all', '--external', '--format=json');
    const hourAgo = Date.now() / 1000 - 3600;
    const abandoned = (JSON.parse(listed) as readonly Listed[]).filter(({ Labels, Created }) => {
      const owner = Labels?.['owner'];
      return owner === undefined ? Created < hourAgo : !existsSync(`/proc/${owner}`);
    });
    for (const { Id } of abandoned) await this.mustPodman('rm', '--force', '--time=0', Id);
    await this.mustPodman('image', 'prune', '--force', '--filter=until=24h');
  }

  async #makeBase(): Promise<void> {
    if ((await this.podman('image', 'exists', baseImage)).code === 0) return;
    const scratch = await mkdtemp(join(home, 'debootstrap-'));
    try {
      // Nobody but root could look into an image whose root is like a temporary directory's.
      const root = join(scratch, 'root');
      await mkdir(root, { mode: 0o755 });
      // What it mounts is gone with it, however it ends.
      const bootstrap = ['--variant=minbase', '--include=ca-certificates', 'bookworm', root];
      const made = await spawned('unshare', ['--mount', 'debootstrap', ...bootstrap]);
      if (made.code !== 0) throw new Error(`debootstrap must make a Debian, it said: ${made.stdout.slice(-2000)}`);
      const podman = this.#commandOf('podman').map((word) => `'${word}'`);
      const imported = await spawned('bash', [
        '-o',
        'pipefail',
        '-c',
        `tar --create --directory '${root}' . | ${podman.join(' ')} import - ${baseImage}`,
      ]);
      if (imported.code !== 0) throw new Error(`podman must import a Debian, it said: ${imported.stderr}`);
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }

  async #run(program: string, args: readonly string[]): Promise<Ended> {
    const [command = '', ...rest] = [...this.#commandOf(program), ...args];
    return spawned(command, rest);
  }

  /** With `env`, so that it can be handed to whoever starts processes with another environment. */
  #commandOf(program: string): string[] {
    return ['env', ...Object.entries(this.#environment).map(([name, value]) => `${name}=${value}`), program];
  }
}

type Listed = {
  readonly Id: string;
  readonly Labels: Readonly<Record<string, string>> | null;
  /** Seconds since the epoch. */
  readonly Created: number;
};

async function checkMachine(): Promise<void> {
  const known = await Promise.all(
    programs.map(async (program) => [program, await spawned('which', [program])] as const),
  );
  const missing = known.flatMap(([program, { code }]) => (code === 0 ? [] : [program]));
  if (missing.length > 0)
    throw new Error(`${missing.join(', ')} must be installed (apt-get install ${missing.join(' ')})`);
  if (process.getuid?.() !== 0) throw new Error('images are built and run as root here: debootstrap and runc need it');
}

/** @returns the environment that makes podman and buildah read it */
async function writeConfiguration(): Promise<Record<string, string>> {
  // What is true of containers that run is not true after the machine started again.
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8);
  const running = join(home, `run-${boot}`);
  await mkdir(running, { recursive: true });
  await mkdir(join(home, 'networks'), { recursive: true });
  for (const name of readdirSync(home)) {
    if (name.startsWith('run-') && name !== `run-${boot}`) await rm(join(home, name), { recursive: true, force: true });
  }
  const program = await findMountProgram();
  // A storage that the program ever had stays slow without it.
  const mounts = program === undefined ? 'overlay' : 'fuse';
  const containers = join(home, 'containers.conf');
  const storage = join(home, 'storage.conf');
  await writeFile(
    containers,
    toml({
      // Those of Debian's own configuration need CAP_SYS_RESOURCE, which not every machine gives.
      containers: { default_ulimits: ['nofile=8192:8192', 'nproc=8192:8192'] },
      // crun does not run where cgroups of both versions are mounted.
      engine: {
        runtime: 'runc',
        cgroup_manager: 'cgroupfs',
        events_logger: 'none',
        lock_type: 'file',
        tmp_dir: join(running, 'libpod'),
      },
      network: { network_config_dir: join(home, 'networks') },
    }),
  );
  await writeFile(
    storage,
    toml({
      storage: { driver: 'overlay', graphroot: join(home, mounts), runroot: join(running, mounts) },
      'storage.options.overlay': program === undefined ? {} : { mount_program: program },
    }),
  );
  return {
    CONTAINERS_CONF: containers,
    CONTAINERS_STORAGE_CONF: storage,
    // A network and processes of its own a build does not need; this way it works in a container, too.
    BUILDAH_ISOLATION: 'chroot',
  };
}

/**
 * The kernel's own overlay does not work on top of another one, as in a container. podman's third way, a copy of the image for each
 * layer and container, takes minutes where these take seconds.
 */
async function findMountProgram(): Promise<string | undefined> {
  const at = await mkdtemp(join(home, 'overlay-'));
  try {
    for (const name of ['lower', 'upper', 'work', 'merged']) await mkdir(join(at, name));
    const options = `lowerdir=${at}/lower,upperdir=${at}/upper,workdir=${at}/work`;
    const mount = ['mount', '-t', 'overlay', 'overlay', '-o', options, join(at, 'merged')];
    if ((await spawned('unshare', ['--mount', ...mount])).code === 0) return undefined;
  } finally {
    await rm(at, { recursive: true, force: true });
  }
  const found = await spawned('which', ['fuse-overlayfs']);
  if (found.code === 0) return found.stdout.trim();
  throw new Error(`overlays must work in ${home}, or fuse-overlayfs be installed`);
}

function toml(tables: Readonly<Record<string, Readonly<Record<string, unknown>>>>): string {
  return Object.entries(tables)
    .map(([table, values]) => {
      const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
      return `[${table}]\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

/** Runs a program to its end. */
export async function spawned(program: string, args: readonly string[]): Promise<Ended> {
  // Not where jest runs: what is mounted there could not be unmounted.
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: tmpdir() });
  const heard = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      heard[stream] += text;
    });
  }
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => resolve(exitCode ?? 137));
  });
  return { code, ...heard };
}

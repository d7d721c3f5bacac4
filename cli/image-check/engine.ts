import { randomUUID } from 'node:crypto';
import { array, object, optional, parse, nullish, string, type InferOutput } from 'valibot';
import type { Ended } from './judge-trial.ts';
import { EndsEarly, readTar } from './read-tar.ts';
import { runProgram, type Outcome } from './run-program.ts';
import type { Tree } from './tree.ts';

const Images = array(
  object({
    Id: string(),
    Architecture: optional(string()),
    Os: optional(string()),
    Config: nullish(object({ Env: nullish(array(string())), StopSignal: optional(string()) })),
  }),
);

type Image = {
  readonly id: string;
  readonly arch?: string;
  readonly system?: string;
  readonly stopSignal?: string;
  readonly environment: Readonly<Record<string, string>>;
};

type Search =
  | { readonly kind: 'found'; readonly engine: Engine; readonly image: Image }
  | { readonly kind: 'none'; readonly reasons: readonly string[] };

type Task = {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly seconds: number;
};

const inspectSeconds = 60;
const exportSeconds = 600;
const removeSeconds = 60;

/** Of these engines, the first that has the image. Nothing is pulled. */
export async function findImage(name: string, engines: readonly string[], signal: AbortSignal): Promise<Search> {
  const reasons: string[] = [];
  for (const program of engines) {
    const engine = new Engine(program, signal);
    const image = await engine.inspect(name);
    if (typeof image !== 'string') return { kind: 'found', engine, image };
    reasons.push(image);
  }
  return { kind: 'none', reasons };
}

/** podman or docker: of what is asked here, both speak the same. */
class Engine {
  readonly #program: string;
  readonly #signal: AbortSignal;

  constructor(program: string, signal: AbortSignal) {
    this.#program = program;
    this.#signal = signal;
  }

  /** @returns the image, or why there is none */
  async inspect(name: string): Promise<Image | string> {
    const outcome = await this.#do(['image', 'inspect', name], inspectSeconds);
    if (outcome.kind !== 'ended' || outcome.code !== 0) return this.#complain(outcome, inspectSeconds);
    const [image] = parse(Images, JSON.parse(outcome.stdout));
    if (image === undefined) return `${this.#program} knows no such image`;
    return describe(image);
  }

  /** The whole file system of an image, from a container that is made, never started, and removed. */
  async read({ id }: Image): Promise<Tree> {
    return this.#withContainer(async (container) => {
      // An image may have no command of its own; what it is does not matter.
      const created = await this.#do(['create', '--name', container, '--network', 'none', id, '/none'], inspectSeconds);
      if (created.kind !== 'ended' || created.code !== 0) throw new Error(this.#complain(created, inspectSeconds));
      let tree: Tree | undefined;
      // podman opens /dev/stdout by that name, which only a pipe lets it do; ours are sockets.
      const piped = ['bash', '-c', 'set -o pipefail; "$0" export "$1" | cat', this.#program, container];
      const exported = await runProgram(piped, {
        seconds: exportSeconds,
        signal: this.#signal,
        read: async (stdout) => {
          tree = await readTar(stdout).catch((error: unknown) => {
            if (error instanceof EndsEarly) return undefined;
            throw error;
          });
        },
      });
      if (exported.kind !== 'ended' || exported.code !== 0) throw new Error(this.#complain(exported, exportSeconds));
      if (tree === undefined) throw new Error(`${this.#program} stopped in the middle of the export`);
      return tree;
    });
  }

  /** Runs a command in the image as root, as a task is, but without any network. */
  async run({ id }: Image, { command, environment, seconds }: Task): Promise<Ended> {
    const [entry = '', ...args] = command;
    const variables = Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
    return this.#withContainer(async (container) => {
      const as = ['--name', container, '--network', 'none', '--user', '0:0', '--entrypoint', entry];
      const outcome = await this.#do(['run', ...as, ...variables, id, ...args], seconds);
      if (outcome.kind === 'late') return { kind: 'late', seconds };
      if (outcome.kind === 'missing' || isOfEngine(outcome.code, outcome.stderr)) {
        return { kind: 'not-tried', why: this.#complain(outcome, seconds) };
      }
      return { kind: 'ended', code: outcome.code, said: `${outcome.stdout}${outcome.stderr}` };
    });
  }

  async #withContainer<T>(use: (container: string) => Promise<T>): Promise<T> {
    const container = `image-check-${randomUUID()}`;
    try {
      return await use(container);
    } finally {
      // Also when we are being stopped, or when it is not known how far the engine came.
      const bounds = { seconds: removeSeconds, signal: new AbortController().signal };
      await runProgram([this.#program, 'rm', '--force', '--volumes', container], bounds);
    }
  }

  async #do(args: readonly string[], seconds: number): Promise<Outcome> {
    return runProgram([this.#program, ...args], { seconds, signal: this.#signal });
  }

  #complain(outcome: Outcome, seconds: number): string {
    switch (outcome.kind) {
      case 'missing':
        return `there is no ${this.#program}`;
      case 'late':
        return `${this.#program} gave no answer within ${seconds} s`;
      case 'ended': {
        const last = outcome.stderr.trim().split('\n').at(-1) ?? '';
        return `${this.#program} says: ${last || `exit code ${outcome.code}`}`;
      }
    }
  }
}

/**
 * 125 is always the engine's; 126 and 127 are also a program's, but what the runtime cannot start the engine says in its own words.
 * https://docs.docker.com/reference/cli/docker/container/run/#exit-status
 */
function isOfEngine(code: number, said: string): boolean {
  return code === 125 || ((code === 126 || code === 127) && /^(?:Error|docker): /m.test(said));
}

function describe({ Id, Architecture, Os, Config }: InferOutput<typeof Images>[number]): Image {
  const assignments = (Config?.Env ?? []).map((entry): [string, string] => {
    const equals = entry.indexOf('=');
    return equals < 0 ? [entry, ''] : [entry.slice(0, equals), entry.slice(equals + 1)];
  });
  return {
    id: Id,
    environment: Object.fromEntries(assignments),
    ...(Architecture !== undefined && { arch: Architecture }),
    ...(Os !== undefined && { system: Os }),
    ...(Config?.StopSignal !== undefined && { stopSignal: Config.StopSignal }),
  };
}

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim } from '../../functions/contracts/with-tasks/claim.ts';
import { claimAt, TaskServices } from '../runner-image/task-services.ts';
import { until } from '../until.ts';
import type { Engine } from './engine.ts';

/** The image that `build-once.ts` builds. */
export const runnerImage = 'localhost/runner:tested';

export type TaskEnded = { readonly code: number; readonly log: string };
type StartOptions = {
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Of `podman run`. */
  readonly options?: readonly string[];
  readonly image?: string;
  readonly entryPoint?: readonly string[];
};

const home = '/home/runner';
const jobLog = `${home}/_diag/pages/j-1.log`;

/** A task as ECS would run it: a container of the image, as root, with ECS's variables, and the services around it. */
export class ContainerTask {
  readonly name = `task-${process.pid}-${(tasks += 1)}`;
  readonly services: TaskServices;
  log = '';
  ended: Promise<TaskEnded> = Promise.reject(new Error('the task was not started'));
  readonly #engine: Engine;
  readonly #scratch = mkdtempSync(join(tmpdir(), 'container-task-'));
  #process: ChildProcess | undefined;
  #over = false;

  private constructor(engine: Engine, services: TaskServices) {
    this.#engine = engine;
    this.services = services;
    this.ended.catch(() => {});
  }

  static async prepare(engine: Engine): Promise<ContainerTask> {
    const task = new ContainerTask(engine, await TaskServices.start());
    task.services.claim = task.claim();
    return task;
  }

  claim(changes: Partial<Claim> = {}): Claim {
    return claimAt(this.services.url, changes);
  }

  /** What the launch, the task definition (infra/runner-cluster.ts) and ECS put into it. */
  environment(): Record<string, string> {
    const { url } = this.services;
    return {
      CLAIM_ID: 'c-1',
      CLAIMS_TABLE: 'claims',
      AWS_REGION: 'us-east-1',
      AWS_DEFAULT_REGION: 'us-east-1',
      AWS_EXECUTION_ENV: 'AWS_ECS_FARGATE',
      // On ECS it is _RELATIVE_URI, at an address that is no container's of this machine.
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials`,
      ECS_CONTAINER_METADATA_URI_V4: `${url}/metadata`,
      ECS_CONTAINER_METADATA_URI: `${url}/metadata`,
      ECS_AGENT_URI: `${url}/api`,
      // An address that only this machine knows, and bounds that nobody comes near.
      AWS_ENDPOINT_URL_DYNAMODB: url,
      QUIET_SECONDS: '0',
      REGISTRATION_SECONDS: '1',
    };
  }

  start({
    environment = {},
    options = [],
    image = runnerImage,
    entryPoint = ['/usr/local/bin/start-runner.sh'],
  }: StartOptions = {}): this {
    const given = Object.entries({ ...this.environment(), ...environment }).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    );
    const [program = '', ...args] = this.#engine.runCommand({
      image,
      user: 'root',
      entryPoint,
      environment: Object.fromEntries(given) as Record<string, string>,
      // Whoever started it may be gone by then.
      options: [`--name=${this.name}`, '--timeout=300', ...options],
    });
    // Of a container that lacks memory, a file is left where it was started.
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: this.#scratch });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
      });
    }
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        this.#over = true;
        resolve({ code: code ?? 137, log: this.log });
      });
    });
    return this;
  }

  async run(options: StartOptions = {}): Promise<TaskEnded> {
    return this.start(options).ended;
  }

  async runJob(script: string, options: StartOptions = {}): Promise<TaskEnded> {
    this.services.assign(script);
    return this.run(options);
  }

  /** Starts it with a job, and waits until the job's script has come to its end, where it stays. */
  async startJob(script: string, options: StartOptions = {}): Promise<void> {
    const here = `${this.services.url}/here`;
    this.services.script('GET /here', 200);
    this.services.assign(`${script}\ncurl --silent --fail ${here}\nuntil false; do sleep 0.1; done`);
    this.start(options);
    await this.until(() => this.services.count('GET /here') > 0);
  }

  /** As StopTask does: SIGTERM, and SIGKILL when that much time is over. */
  async stop(seconds = 120): Promise<TaskEnded> {
    await this.#engine.mustPodman('stop', `--time=${seconds}`, this.name);
    return this.ended;
  }

  async signal(name: string): Promise<void> {
    await this.#engine.mustPodman('kill', `--signal=${name}`, this.name);
  }

  /** Waits until the condition holds, for as long as the task runs. */
  async until(condition: () => boolean): Promise<void> {
    const wanted = (): string => `${condition.toString()}; the log:\n${this.log}`;
    await until(() => this.#over || condition(), wanted);
    if (!condition()) throw new Error(`the task ended without ${wanted()}`);
  }

  async untilLog(text: string): Promise<void> {
    await this.until(() => this.log.includes(text));
  }

  /** A file in the container, whether it still runs or not. */
  async file(path: string): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'container-task-'));
    try {
      const copy = join(directory, 'file');
      await this.#engine.mustPodman('cp', `${this.name}:${path}`, copy);
      return await readFile(copy, 'utf8');
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }

  /** What the job's steps printed, its hooks too. */
  async jobLog(): Promise<string> {
    return this.file(jobLog);
  }

  /** @throws Error when the container still ran though its end was seen */
  async dispose(): Promise<void> {
    const [program = '', ...args] = this.#engine.removeCommand(this.name);
    const running = this.#over ? await this.#isRunning() : false;
    await new Promise((resolve) => spawn(program, args, { stdio: 'ignore' }).once('close', resolve));
    if (this.#process !== undefined) await this.ended.catch(() => undefined);
    this.services.stop();
    await rm(this.#scratch, { recursive: true, force: true });
    if (running) throw new Error(`${this.name} must have ended, it runs`);
  }

  async #isRunning(): Promise<boolean> {
    return (await this.#engine.mustPodman('ps', '--quiet', `--filter=name=^${this.name}$`)).trim() !== '';
  }
}
let tasks = 0;

/** The processes of this machine, in containers too, whose command line has this. */
export function processesWith(text: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const line = commandLine(pid);
      return line.includes(text) ? [`${pid} ${line}`] : [];
    });
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

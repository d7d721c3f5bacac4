import { spawn, type ChildProcess } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Claim } from '../../functions/contracts/with-tasks/claim.ts';
import { until } from '../until.ts';
import { claimAt, TaskServices } from './task-services.ts';

export const startRunner = join(import.meta.dirname, '../../runner-image/start-runner.sh');
const standIn = join(import.meta.dirname, '../emulators/actions-runner');

export type Ended = { readonly code: number | null; readonly signal: string | null; readonly log: string };

/** Where a task says how it ended. */
export function lastLine({ log }: { readonly log: string }): string {
  return log.trimEnd().split('\n').at(-1) ?? '';
}

/** One task on this machine: a root file system of its own, the services around it, and the process once started. */
export class Task {
  readonly home = mkdtempSync(join(tmpdir(), 'start-runner-'));
  readonly services: TaskServices;
  log = '';
  ended: Promise<Ended> = Promise.reject(new Error('the task was not started'));
  #process: ChildProcess | undefined;
  #over = false;

  private constructor(services: TaskServices) {
    this.services = services;
    this.ended.catch(() => {});
    cpSync(standIn, this.home, { recursive: true });
  }

  static async prepare(): Promise<Task> {
    const task = new Task(await TaskServices.start());
    task.services.claim = task.claim();
    return task;
  }

  claim(changes: Partial<Claim> = {}): Claim {
    return claimAt(this.services.url, { idleSeconds: 30, maxSeconds: 60, ...changes });
  }

  /**
   * What ECS would put into the environment. Short are those bounds alone that no healthy task comes near, on however
   * slow a machine: a test of a bound brings its own.
   */
  environment(): Record<string, string> {
    const { url } = this.services;
    return {
      PATH: process.env['PATH'] ?? '',
      CLAIM_ID: 'c-1',
      CLAIMS_TABLE: 'claims',
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_DYNAMODB: url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${url}/credentials`,
      ECS_CONTAINER_METADATA_URI_V4: `${url}/metadata`,
      RUNNER_HOME: this.home,
      ...(process.getuid?.() === 0 && { RUNNER_ALLOW_RUNASROOT: '1' }),
      DOWNLOAD_SECONDS: '30',
      // Long enough for one attempt, which is never cut short, and too short for another.
      REGISTRATION_SECONDS: '1',
      STOP_SECONDS: '30',
      QUIET_SECONDS: '0',
      RESTART_SECONDS: '0.1',
      UPDATE_SECONDS: '1',
      RESTARTS: '2',
      RUNNER_STANDIN_RENEW_SECONDS: '0.2',
      RUNNER_STANDIN_TERM_AFTER: '0.2',
      RUNNER_STANDIN_KILL_AFTER: '0.2',
    };
  }

  /** `through` is a command that starts the script. */
  start(changes: Record<string, string | undefined> = {}, through: readonly string[] = []): this {
    const environment = Object.entries({ ...this.environment(), ...changes }).filter(
      ([, value]) => value !== undefined,
    );
    const [command, args] =
      through[0] === undefined ? [startRunner, []] : [through[0], [...through.slice(1), startRunner]];
    const child = spawn(command, args, {
      env: Object.fromEntries(environment),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
      });
    }
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code, signal) => {
        this.#over = true;
        resolve({ code, signal, log: this.log });
      });
    });
    return this;
  }

  async run(changes: Record<string, string | undefined> = {}): Promise<Ended> {
    return this.start(changes).ended;
  }

  async runJob(script: string, changes: Record<string, string | undefined> = {}): Promise<Ended> {
    this.services.assign(script);
    return this.run(changes);
  }

  /** One that has ended meanwhile takes no signal, which is no error. */
  signal(name: NodeJS.Signals = 'SIGTERM'): void {
    this.#process?.kill(name);
  }

  /** Waits until the condition holds, for as long as the task runs. */
  async until(condition: () => boolean): Promise<void> {
    const wanted = () => `${condition.toString()}; the log:\n${this.log}`;
    await until(() => this.#over || condition(), wanted);
    if (!condition()) throw new Error(`the task ended without ${wanted()}`);
  }

  async untilLog(text: string): Promise<void> {
    await this.until(() => this.log.includes(text));
  }

  file(name: string): string {
    return readFileSync(join(this.home, name), 'utf8');
  }

  has(name: string): boolean {
    return existsSync(join(this.home, name));
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.home, name), text, { mode: 0o755 });
  }

  /** What the job's step printed. */
  get jobLog(): string {
    return this.file('_diag/pages/j-1.log');
  }

  /** The command lines of this task's processes. */
  commandLines(): string[] {
    return this.leftovers().map((line) => line.replace(/^\d+ /, ''));
  }

  /** Processes that still have to do with this task. */
  leftovers(): string[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => this.#belongs(pid))
      .map((pid) => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`);
  }

  /** @throws Error when the task has left anything running, which is ended then, or did not say once how it ended */
  async dispose(): Promise<void> {
    const { code } = await this.ended.catch(() => ({ code: null }));
    // What was killed takes a moment to be gone, on a busy machine a longer one.
    const isGone = () => this.leftovers().length === 0;
    await until(isGone, 'nothing is left', 3000).catch(() => undefined);
    const leftovers = this.leftovers();
    for (const line of leftovers) process.kill(Number(line.split(' ')[0]), 'SIGKILL');
    this.services.stop();
    rmSync(this.home, { recursive: true, force: true });
    if (leftovers.length > 0) throw new Error(`nothing must be left of a task, there is:\n${leftovers.join('\n')}`);
    if (/^\S*start-runner\.sh: line /m.test(this.log))
      throw new Error(`bash must not speak for itself, it said:\n${this.log}`);
    const saidAtEnd = this.log.match(/^start-runner: .+ \(exit \d+\)$/gm) ?? [];
    if (code !== null && (saidAtEnd.length !== 1 || !saidAtEnd[0]?.endsWith(`(exit ${code})`))) {
      throw new Error(`a task must say once that it ends with ${code}, it said:\n${this.log}`);
    }
  }

  #belongs(pid: string): boolean {
    let cwd = '';
    try {
      cwd = readlinkSync(`/proc/${pid}/cwd`);
    } catch {
      // Gone, or a zombie.
    }
    return cwd.startsWith(this.home) || read(`/proc/${pid}/environ`).includes(this.home);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

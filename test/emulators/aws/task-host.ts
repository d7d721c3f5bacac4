import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { HostReport, HostRequest } from './task-host-process.ts';

export type LogStream = 'stdout' | 'stderr';
export type TaskProcessOptions = {
  readonly id: string;
  readonly scratch: string;
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly cleanUp?: readonly string[] | undefined;
  readonly onLine: (stream: LogStream, line: string) => void;
};

/** The main process of a task, leader of a session of its own, with a home and a temporary directory of its own. */
export type TaskProcess = {
  readonly pid: number;
  /** The exit code as a container's: 128 + the signal's number when a signal ended it. */
  readonly exited: Promise<number>;
  /** Nothing is left of it: no process, no file, no line to come. */
  readonly gone: Promise<void>;
  /** Asks the main process alone, as ECS signals a container. */
  terminate(): void;
  kill(): void;
};

type Hosted = {
  readonly options: TaskProcessOptions;
  readonly started: PromiseWithResolvers<number>;
  readonly exited: PromiseWithResolvers<number>;
  readonly gone: PromiseWithResolvers<void>;
  readonly unfinished: Record<LogStream, string>;
};

/** This side of the process that runs tasks. */
export class TaskHost {
  readonly #process: ChildProcess;
  readonly #ended: Promise<void>;
  readonly #tasks = new Map<string, Hosted>();

  /** @param root the directory of all scratch directories, which goes when the host goes */
  constructor(root: string) {
    this.#process = fork(fileURLToPath(new URL('task-host-process.ts', import.meta.url)), [root], {
      cwd: '/',
      // A session of its own: Ctrl-C at a terminal is for us, and the host follows.
      detached: true,
      env: { PATH: process.env['PATH'] },
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#process.on('message', (report: HostReport) => {
      this.#hear(report);
    });
    this.#ended = new Promise((resolve) => {
      this.#process.once('exit', () => {
        for (const hosted of this.#tasks.values()) lose(hosted);
        this.#tasks.clear();
        resolve();
      });
    });
    this.#process.unref();
    this.#process.channel?.unref();
  }

  /** @throws Error when the command cannot be started */
  async run(options: TaskProcessOptions): Promise<TaskProcess> {
    const { id, scratch, command, environment, cleanUp } = options;
    const hosted: Hosted = {
      options,
      started: Promise.withResolvers(),
      exited: Promise.withResolvers(),
      gone: Promise.withResolvers(),
      unfinished: { stdout: '', stderr: '' },
    };
    this.#tasks.set(id, hosted);
    this.#process.channel?.ref();
    this.#send({ kind: 'run', id, scratch, command, environment, cleanUp });
    const pid = await hosted.started.promise;
    return {
      pid,
      exited: hosted.exited.promise,
      gone: hosted.gone.promise,
      terminate: () => {
        this.#send({ kind: 'terminate', id });
      },
      kill: () => {
        this.#send({ kind: 'kill', id });
      },
    };
  }

  /** Ends whatever still runs. */
  async stop(): Promise<void> {
    this.#process.ref();
    if (this.#process.connected) this.#process.disconnect();
    await this.#ended;
  }

  #send(request: HostRequest): void {
    this.#process.send(request, (error) => {
      if (error === null) return;
      const hosted = this.#tasks.get(request.id);
      if (hosted !== undefined) lose(hosted);
    });
  }

  #hear(report: HostReport): void {
    const hosted = report.kind === 'ready' ? undefined : this.#tasks.get(report.id);
    if (hosted === undefined) return;
    switch (report.kind) {
      case 'ready':
        return;
      case 'started':
        hosted.started.resolve(report.pid);
        return;
      case 'refused':
        hosted.started.reject(new Error(report.message));
        return;
      case 'output':
        hear(hosted, report.stream, report.text);
        return;
      case 'exited':
        hosted.exited.resolve(report.code);
        return;
      case 'gone':
        for (const stream of ['stdout', 'stderr'] as const) {
          if (hosted.unfinished[stream] !== '') hosted.options.onLine(stream, hosted.unfinished[stream]);
        }
        hosted.gone.resolve();
        this.#tasks.delete(report.id);
        if (this.#tasks.size === 0) this.#process.channel?.unref();
        return;
    }
  }
}

function hear(hosted: Hosted, stream: LogStream, text: string): void {
  const lines = `${hosted.unfinished[stream]}${text}`.split('\n');
  hosted.unfinished[stream] = lines.pop() ?? '';
  for (const line of lines) hosted.options.onLine(stream, line);
}

/** What was on a host that is no more has ended with it. */
function lose(hosted: Hosted): void {
  hosted.started.reject(new Error('the host of the task is gone'));
  hosted.exited.resolve(137);
  hosted.gone.resolve();
}

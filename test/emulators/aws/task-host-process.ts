// The machine tasks run on: a small process of its own, which starts and ends them. To fork a process takes time by
// its size, so the emulator, grown large, would stand still for each start. When the emulator dies, without a word
// even, its end of the channel closes, and everything that runs here ends too.
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import { killGroup, TaskRemains } from './task-remains.ts';

export type HostRequest =
  | {
      readonly kind: 'run';
      readonly id: string;
      readonly scratch: string;
      readonly command: readonly string[];
      readonly environment: Readonly<Record<string, string>>;
      readonly cleanUp: readonly string[] | undefined;
    }
  | { readonly kind: 'terminate' | 'kill'; readonly id: string };
export type HostReport =
  | { readonly kind: 'ready' }
  | { readonly kind: 'started'; readonly id: string; readonly pid: number }
  | { readonly kind: 'refused'; readonly id: string; readonly message: string }
  | { readonly kind: 'output'; readonly id: string; readonly stream: 'stdout' | 'stderr'; readonly text: string }
  /** The main process ended, with the exit code a container would have. */
  | { readonly kind: 'exited'; readonly id: string; readonly code: number }
  /** Nothing is left: no process, no file, no line to come. */
  | { readonly kind: 'gone'; readonly id: string };

const [root = ''] = process.argv.slice(2);
const tasks = new Map<string, Running>();
type Running = {
  readonly child: ChildProcess;
  readonly scratch: string;
  readonly cleanUp: readonly string[] | undefined;
};
const remains = new TaskRemains(() => new Set([...tasks.values()].flatMap(({ child }) => child.pid ?? [])));

function report(message: HostReport): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

process.on('message', (request: HostRequest) => {
  const child = request.kind === 'run' ? undefined : tasks.get(request.id)?.child;
  switch (request.kind) {
    case 'run':
      void run(request);
      return;
    case 'terminate':
      child?.kill('SIGTERM');
      return;
    case 'kill':
      if (child?.pid !== undefined) killGroup(child.pid);
      return;
  }
});
process.once('disconnect', () => void endAll());
report({ kind: 'ready' });

async function run(request: HostRequest & { readonly kind: 'run' }): Promise<void> {
  const { id, scratch, command, environment, cleanUp } = request;
  const home = join(scratch, 'home');
  const temporary = join(scratch, 'tmp');
  const [program = '', ...args] = command;
  try {
    await Promise.all([mkdir(home, { recursive: true }), mkdir(temporary, { recursive: true })]);
    if (!process.connected) return;
    const child = spawn(program, args, {
      cwd: scratch,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { HOME: home, TMPDIR: temporary, ...environment },
    });
    const running = { child, scratch, cleanUp };
    tasks.set(id, running);
    const exited = exitOf(child);
    const drained = [relay(id, 'stdout', child), relay(id, 'stderr', child)];
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    report({ kind: 'started', id, pid: child.pid ?? 0 });
    const code = await exited;
    tasks.delete(id);
    report({ kind: 'exited', id, code });
    await clear(running);
    await Promise.race([Promise.all(drained), waitUnreferenced(1000)]);
  } catch (error) {
    tasks.delete(id);
    report({ kind: 'refused', id, message: error instanceof Error ? error.message : String(error) });
  }
  await rm(scratch, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  report({ kind: 'gone', id });
}

async function clear({ child, scratch, cleanUp }: Running): Promise<void> {
  await remains.clear(scratch, child.pid ?? 0);
  const [program, ...args] = cleanUp ?? [];
  if (program === undefined) return;
  await new Promise<void>((resolve) => {
    const cleaner = spawn(program, args, { cwd: scratch, detached: true, stdio: 'ignore' });
    cleaner.once('error', () => resolve());
    cleaner.once('close', () => resolve());
  });
}

async function exitOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => {
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

async function relay(id: string, stream: 'stdout' | 'stderr', child: ChildProcess): Promise<void> {
  const source = child[stream];
  if (source === null) return;
  source.setEncoding('utf8');
  source.on('data', (text: string) => {
    report({ kind: 'output', id, stream, text });
  });
  await new Promise<void>((resolve) => {
    source.once('close', resolve);
  });
}

async function waitUnreferenced(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}

async function endAll(): Promise<void> {
  const left = [...tasks.values()];
  tasks.clear();
  for (const { child } of left) if (child.pid !== undefined) killGroup(child.pid);
  await Promise.all(left.map(clear));
  await rm(root, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  process.exit();
}

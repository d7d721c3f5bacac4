import { spawn } from 'node:child_process';
import { constants } from 'node:os';

export type Outcome =
  | { readonly kind: 'ended'; readonly code: number; readonly stdout: string; readonly stderr: string }
  | { readonly kind: 'late' }
  | { readonly kind: 'missing' };

type Bounds = {
  readonly seconds: number;
  readonly signal: AbortSignal;
  /** Takes what the program prints, instead of its being kept. */
  readonly read?: (stdout: AsyncIterable<Buffer>) => Promise<void>;
};

/** Of each stream, so that an image cannot fill our memory. */
const mostKept = 1 << 20;

/** Runs a program to its end, or kills it. Throws when the signal was given, or when what it prints could not be read. */
export async function runProgram(command: readonly string[], { seconds, signal, read }: Bounds): Promise<Outcome> {
  signal.throwIfAborted();
  const [program = '', ...args] = command;
  // A process group of its own: a Ctrl-C comes to us alone, and what is killed is killed with all that it started.
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let late = false;
  let closed = false;
  const kill = (): void => {
    if (closed || child.pid === undefined) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // All of them have ended.
    }
  };
  const timer = setTimeout(() => {
    late = true;
    kill();
  }, seconds * 1000);
  signal.addEventListener('abort', kill);
  try {
    const ended = new Promise<number | 'missing'>((resolve, reject) => {
      child.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT' || error.code === 'EACCES') resolve('missing');
        else reject(error);
      });
      child.once('close', (code, killedBy) => {
        closed = true;
        resolve(code ?? 128 + (killedBy === null ? 0 : constants.signals[killedBy]));
      });
    });
    const [code, stdout, stderr] = await Promise.all([
      ended,
      read === undefined ? keep(child.stdout) : read(child.stdout).then(() => ''),
      keep(child.stderr),
    ]);
    signal.throwIfAborted();
    if (code === 'missing') return { kind: 'missing' };
    return late ? { kind: 'late' } : { kind: 'ended', code, stdout, stderr };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', kill);
    kill();
  }
}

async function keep(stream: AsyncIterable<Buffer>): Promise<string> {
  const kept: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    if (bytes < mostKept) kept.push(chunk);
    bytes += chunk.length;
  }
  return Buffer.concat(kept).toString('utf8');
}

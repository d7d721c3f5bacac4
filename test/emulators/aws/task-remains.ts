import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';

/**
 * A container's end is the end of all its processes. A task here is only a process, so what it leaves behind is looked
 * for in /proc: by session, by working directory, by the scratch directory's path in the environment.
 * One scan serves all tasks that ended in the meantime.
 */
export class TaskRemains {
  readonly #ended = new Map<string, { readonly session: number; readonly gone: () => void }>();
  readonly #livingSessions: () => ReadonlySet<number>;
  #scanning = false;

  /** @param livingSessions the main processes of tasks that still run: their sessions need no closer look */
  constructor(livingSessions: () => ReadonlySet<number>) {
    this.#livingSessions = livingSessions;
  }

  /** Kills what is left of a task. Resolves once nothing is. */
  async clear(scratch: string, session: number): Promise<void> {
    killGroup(session);
    if (process.platform !== 'linux') return;
    await new Promise<void>((gone) => {
      this.#ended.set(scratch, { session, gone });
      if (!this.#scanning) void this.#scanUntilClear();
    });
  }

  async #scanUntilClear(): Promise<void> {
    this.#scanning = true;
    while (this.#ended.size > 0) {
      const began = performance.now();
      const batch = new Map(this.#ended);
      const found = await this.#scan(batch);
      for (const [scratch, { gone }] of batch) {
        if (found.has(scratch)) continue;
        this.#ended.delete(scratch);
        gone();
      }
      // At most a fifth of the time goes into looking.
      if (this.#ended.size > 0) await wait(Math.max(3, (performance.now() - began) * 4));
    }
    this.#scanning = false;
  }

  async #scan(batch: ReadonlyMap<string, { readonly session: number }>): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    const bySession = new Map([...batch].map(([scratch, { session }]) => [session, scratch]));
    const living = this.#livingSessions();
    for (const [at, pid] of processIds().entries()) {
      if (at % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
      const session = sessionOf(pid);
      if (session === undefined || living.has(session)) continue;
      const owner = bySession.get(session) ?? ownerOf(pid, batch);
      if (owner === undefined) continue;
      found.add(owner);
      kill(pid);
    }
    return found;
  }
}

/** Kills a process group we started; that it is gone already is no error. */
export function killGroup(leader: number): void {
  kill(-leader);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function processIds(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** Undefined for a process that is gone, or dead and only waits to be noticed. */
function sessionOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // pid (name) state ppid pgrp session; the name may hold anything, brackets too.
    const [state, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(session);
  } catch {
    return undefined;
  }
}

function ownerOf(pid: number, batch: ReadonlyMap<string, unknown>): string | undefined {
  try {
    const directory = readlinkSync(`/proc/${pid}/cwd`);
    const environment = readFileSync(`/proc/${pid}/environ`, 'latin1');
    for (const scratch of batch.keys()) {
      if (directory === scratch || directory.startsWith(`${scratch}/`) || environment.includes(`${scratch}/`)) {
        return scratch;
      }
    }
  } catch {
    // Gone, or another user's: neither is ours.
  }
  return undefined;
}

import { closeSync, lstatSync, openSync, readdirSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import { bytesToRead, plant, type Entry, type Tree } from './tree.ts';

/** What the kernel, not an image, puts there; where the directory is in use, it may be there. */
const mounted = ['/proc', '/sys', '/dev'];

/** Reads an unpacked root file system, as far as whoever asks may look into it. Throws where that is not even the root. */
export function readDirectory(root: string): Tree {
  const tree = new Map<string, Entry>();
  const directories = ['/'];
  for (let path = directories.pop(); path !== undefined; path = directories.pop()) {
    const here = join(root, path);
    // Of the root this is `root/`, with which the kernel follows a link, should it be one.
    const stats = lstatSync(here, { throwIfNoEntry: path === '/' });
    // A name that is no UTF-8 cannot be asked for by it; nothing that is looked for has one.
    if (stats === undefined) continue;
    plant(tree, path, describe(here, stats));
    if (!stats.isDirectory() || mounted.includes(path)) continue;
    const names = path === '/' ? readdirSync(here) : (ifAllowed(() => readdirSync(here)) ?? []);
    for (const name of names) directories.push(join(path, name));
  }
  return tree;
}

/** Not everything is for everybody: root's home, say. */
function ifAllowed<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EACCES') return undefined;
    throw error;
  }
}

function describe(path: string, stats: Stats): Entry {
  const owned = { mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
  if (stats.isSymbolicLink()) return { kind: 'link', target: readlinkSync(path) };
  if (stats.isDirectory()) return { kind: 'directory', ...owned };
  if (!stats.isFile()) return { kind: 'other', ...owned };
  const wanted = Math.min(bytesToRead(path), stats.size);
  const content = wanted > 0 ? ifAllowed(() => readStart(path, wanted)) : undefined;
  return { kind: 'file', size: stats.size, ...owned, ...(content !== undefined && { content }) };
}

function readStart(path: string, bytes: number): Buffer {
  const file = openSync(path, 'r');
  try {
    const content = Buffer.alloc(bytes);
    return content.subarray(0, readSync(file, content));
  } finally {
    closeSync(file);
  }
}

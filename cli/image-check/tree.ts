import { posix } from 'node:path';

export type Owned = {
  /** Permission bits, with those for set-uid, set-gid and sticky. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
};

export type Entry =
  | ({
      readonly kind: 'file';
      readonly size: number;
      /** Of the files that are read, what they begin with; see `bytesToRead`. */
      readonly content?: Buffer;
    } & Owned)
  | ({ readonly kind: 'directory' | 'other' } & Owned)
  | { readonly kind: 'link'; readonly target: string };

export type RealEntry = Exclude<Entry, { kind: 'link' }>;

/** A file system by absolute path, as it stands in the image: nothing is known of the machine that looks at it. */
export type Tree = ReadonlyMap<string, Entry>;

export type Found = { readonly path: string; readonly entry: RealEntry };

export type User = { readonly uid: number; readonly groups: readonly number[] };

/** As Linux has it. */
const mostLinks = 40;

/** Puts an entry in its place. Directories on the way that nobody described are root's. */
export function plant(tree: Map<string, Entry>, path: string, entry: Entry): void {
  const place = posix.resolve('/', path);
  for (const directory of ancestorsOf(place)) {
    if (!tree.has(directory)) tree.set(directory, { kind: 'directory', mode: 0o755, uid: 0, gid: 0 });
  }
  tree.set(place, entry);
}

/** Follows every link, inside the tree. */
export function find(tree: Tree, path: string): Found | undefined {
  const waiting = partsOf(path);
  let at = '/';
  let links = 0;
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    const next = posix.join(at, part);
    const entry = tree.get(next);
    if (entry === undefined) return undefined;
    if (entry.kind !== 'link') {
      at = next;
      continue;
    }
    links += 1;
    if (links > mostLinks) return undefined;
    waiting.unshift(...partsOf(entry.target));
    if (entry.target.startsWith('/')) at = '/';
  }
  const entry = tree.get(at);
  return entry === undefined || entry.kind === 'link' ? undefined : { path: at, entry };
}

export function findFile(tree: Tree, path: string): (Found & { entry: { kind: 'file' } }) | undefined {
  const found = find(tree, path);
  return found?.entry.kind === 'file' ? { path: found.path, entry: found.entry } : undefined;
}

export function textOf(tree: Tree, path: string): string | undefined {
  return findFile(tree, path)?.entry.content?.toString('utf8');
}

/** Names in a directory, links followed to it and not from it. */
export function listDirectory(tree: Tree, path: string): string[] {
  const directory = find(tree, path);
  if (directory?.entry.kind !== 'directory') return [];
  return [...tree.keys()]
    .filter((key) => key !== '/' && posix.dirname(key) === directory.path)
    .map((key) => posix.basename(key))
    .toSorted();
}

/** Of a path, from the root down. */
export function ancestorsOf(path: string): string[] {
  const parts = partsOf(path).slice(0, -1);
  return path === '/' ? [] : ['/', ...parts.map((_, at) => `/${parts.slice(0, at + 1).join('/')}`)];
}

/** What the kernel lets a user do with one entry, were it only reached. */
export function allows(entry: RealEntry, user: User, right: 'read' | 'write' | 'execute'): boolean {
  const bit = { read: 4, write: 2, execute: 1 }[right];
  if (user.uid === 0) return bit !== 1 || entry.kind === 'directory' || (entry.mode & 0o111) !== 0;
  if (entry.uid === user.uid) return (entry.mode & (bit << 6)) !== 0;
  if (user.groups.includes(entry.gid)) return (entry.mode & (bit << 3)) !== 0;
  return (entry.mode & bit) !== 0;
}

/** The first directory on the way to a path that a user may not pass. */
export function findBarrier(tree: Tree, path: string, user: User): Found | undefined {
  for (const ancestor of ancestorsOf(path)) {
    const found = find(tree, ancestor);
    if (found !== undefined && !allows(found.entry, user, 'execute')) return found;
  }
  return undefined;
}

/**
 * How much of a file is worth keeping: of what is read, all; of programs whose machine is asked for, the head. Sought by name alone, as
 * a stream cannot tell yet which links will lead to a file.
 */
export function bytesToRead(path: string): number {
  switch (posix.basename(path)) {
    case 'start-runner.sh':
    case 'passwd':
    case 'group':
      return 1 << 20;
    case 'bash':
    case 'Runner.Listener':
      return 20;
    default:
      return 0;
  }
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

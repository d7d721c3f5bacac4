import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readDirectory } from '../../cli/image-check/read-directory.ts';
import { EndsEarly, readTar } from '../../cli/image-check/read-tar.ts';
import {
  allows,
  find,
  findBarrier,
  listDirectory,
  plant,
  textOf,
  type Entry,
  type Tree,
} from '../../cli/image-check/tree.ts';
import { directory, file, fitTree, link, tarOf } from './image-check-trees.ts';

function treeOf(entries: Readonly<Record<string, Entry>>): Tree {
  const tree = new Map<string, Entry>();
  for (const [path, entry] of Object.entries(entries)) plant(tree, path, entry);
  return tree;
}

describe('a link', () => {
  const tree = treeOf({
    '/bin': link('usr/bin'),
    '/usr/bin/sh': link('bash'),
    '/usr/bin/bash': file(),
    '/usr/local/bin/start': link('/bin/sh'),
    '/up': link('../../../usr/./bin/../bin/bash'),
    '/loop': link('/loop/again'),
    '/one': link('two'),
    '/two': link('one'),
    '/gone': link('/nowhere'),
  });

  test.each(['/bin/sh', '/usr/local/bin/start', '/up', '/../bin//bash'])(
    '%s leads to bash, inside the tree',
    (path) => {
      expect(find(tree, path)?.path).toBe('/usr/bin/bash');
    },
  );

  test.each(['/loop', '/one', '/gone', '/usr/bin/bash/below'])('%s leads nowhere', (path) => {
    expect(find(tree, path)).toBeUndefined();
  });

  test('to a directory shows what is in it', () => {
    expect(listDirectory(tree, '/bin')).toEqual(['bash', 'sh']);
  });
});

describe('a right', () => {
  const user = { uid: 1001, groups: [1001, 123] };

  test.each([
    [{ mode: 0o700, uid: 1001 }, 'write', true],
    [{ mode: 0o077, uid: 1001, gid: 123 }, 'write', false],
    [{ mode: 0o020, gid: 123 }, 'write', true],
    [{ mode: 0o707, gid: 123 }, 'read', false],
    [{ mode: 0o775 }, 'write', false],
    [{ mode: 0o004 }, 'read', true],
    [{ mode: 0o004 }, 'execute', false],
  ] as const)('of %j to %s is %j', (owned, right, allowed) => {
    const entry = treeOf({ '/x': file('x', owned) }).get('/x');
    if (entry?.kind !== 'file') throw new Error('must be a file');
    expect(allows(entry, user, right)).toBe(allowed);
  });

  test('of root ends where nobody may execute', () => {
    const root = { uid: 0, groups: [0] };
    expect(allows({ kind: 'file', size: 1, mode: 0o644, uid: 7, gid: 7 }, root, 'write')).toBe(true);
    expect(allows({ kind: 'file', size: 1, mode: 0o644, uid: 7, gid: 7 }, root, 'execute')).toBe(false);
  });

  test('is of no use behind a directory that may not be entered', () => {
    const tree = treeOf({ '/root': directory({ mode: 0o700 }), '/root/runner/x': file() });
    expect(findBarrier(tree, '/root/runner/x', user)?.path).toBe('/root');
    expect(findBarrier(tree, '/root', user)).toBeUndefined();
  });
});

describe('a file system', () => {
  const longName = `${'long-'.repeat(30)}name`;
  let root: string;
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'tree-test-'));
    mkdirSync(join(root, 'etc', longName), { recursive: true });
    writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0\n');
    writeFileSync(join(root, 'etc', longName, `${longName}.ä`), 'x'.repeat(700));
    writeFileSync(join(root, 'etc/first'), 'first');
    linkSync(join(root, 'etc/first'), join(root, 'etc/second'));
    symlinkSync(`/etc/${longName}`, join(root, 'absolute'));
    symlinkSync('etc/passwd', join(root, 'name with -> arrow\n'));
    mkdirSync(join(root, 'tmp'));
    chmodSync(join(root, 'tmp'), 0o1777);
    execFileSync('bash', ['-c', 'mkfifo -m 600 "$0"', join(root, 'pipe')]);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  test.each(['ustar', 'gnu', 'pax'])(
    'is the same read from its directory and from a tar archive (%s)',
    async (format) => {
      // ustar cannot hold such names.
      if (format === 'ustar') rmSync(join(root, 'etc', longName), { recursive: true });
      if (format === 'ustar') rmSync(join(root, 'absolute'));
      const tar = execFileSync('tar', ['-C', root, `--format=${format}`, '-c', '.']);
      const tree = await readTar(inChunks(tar, 100));
      expect(tree).toEqual(readDirectory(root));
      expect(textOf(tree, '/name with -> arrow\n')).toBe('root:x:0:0\n');
      expect(find(tree, '/tmp')?.entry.kind).toBe('directory');
    },
  );

  test('keeps owners that are not ours, also those too large for octal digits', async () => {
    const owners = ['--owner=:3000000', '--group=:1001', '--numeric-owner'];
    for (const format of ['gnu', 'pax']) {
      const tar = execFileSync('tar', ['-C', root, `--format=${format}`, ...owners, '-c', 'etc/passwd']);
      expect((await readTar(inChunks(tar, 512))).get('/etc/passwd')).toMatchObject({ uid: 3_000_000, gid: 1001 });
    }
  });

  test('is read as it was written, in whatever pieces it comes', async () => {
    const tree = fitTree();
    const tar = tarOf(tree);
    const read = await readTar(inChunks(tar, 1 << 16));
    expect([...read.keys()]).toEqual([...tree.keys()]);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2000 }), async (size) => {
        expect(await readTar(inChunks(tar, size))).toEqual(read);
      }),
      { numRuns: 20 },
    );
  });

  test('may be named by a link', () => {
    symlinkSync('.', join(root, 'here'));
    expect(readDirectory(join(root, 'here'))).toEqual(readDirectory(root));
  });

  test.each([0, 100, 512, 5000, 1024 * 40 + 10])('must be whole: %i bytes are not', async (bytes) => {
    await expect(readTar(inChunks(tarOf(fitTree()).subarray(0, bytes), 512))).rejects.toThrow(EndsEarly);
  });

  test('must be a tar archive', async () => {
    await expect(readTar(inChunks(Buffer.alloc(600, 'x'), 512))).rejects.toThrow('must be a tar archive');
  });
});

function inChunks(bytes: Buffer, size: number): AsyncIterable<Buffer> {
  const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
    bytes.subarray(at * size, (at + 1) * size),
  );
  return Readable.from(chunks);
}

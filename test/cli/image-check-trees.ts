import { readStartScript } from '../../cli/image-check/start-script.ts';
import { calledPrograms, type Candidate } from '../../cli/image-check/decide-fitness.ts';
import { plant, type Entry, type Tree } from '../../cli/image-check/tree.ts';

export const script = readStartScript();
export const home = '/home/runner';

type Owned = { mode?: number; uid?: number; gid?: number };

export function file(text: string | Buffer = 'x', { mode = 0o644, uid = 0, gid = 0 }: Owned = {}): Entry {
  const content = Buffer.from(text);
  return { kind: 'file', size: content.length, mode, uid, gid, content };
}

export function program(owned: Owned = {}): Entry {
  return file('x', { mode: 0o755, ...owned });
}

export function directory({ mode = 0o755, uid = 0, gid = 0 }: Owned = {}): Entry {
  return { kind: 'directory', mode, uid, gid };
}

export function link(target: string): Entry {
  return { kind: 'link', target };
}

/** The head of a program for a machine, by its number in ELF. */
export function elf(machine: number, owned: Owned = {}): Entry {
  const head = Buffer.alloc(20);
  head.write('\x7fELF', 'latin1');
  head.writeUInt16LE(machine, 18);
  return file(head, { mode: 0o755, ...owned });
}

/** An image in which nothing is wrong, laid out like Debian's. */
export function fitTree(): Map<string, Entry> {
  const runner = { uid: 1001, gid: 1001 };
  const tree = new Map<string, Entry>();
  const put = (path: string, entry: Entry): void => plant(tree, path, entry);
  put('/', directory());
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) put(`/${name}`, link(`usr/${name}`));
  put('/usr/bin/bash', elf(0x3e));
  const called = Object.values(calledPrograms).join(' ').split(' ');
  for (const name of [...called, 'git', 'git-lfs', 'sudo', 'unzip', 'zstd']) put(`/usr/bin/${name}`, program());
  put('/usr/sbin/ldconfig', program());
  put('/usr/lib64/ld-linux-x86-64.so.2', link('../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2'));
  put('/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2', program());
  for (const name of ['icuuc.so.72', 'stdc++.so.6', 'gcc_s.so.1', 'z.so.1', 'ssl.so.3', 'gssapi_krb5.so.2']) {
    put(`/usr/lib/x86_64-linux-gnu/lib${name}`, file());
  }
  put('/etc/ssl/certs/ca-certificates.crt', file());
  put('/etc/passwd', file('root:x:0:0:root:/root:/bin/bash\nrunner:x:1001:1001::/home/runner:/bin/bash\n'));
  put('/etc/group', file('root:x:0:\ndocker:x:123:runner\nrunner:x:1001:\n'));
  put('/tmp', directory({ mode: 0o1777 }));
  put('/usr/local/bin/start-runner.sh', file(script.text, { mode: 0o755 }));
  put(home, directory(runner));
  for (const name of ['config.sh', 'bin/Runner.Worker', 'externals/node20/bin/node']) {
    for (const folder of name.split('/').slice(0, -1).keys()) {
      put(
        `${home}/${name
          .split('/')
          .slice(0, folder + 1)
          .join('/')}`,
        directory(runner),
      );
    }
    put(`${home}/${name}`, program(runner));
  }
  put(`${home}/bin/Runner.Listener`, elf(0x3e, runner));
  put(`${home}/_work`, directory(runner));
  put('/opt/hostedtoolcache', directory(runner));
  for (const name of ['job-started', 'job-completed']) {
    put(`/opt/runner-hooks/${name}.sh`, program());
    put(`/opt/runner-hooks/${name}.d`, directory());
  }
  return tree;
}

export const fitEnvironment: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C.UTF-8',
  ImageOS: 'ubuntu24',
  RUNNER_TOOL_CACHE: '/opt/hostedtoolcache',
  ACTIONS_RUNNER_HOOK_JOB_STARTED: '/opt/runner-hooks/job-started.sh',
  ACTIONS_RUNNER_HOOK_JOB_COMPLETED: '/opt/runner-hooks/job-completed.sh',
};

type Changes = Omit<Partial<Candidate>, 'tree' | 'environment'> & {
  /** By path; undefined takes away, with all below. */
  readonly tree?: Readonly<Record<string, Entry | undefined>>;
  readonly environment?: Readonly<Record<string, string>>;
};

/** A fit image, but for what is said. */
export function candidate({ tree: changes = {}, environment = {}, ...rest }: Changes = {}): Candidate {
  const tree = fitTree();
  for (const [path, entry] of Object.entries(changes)) {
    if (entry !== undefined) plant(tree, path, entry);
    else for (const key of tree.keys()) if (key === path || key.startsWith(`${path}/`)) tree.delete(key);
  }
  return { tree, environment: { ...fitEnvironment, ...environment }, arch: 'amd64', system: 'linux', ...rest };
}

/** As an engine exports it: ustar, with the links and owners of the tree. */
export function tarOf(tree: Tree): Buffer {
  const blocks = [...tree].flatMap(([path, entry]) => {
    if (path === '/') return [];
    const content = entry.kind === 'file' ? (entry.content ?? Buffer.alloc(0)) : Buffer.alloc(0);
    const header = Buffer.alloc(512);
    const { mode, uid, gid } = entry.kind === 'link' ? { mode: 0o777, uid: 0, gid: 0 } : entry;
    const octal = (value: number, at: number, length: number) =>
      header.write(value.toString(8).padStart(length - 1, '0'), at, 'latin1');
    header.write(path.slice(1) + (entry.kind === 'directory' ? '/' : ''), 0, 'utf8');
    octal(mode, 100, 8);
    octal(uid, 108, 8);
    octal(gid, 116, 8);
    octal(content.length, 124, 12);
    octal(0, 136, 12);
    header.write({ file: '0', other: '6', directory: '5', link: '2' }[entry.kind], 156, 'latin1');
    if (entry.kind === 'link') header.write(entry.target, 157, 'utf8');
    header.write('ustar\0', 257, 'latin1');
    header.fill(0x20, 148, 156);
    octal(
      header.reduce((sum, byte) => sum + byte),
      148,
      7,
    );
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

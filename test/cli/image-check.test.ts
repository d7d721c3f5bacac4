import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { calledPrograms } from '../../cli/image-check/decide-fitness.ts';
import { until } from '../until.ts';
import { candidate, elf, fitEnvironment, tarOf } from './image-check-trees.ts';

const cli = fileURLToPath(new URL('../../cli/image-check.ts', import.meta.url));
const here = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const asRoot =
  process.getuid?.() === 0 && spawnSync('unshare', ['--mount', '--net', '--pid', '--fork', 'true']).status === 0;

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-check-test-'));
  await mkdir(join(directory, 'tmp'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

type Run = { readonly code: number; readonly stdout: string; readonly stderr: string };

function environment(changes: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const path = `${join(directory, 'bin')}:${process.env['PATH'] ?? ''}`;
  return { ...process.env, PATH: path, TMPDIR: join(directory, 'tmp'), ...changes };
}

async function check(args: readonly string[], changes: Readonly<Record<string, string>> = {}): Promise<Run> {
  try {
    const ended = await promisify(execFile)(process.execPath, [cli, ...args], { env: environment(changes) });
    return { code: 0, ...ended };
  } catch (error) {
    return error as Run;
  }
}

/** What answers as podman does, from files of the test's. Its containers are files, too. */
async function fakeEngine(image: { readonly tar: Buffer; readonly machine?: string }): Promise<void> {
  await mkdir(join(directory, 'bin'));
  await mkdir(join(directory, 'containers'));
  await writeFile(join(directory, 'image.tar'), image.tar);
  const inspected = {
    Id: 'sha256:1234',
    Architecture: image.machine ?? 'amd64',
    Os: 'linux',
    Config: { Env: Object.entries(fitEnvironment).map((pair) => pair.join('=')), Entrypoint: null },
  };
  await writeFile(join(directory, 'image.json'), JSON.stringify([inspected]));
  await writeFile(
    join(directory, 'bin/podman'),
    `#!/bin/bash
cd ${directory} || exit 1
printf '%s\\n' "$*" >>calls
name() { local last=; for word; do [[ $last == --name ]] && printf %s "$word"; last=$word; done; }
case $1 in
  image) [[ $3 == acme/runner ]] && exec cat image.json; echo "Error: $3: image not known" >&2; exit 125 ;;
  create) : >"containers/$(name "$@")"; echo 1234 ;;
  export) eval "\${FAKE_EXPORT:-}"; exec cat image.tar ;;
  run)
    : >"containers/$(name "$@")"
    case "$*" in
      *'--entrypoint /usr/local/bin/start-runner.sh'*) eval "\${FAKE_START:-exit 65}" ;;
      *) eval "\${FAKE_PROBE:-}"; printf 'bash 5.2\\ncurl 8.5.0\\nrunner 0 2.336.0\\n' ;;
    esac
    ;;
  rm) for word; do :; done; rm "containers/$word" ;;
esac
`,
    { mode: 0o755 },
  );
}

const calls = async () => (await readFile(join(directory, 'calls'), 'utf8')).trim().split('\n');
const containers = async () => readdir(join(directory, 'containers'));
const fit = () => tarOf(candidate().tree);
const other = process.arch === 'x64' ? 'arm64' : 'x64';

describe('an image', () => {
  test('that is fit is called so, with exit code 0', async () => {
    await fakeEngine({ tar: fit() });
    expect(await check(['acme/runner'])).toEqual({ code: 0, stdout: 'fit for jobs\n', stderr: '' });
  });

  test('is never started for being looked at, then tried without network as root, and leaves no container', async () => {
    await fakeEngine({ tar: fit() });
    await check(['acme/runner', '--env', 'TZ=UTC']);
    const made = await calls();
    expect(made.map((call) => call.replaceAll(/image-check-[0-9a-f-]{36}/g, 'NAME'))).toEqual([
      'image inspect acme/runner',
      'create --name NAME --network none sha256:1234 /none',
      'export NAME',
      'rm --force --volumes NAME',
      expect.stringContaining(
        'run --name NAME --network none --user 0:0 --entrypoint /bin/bash --env TZ=UTC sha256:1234 -c',
      ),
      ...made.slice(5, -3).map(() => expect.anything()),
      'rm --force --volumes NAME',
      'run --name NAME --network none --user 0:0 --entrypoint /usr/local/bin/start-runner.sh --env TZ=UTC sha256:1234',
      'rm --force --volumes NAME',
    ]);
    expect(await containers()).toEqual([]);
  });

  test('with something wrong has a line for each, and ends with 1', async () => {
    const { tree } = candidate({ tree: { '/usr/bin/curl': undefined, '/usr/bin/git': undefined, '/tmp': undefined } });
    await fakeEngine({ tar: tarOf(tree) });
    const broken = 'echo "start-runner: the image must have curl, there is none (exit 74)"; exit 74';
    expect(await check(['acme/runner'], { FAKE_START: broken })).toMatchObject({
      code: 1,
      stderr: '',
      stdout: `wrong  curl must be in PATH, it is not: start-runner.sh calls it
wrong  /tmp must be a directory of mode 1777, there is none
look   git should be in PATH, it is not: actions/checkout then fetches no history, submodules or LFS files
2 must be put right, 1 worth a look
`,
    });
  });

  test('that looks well and does not start is not fit', async () => {
    await fakeEngine({ tar: fit() });
    const ended = await check(['acme/runner'], {
      FAKE_PROBE: 'echo "bash 4.4"; exit 0',
      FAKE_START: 'echo oh >&2; exit 2',
    });
    expect(ended.stdout).toBe(`wrong  bash must be 5 or newer, it is 4.4
wrong  start-runner.sh must end with 65 when it has no claim, it ended with 2: oh
2 must be put right
`);
  });

  test('of another machine is looked at, not tried', async () => {
    const machine = { x64: 0x3e, arm64: 0xb7 }[other] ?? 0;
    const { tree } = candidate({
      tree: {
        '/usr/bin/bash': elf(machine),
        '/home/runner/bin/Runner.Listener': elf(machine, { uid: 1001 }),
      },
    });
    await fakeEngine({ tar: tarOf(tree), machine: other });
    expect(await check(['acme/runner'], {})).toMatchObject({
      stdout: expect.stringContaining(
        `not tried, no program of it was run: it is for ${other}, this machine is ${process.arch}\n`,
      ),
    });
    expect((await calls()).filter((call) => call.startsWith('run'))).toEqual([]);
  });

  test.each([125, 126, 127])('that the engine cannot run (%d) is not blamed for it', async (ended) => {
    await fakeEngine({ tar: fit() });
    const { code, stdout } = await check(['acme/runner'], {
      FAKE_PROBE: `echo "Error: no cgroups" >&2; exit ${ended}`,
    });
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: 'not tried, no program of it was run: podman says: Error: no cgroups\nfit for jobs\n',
    });
  });

  test('whose own bash cannot run is', async () => {
    await fakeEngine({ tar: fit() });
    const { code, stdout } = await check(['acme/runner'], { FAKE_PROBE: 'echo "bash: no libtinfo" >&2; exit 127' });
    expect(stdout).toContain('bash must be able to run, it ended with 127');
    expect(code).toBe(1);
  });

  test('that is only to be looked at is not run', async () => {
    await fakeEngine({ tar: fit() });
    expect((await check(['--no-try', 'acme/runner'])).stdout).toBe(
      'not tried, no program of it was run: by --no-try\nfit for jobs\n',
    );
  });

  test.each([
    ['fails in the middle', 'head -c 5000 image.tar; echo "Error: disk" >&2; exit 1', 'podman says: Error: disk'],
    ['fails at once', 'echo "Error: disk" >&2; exit 1', 'podman says: Error: disk'],
    ['fails after all was said', 'cat image.tar; echo "Error: disk" >&2; exit 1', 'podman says: Error: disk'],
    ['ends in the middle', 'head -c 5000 image.tar; exit 0', 'podman stopped in the middle of the export'],
    ['says something else', 'head -c 5000 /dev/zero | tr "\\\\0" x; sleep 600', 'must be a tar archive, it is not'],
  ])('whose export %s cannot be looked at, and leaves no container', async (_, failing, why) => {
    await fakeEngine({ tar: fit() });
    const ended = await check(['acme/runner'], { FAKE_EXPORT: failing });
    expect(ended).toMatchObject({ code: 2, stdout: '' });
    expect(ended.stderr).toMatch(new RegExp(`^acme/runner cannot be looked at: .*${why}\n$`));
    expect(await containers()).toEqual([]);
  });

  test('leaves no container and no process when the check is stopped', async () => {
    await fakeEngine({ tar: fit() });
    const child = spawn(process.execPath, [cli, 'acme/runner'], {
      env: environment({ FAKE_EXPORT: 'echo $$ >exporting; sleep 600' }),
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    const ended = once(child, 'exit');
    let exporting = '';
    await until(async () => {
      exporting = await readFile(join(directory, 'exporting'), 'utf8').catch(() => '');
      return exporting !== '';
    });
    child.kill('SIGINT');
    expect(await ended).toEqual([2, null]);
    expect(await containers()).toEqual([]);
    // Whoever adopted it may take a moment to bury it.
    expect(spawnSync('ps', ['-o', 'stat=', '-p', exporting.trim()], { encoding: 'utf8' }).stdout).toMatch(/^(Z.*\n)?$/);
  });

  test('that is not on this machine ends with 2, and with what each engine says', async () => {
    await fakeEngine({ tar: fit() });
    expect(await check(['acme/other', '--engine', 'podman'])).toMatchObject({
      code: 2,
      stderr:
        'acme/other must be a directory, or an image on this machine: podman says: Error: acme/other: image not known\n',
    });
    expect(await check(['acme/runner', '--engine', 'no-such-engine'])).toMatchObject({
      code: 2,
      stderr: 'acme/runner must be a directory, or an image on this machine: there is no no-such-engine\n',
    });
  });
});

describe('a directory', () => {
  test('that is no root file system ends with 2', async () => {
    expect(await check([here('docs')])).toMatchObject({
      code: 2,
      stderr: `${here('docs')} must be the root of a file system, it has no bin, usr/bin or etc\n`,
    });
  });

  test('with something wrong ends with 1, whoever owns it', async () => {
    const root = join(directory, 'root');
    await mkdir(join(root, 'usr/bin'), { recursive: true });
    await symlink('usr/bin', join(root, 'bin'));
    await writeFile(join(root, 'usr/bin/curl'), '', { mode: 0o755 });
    const { code, stdout } = await check([root, '--try']);
    expect(code).toBe(1);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toEqual(
      expect.arrayContaining([
        'wrong  /bin/bash must be there, it is not: start-runner.sh is written for bash 5',
        'wrong  /usr/local/bin/start-runner.sh must be there, it is not: a task begins with it',
        'not tried, no program of it was run: it has no bash',
      ]),
    );
    expect(stdout).not.toContain('curl must');
    expect(lines.at(-1)).toMatch(/^\d+ must be put right, \d+ worth a look$/);
  });
});

(asRoot ? describe : describe.skip)('a directory, as root', () => {
  let root: string;
  const task = ['--try', '--env', 'RUNNER_TOOL_CACHE=/opt/hostedtoolcache', '--env', 'LANG=C.UTF-8'];

  /** Programs of this machine with their libraries, and the stand-in as the runner. */
  beforeEach(async () => {
    root = join(directory, 'root');
    const names = Object.values(calledPrograms).join(' ').split(' ');
    const found = ['bash', 'ldconfig', ...names].map((name) =>
      execFileSync('bash', ['-c', 'PATH=$PATH:/usr/sbin:/sbin; type -P "$1"', 'type', name], {
        encoding: 'utf8',
      }).trim(),
    );
    const libraries =
      spawnSync('bash', ['-c', 'ldd "$@"', 'ldd', ...found], { encoding: 'utf8' }).stdout.match(/\/\S+(?= \(0x)/g) ??
      [];
    for (const name of ['bin', 'sbin', 'lib', 'lib64']) {
      await mkdir(join(root, 'usr', name), { recursive: true });
      await symlink(`usr/${name}`, join(root, name));
    }
    const library = join(root, 'usr/lib');
    for (const path of new Set(libraries)) {
      await mkdir(dirname(join(root, path)), { recursive: true });
      await cp(path, join(root, path), { dereference: true });
    }
    for (const path of found)
      await cp(path, join(root, 'usr/bin', path.split('/').at(-1) ?? ''), { dereference: true });
    for (const name of ['git', 'git-lfs', 'sudo', 'unzip', 'zstd'])
      await writeFile(join(root, 'usr/bin', name), '', { mode: 0o755 });
    for (const name of ['icuuc.so.72', 'stdc++.so.6', 'gcc_s.so.1', 'z.so.1', 'ssl.so.3', 'gssapi_krb5.so.2']) {
      await writeFile(join(library, `lib${name}`), '');
    }
    await mkdir(join(root, 'etc/ssl/certs'), { recursive: true });
    await writeFile(join(root, 'etc/ssl/certs/ca-certificates.crt'), 'x');
    await writeFile(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/bash\nrunner:x:1001:1001::/home/runner:/bin/bash\n');
    await writeFile(join(root, 'etc/group'), 'docker:x:123:runner\n');
    await mkdir(join(root, 'tmp'));
    await chmod(join(root, 'tmp'), 0o1777);
    await mkdir(join(root, 'usr/local/bin'), { recursive: true });
    await cp(here('runner-image/start-runner.sh'), join(root, 'usr/local/bin/start-runner.sh'));
    await cp(here('test/emulators/actions-runner'), join(root, 'home/runner'), { recursive: true });
    await mkdir(join(root, 'home/runner/externals/node20/bin'), { recursive: true });
    await writeFile(join(root, 'home/runner/externals/node20/bin/node'), '', { mode: 0o755 });
    await mkdir(join(root, 'opt/hostedtoolcache'), { recursive: true });
    execFileSync('chown', ['-R', '1001:1001', 'home/runner', 'opt/hostedtoolcache'], { cwd: root });
  });

  const photograph = () =>
    execFileSync('find', [root, '-printf', '%p %M %U %G %s %T@ %C@\n'], { encoding: 'utf8' }).split('\n');

  test('is only looked at unless more is asked for', async () => {
    await writeFile(join(root, 'usr/local/bin/start-runner.sh'), '#!/bin/bash\nexit 3\n');
    const [, ...withoutTry] = task;
    const { code, stdout } = await check([root, ...withoutTry]);
    expect(stdout).toContain(
      'not tried, no program of it was run: it is a directory, and they would run as root of this machine; --try runs them\n',
    );
    expect(code).toBe(0);
  });

  test('with a name that is no UTF-8 is looked at', async () => {
    execFileSync('bash', ['-c', `touch "$0"/opt/$'caf\\xe9'`, root]);
    expect((await check([root, ...task])).stdout).toBe('fit for jobs\n');
  });

  test('is looked at by whoever may not look into all of it', async () => {
    await mkdir(join(root, 'root'), { mode: 0o700 });
    await writeFile(join(root, 'etc/shadow'), '', { mode: 0o600 });
    await chmod(directory, 0o755);
    const program = `import { readDirectory } from '${here('cli/image-check/read-directory.ts')}';
      process.setuid(65534); console.log(readDirectory(process.argv[1]).has('/root'));`;
    const args = ['--input-type=module-typescript', '--eval', program, root];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' })).toBe('true\n');
  });

  test('that is fit runs its own programs without network, and is not changed', async () => {
    const listener = join(root, 'home/runner/bin/Runner.Listener');
    const script = await readFile(listener, 'utf8');
    const prying = 'echo x >/home/runner/_diag; echo x >/tmp/x; [[ $(</proc/net/dev) != *eth* ]] || exit 3';
    await writeFile(listener, script.replace('\n', `\n${prying}\n`));
    const before = new Set(photograph());
    expect(await check([root, ...task])).toEqual({ code: 0, stdout: 'fit for jobs\n', stderr: '' });
    const after = photograph();
    expect(after.filter((line) => !before.has(line))).toEqual([]);
    expect(after).toHaveLength(before.size);
    expect(await readdir(join(directory, 'tmp'))).toEqual([]);
  });

  test('whose runner cannot start says so, and so does start-runner.sh', async () => {
    await writeFile(join(root, 'home/runner/bin/Runner.Listener'), '#!/bin/bash\necho no libicu >&2\nexit 134\n');
    await writeFile(join(root, 'usr/local/bin/start-runner.sh'), '#!/bin/bash\necho oh\nexit 3\n');
    expect(await check([root, ...task])).toMatchObject({
      code: 1,
      stdout: `wrong  bin/Runner.Listener must say its version, it ended with 134: no libicu
wrong  start-runner.sh must end with 65 when it has no claim, it ended with 3: oh
look   /usr/local/bin/start-runner.sh should be the one of this checkout, it differs
2 must be put right, 1 worth a look
`,
    });
  });

  test('leaves no process behind', async () => {
    await writeFile(
      join(root, 'usr/local/bin/start-runner.sh'),
      '#!/bin/bash\nfor n in 1 2; do (exec -a left-by-image-check sleep 987) & done\nexit 65\n',
    );
    expect((await check([root, ...task])).code).toBe(0);
    expect(execFileSync('ps', ['axo', 'args'], { encoding: 'utf8' })).not.toContain('sleep 987');
  });
});

test('what is not understood ends with 2 and a sentence for each', async () => {
  expect(await check(['--env', 'x'])).toMatchObject({
    code: 2,
    stdout: '',
    stderr: `one image or directory must be named, got 0
--env must be NAME=VALUE, got "x"
See npm run image:check -- --help
`,
  });
});

test('--help shows how it is used', async () => {
  const { code, stdout } = await check(['--help']);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^Usage: npm run image:check/) });
});

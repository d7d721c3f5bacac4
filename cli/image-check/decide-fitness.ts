import { posix } from 'node:path';
import { matches, type StartScript } from './start-script.ts';
import {
  allows,
  ancestorsOf,
  find,
  findBarrier,
  findFile,
  listDirectory,
  textOf,
  type Found,
  type Owned,
  type RealEntry,
  type Tree,
  type User,
} from './tree.ts';

export type Arch = 'x64' | 'arm64';

export type Finding = {
  /** `miss`: jobs cannot run, or not safely. `look`: some jobs cannot, or it may be meant so. */
  readonly weight: 'miss' | 'look';
  readonly sentence: string;
};

/** An image as far as it can be known without running it. */
export type Candidate = {
  readonly tree: Tree;
  /** Of the image, and what the task adds. */
  readonly environment: Readonly<Record<string, string>>;
  /** As the image declares it. */
  readonly arch?: string;
  readonly system?: string;
  readonly stopSignal?: string;
};

/** What a check looks at: the candidate, and what follows from its environment. */
type View = Candidate & {
  readonly script: StartScript;
  readonly home: string;
  /** As written: a number, or a name of /etc/passwd. */
  readonly runner: string;
  /** The runner's user, and so the job's. Undefined when /etc/passwd does not know it. */
  readonly user: User | undefined;
};

type Check = (view: View) => Finding[];

export const startScriptPath = '/usr/local/bin/start-runner.sh';
/** The script's own, where the image has none. */
export const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
/** Of the socket of a Docker daemon beside the runner, as on GitHub's own images. */
const dockerGroup = 123;
/** Of whom nothing is known: what all may do, he may. */
const nobody: User = { uid: -1, groups: [] };

/** Programs outside of bash itself, by who calls them. */
export const calledPrograms: Readonly<Record<string, string>> = {
  'start-runner.sh': 'base64 chmod chown chroot cp curl date env gzip ln mkdir mv rm sha256sum sleep stat tar test',
  "the runner's config.sh": 'cat dirname grep id ldd touch uname',
};
const outsideOfCoreutils = ['curl', 'grep', 'gzip', 'ldd', 'tar'];

/** Without them, some jobs fail or are slow. */
const usefulPrograms: Readonly<Record<string, string>> = {
  git: 'actions/checkout then fetches no history, submodules or LFS files',
  'git-lfs': 'actions/checkout then fetches no LFS files',
  sudo: 'steps then cannot install packages',
  unzip: 'setup-* actions then cannot unpack what they download as zip',
  zstd: 'actions/cache then is slow, and finds no cache that other runners made',
};

/** The contract of an image: everything that is wrong with it, in one pass. */
export function decideFitness(candidate: Candidate, script: StartScript): Finding[] {
  const { environment } = candidate;
  const home = environment['RUNNER_HOME'] ?? '/home/runner';
  const runner = environment['RUNNER_UID'] ?? '1001';
  const user = staysRoot(environment) ? { uid: 0, groups: [0] } : userOf(candidate.tree, runner);
  const view = { ...candidate, script, home, runner, user };
  return checks.flatMap((check) => check(view));
}

/** An unpacked file system, or anything else that a directory may be? */
export function looksLikeRoot(tree: Tree): boolean {
  return ['/bin', '/usr/bin', '/etc'].some((path) => find(tree, path)?.entry.kind === 'directory');
}

/** What its bash is built for. Undefined for another machine, or without any. */
export function archOf(tree: Tree, program = '/bin/bash'): Arch | undefined {
  const head = findFile(tree, program)?.entry.content;
  if (head?.subarray(0, 4).toString('latin1') !== '\x7fELF') return undefined;
  // https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html: e_machine. Both kinds are little-endian.
  switch (head.readUInt16LE(18)) {
    case 0x3e:
      return 'x64';
    case 0xb7:
      return 'arm64';
    default:
      return undefined;
  }
}

const checkMachine: Check = ({ tree, arch, system, stopSignal }) => {
  const findings: Finding[] = [];
  if (system !== undefined && system !== 'linux')
    findings.push(miss(`the image must be for linux, it is for ${system}`));
  if (arch !== undefined && arch !== 'amd64' && arch !== 'arm64') {
    findings.push(miss(`the image must be for amd64 or arm64, it is for ${arch}`));
  }
  // ECS stops tasks by it. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
  if (stopSignal !== undefined && !/^(?:|(?:SIG)?(?:TERM|INT|HUP)|15|2|1)$/i.test(stopSignal)) {
    findings.push(
      miss(
        `the image's STOPSIGNAL must be SIGTERM, it is ${stopSignal}: GitHub would learn of a stopped task 20 minutes late`,
      ),
    );
  }
  const loaders = ['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'];
  if (!loaders.some((loader) => findFile(tree, loader) !== undefined)) {
    const musl = [...tree.keys()].some((path) => /^\/(?:usr\/)?lib\/ld-musl-[^/]+$/.test(path));
    findings.push(miss(`the image must have glibc, it has ${musl ? 'musl: the runner is not built for it' : 'none'}`));
  }
  return findings;
};

const checkShell: Check = ({ tree, script }) => {
  const [, bash = '/bin/bash'] = /^#!(\S+)/.exec(script.text) ?? [];
  const found = findFile(tree, bash);
  if (found === undefined) return [miss(`${bash} must be there, it is not: start-runner.sh is written for bash 5`)];
  if ((found.entry.mode & 0o111) === 0) return [miss(`${bash} must be executable, its mode is ${octal(found.entry)}`)];
  if (found.entry.uid === 0) return [];
  return [
    look(
      `${bash} should be root's, it is uid ${found.entry.uid}'s: a directory that was not unpacked by root has lost its owners`,
    ),
  ];
};

const checkPrograms: Check = (view) => {
  const findings: Finding[] = [];
  for (const [caller, names] of Object.entries(calledPrograms)) {
    for (const name of names.split(' ')) {
      const found = findProgram(view, name);
      if (found === undefined) {
        findings.push(miss(`${name} must be in PATH, it is not: ${caller} calls it`));
        continue;
      }
      const box = posix.basename(found.path);
      if (/^(?:busybox|toybox)/.test(box) && !outsideOfCoreutils.includes(name)) {
        findings.push(miss(`${name} must be that of coreutils, it is that of ${box}`));
      }
    }
  }
  if (findProgram(view, 'ldconfig') === undefined && findFile(view.tree, '/sbin/ldconfig') === undefined) {
    findings.push(miss("ldconfig must be in PATH or in /sbin, it is not: the runner's config.sh calls it"));
  }
  return findings;
};

const checkLibraries: Check = ({ tree, home }) => {
  const directories = /^\/(?:usr\/(?:local\/)?)?lib(?:64)?\/(?:[^/]+-linux-gnu\/)?([^/]+)$/;
  const names = [...tree.keys()].map((path) => directories.exec(path)?.[1] ?? '');
  const installs = `${posix.join(home, 'bin/installdependencies.sh')} installs it`;
  const required: readonly (readonly [string, RegExp, string])[] = [
    ['libicu', /^libicuuc\.so\.\d/, "the runner's config.sh refuses"],
    ['libstdc++', /^libstdc\+\+\.so\.6/, 'nothing of the runner starts'],
    ['libgcc_s', /^libgcc_s\.so\.1/, 'nothing of the runner starts'],
    ['zlib', /^libz\.so\.1/, "the runner's config.sh refuses"],
    ['libssl 1.1 or 3', /^libssl\.so\.(?:1\.1|3)/, 'the runner cannot speak to GitHub'],
  ];
  const findings = required
    .filter(([, pattern]) => !names.some((name) => pattern.test(name)))
    .map(([what, , so]) => miss(`${what} must be installed, it is not, and so ${so}; ${installs}`));
  if (!names.some((name) => name.startsWith('libgssapi_krb5.so.2'))) {
    findings.push(look(`libkrb5 should be installed, it is not: some proxies cannot be used; ${installs}`));
  }
  return findings;
};

const checkCertificates: Check = ({ tree, environment }) => {
  const chosen = environment['SSL_CERT_FILE'];
  const places =
    chosen === undefined
      ? [
          '/etc/ssl/certs/ca-certificates.crt',
          '/etc/pki/tls/certs/ca-bundle.crt',
          '/etc/ssl/ca-bundle.pem',
          '/etc/ssl/cert.pem',
          '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
        ]
      : [chosen];
  if (places.some((place) => (findFile(tree, place)?.entry.size ?? 0) > 0)) return [];
  const folders = (environment['SSL_CERT_DIR'] ?? '').split(':').filter((folder) => folder !== '');
  if (folders.some((folder) => listDirectory(tree, folder).length > 0)) return [];
  return [
    miss(
      chosen === undefined
        ? `certificate authorities must be installed, there are none in ${places.slice(0, 2).join(' or ')}`
        : `SSL_CERT_FILE must name a file of certificate authorities, there is none at ${chosen}`,
    ),
  ];
};

const checkStartScript: Check = (view) => {
  const found = find(view.tree, startScriptPath);
  if (found === undefined) return [miss(`${startScriptPath} must be there, it is not: a task begins with it`)];
  if (found.entry.kind !== 'file') return [miss(`${startScriptPath} must be a file, it is not`)];
  const findings: Finding[] = [];
  if ((found.entry.mode & 0o111) === 0) {
    findings.push(miss(`${startScriptPath} must be executable, its mode is ${octal(found.entry)}`));
  }
  findings.push(...guard(startScriptPath, view));
  const text = found.entry.content?.toString('utf8');
  if (text === view.script.text) return findings;
  if (text !== undefined && text.replaceAll('\r\n', '\n') === view.script.text) {
    findings.push(miss(`${startScriptPath} must have line ends of Unix, it has those of Windows`));
  } else {
    findings.push(look(`${startScriptPath} should be the one of this checkout, it differs`));
  }
  return findings;
};

const checkTemporary: Check = ({ tree }) => {
  const found = find(tree, '/tmp');
  if (found?.entry.kind === 'directory' && (found.entry.mode & 0o1777) === 0o1777) return [];
  const is = found === undefined ? 'there is none' : `its mode is ${octal(found.entry)}`;
  return [miss(`/tmp must be a directory of mode 1777, ${is}`)];
};

const checkUser: Check = ({ tree, environment, runner, home, user }) => {
  if (staysRoot(environment)) {
    return [
      look('RUNNER_ALLOW_RUNASROOT should not be set, it is: jobs run as root, and may read and end the supervisor'),
    ];
  }
  const account = accountOf(tree, runner);
  if (account === undefined || user === undefined) {
    return [miss(`/etc/passwd must have a user with uid ${runner}, it has none`)];
  }
  if (account.uid === 0)
    return [miss(`RUNNER_UID must not be root's, it is ${runner}: jobs could read the supervisor`)];
  const findings: Finding[] = [];
  if (account.home !== home) {
    findings.push(
      look(
        `the home of ${account.name} should be ${home}, /etc/passwd says ${account.home || 'nothing'}: ssh looks there, whatever HOME is`,
      ),
    );
  }
  const shell = findFile(tree, account.shell);
  if (shell === undefined || !allows(shell.entry, user, 'execute')) {
    findings.push(look(`the shell of ${account.name} should be a program, ${account.shell || 'none'} is not`));
  }
  if (!user.groups.includes(dockerGroup)) {
    findings.push(
      look(
        `${account.name} should be in the group ${dockerGroup}, it is in ${user.groups.join(', ')}: jobs of a profile with \`docker\` cannot use the daemon`,
      ),
    );
  }
  return findings;
};

const checkRunner: Check = ({ tree, home, user, runner }) => {
  const found = find(tree, home);
  if (found?.entry.kind !== 'directory')
    return [miss(`${home} must be a directory with actions/runner in it, there is none`)];
  const findings = checkRegistration(tree, found);
  const at = (name: string): string => posix.join(home, name);
  const nodes = listDirectory(tree, at('externals'))
    // Those for containers of Alpine.
    .filter((name) => name.startsWith('node') && !name.includes('alpine'))
    .map((name) => at(`externals/${name}/bin/node`));
  const built = archOf(tree, at('bin/Runner.Listener'));
  const whole = archOf(tree);
  if (built !== undefined && whole !== undefined && built !== whole) {
    findings.push(miss(`the runner must be for ${whole} as the rest of the image, it is for ${built}`));
  }
  // Nothing can be said of what an unknown user may do; checkUser says that it is unknown.
  const may = user ?? { uid: 0, groups: [0] };
  const barrier = findBarrier(tree, found.path, may);
  if (barrier !== undefined) {
    findings.push(
      miss(
        `uid ${runner} must be able to enter ${barrier.path}, where ${home} is; it is ${ownerAndMode(barrier.entry)}`,
      ),
    );
  }
  for (const program of [at('config.sh'), at('bin/Runner.Listener'), at('bin/Runner.Worker')]) {
    const file = findFile(tree, program);
    if (file === undefined) findings.push(miss(`${program} must be a program, there is none`));
    else if (!allows(file.entry, may, 'execute')) {
      findings.push(miss(`${program} must be executable for uid ${runner}, it is ${ownerAndMode(file.entry)}`));
    }
  }
  if (!nodes.some((node) => runnable(tree, node, may))) {
    findings.push(
      miss(`${at('externals/node*/bin/node')} must be a program, there is none: most actions are written for it`),
    );
  }
  // What config.sh and the runner write; what is not there yet they make.
  for (const path of [home, at('_work'), at('_diag'), at('.env'), at('.path')]) {
    const target = find(tree, path);
    if (target !== undefined && !allows(target.entry, may, 'write')) {
      findings.push(miss(`${path} must be writable by uid ${runner}, it is ${ownerAndMode(target.entry)}`));
    }
  }
  return user === undefined || user.uid === 0 ? findings : [...findings, ...checkOwners(tree, found, user)];
};

/** An image that is registered would be one runner many times over; and it hands out that runner's key. */
function checkRegistration(tree: Tree, home: Found): Finding[] {
  return ['.runner', '.credentials', '.credentials_rsaparams']
    .map((name) => posix.join(home.path, name))
    .filter((path) => tree.has(path))
    .map((path) => miss(`${path} must not be in an image, it is: a registration belongs to one runner, and is secret`));
}

/** Not wrong by itself: whatever must be written is looked at above. */
function checkOwners(tree: Tree, home: Found, user: User): Finding[] {
  const others = [...tree].filter(
    ([path, entry]) => path.startsWith(`${home.path}/`) && entry.kind !== 'link' && entry.uid !== user.uid,
  );
  const [first] = others;
  if (first === undefined) return [];
  const more = others.length === 1 ? '' : ` and ${others.length - 1} more`;
  const are = others.length === 1 ? 'is' : 'are';
  return [look(`what is in ${home.path} should be uid ${user.uid}'s, ${first[0]}${more} ${are} not`)];
}

const checkHooks: Check = (view) =>
  ['ACTIONS_RUNNER_HOOK_JOB_STARTED', 'ACTIONS_RUNNER_HOOK_JOB_COMPLETED'].flatMap((name) => {
    const path = view.environment[name];
    if (path === undefined || path === '') return [];
    if (!path.startsWith('/') || !path.endsWith('.sh')) {
      return [miss(`${name} must be the whole path of a file that ends in .sh, it is ${path}`)];
    }
    const hook = findFile(view.tree, path);
    if (hook === undefined) return [miss(`${name} must name a file, there is none at ${path}: every job fails`)];
    const findings = guard(path, view);
    if (view.user !== undefined && !allows(hook.entry, view.user, 'read')) {
      findings.push(miss(`${path} must be readable by uid ${view.runner}, it is ${ownerAndMode(hook.entry)}`));
    }
    return [...findings, ...checkDropIns(`${path.slice(0, -'.sh'.length)}.d`, view)];
  });

function checkDropIns(folder: string, view: View): Finding[] {
  const { tree, user, runner } = view;
  if (find(tree, folder) === undefined) return [];
  const findings = guard(folder, view);
  for (const name of listDirectory(tree, folder)) {
    const path = posix.join(folder, name);
    const file = findFile(tree, path);
    if (file === undefined || name.startsWith('.')) continue;
    findings.push(...guardEntry(path, file.entry, view));
    if (user !== undefined && !allows(file.entry, user, 'execute')) {
      findings.push(
        miss(`${path} must be executable for uid ${runner}, it is ${ownerAndMode(file.entry)}: it would be left out`),
      );
    }
  }
  return findings;
}

const checkEnvironment: Check = ({ environment, script }) => {
  const names = Object.keys(environment).toSorted();
  const findings: Finding[] = names
    .filter((name) => matches(name, script.neverForJobs))
    .map((name) => look(`${name} should not be set in the image, it is: start-runner.sh reads the task's own`));
  if (/^(?:1|true)$/i.test(environment['ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT'] ?? '')) {
    findings.push(
      look(
        "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT should not be set, it is: the runner's diagnostics fill the task's log, in which start-runner.sh reads how far it is",
      ),
    );
  }
  // The runner's own, and what engines set by themselves.
  const known = [...script.jobVariables, ...script.neverForJobs, 'HOME', 'USER', 'HOSTNAME', 'TERM', 'container'];
  const unseen = names.filter((name) => !matches(name, known));
  if (unseen.length > 0) {
    findings.push(
      look(
        `jobs do not see ${unseen.join(', ')} of the image's environment: what they need belongs into the profile's option \`environment\``,
      ),
    );
  }
  return findings;
};

const checkTools: Check = (view) => {
  const { tree, environment, runner, user } = view;
  const findings = Object.entries(usefulPrograms)
    .filter(([name]) => findProgram(view, name) === undefined)
    .map(([name, so]) => look(`${name} should be in PATH, it is not: ${so}`));
  const cache = ['RUNNER_TOOL_CACHE', 'RUNNER_TOOLSDIRECTORY', 'AGENT_TOOLSDIRECTORY'].find(
    (name) => environment[name] !== undefined,
  );
  if (cache === undefined || user === undefined) return findings;
  const path = environment[cache] ?? '';
  const found = find(tree, path);
  if (found?.entry.kind !== 'directory' || !allows(found.entry, user, 'write')) {
    const is = found === undefined ? 'there is none' : `it is ${ownerAndMode(found.entry)}`;
    findings.push(
      look(`${cache} should name a directory that uid ${runner} may write, ${is} at ${path}: setup-* actions fail`),
    );
  }
  return findings;
};

const checks: readonly Check[] = [
  checkMachine,
  checkShell,
  checkPrograms,
  checkLibraries,
  checkCertificates,
  checkStartScript,
  checkTemporary,
  checkUser,
  checkRunner,
  checkHooks,
  checkEnvironment,
  checkTools,
];

/** Could a job put something else in its place? Then it and all directories above it must be root's. */
function guard(path: string, view: View): Finding[] {
  const found = find(view.tree, path);
  if (found === undefined) return [];
  // Where a link lies counts as much as where it leads to.
  const folders = new Set([...ancestorsOf(path), ...ancestorsOf(found.path)]);
  const above = [...folders].flatMap((ancestor) => {
    const entry = find(view.tree, ancestor)?.entry;
    // In a sticky directory each may replace only what is his.
    if (entry === undefined || (entry.uid === 0 && (entry.mode & 0o1000) !== 0)) return [];
    return guardEntry(ancestor, entry, view);
  });
  return [...above, ...guardEntry(path, found.entry, view)];
}

function guardEntry(path: string, entry: RealEntry, { user }: View): Finding[] {
  // A job that is root may do anything; checkUser says so.
  if (user?.uid === 0) return [];
  if (entry.uid !== 0) return [miss(`${path} must be root's, it is uid ${entry.uid}'s`)];
  return allows(entry, user ?? nobody, 'write')
    ? [miss(`${path} must not be writable by jobs, it is ${ownerAndMode(entry)}`)]
    : [];
}

function findProgram({ tree, environment, user }: View, name: string): Found | undefined {
  for (const directory of (environment['PATH'] ?? defaultPath).split(':')) {
    const path = posix.join(directory, name);
    if (directory.startsWith('/') && runnable(tree, path, user ?? { uid: 0, groups: [0] })) return find(tree, path);
  }
  return undefined;
}

function runnable(tree: Tree, path: string, user: User): boolean {
  const file = findFile(tree, path);
  return file !== undefined && allows(file.entry, user, 'execute');
}

function staysRoot(environment: Candidate['environment']): boolean {
  return (environment['RUNNER_ALLOW_RUNASROOT'] ?? '') !== '';
}

type Account = { name: string; uid: number; gid: number; home: string; shell: string };

function accountOf(tree: Tree, runner: string): Account | undefined {
  for (const line of (textOf(tree, '/etc/passwd') ?? '').split('\n')) {
    const [name = '', , uid = '', gid = '', , home = '', shell = ''] = line.split(':');
    if (uid === runner || (name === runner && name !== '')) {
      return { name, uid: Number(uid), gid: Number(gid), home, shell: shell || '/bin/sh' };
    }
  }
  return undefined;
}

/** With its groups, as chroot takes them from the image. */
function userOf(tree: Tree, runner: string): User | undefined {
  const account = accountOf(tree, runner);
  if (account === undefined) return undefined;
  const groups = new Set([account.gid]);
  for (const line of (textOf(tree, '/etc/group') ?? '').split('\n')) {
    const [, , gid = '', members = ''] = line.split(':');
    if (members.split(',').includes(account.name)) groups.add(Number(gid));
  }
  return { uid: account.uid, groups: [...groups] };
}

function ownerAndMode(entry: Owned): string {
  return `uid ${entry.uid}'s and gid ${entry.gid}'s with mode ${octal(entry)}`;
}

function octal({ mode }: Owned): string {
  return mode.toString(8).padStart(4, '0');
}

function miss(sentence: string): Finding {
  return { weight: 'miss', sentence };
}

function look(sentence: string): Finding {
  return { weight: 'look', sentence };
}

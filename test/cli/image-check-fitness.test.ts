import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { archOf, calledPrograms, decideFitness, type Finding } from '../../cli/image-check/decide-fitness.ts';
import { candidate, directory, elf, file, fitTree, home, link, program, script } from './image-check-trees.ts';

type Change = Parameters<typeof candidate>[0];

const runner = { uid: 1001, gid: 1001 };
const installs = '/home/runner/bin/installdependencies.sh installs it';
const started = '/opt/runner-hooks/job-started';
const passwd = (line: string) => file(`root:x:0:0:root:/root:/bin/bash\n${line}\n`);

function sentences(change: Change, weight?: Finding['weight']): string[] {
  return decideFitness(candidate(change), script)
    .filter((finding) => weight === undefined || finding.weight === weight)
    .map(({ sentence }) => sentence);
}

describe('a fit image', () => {
  test('has nothing to be put right and nothing worth a look', () => {
    expect(sentences({})).toEqual([]);
  });

  test('may have the runner elsewhere, and as another user', () => {
    const moved = {
      environment: { RUNNER_HOME: '/srv/runner', RUNNER_UID: '1000' },
      tree: {
        '/etc/passwd': passwd('ci:x:1000:1000::/srv/runner:/bin/bash'),
        '/etc/group': file('docker:x:123:ci\n'),
        '/opt/hostedtoolcache': directory({ uid: 1000 }),
        '/srv/runner': directory({ uid: 1000 }),
        [home]: undefined,
      },
    };
    expect(sentences(moved, 'miss').map((sentence) => sentence.split(' ')[0])).toEqual([
      '/srv/runner/config.sh',
      '/srv/runner/bin/Runner.Listener',
      '/srv/runner/bin/Runner.Worker',
      '/srv/runner/externals/node*/bin/node',
    ]);
    expect(sentences(moved, 'look')).toEqual([]);
  });

  test('may leave its home open to everybody and its files to the group docker, as GitHub does', () => {
    expect(
      sentences({
        tree: {
          [home]: directory({ ...runner, mode: 0o777 }),
          [`${home}/config.sh`]: program({ uid: 1001, gid: 123 }),
        },
      }),
    ).toEqual([]);
  });

  test('may have ldconfig in /sbin alone, as long as the rest is in PATH', () => {
    expect(sentences({ environment: { PATH: '/usr/bin' } })).toEqual([]);
  });

  test("may have root's hooks in a directory where each replaces only what is his", () => {
    const environment = { ACTIONS_RUNNER_HOOK_JOB_STARTED: '/tmp/hook.sh' };
    expect(sentences({ tree: { '/tmp/hook.sh': program() }, environment })).toEqual([]);
  });

  test.each<NonNullable<Change>>([
    { tree: { '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem': file('x') } },
    { tree: { '/etc/acme/one.pem': file('x') }, environment: { SSL_CERT_DIR: '/none:/etc/acme' } },
  ])('may have its certificate authorities elsewhere: %j', (change) => {
    const tree = { ...change.tree, '/etc/ssl/certs/ca-certificates.crt': undefined };
    expect(sentences({ ...change, tree }, 'miss')).toEqual([]);
  });

  test('may have no hooks, no tool cache and no PATH of its own', () => {
    const environment = { ACTIONS_RUNNER_HOOK_JOB_STARTED: '', ACTIONS_RUNNER_HOOK_JOB_COMPLETED: '' };
    const {
      RUNNER_TOOL_CACHE: _,
      PATH: __,
      ...rest
    } = candidate({
      environment: { ...environment, ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT: '0' },
    }).environment;
    expect(decideFitness({ ...candidate(), environment: rest }, script)).toEqual([]);
  });
});

describe('what must be put right', () => {
  test.each<[string, Change, string]>([
    ['another system', { system: 'windows' }, 'the image must be for linux, it is for windows'],
    ['another machine', { arch: '386' }, 'the image must be for amd64 or arm64, it is for 386'],
    [
      'a signal that start-runner.sh does not know',
      { stopSignal: 'SIGQUIT' },
      "the image's STOPSIGNAL must be SIGTERM, it is SIGQUIT: GitHub would learn of a stopped task 20 minutes late",
    ],
    [
      'musl',
      { tree: { '/usr/lib64': undefined, '/usr/lib/ld-musl-x86_64.so.1': program() } },
      'the image must have glibc, it has musl: the runner is not built for it',
    ],
    ['no libc', { tree: { '/usr/lib64': undefined } }, 'the image must have glibc, it has none'],
    [
      'no bash',
      { tree: { '/usr/bin/bash': undefined } },
      '/bin/bash must be there, it is not: start-runner.sh is written for bash 5',
    ],
    [
      'a bash that is no program',
      { tree: { '/usr/bin/bash': file() } },
      '/bin/bash must be executable, its mode is 0644',
    ],
    ['no curl', { tree: { '/usr/bin/curl': undefined } }, 'curl must be in PATH, it is not: start-runner.sh calls it'],
    [
      'a curl that is no program',
      { tree: { '/usr/bin/curl': file() } },
      'curl must be in PATH, it is not: start-runner.sh calls it',
    ],
    [
      'no ldd',
      { tree: { '/usr/bin/ldd': undefined } },
      "ldd must be in PATH, it is not: the runner's config.sh calls it",
    ],
    [
      'a program outside of PATH',
      { tree: { '/usr/bin/chroot': undefined, '/opt/bin/chroot': program() } },
      'chroot must be in PATH, it is not: start-runner.sh calls it',
    ],
    [
      'a program of busybox',
      { tree: { '/usr/bin/busybox': program(), '/usr/bin/stat': link('busybox') } },
      'stat must be that of coreutils, it is that of busybox',
    ],
    [
      'no ldconfig',
      { tree: { '/usr/sbin/ldconfig': undefined } },
      "ldconfig must be in PATH or in /sbin, it is not: the runner's config.sh calls it",
    ],
    ...(
      [
        ['libicu', 'libicuuc.so.72', "the runner's config.sh refuses"],
        ['libstdc++', 'libstdc++.so.6', 'nothing of the runner starts'],
        ['libgcc_s', 'libgcc_s.so.1', 'nothing of the runner starts'],
        ['zlib', 'libz.so.1', "the runner's config.sh refuses"],
        ['libssl 1.1 or 3', 'libssl.so.3', 'the runner cannot speak to GitHub'],
      ] as const
    ).map(([name, library, so]): [string, Change, string] => [
      `no ${name}`,
      { tree: { [`/usr/lib/x86_64-linux-gnu/${library}`]: undefined } },
      `${name} must be installed, it is not, and so ${so}; ${installs}`,
    ]),
    [
      'an empty list of authorities',
      { tree: { '/etc/ssl/certs/ca-certificates.crt': file('') } },
      'certificate authorities must be installed, there are none in /etc/ssl/certs/ca-certificates.crt or /etc/pki/tls/certs/ca-bundle.crt',
    ],
    [
      'a list of authorities that is chosen and not there',
      { environment: { SSL_CERT_FILE: '/etc/acme.pem' } },
      'SSL_CERT_FILE must name a file of certificate authorities, there is none at /etc/acme.pem',
    ],
    [
      'no start-runner.sh',
      { tree: { '/usr/local/bin/start-runner.sh': undefined } },
      '/usr/local/bin/start-runner.sh must be there, it is not: a task begins with it',
    ],
    [
      'a start-runner.sh that is no program',
      { tree: { '/usr/local/bin/start-runner.sh': file(script.text) } },
      '/usr/local/bin/start-runner.sh must be executable, its mode is 0644',
    ],
    [
      "a start-runner.sh of the runner's",
      { tree: { '/usr/local/bin/start-runner.sh': file(script.text, { mode: 0o755, uid: 1001 }) } },
      "/usr/local/bin/start-runner.sh must be root's, it is uid 1001's",
    ],
    [
      'a start-runner.sh that everybody can write',
      { tree: { '/usr/local/bin/start-runner.sh': file(script.text, { mode: 0o777 }) } },
      "/usr/local/bin/start-runner.sh must not be writable by jobs, it is uid 0's and gid 0's with mode 0777",
    ],
    [
      'a directory in which start-runner.sh can be replaced by a group of the runner',
      { tree: { '/usr/local/bin': directory({ mode: 0o775, gid: 123 }) } },
      "/usr/local/bin must not be writable by jobs, it is uid 0's and gid 123's with mode 0775",
    ],
    [
      'a start-runner.sh from a checkout on Windows',
      { tree: { '/usr/local/bin/start-runner.sh': file(script.text.replaceAll('\n', '\r\n'), { mode: 0o755 }) } },
      '/usr/local/bin/start-runner.sh must have line ends of Unix, it has those of Windows',
    ],
    ['no /tmp', { tree: { '/tmp': undefined } }, '/tmp must be a directory of mode 1777, there is none'],
    [
      'a /tmp that is closed',
      { tree: { '/tmp': directory() } },
      '/tmp must be a directory of mode 1777, its mode is 0755',
    ],
    [
      'a /tmp in which everybody may delete everything',
      { tree: { '/tmp': directory({ mode: 0o777 }) } },
      '/tmp must be a directory of mode 1777, its mode is 0777',
    ],
    [
      'no user',
      { tree: { '/etc/passwd': file('root:x:0:0:root:/root:/bin/bash\n') } },
      '/etc/passwd must have a user with uid 1001, it has none',
    ],
    [
      'root as the runner',
      { environment: { RUNNER_UID: '0' } },
      "RUNNER_UID must not be root's, it is 0: jobs could read the supervisor",
    ],
    [
      'no runner',
      { tree: { [home]: undefined } },
      '/home/runner must be a directory with actions/runner in it, there is none',
    ],
    [
      'no listener',
      { tree: { [`${home}/bin/Runner.Listener`]: undefined } },
      '/home/runner/bin/Runner.Listener must be a program, there is none',
    ],
    [
      'a config.sh that the runner may not run',
      { tree: { [`${home}/config.sh`]: program({ ...runner, mode: 0o644 }) } },
      "/home/runner/config.sh must be executable for uid 1001, it is uid 1001's and gid 1001's with mode 0644",
    ],
    [
      'no node but that of Alpine',
      {
        tree: {
          [`${home}/externals/node20`]: undefined,
          [`${home}/externals`]: directory(runner),
          [`${home}/externals/node20_alpine/bin/node`]: program(runner),
        },
      },
      '/home/runner/externals/node*/bin/node must be a program, there is none: most actions are written for it',
    ],
    [
      'a runner for another machine',
      { tree: { [`${home}/bin/Runner.Listener`]: elf(0xb7, runner) } },
      'the runner must be for x64 as the rest of the image, it is for arm64',
    ],
    [
      'a home behind a door',
      { tree: { '/home': directory({ mode: 0o700 }) } },
      "uid 1001 must be able to enter /home, where /home/runner is; it is uid 0's and gid 0's with mode 0700",
    ],
    [
      "a work directory that is not the runner's",
      { tree: { [`${home}/_work`]: directory() } },
      "/home/runner/_work must be writable by uid 1001, it is uid 0's and gid 0's with mode 0755",
    ],
    ...['.runner', '.credentials', '.credentials_rsaparams'].map((name): [string, Change, string] => [
      `a left-over ${name}`,
      { tree: { [`${home}/${name}`]: file('{}', runner) } },
      `/home/runner/${name} must not be in an image, it is: a registration belongs to one runner, and is secret`,
    ]),
    [
      'a hook that is not there',
      { tree: { [`${started}.sh`]: undefined } },
      'ACTIONS_RUNNER_HOOK_JOB_STARTED must name a file, there is none at /opt/runner-hooks/job-started.sh: every job fails',
    ],
    [
      'a hook that the runner does not take',
      { environment: { ACTIONS_RUNNER_HOOK_JOB_STARTED: '/opt/hook' } },
      'ACTIONS_RUNNER_HOOK_JOB_STARTED must be the whole path of a file that ends in .sh, it is /opt/hook',
    ],
    [
      "a hook of the runner's",
      { tree: { [`${started}.sh`]: program(runner) } },
      "/opt/runner-hooks/job-started.sh must be root's, it is uid 1001's",
    ],
    [
      'a hook that the runner cannot read',
      { tree: { [`${started}.sh`]: program({ mode: 0o700 }) } },
      "/opt/runner-hooks/job-started.sh must be readable by uid 1001, it is uid 0's and gid 0's with mode 0700",
    ],
    [
      'a drop-in that would be left out',
      { tree: { [`${started}.d/50-refuse`]: file() } },
      "/opt/runner-hooks/job-started.d/50-refuse must be executable for uid 1001, it is uid 0's and gid 0's with mode 0644: it would be left out",
    ],
    [
      'a drop-in that everybody can write',
      { tree: { [`${started}.d/50-refuse`]: program({ mode: 0o777 }) } },
      "/opt/runner-hooks/job-started.d/50-refuse must not be writable by jobs, it is uid 0's and gid 0's with mode 0777",
    ],
    [
      "a link to the start script in a folder of the runner's",
      {
        tree: {
          '/usr/local/bin': directory(runner),
          '/usr/local/bin/start-runner.sh': link('/opt/start-runner.sh'),
          '/opt/start-runner.sh': file(script.text, { mode: 0o755 }),
        },
      },
      "/usr/local/bin must be root's, it is uid 1001's",
    ],
    [
      'a folder in which jobs can put drop-ins',
      { tree: { '/opt/runner-hooks/job-completed.d': directory({ mode: 0o777 }) } },
      "/opt/runner-hooks/job-completed.d must not be writable by jobs, it is uid 0's and gid 0's with mode 0777",
    ],
  ])('%s', (_, change, sentence) => {
    expect(sentences(change, 'miss')).toContain(sentence);
  });

  test('is said of the start script even where there is no user', () => {
    const tree = {
      '/etc/passwd': file(''),
      '/usr/local/bin/start-runner.sh': file(script.text, { mode: 0o757 }),
    };
    expect(sentences({ tree }, 'miss')).toEqual([
      "/usr/local/bin/start-runner.sh must not be writable by jobs, it is uid 0's and gid 0's with mode 0757",
      '/etc/passwd must have a user with uid 1001, it has none',
    ]);
  });

  test('is said once for each thing that is wrong, and for nothing else', () => {
    expect(
      sentences({ tree: { '/usr/bin/curl': undefined, [`${home}/bin/Runner.Worker`]: undefined }, stopSignal: '9' }),
    ).toEqual([
      "the image's STOPSIGNAL must be SIGTERM, it is 9: GitHub would learn of a stopped task 20 minutes late",
      'curl must be in PATH, it is not: start-runner.sh calls it',
      '/home/runner/bin/Runner.Worker must be a program, there is none',
    ]);
  });

  test.each(['', 'SIGTERM', 'term', '15', 'SIGINT'])('is not a STOPSIGNAL "%s"', (stopSignal) => {
    expect(sentences({ stopSignal })).toEqual([]);
  });
});

describe('worth a look', () => {
  test.each<[string, Change, string]>([
    [
      'a start-runner.sh of another version',
      { tree: { '/usr/local/bin/start-runner.sh': program() } },
      '/usr/local/bin/start-runner.sh should be the one of this checkout, it differs',
    ],
    [
      'no libkrb5',
      { tree: { '/usr/lib/x86_64-linux-gnu/libgssapi_krb5.so.2': undefined } },
      `libkrb5 should be installed, it is not: some proxies cannot be used; ${installs}`,
    ],
    [
      'owners that were lost',
      { tree: { '/usr/bin/bash': elf(0x3e, { uid: 1000 }) } },
      "/bin/bash should be root's, it is uid 1000's: a directory that was not unpacked by root has lost its owners",
    ],
    [
      'another home in /etc/passwd',
      { tree: { '/etc/passwd': passwd('runner:x:1001:1001::/:/bin/bash') } },
      'the home of runner should be /home/runner, /etc/passwd says /: ssh looks there, whatever HOME is',
    ],
    [
      'no shell',
      { tree: { '/etc/passwd': passwd('runner:x:1001:1001::/home/runner:/usr/sbin/nologin') } },
      'the shell of runner should be a program, /usr/sbin/nologin is not',
    ],
    [
      'no group for Docker',
      { tree: { '/etc/group': file('docker:x:999:runner\n') } },
      'runner should be in the group 123, it is in 1001, 999: jobs of a profile with `docker` cannot use the daemon',
    ],
    [
      'a file of another user',
      { tree: { [`${home}/config.sh`]: program(), [`${home}/bin`]: directory() } },
      "what is in /home/runner should be uid 1001's, /home/runner/config.sh and 1 more are not",
    ],
    [
      'jobs as root',
      { environment: { RUNNER_ALLOW_RUNASROOT: '1' } },
      'RUNNER_ALLOW_RUNASROOT should not be set, it is: jobs run as root, and may read and end the supervisor',
    ],
    [
      'variables that jobs do not see',
      { environment: { JAVA_HOME: '/opt/java', DEBIAN_FRONTEND: 'noninteractive', RUNNER_X: '1', HOME: '/root' } },
      "jobs do not see DEBIAN_FRONTEND, JAVA_HOME of the image's environment: what they need belongs into the profile's option `environment`",
    ],
    [
      "a variable of the task's",
      { environment: { AWS_ENDPOINT_URL_DYNAMODB: 'http://localhost' } },
      "AWS_ENDPOINT_URL_DYNAMODB should not be set in the image, it is: start-runner.sh reads the task's own",
    ],
    [
      'diagnostics on standard output',
      { environment: { ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT: '1' } },
      "ACTIONS_RUNNER_PRINT_LOG_TO_STDOUT should not be set, it is: the runner's diagnostics fill the task's log, in which start-runner.sh reads how far it is",
    ],
    [
      'no zstd',
      { tree: { '/usr/bin/zstd': undefined } },
      'zstd should be in PATH, it is not: actions/cache then is slow, and finds no cache that other runners made',
    ],
    [
      'a tool cache that the runner cannot write',
      { tree: { '/opt/hostedtoolcache': directory() } },
      "RUNNER_TOOL_CACHE should name a directory that uid 1001 may write, it is uid 0's and gid 0's with mode 0755 at /opt/hostedtoolcache: setup-* actions fail",
    ],
  ])('%s', (_, change, sentence) => {
    expect(decideFitness(candidate(change), script)).toEqual([{ weight: 'look', sentence }]);
  });
});

describe('the programs that are looked for', () => {
  test('are all named by start-runner.sh, but for gzip, which tar calls', () => {
    const [, code = ''] = script.text.split('set -uo pipefail');
    const words = new Set(code.replaceAll(/^\s*#.*$/gm, '').match(/[\w-]+/g));
    expect(calledPrograms['start-runner.sh']?.split(' ').filter((name) => !words.has(name))).toEqual(['gzip']);
  });

  test('are at least those that the smoke test of our own image looks for', () => {
    const smoke = readFileSync(new URL('../../runner-image/smoke-test.sh', import.meta.url), 'utf8');
    const [, names = ''] = /start-runner\.sh must find its commands' \\\n +has_commands (.+)$/m.exec(smoke) ?? [];
    expect(names).not.toBe('');
    expect(calledPrograms['start-runner.sh']?.split(' ')).toEqual(expect.arrayContaining(names.split(' ')));
  });
});

describe('the lists of variables', () => {
  test('are those of start-runner.sh', () => {
    expect(script.jobVariables).toEqual(expect.arrayContaining(['PATH', 'RUNNER_*', 'NO_PROXY']));
    expect(script.neverForJobs).toContain('CLAIM_ID');
  });
});

describe('the machine that an image is for', () => {
  test.each([
    [0x3e, 'x64'],
    [0xb7, 'arm64'],
    [0x28, undefined],
  ])('is told by its bash: %i is %s', (machine, arch) => {
    const tree = fitTree();
    tree.set('/usr/bin/bash', elf(machine));
    expect(archOf(tree)).toBe(arch);
  });

  test('is not told by a script', () => {
    expect(archOf(candidate({ tree: { '/usr/bin/bash': file('#!/bin/sh\n') } }).tree)).toBeUndefined();
  });
});

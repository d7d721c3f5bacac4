import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = join(import.meta.dirname, '../../runner-image');
const repository = '123456789012.dkr.ecr.us-east-1.amazonaws.com/ci/runner';
const environment = {
  REPOSITORY_URI: repository,
  ARCH: 'x64',
  RUNNER_VERSION: '2.336.0',
  RUNNER_URL: 'https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-x64-2.336.0.tar.gz',
  RUNNER_SHA256: 'a'.repeat(64),
  SOURCE_HASH: 'abc123',
  AWS_REGION: 'us-east-1',
  CODEBUILD_BUILD_NUMBER: '7',
};
const large = { FAKE_BYTES: '300000000' };
const digestOf = (letter: string) => `sha256:${letter.repeat(64)}`;
const old = digestOf('0');
const plain = digestOf('a');
const indexed = digestOf('b');

/** What every fake begins with: a line for the transcript, and the failure that the test asks for. */
const preamble = String.raw`#!/bin/bash
call="${'$'}{0##*/} $*"
printf '%s\n' "$call" >>"$FAKE_ROOT/calls"
[[ ${'$'}{FAKE_FAILURE-} && $call =~ $FAKE_FAILURE ]] && exit "${'$'}{FAKE_CODE-1}"
[[ ${'$'}{FAKE_HANG-} && $call =~ $FAKE_HANG ]] && trap '' TERM && exec sleep 60
`;
const fakes = {
  // The registry is a directory: a file for each tag, holding a digest.
  docker: String.raw`
[[ $call =~ --volume\ ([^ ]+):/work ]] && work=${'$'}{BASH_REMATCH[1]}
case $call in
  *' login '*) cat >"$FAKE_ROOT/password" ;;
  *'skopeo copy'*docker-archive:*) mkdir "$work/${'$'}{call##*/}" && truncate --size "$FAKE_BYTES" "$work/${'$'}{call##*/}/blob" ;;
  *'skopeo copy'*docker://*)
    letter=a
    [[ $call == *oci:/work/soci* ]] && letter=b
    [[ $call == *:${'$'}{FAKE_STRANGER-none} ]] && letter=c
    digest=sha256:$(printf "$letter%.0s" {1..64})
    printf '%s' "$digest" >"$work/digest"
    printf '%s' "$digest" >"$FAKE_ROOT/tags/${'$'}{call##*:}"
    ;;
  *'soci convert'*) mkdir "$work/soci" && [[ ${'$'}{FAKE_EMPTY-} ]] || echo '{}' >"$work/soci/index.json" ;;
  'docker run --rm --network none '[^-]*) exit 65 ;;
esac`,
  aws: String.raw`
case $call in
  *get-login-password*) echo hunter2 ;;
  *batch-delete-image*) rm "$FAKE_ROOT/tags/${'$'}{call##*=}" ;;
esac`,
  curl: String.raw`
[[ $call =~ --output\ ([^ ]+) ]]
mkdir "$FAKE_ROOT/release" && echo 'soci' >"$FAKE_ROOT/release/soci"
/bin/tar -czf "${'$'}{BASH_REMATCH[1]}" -C "$FAKE_ROOT/release" soci`,
  sha256sum: String.raw`
cat >"$FAKE_ROOT/checked"`,
  tar: String.raw`
exec /bin/tar "$@"`,
};

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'image-build-'));
  for (const name of ['bin', 'tags', 'tmp']) mkdirSync(join(root, name));
  for (const [name, script] of Object.entries(fakes))
    writeFileSync(join(root, 'bin', name), preamble + script, { mode: 0o755 });
  writeFileSync(join(root, 'tags/x64'), old);
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

function build(changes: Record<string, string> = {}) {
  // As CodeBuild does it: the command of buildspec.yml, in the directory of the source.
  const [, command = ''] = /commands:\n(?: +#.*\n)* +- (.+)/.exec(text('buildspec.yml')) ?? [];
  const { status, stdout, stderr } = spawnSync('bash', ['-c', command], {
    cwd: source,
    encoding: 'utf8',
    // Not the usual socket: bash takes that for a remote shell's, and reads the start-up files.
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: `${root}/bin:${process.env['PATH'] ?? ''}`,
      TMPDIR: join(root, 'tmp'),
      FAKE_ROOT: root,
      FAKE_BYTES: '200000000',
      ...environment,
      ...changes,
    },
  });
  return { status, log: stdout + stderr };
}

const text = (name: string) => readFileSync(join(source, name), 'utf8');
const calls = () =>
  existsSync(join(root, 'calls')) ? readFileSync(join(root, 'calls'), 'utf8').trim().split('\n') : [];
const tags = () =>
  Object.fromEntries(
    readdirSync(join(root, 'tags')).map((tag) => [tag, readFileSync(join(root, 'tags', tag), 'utf8')]),
  );
const all = (digest: string) => ({ x64: digest, 'x64-2.336.0': digest, 'x64-source-abc123': digest });

/** The calls in a few words each, without what is long or by chance. */
const steps = () =>
  calls().map((call) =>
    call
      .replaceAll(repository, 'REPOSITORY')
      .replaceAll(/\S*\/tmp\/tmp\.\w+/g, 'WORK')
      .replace(/^docker run .*(skopeo copy) .* (\S+) (\S+)$/, '$1 $2 $3')
      .replace(/^docker run .*bash (\S+) \/smoke-test\.sh .*/, 'smoke-test $1')
      .replace(/^docker run .*none (\S+)$/, 'start $1')
      .replace(/^docker run .*(soci convert.*)/, '$1')
      .replace(/^docker build .*--tag (\S+) .*/, 'build $1')
      .replace(/^curl .* (\S+)$/, 'curl $1'),
  );

describe('a build of the image', () => {
  test('tries what it pushed before any tag moves, and moves the one of the tasks last', () => {
    expect(build().status).toBe(0);
    expect(steps()).toEqual([
      'aws ecr get-login-password',
      'docker login --username AWS --password-stdin 123456789012.dkr.ecr.us-east-1.amazonaws.com',
      'build runner-image:built',
      'smoke-test runner-image:built',
      'start runner-image:built',
      'build runner-image:tools',
      'docker save --output WORK/image.tar runner-image:built',
      'docker image rm runner-image:built',
      'skopeo copy docker-archive:/work/image.tar oci:/work/zstd',
      'skopeo copy oci:/work/zstd docker://REPOSITORY:build-x64-7',
      `docker pull --quiet REPOSITORY@${plain}`,
      `smoke-test REPOSITORY@${plain}`,
      `start REPOSITORY@${plain}`,
      'skopeo copy oci:/work/zstd docker://REPOSITORY:x64-2.336.0',
      'skopeo copy oci:/work/zstd docker://REPOSITORY:x64-source-abc123',
      'skopeo copy oci:/work/zstd docker://REPOSITORY:x64',
      'aws ecr batch-delete-image --repository-name ci/runner --image-ids imageTag=build-x64-7',
    ]);
    expect(tags()).toEqual(all(plain));
  });

  test('builds the runner it was told, and tries for its version', () => {
    build();
    const [built = ''] = calls().filter((call) => call.includes('--tag runner-image:built'));
    expect(built).toContain(`--build-arg RUNNER_VERSION=2.336.0 --build-arg RUNNER_URL=${environment.RUNNER_URL}`);
    expect(built).toContain(`--build-arg RUNNER_SHA256=${environment.RUNNER_SHA256}`);
    expect(built).toMatch(/--build-arg BUILD_DATE=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ --build-arg REVISION=abc123 /);
    expect(built.endsWith(` ${source}`)).toBe(true);
    expect(calls().filter((call) => call.endsWith('/smoke-test.sh 2.336.0 yes no'))).toHaveLength(2);
  });

  test('builds what the operator chose, and tries for it', () => {
    build({ SUDO: 'no', BUILD_TOOLS: 'yes' });
    const [built = ''] = calls().filter((call) => call.includes('--tag runner-image:built'));
    expect(built).toContain('--build-arg SUDO=no --build-arg BUILD_TOOLS=yes ');
    expect(calls().filter((call) => call.endsWith('/smoke-test.sh 2.336.0 no yes'))).toHaveLength(2);
  });

  test('keeps the password of the registry from command lines and the log, and leaves no file', () => {
    const { log } = build();
    expect(readFileSync(join(root, 'password'), 'utf8')).toBe('hunter2\n');
    expect(log + calls().join('\n')).not.toContain('hunter2');
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
  });

  test('leaves the other architecture alone', () => {
    expect(build({ ARCH: 'arm64' }).status).toBe(0);
    expect(tags()).toEqual({ x64: old, arm64: plain, 'arm64-2.336.0': plain, 'arm64-source-abc123': plain });
  });

  test('is good even when the tag of the build stays', () => {
    const { status, log } = build({ FAKE_FAILURE: 'batch-delete-image' });
    expect(status).toBe(0);
    expect(log).toContain('build-image: the tag build-x64-7 could not be deleted\n');
  });
});

describe('a build that fails', () => {
  test.each([
    ['at the password', 'get-login-password', 'ECR gave no password'],
    ['at the login', 'docker login', 'no login to ECR'],
    ['in the Dockerfile', 'build --pull', 'the image could not be built'],
    ['in the smoke test', 'smoke-test.sh 2', 'the image is not fit for jobs'],
    ['at the start of the image', 'none runner-image:built$', 'the image must end with 65, it ended with 1'],
    ['at the tools', '--target tools', 'the image with the tools could not be built'],
    ['at saving the image', 'docker save', 'the image could not be saved'],
    ['at removing what was built', 'docker image rm', 'the image that was built could not be removed'],
    ['at compressing', 'format zstd', 'the image could not be compressed'],
    ['at the first push', ':build-x64-7$', 'the image could not be pushed and tried from there'],
    ['at the pull', 'docker pull', 'the image could not be pushed and tried from there'],
    ['in the smoke test of what was pushed', '@sha256:a+ /smoke', 'the image could not be pushed and tried from there'],
    ['at the start of what was pushed', 'none .*@sha256:a+$', 'the image must end with 65, it ended with 1'],
    ['at the tag of the version', ':x64-2.336.0$', 'the tag x64-2.336.0 could not be moved'],
    ['at the tag of the source', ':x64-source-abc123$', 'the tag x64-source-abc123 could not be moved'],
    ['at the last tag', ':x64$', 'the tag x64 could not be moved'],
  ])('%s leaves the old image in use, and nothing behind', (_step, failure, reason) => {
    const { status, log } = build({ FAKE_FAILURE: failure });
    expect(log).toContain(reason);
    expect(status).toBe(1);
    expect(tags()).toMatchObject({ x64: old });
    expect(tags()).not.toHaveProperty('build-x64-7');
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
  });

  test.each([
    ['in the smoke test', 'smoke-test.sh 2', 'docker run'],
    ['at the start of the image', 'none runner-image:built$', 'docker run'],
    ['at the pull', 'docker pull', 'docker pull'],
    ['in the smoke test of what was pushed', '@sha256:a+ /smoke', 'docker run'],
    ['at the start of what was pushed', 'none .*@sha256:a+$', 'docker run'],
  ])('as it hangs %s ends in time to clean up', (_step, hang, killed) => {
    const { status, log } = build({ FAKE_HANG: hang, TRY_SECONDS: '1' });
    expect(log).toContain(`build-image: ${killed} was killed; it may take 1 s\n`);
    expect(status).toBe(1);
    expect(tags()).toEqual({ x64: old });
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
  });

  test('has five minutes for a try, when it is not told otherwise', () => {
    expect(build({ FAKE_FAILURE: 'none runner-image:built$', FAKE_CODE: '137' }).log).toContain('it may take 300 s\n');
  });

  test('as the image says that it is broken leaves the old one in use', () => {
    const { status, log } = build({ FAKE_FAILURE: 'none runner-image:built$', FAKE_CODE: '74' });
    expect(log).toContain('must end with 65, it ended with 74');
    expect(status).toBe(1);
    expect(tags()).toEqual({ x64: old });
  });

  test('as a tag got another image than the one that was tried leaves the old one in use', () => {
    const { status, log } = build({ FAKE_STRANGER: 'x64-2.336.0' });
    expect(log).toContain(`the tag x64-2.336.0 could not be moved to ${plain}`);
    expect(status).toBe(1);
    expect(tags()).toMatchObject({ x64: old });
  });

  test.each([
    ['REPOSITORY_URI', `${repository}:x64`],
    ['ARCH', 'amd64'],
    ['ARCH', 'x64-old'],
    ['RUNNER_VERSION', 'v2.336.0'],
    ['RUNNER_URL', '/runner.tar.gz'],
    ['RUNNER_SHA256', ''],
    ['SUDO', 'true'],
    ['BUILD_TOOLS', '1'],
    ['SOURCE_HASH', 'a b'],
  ])('for a wrong %s has not done anything', (name, value) => {
    const { status, log } = build({ [name]: value });
    expect(log).toMatch(new RegExp(`^build-image: ${name} must be .*, got "${value}"\n$`));
    expect(status).toBe(1);
    expect(calls()).toEqual([]);
  });
});

describe('a large image', () => {
  test('gets a SOCI index, from a tool whose checksum is known', () => {
    const { status, log } = build(large);
    expect(log).toContain('build-image: 300 MB compressed: has a SOCI index\n');
    expect(status).toBe(0);
    expect(tags()).toEqual(all(indexed));
    expect(steps().slice(8, 17)).toEqual([
      'skopeo copy docker-archive:/work/image.tar oci:/work/zstd',
      expect.stringMatching(
        /^curl https:\/\/github\.com\/awslabs\/.*\/v([\d.]+)\/soci-snapshotter-\1-linux-amd64\.tar\.gz$/,
      ),
      'sha256sum --check --status',
      expect.stringMatching(/^tar -xzf WORK\/soci-snapshotter-.* -C WORK\/bin$/),
      'skopeo copy docker-archive:/work/image.tar oci:/work/gzip',
      'soci convert --standalone --format oci-dir /work/gzip /work/soci',
      'skopeo copy oci:/work/soci docker://REPOSITORY:build-x64-7',
      `docker pull --quiet REPOSITORY@${indexed}`,
      `smoke-test REPOSITORY@${indexed}`,
    ]);
    expect(readFileSync(join(root, 'checked'), 'utf8')).toMatch(/^[0-9a-f]{64} {2}.*-linux-amd64\.tar\.gz\n$/);
  });

  test('for arm64 is indexed by the tool for arm64', () => {
    expect(build({ ...large, ARCH: 'arm64' }).status).toBe(0);
    expect(tags()).toMatchObject({ x64: old, arm64: indexed });
    expect(readFileSync(join(root, 'checked'), 'utf8')).toMatch(/-linux-arm64\.tar\.gz\n$/);
  });

  test.each([
    ['cannot be fetched', 'curl', 'the soci tool could not be fetched'],
    ['has another checksum', 'sha256sum', 'the soci tool has the wrong checksum'],
    ['cannot be unpacked', 'tar -xzf', 'the soci tool could not be unpacked'],
    ['needs gzip, which fails,', 'format gzip', 'the layers could not be compressed with gzip'],
    ['fails', 'soci convert', 'the soci tool failed'],
  ])('goes on without an index when the tool %s', (_case, failure, reason) => {
    const { status, log } = build({ ...large, FAKE_FAILURE: failure });
    expect(log).toContain(`build-image: 300 MB compressed: goes on without a SOCI index, as ${reason}\n`);
    expect(status).toBe(0);
    expect(tags()).toEqual(all(plain));
  });

  test('goes on without an index when the tool makes nothing', () => {
    expect(build({ ...large, FAKE_EMPTY: '1' }).log).toContain('as the soci tool made no image\n');
    expect(tags()).toEqual(all(plain));
  });

  test.each([
    ['pushed', 'oci:/work/soci .*:build-x64-7$'],
    ['pulled', 'docker pull .*@sha256:b+$'],
    ['tried', 'none .*@sha256:b+ /smoke'],
    ['started', 'none .*@sha256:b+$'],
  ])('goes on without its index when it cannot be %s with it', (_case, failure) => {
    const { status, log } = build({ ...large, FAKE_FAILURE: failure });
    expect(log).toContain('goes on without\n');
    expect(status).toBe(0);
    expect(tags()).toEqual(all(plain));
  });

  test('goes on without its index when with it the start hangs', () => {
    const { status, log } = build({ ...large, FAKE_HANG: 'none .*@sha256:b+$', TRY_SECONDS: '1' });
    expect(log).toContain('goes on without\n');
    expect(status).toBe(0);
    expect(tags()).toEqual(all(plain));
  });

  test('whose tag cannot be moved leaves the old image in use', () => {
    expect(build({ ...large, FAKE_FAILURE: ':x64$' }).status).toBe(1);
    expect(tags()).toMatchObject({ x64: old });
  });
});

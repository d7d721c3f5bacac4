import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { lastLine } from '../runner-image/task.ts';
import { ContainerTask } from './container-task.ts';
import { Engine } from './engine.ts';
import { readVersion } from './stand-in-release.ts';

let engine: Engine;
let task: ContainerTask;

beforeAll(async () => {
  engine = await Engine.open();
});
beforeEach(async () => {
  task = await ContainerTask.prepare(engine);
});
afterEach(async () => {
  await task.dispose();
});

const results = (): (string | null)[] =>
  task.services.calls.filter(({ route }) => route === 'POST complete').map(({ form }) => form.get('result'));

describe('a container of the image', () => {
  test('reads its claim, registers, runs one job as the user runner, and ends with 0', async () => {
    const ended = await task.runJob('id; pwd; echo "$HOME $USER"; touch made; stat --format=%U:%G made');
    expect(lastLine(ended)).toBe('start-runner: ran a job (exit 0)');
    expect(ended.code).toBe(0);
    expect((await task.jobLog()).split('\n')).toEqual([
      'uid=1001(runner) gid=1001(runner) groups=1001(runner),123(docker)',
      '/home/runner/_work/work/work',
      '/home/runner runner',
      'runner:runner',
      '',
    ]);
    const registration = task.services.calls.find(({ route }) => route === 'POST register');
    expect(Object.fromEntries(registration?.form ?? [])).toMatchObject({
      name: 'ci-1234-81230000001-1',
      labels: 'fargate-small,linux',
      version: await readVersion(),
      ephemeral: 'true',
    });
    expect(task.services.count('DynamoDB_20120810.DeleteItem')).toBe(1);
    expect(results()).toEqual(['Succeeded']);
  });

  test('shows a job these variables, and no others', async () => {
    const environment = {
      SECRET_OF_THE_OPERATOR: 'x',
      TZ: 'Europe/Berlin',
      MINE: 'yes',
      JOB_ENVIRONMENT_NAMES: 'MINE',
    };
    await task.runJob('env --null | sort --zero-terminated | tr "\\0" "\\n"', { environment });
    const ofGitHub =
      /^(CI|GITHUB_\w+|RUNNER_(ARCH|ENVIRONMENT|NAME|OS|TEMP|TRACKING_ID|WORKSPACE)|PWD|OLDPWD|SHLVL|_)=/;
    const seen = (await task.jobLog()).trimEnd().split('\n');
    expect(seen.filter((variable) => !ofGitHub.test(variable))).toEqual([
      'ACTIONS_RUNNER_HOOK_JOB_COMPLETED=/opt/runner-hooks/job-completed.sh',
      'ACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/runner-hooks/job-started.sh',
      'ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE=1',
      'AGENT_TOOLSDIRECTORY=/opt/hostedtoolcache',
      'HOME=/home/runner',
      'ImageOS=ubuntu24',
      'LANG=C.UTF-8',
      'MINE=yes',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'RUNNER_TOOL_CACHE=/opt/hostedtoolcache',
      'TZ=Europe/Berlin',
      'USER=runner',
    ]);
  });

  test('lets a job become root by sudo, without a password', async () => {
    expect(await task.runJob('sudo id -u; sudo touch /usr/local/bin/tool; sudo -u runner id -un')).toMatchObject({
      code: 0,
    });
    expect(await task.jobLog()).toBe('0\nrunner\n');
    expect(results()).toEqual(['Succeeded']);
  });

  test('runs JavaScript by the node that the runner brings', async () => {
    await task.runJob('"$HOME"/externals/node24/bin/node -p "6 * 7"');
    expect(await task.jobLog()).toBe('42\n');
  });

  test.each([
    ['no-claim', 'when its claim is used', () => (task.services.claim = undefined)],
    ['idle', 'when no job comes', () => (task.services.claim = task.claim({ idleSeconds: 3 }))],
    ['registration-refused', 'when GitHub refuses it', () => task.services.script('POST register', 404)],
    ['ended-without-a-job', 'when GitHub forgot it', () => task.services.script('POST session', 401)],
  ])('ends as %s %s', async (outcome, _, arrange) => {
    arrange();
    expect(exitCodes).toHaveProperty(String((await task.run()).code), outcome);
  });

  test('ends as interrupted before a job when it is stopped while idle, and closes its session', async () => {
    task.start();
    await task.untilLog('Listening for Jobs');
    expect(await task.stop()).toMatchObject({ code: 69 });
    expect(task.services.count('DELETE session')).toBe(1);
  });

  test('ends as interrupted in a job when it is stopped in one, and GitHub is told', async () => {
    await task.startJob('true', { environment: quickSignals });
    const ended = await task.stop();
    expect(ended.code).toBe(70);
    expect(lastLine(ended)).toBe('start-runner: interrupted in a job (exit 70)');
    expect(results()).toEqual(['Failed']);
    expect(task.services.count('DELETE session')).toBe(1);
  });

  test('ends so, too, when it is stopped twice', async () => {
    await task.startJob('trap "" INT', { environment: quickSignals });
    await task.signal('TERM');
    await task.untilLog('SIGTERM while in a job');
    await task.signal('TERM');
    const ended = await task.ended;
    expect(ended.code).toBe(70);
    expect(ended.log.match(/SIGTERM while/g)).toHaveLength(1);
    expect(results()).toEqual(['Failed']);
  });

  test('ends as interrupted before a job when it is stopped while it registers', async () => {
    task.services.script('POST register', 'hang');
    task.start();
    await task.until(() => task.services.count('POST register') > 0);
    expect(await task.stop()).toMatchObject({ code: 69 });
  });

  test('is killed when it does not end in time, as ECS does after the stop timeout', async () => {
    await task.startJob('trap "" INT TERM', { environment: { ...quickSignals, RUNNER_STANDIN_KILL_AFTER: '60' } });
    expect(await task.stop(1)).toMatchObject({ code: 137 });
  });
});

/** How long the stand-in waits from a cancelled step's SIGINT to its SIGTERM and SIGKILL. */
const quickSignals = { RUNNER_STANDIN_TERM_AFTER: '0.2', RUNNER_STANDIN_KILL_AFTER: '0.2' };

describe('with a Docker daemon beside it, a task', () => {
  let directory: string;
  /** As infra/docker-daemon.ts has them: empty, and root's. The daemon's container has put its command there before. */
  const mounts = {
    work: '/home/runner/_work',
    tmp: '/tmp',
    'tool-cache': '/opt/hostedtoolcache',
    externals: '/mnt/externals',
    cli: '/usr/local/libexec/docker',
  };

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'docker-volumes-'));
    for (const name of Object.keys(mounts)) await mkdir(join(directory, name), { mode: 0o755 });
    await writeFile(join(directory, 'cli/docker'), '#!/bin/sh\necho "docker $*"\n', { mode: 0o755 });
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  const start = (mode: Partial<Record<keyof typeof mounts, string>> = {}) => ({
    environment: { DOCKER_EXTERNALS: mounts.externals },
    options: (Object.keys(mounts) as (keyof typeof mounts)[]).map(
      (name) => `--volume=${directory}/${name}:${mounts[name]}:${mode[name] ?? 'rw'}`,
    ),
  });

  test('gives a job the command, directories to write, and the daemon what it mounts into job containers', async () => {
    const ended = await task.runJob(
      'docker version; touch made /tmp/made "$RUNNER_TOOL_CACHE/made"; stat --format="%a %U" /tmp',
      start(),
    );
    expect(await task.jobLog()).toBe('docker version\n1777 root\n');
    expect(results()).toEqual(['Succeeded']);
    expect(ended.code).toBe(0);
    const { uid, mode } = await stat(join(directory, 'externals/node24/bin/node'));
    expect({ uid, executable: (mode & 0o111) !== 0 }).toEqual({ uid: 1001, executable: true });
    expect((await stat(join(directory, 'tool-cache/made'))).uid).toBe(1001);
  });

  test('ends as broken when the daemon would not find them', async () => {
    const ended = await task.runJob('true', start({ externals: 'ro' }));
    expect(lastLine(ended)).toBe(
      'start-runner: the directories that the runner shares with Docker could not be prepared (exit 74)',
    );
    expect(ended.code).toBe(74);
  });
});

describe('drop-ins', () => {
  let directory: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'drop-ins-'));
    await Promise.all(['job-started.d', 'job-completed.d'].map(async (name) => mkdir(join(directory, name))));
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  async function write(name: string, text: string, mode = 0o755): Promise<void> {
    await writeFile(join(directory, name), `#!/bin/bash\n${text}\n`);
    await chmod(join(directory, name), mode);
  }
  /** Runs a job of acme/app, and answers with its log. */
  async function runJob(script: string): Promise<string[]> {
    const body = `job-id j-1\njob-name build\nrepository acme/app\nscript ${Buffer.from(script).toString('base64')}\n`;
    task.services.script('POST acquire', { status: 200, body });
    const volumes = ['job-started.d', 'job-completed.d'].map(
      (name) => `--volume=${directory}/${name}:/opt/runner-hooks/${name}:ro`,
    );
    expect(await task.runJob('', { options: volumes })).toMatchObject({ code: 0 });
    return (await task.jobLog()).trimEnd().split('\n');
  }

  test('run before and after a job, in the order of their names, as its user, with their output in its log', async () => {
    await write(
      'job-started.d/20-who',
      'id -un; echo "$GITHUB_REPOSITORY $GITHUB_JOB"; jq -r .repository.full_name "$GITHUB_EVENT_PATH"',
    );
    await write('job-started.d/10-give', 'echo GIVEN=by-a-drop-in >>"$GITHUB_ENV"');
    await write('job-completed.d/10-clean', 'echo "cleaned as $(id -un)"');
    expect(await runJob('echo "the job has $GIVEN"')).toEqual([
      'drop-in 10-give',
      'drop-in 20-who',
      'runner',
      'acme/app build',
      'acme/app',
      'the job has by-a-drop-in',
      'drop-in 10-clean',
      'cleaned as runner',
    ]);
    expect(results()).toEqual(['Succeeded']);
  });

  test('that fail to set up fail the job before it begins, and it is cleaned up all the same', async () => {
    await write('job-started.d/10-refuse', 'echo "not $GITHUB_REPOSITORY"; exit 3');
    await write('job-started.d/20-more', 'echo more');
    await write('job-completed.d/10-clean', 'echo cleaned');
    expect(await runJob('echo the job')).toEqual([
      'drop-in 10-refuse',
      'not acme/app',
      '::error::the drop-in /opt/runner-hooks/job-started.d/10-refuse ended with 3',
      'drop-in 10-clean',
      'cleaned',
    ]);
    expect(results()).toEqual(['Failed']);
  });

  test('that fail to clean up fail the job, once all have run', async () => {
    await write('job-completed.d/10-fail', 'exit 1');
    await write('job-completed.d/20-clean', 'echo cleaned');
    expect(await runJob('echo the job')).toEqual([
      'the job',
      'drop-in 10-fail',
      '::error::the drop-in /opt/runner-hooks/job-completed.d/10-fail ended with 1',
      'drop-in 20-clean',
      'cleaned',
    ]);
    expect(results()).toEqual(['Failed']);
  });

  test('that cannot be run, and whatever else lies there, fail nothing', async () => {
    await write('job-started.d/10-text', 'exit 1', 0o644);
    await mkdir(join(directory, 'job-started.d/20-folder'));
    expect(await runJob('echo the job')).toEqual([
      '::warning::the drop-in /opt/runner-hooks/job-started.d/10-text must be executable, it is not: left out',
      'the job',
    ]);
    expect(results()).toEqual(['Succeeded']);
  });

  test('clean up after a job that failed', async () => {
    await write('job-completed.d/10-clean', 'echo cleaned');
    expect(await runJob('echo the job; exit 1')).toEqual(['the job', 'drop-in 10-clean', 'cleaned']);
    expect(results()).toEqual(['Failed']);
  });
});

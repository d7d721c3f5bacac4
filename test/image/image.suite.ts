import { beforeAll, describe, expect, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { built } from './build-once.ts';
import { runnerImage } from './container-task.ts';
import { Engine } from './engine.ts';
import { readVersion } from './stand-in-release.ts';

const smokeTest = fileURLToPath(new URL('../../runner-image/smoke-test.sh', import.meta.url));

let engine: Engine;
let image: Inspected;

type Inspected = {
  readonly Config: {
    readonly Env: readonly string[];
    readonly Labels: Readonly<Record<string, string>>;
    readonly Entrypoint: readonly string[];
    readonly Cmd?: readonly string[];
    readonly WorkingDir: string;
    readonly User?: string;
  };
};

beforeAll(async () => {
  engine = await Engine.open();
  [image] = JSON.parse(await engine.mustPodman('image', 'inspect', runnerImage)) as [Inspected];
});

/** What a shell in the image prints. */
async function inImage(script: string, options: readonly string[] = []): Promise<string> {
  const entryPoint = ['/bin/bash', '-c', script];
  const { code, stdout, stderr } = await engine.run({ image: runnerImage, entryPoint, options });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout;
}

describe('the image', () => {
  test('says what it is: runner, day and revision', async () => {
    expect(image.Config.Labels).toMatchObject({
      'org.opencontainers.image.title': 'actions/runner for one task',
      'org.opencontainers.image.version': await readVersion(),
      'org.opencontainers.image.created': built.BUILD_DATE,
      'org.opencontainers.image.revision': built.REVISION,
    });
  });

  test('has these variables, and no others', () => {
    expect([...image.Config.Env].toSorted()).toEqual([
      'ACTIONS_RUNNER_HOOK_JOB_COMPLETED=/opt/runner-hooks/job-completed.sh',
      'ACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/runner-hooks/job-started.sh',
      'AGENT_TOOLSDIRECTORY=/opt/hostedtoolcache',
      'ImageOS=ubuntu24',
      'LANG=C.UTF-8',
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'RUNNER_TOOL_CACHE=/opt/hostedtoolcache',
    ]);
  });

  test('starts as root, by start-runner.sh itself, in the home of the runner', () => {
    const { Entrypoint, Cmd, WorkingDir, User } = image.Config;
    expect({ Entrypoint, Cmd, WorkingDir, User: User ?? '' }).toEqual({
      Entrypoint: ['/usr/local/bin/start-runner.sh'],
      Cmd: undefined,
      WorkingDir: '/home/runner',
      User: '',
    });
  });

  test('is fit for jobs, says its smoke test', async () => {
    const version = await readVersion();
    const { code, stdout } = await engine.run({
      image: runnerImage,
      entryPoint: ['/bin/bash', '/smoke-test.sh', version],
      options: [`--volume=${smokeTest}:/smoke-test.sh:ro`],
    });
    expect(stdout).toBe(`smoke-test: runner ${version} is fit for jobs\n`);
    expect(code).toBe(0);
  });

  test('has the user and the groups of GitHub’s own', async () => {
    expect(await inImage('id runner; getent passwd runner; getent group docker runner')).toBe(
      [
        'uid=1001(runner) gid=1001(runner) groups=1001(runner),123(docker)',
        'runner:x:1001:1001::/home/runner:/bin/bash',
        'docker:x:123:runner',
        'runner:x:1001:',
        '',
      ].join('\n'),
    );
  });

  test('gives the runner its home and the tool cache, and nothing that root runs', async () => {
    const paths = [
      '/home/runner',
      '/home/runner/_work',
      '/home/runner/bin/Runner.Listener',
      '/home/runner/config.sh',
      '/opt/hostedtoolcache',
      '/opt/runner-hooks',
      '/opt/runner-hooks/job-completed.d',
      '/opt/runner-hooks/job-completed.sh',
      '/opt/runner-hooks/job-started.d',
      '/opt/runner-hooks/job-started.sh',
      '/usr/local/bin/start-runner.sh',
      '/etc/sudoers.d/runner',
    ];
    expect((await inImage(`stat --format='%U:%G %a %n' ${paths.join(' ')}`)).trimEnd().split('\n')).toEqual([
      'runner:runner 755 /home/runner',
      'runner:runner 755 /home/runner/_work',
      'runner:runner 755 /home/runner/bin/Runner.Listener',
      'runner:runner 755 /home/runner/config.sh',
      'runner:runner 755 /opt/hostedtoolcache',
      'root:root 755 /opt/runner-hooks',
      'root:root 755 /opt/runner-hooks/job-completed.d',
      'root:root 755 /opt/runner-hooks/job-completed.sh',
      'root:root 755 /opt/runner-hooks/job-started.d',
      'root:root 755 /opt/runner-hooks/job-started.sh',
      'root:root 755 /usr/local/bin/start-runner.sh',
      'root:root 440 /etc/sudoers.d/runner',
    ]);
    // Everything in the home, and outside of it only the tool cache and where mail would come.
    const strangers = 'find /home/runner ! -user runner';
    const others =
      'find / -xdev -user runner ! -path "/home/runner*" ! -path /var/mail/runner ! -path "/var/spool/mail/*"';
    expect(await inImage(`${strangers}; ${others}`)).toBe('/opt/hostedtoolcache\n');
  });

  test('has nothing that only its build needed', async () => {
    const remains = [
      '/runner',
      '/runner.tar.gz',
      '/fetch-release.sh',
      '/hooks.zip',
      '/var/lib/apt/lists/*',
      '/var/cache/apt/archives/*.deb',
    ];
    expect(await inImage(`shopt -s nullglob; ls -d ${remains.join(' ')} 2>/dev/null || true`)).toBe('');
  });

  test('without a claim ends with 65, as ECS would start it', async () => {
    expect(await engine.run({ image: runnerImage })).toMatchObject({
      code: 65,
      stdout: 'start-runner: CLAIM_ID must name a claim (exit 65)\n',
    });
  });
});

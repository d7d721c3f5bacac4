import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { ContainerTask } from './container-task.ts';
import { Engine, type Ended } from './engine.ts';
import { fileOf, hooksVersion, StandInRelease } from './stand-in-release.ts';

const smokeTest = fileURLToPath(new URL('../../runner-image/smoke-test.sh', import.meta.url));
const zeros = '0'.repeat(64);

let engine: Engine;
let release: StandInRelease;

beforeAll(async () => {
  engine = await Engine.open();
  release = await StandInRelease.start();
});
beforeEach(() => {
  release.heal();
  release.serve(release.bare);
});
afterAll(async () => {
  await release?.stop();
});

/** Builds up to where the runner is unpacked. */
async function download(given: Readonly<Record<string, string>>): Promise<Ended> {
  return engine.build({ target: 'download', arguments: given, keep: false });
}

const named = () => ({
  RUNNER_VERSION: release.version,
  RUNNER_URL: release.urlOf(release.bare),
  RUNNER_SHA256: release.bare.sha256,
});
const latest = () => ({ RELEASES_URL: release.url });

describe('a build', () => {
  test('takes the runner from the address it is told, and asks nobody else', async () => {
    expect(await download(named())).toMatchObject({ code: 0 });
    expect(release.asked).toEqual([release.pathOf(release.runner)]);
  });

  test('takes the latest release when it is told nothing', async () => {
    const { code, stdout } = await download(latest());
    expect(code).toBe(0);
    expect(stdout).toContain(`fetch-release: actions/runner ${release.version}\n`);
    expect(release.asked).toEqual(['/repos/actions/runner/releases/latest', release.pathOf(release.runner)]);
  });

  test('takes the release of the version it is told', async () => {
    release.forget('/repos/actions/runner/releases/latest');
    expect(await download({ ...latest(), RUNNER_VERSION: release.version })).toMatchObject({ code: 0 });
    expect(release.asked[0]).toBe(`/repos/actions/runner/releases/tags/v${release.version}`);
  });

  test('with other choices has no sudo, has a compiler, and has container hooks', async () => {
    release.heal();
    const image = 'localhost/runner:chosen';
    const choices = { SUDO: 'no', BUILD_TOOLS: 'yes', CONTAINER_HOOKS_VERSION: hooksVersion };
    const { code, stderr } = await engine.build({ tag: image, arguments: { ...latest(), ...choices } });
    expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });

    const smoke = ['/bin/bash', '/smoke-test.sh', release.version, 'no', 'yes'];
    const volume = `--volume=${smokeTest}:/smoke-test.sh:ro`;
    expect(await engine.run({ image, entryPoint: smoke, options: [volume] })).toMatchObject({
      code: 0,
      stdout: `smoke-test: runner ${release.version} is fit for jobs\n`,
    });
    const list = ['find', '/home/runner/k8s', '-type', 'f', '-printf', '%p %u\n'];
    expect(await engine.run({ image, entryPoint: list })).toMatchObject({
      stdout: '/home/runner/k8s/index.js runner\n',
    });

    const task = await ContainerTask.prepare(engine);
    try {
      const attempts = 'sudo -n id -u; su -c "id -u" </dev/null; setpriv --reuid=0 id -u; id -u';
      expect(await task.runJob(`set +e; { ${attempts}; } 2>/dev/null`, { image })).toMatchObject({ code: 0 });
      expect(await task.jobLog()).toBe('1001\n');
    } finally {
      await task.dispose();
    }
  });
});

describe('a build fails, and says why,', () => {
  test.each<[string, () => Readonly<Record<string, string>>, () => string]>([
    [
      'when the runner has another checksum',
      () => ({ ...named(), RUNNER_SHA256: zeros }),
      () => `${named().RUNNER_URL} must have the SHA-256 ${zeros}, it has ${release.bare.sha256}`,
    ],
    [
      'when the download breaks off',
      () => {
        release.answer(release.pathOf(release.runner), 'cut');
        return named();
      },
      () => `${named().RUNNER_URL} could not be downloaded`,
    ],
    [
      'when the release has no file for this machine',
      () => {
        release.publish('actions/runner', release.version, [release.hooks]);
        return latest();
      },
      () => `release ${release.version} of actions/runner must have the file ${release.runner.name}, it has none`,
    ],
    [
      'when GitHub does not say the checksum',
      () => {
        release.publish('actions/runner', release.version, [{ ...release.bare, sha256: '' }]);
        return latest();
      },
      () => 'the SHA-256 must be 64 digits and letters, got ""',
    ],
    [
      'when the version is garbled',
      () => ({ ...named(), RUNNER_VERSION: '2.x' }),
      () => 'the version must be "latest" or three numbers, got "2.x"',
    ],
    [
      'when there is no such release',
      () => ({ ...latest(), RUNNER_VERSION: '9.9.9' }),
      () => 'GitHub must tell of the release 9.9.9 of actions/runner, it did not',
    ],
    [
      'when the tag of the release is no version',
      () => {
        release.answer('/repos/actions/runner/releases/latest', { body: '{"tag_name":"nightly"}' });
        return latest();
      },
      () => 'a release of actions/runner must be tagged v1.2.3, it is "nightly"',
    ],
    [
      'when GitHub answers with a page for people',
      () => {
        release.answer('/repos/actions/runner/releases/latest', { body: '<html>' });
        return latest();
      },
      () => 'what GitHub tells of a release must be JSON, it is not',
    ],
    [
      'when it is told an address without a checksum',
      () => ({ RUNNER_URL: named().RUNNER_URL }),
      () => 'an address needs its SHA-256, and a SHA-256 its address',
    ],
    [
      'when what was downloaded is no archive',
      () => {
        const page = fileOf(release.runner.name, Buffer.from('<html>'));
        release.answer(release.pathOf(page), { body: page.content });
        return { ...named(), RUNNER_SHA256: page.sha256 };
      },
      () => 'not in gzip format',
    ],
    [
      'when container hooks of that version are not there',
      () => ({ ...latest(), CONTAINER_HOOKS_VERSION: '0.0.1' }),
      () => 'GitHub must tell of the release 0.0.1 of actions/runner-container-hooks, it did not',
    ],
  ])('%s', async (_, arrange, sentence) => {
    const { code, stdout, stderr } = await download(arrange());
    expect(`${stdout}${stderr}`).toContain(sentence());
    expect(code).not.toBe(0);
  });

  test.each(['SUDO', 'BUILD_TOOLS'])('when %s is neither yes nor no', async (name) => {
    const { code, stdout, stderr } = await engine.build({ target: 'base', arguments: { [name]: 'maybe' } });
    expect(`${stdout}${stderr}`).toContain(`${name} must be yes or no, got maybe`);
    expect(code).not.toBe(0);
  });
});

import { describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '../..');
const scripts = [
  ...['start-runner.sh', 'build-image.sh', 'fetch-release.sh', 'hooks/run-drop-ins.sh', 'smoke-test.sh'].map(
    (name) => `runner-image/${name}`,
  ),
  ...['config.sh', 'run.sh', 'run-helper.sh', 'bin/Runner.Listener', 'bin/Runner.Worker'].map(
    (name) => `test/emulators/actions-runner/${name}`,
  ),
];
const isMissing = spawnSync('shellcheck', ['--version']).error !== undefined;
// A developer may lack it; the pipeline must not.
const check = isMissing && process.env['CI'] !== 'true' ? describe.skip : describe;

check('shellcheck', () => {
  test.each(scripts)('has nothing to say about %s', (script) => {
    expect(isMissing ? 'shellcheck must be installed (apt-get install shellcheck), it is not' : '').toBe('');
    const { stdout, status } = spawnSync('shellcheck', [script], { cwd: repository, encoding: 'utf8' });
    expect(stdout).toBe('');
    expect(status).toBe(0);
  });
});

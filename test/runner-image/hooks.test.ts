import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const source = join(import.meta.dirname, '../../runner-image/hooks/run-drop-ins.sh');
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'runner-hooks-'));
  for (const hook of ['job-started', 'job-completed']) {
    copyFileSync(source, join(root, `${hook}.sh`));
    mkdirSync(join(root, `${hook}.d`));
  }
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

function dropIn(name: string, script: string, mode = 0o755): void {
  writeFileSync(join(root, name), `#!/bin/bash\n${script}\n`, { mode });
}

/** As the runner does it. https://github.com/actions/runner/blob/main/docs/adrs/1751-runner-job-hooks.md */
function run(hook: 'job-started' | 'job-completed', env: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync('bash', ['-e', join(root, `${hook}.sh`)], {
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], ...env },
  });
  return { status, log: stdout.replaceAll(root, ''), errors: stderr };
}

describe('a hook of the image', () => {
  test.each(['job-started', 'job-completed'] as const)('%s says and does nothing without drop-ins', (hook) => {
    expect(run(hook)).toEqual({ status: 0, log: '', errors: '' });
    rmSync(join(root, `${hook}.d`), { recursive: true });
    expect(run(hook)).toEqual({ status: 0, log: '', errors: '' });
  });

  test('runs its own drop-ins in the order of their names, with their output and the environment of the job', () => {
    dropIn('job-started.d/20-second', 'echo "of $GITHUB_REPOSITORY"');
    dropIn('job-started.d/10-first.sh', 'echo "KEY=value" >>"$GITHUB_ENV"');
    dropIn('job-completed.d/10-other', 'echo no');
    expect(run('job-started', { GITHUB_REPOSITORY: 'acme/app', GITHUB_ENV: join(root, 'env') })).toEqual({
      status: 0,
      log: 'drop-in 10-first.sh\ndrop-in 20-second\nof acme/app\n',
      errors: '',
    });
    expect(readFileSync(join(root, 'env'), 'utf8')).toBe('KEY=value\n');
  });

  test('fails the job with the first drop-in that fails before it, which is the last that runs', () => {
    dropIn('job-started.d/10-refuse', 'echo "not for you"; exit 3');
    dropIn('job-started.d/20-secret', 'echo secret');
    expect(run('job-started')).toEqual({
      status: 1,
      log: 'drop-in 10-refuse\nnot for you\n::error::the drop-in /job-started.d/10-refuse ended with 3\n',
      errors: '',
    });
  });

  test('runs every drop-in after a job, and then fails it if one failed', () => {
    dropIn('job-completed.d/10-fails', 'exit 1');
    dropIn('job-completed.d/20-cleans', 'echo clean');
    const { status, log } = run('job-completed');
    expect(log).toContain('drop-in 20-cleans\nclean\n');
    expect(status).toBe(1);
  });

  test('leaves out what is not executable, and says so; folders are no drop-ins', () => {
    dropIn('job-started.d/10-forgotten', 'exit 1', 0o644);
    mkdirSync(join(root, 'job-started.d/20-folder'));
    expect(run('job-started')).toEqual({
      status: 0,
      log: '::warning::the drop-in /job-started.d/10-forgotten must be executable, it is not: left out\n',
      errors: '',
    });
  });

  test('gives no drop-in anything to read, so that none waits for it', () => {
    dropIn('job-started.d/10-reads', 'read -r line; echo "read $?"');
    expect(run('job-started').log).toContain('read 1');
  });
});

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';

const program = fileURLToPath(new URL('../../cli/local.ts', import.meta.url));
const run = promisify(execFile);
jest.setTimeout(180_000);

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'local-test-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

/** What works under the test's own directory: tasks do, and what they start. */
async function leftovers(): Promise<string[]> {
  const { stdout } = await run('ps', ['axeww', '-o', 'args']);
  return [...stdout.split('\n').filter((line) => line.includes(`${directory}/`)), ...(await readdir(directory))];
}

describe('npm start', () => {
  test('runs jobs to their end, says so, and leaves nothing behind', async () => {
    const options = ['--jobs', '3', '--exit-when-idle', '--seed', '1'];
    const { stdout, stderr } = await run(process.execPath, [program, ...options], {
      env: { ...process.env, TMPDIR: directory },
    });
    expect(stderr).toBe('');
    expect(stdout).toMatch(/^jobs +3: 3 succeeded$/m);
    expect(stdout).toMatch(/^queued to running +p50 \d+\.\d s/m);
    expect(await leftovers()).toEqual([]);
  });

  test('stops at the first signal, in the middle of its work, and leaves nothing behind', async () => {
    const child = spawn(process.execPath, [program, '--jobs', '8'], {
      env: { ...process.env, TMPDIR: directory },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    child.stdout.setEncoding('utf8');
    let said = '';
    for await (const text of child.stdout) {
      said += String(text);
      if (!child.killed && said.includes(' running ')) child.kill('SIGINT');
    }
    if (child.exitCode === null) await once(child, 'exit');
    expect(child.exitCode).toBe(0);
    expect(said).toContain('Stopping.');
    expect(await leftovers()).toEqual([]);
  });

  test('refuses what it does not understand with a sentence and exit code 2', async () => {
    await expect(run(process.execPath, [program, '--jobs', 'lots'])).rejects.toMatchObject({
      code: 2,
      stderr: '--jobs must be a whole number from 1 to 5000, got "lots"\nSee npm start -- --help\n',
    });
  });
});

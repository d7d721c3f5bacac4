import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { TurnableClock } from '../emulators/clock.ts';
import { GitHubEmulator } from '../emulators/github/server.ts';
import { Task } from './task.ts';

const labels = ['fargate-small', 'linux'];
let clock: TurnableClock;
let github: GitHubEmulator;
let task: Task;

beforeEach(async () => {
  clock = new TurnableClock();
  github = await GitHubEmulator.start({ clock });
  github.addAccount({ login: 'acme' });
  github.addRepository('acme/app');
  task = await Task.prepare();
  const { token } = github.issueRegistrationToken('acme');
  task.services.claim = task.claim({ url: `${github.url}/acme`, token });
});

afterEach(async () => {
  await github.stop();
  clock.stop();
  await task.dispose();
});

describe('a task, with the GitHub emulator', () => {
  test('takes the job that waits for its labels, and is gone', async () => {
    const { id } = github.queueJob({ repo: 'acme/app', labels, script: 'echo "$RUNNER_NAME works"' });
    expect((await task.run()).code).toBe(0);
    expect(github.job(id)).toMatchObject({ status: 'completed', conclusion: 'success' });
    expect(github.runners).toEqual([]);
  });

  test('waits for a job that comes later', async () => {
    task.start();
    await task.untilLog('Listening for Jobs');
    expect(github.runners).toMatchObject([{ name: 'ci-1234-81230000001-1', labels, ephemeral: true, online: true }]);
    const { id } = github.queueJob({ repo: 'acme/app', labels, script: 'exit 1' });
    expect((await task.ended).code).toBe(0);
    expect(github.job(id).conclusion).toBe('failure');
  });

  test('lets a job be cancelled', async () => {
    const { id } = github.queueJob({ repo: 'acme/app', labels, script: `touch ${task.home}/here; sleep 60` });
    task.start();
    await task.until(() => task.has('here'));
    github.cancelJob(id);
    expect((await task.ended).code).toBe(0);
    expect(github.job(id).conclusion).toBe('cancelled');
  });

  test('tells GitHub at once when it is stopped in a job', async () => {
    const { id } = github.queueJob({ repo: 'acme/app', labels, script: `touch ${task.home}/here; sleep 60` });
    task.start();
    await task.until(() => task.has('here'));
    task.signal();
    expect((await task.ended).code).toBe(70);
    expect(github.job(id)).toMatchObject({ status: 'completed', conclusion: 'failure' });
  });

  test('leaves an offline registration when it ends idle, for our side to delete', async () => {
    task.services.claim = { ...task.claim(), ...task.services.claim, idleSeconds: 3 };
    expect((await task.run()).code).toBe(64);
    expect(github.runners).toMatchObject([{ name: 'ci-1234-81230000001-1', online: false, busy: false }]);
  });

  test('is refused with a token for another scope', async () => {
    task.services.claim = { ...task.claim(), url: `${github.url}/acme/app`, token: 'none' };
    expect((await task.run()).code).toBe(66);
  });

  test('ends with 68 when its version is too old for GitHub', async () => {
    await github.stop();
    github = await GitHubEmulator.start({ clock, minimumRunnerVersion: '2.400.0' });
    github.addAccount({ login: 'acme' });
    const { token } = github.issueRegistrationToken('acme');
    task.services.claim = task.claim({ url: `${github.url}/acme`, token });
    expect((await task.run()).code).toBe(68);
  });
});

import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '../../until.ts';
import { connect, HandRunner, startAcme, type ServiceAnswer } from './start-acme.ts';

const minute = 60_000;
const hour = 60 * minute;
let acme: Awaited<ReturnType<typeof startAcme>>;

beforeEach(async () => {
  acme = await startAcme();
});
afterEach(async () => acme.stop());

const queue = (options = {}) =>
  acme.github.queueJob({ repo: 'acme/app', labels: ['self-hosted', 'small'], ...options });

const attempt = async (form = {}, scope = 'acme') => (await HandRunner.tryRegister(acme.github, scope, form)).status;

async function startRunner(form: Readonly<Record<string, string>> = {}, scope = 'acme'): Promise<HandRunner> {
  const runner = await HandRunner.register(acme.github, scope, form);
  expect((await runner.open()).status).toBe(200);
  return runner;
}

/** Polls, and goes on once the emulator has the poll. */
async function startPoll(runner: HandRunner): Promise<{ readonly answered: Promise<ServiceAnswer> }> {
  let polls = 0;
  acme.github.behave({ failRequests: ({ path }) => void (path === 'message' && (polls += 1)) });
  const answered = runner.poll();
  await until(() => polls === 1);
  return { answered };
}

describe('a job', () => {
  test('goes from queue to runner to its end, and its ephemeral runner goes with it', async () => {
    const { github, receiver } = acme;
    const job = queue({ name: 'build (ubuntu, 20)', script: 'echo hello' });
    const runner = await startRunner();
    const message = await runner.poll();
    expect(message).toMatchObject({ status: 200, lines: { 'job-id': job.id, 'job-name': 'build (ubuntu, 20)' } });
    expect(github.job(job.id).status).toBe('queued');
    const { lines } = await runner.acquire();
    expect(Buffer.from(lines['script'] ?? '', 'base64').toString()).toBe('echo hello');
    expect(github.job(job.id)).toMatchObject({
      status: 'in_progress',
      runner: { name: 'runner-1', groupName: 'Default' },
    });
    expect(await runner.renew()).toEqual({ status: 200, lines: {} });
    expect((await runner.complete()).status).toBe(200);
    expect(github.job(job.id)).toMatchObject({ status: 'completed', conclusion: 'success' });
    expect(github.runners).toEqual([]);
    expect((await runner.poll()).status).toBe(404);
    expect((await runner.close()).status).toBe(401);
    await github.deliveriesSettled();
    expect(receiver.actions.toSorted()).toEqual(['completed', 'in_progress', 'queued']);
  });

  test('reaches a runner that already polls', async () => {
    const { answered } = await startPoll(await startRunner());
    const job = queue();
    expect((await answered).lines['job-id']).toBe(job.id);
  });

  test('is given to any runner with all its labels, whatever their case, the oldest job first', async () => {
    const other = queue({ labels: ['gpu'] });
    const first = queue({ labels: ['SMALL', 'LINUX'] });
    const second = queue({ labels: ['small'] });
    const runners = [
      await startRunner({ name: 'a' }),
      await startRunner({ name: 'b' }),
      await startRunner({ name: 'c' }),
    ];
    expect((await runners[0]?.poll())?.lines['job-id']).toBe(first.id);
    expect((await runners[1]?.poll())?.lines['job-id']).toBe(second.id);
    expect((await runners[2]?.poll(0))?.status).toBe(204);
    expect(acme.github.job(other.id).status).toBe('queued');
  });

  test('is only for runners of its scope and group', async () => {
    const { github } = acme;
    github.addRepository('acme/other');
    github.addRepository('acme/open', { private: false });
    github.addRunnerGroup('acme', { name: 'gpu', visibility: 'selected', repositories: ['acme/other'] });
    queue({ runnerGroup: 'gpu' });
    const open = queue({ repo: 'acme/open' });
    const repoRunner = await startRunner({}, 'acme/other');
    const gpu = await startRunner({ group: 'gpu' });
    const usual = await startRunner({ name: 'usual' });
    for (const runner of [repoRunner, gpu, usual]) expect((await runner.poll(0)).status).toBe(204);
    const mine = queue({ repo: 'acme/other', runnerGroup: 'GPU' });
    expect((await gpu.poll(0)).lines['job-id']).toBe(mine.id);
    github.addRunnerGroup('acme', { name: 'default', allowsPublicRepositories: true });
    expect((await usual.poll(0)).lines['job-id']).toBe(open.id);
  });

  test('waits for its approval', async () => {
    const { github, receiver } = acme;
    const job = queue({ waiting: true });
    const runner = await startRunner();
    expect((await runner.poll(0)).status).toBe(204);
    await github.deliveriesSettled();
    github.approveJob(job.id);
    expect((await runner.poll(0)).lines['job-id']).toBe(job.id);
    await github.deliveriesSettled();
    expect(receiver.actions).toEqual(['waiting', 'queued']);
  });

  test('is given to another when its runner does not come for it within a minute', async () => {
    const { clock, github } = acme;
    const job = queue();
    const dead = await startRunner({ name: 'dead' });
    expect((await dead.poll()).status).toBe(200);
    clock.advance(30_000);
    const next = await startRunner({ name: 'next' });
    clock.advance(minute / 2);
    expect(github.runners.map(({ name }) => name)).toEqual(['next']);
    expect((await next.poll(0)).lines['job-id']).toBe(job.id);
    expect((await dead.acquire()).status).toBe(404);
  });

  test('cancelled before it was acquired makes its runner a zombie', async () => {
    const { clock, github } = acme;
    const job = queue();
    const runner = await startRunner();
    await runner.poll();
    github.cancelJob(job.id);
    expect(github.job(job.id)).toMatchObject({ conclusion: 'cancelled', runner: null });
    expect((await runner.acquire()).status).toBe(404);
    expect(github.runners).toEqual([]);
    queue();
    const { answered } = await startPoll(runner);
    clock.advance(50_000);
    expect((await answered).status).toBe(204);
  });

  test('cancelled while it runs is told to its runner', async () => {
    const { github } = acme;
    const job = queue();
    const runner = await startRunner();
    await runner.poll();
    await runner.acquire();
    github.cancelJob(job.id);
    expect(await runner.renew()).toEqual({ status: 200, lines: { cancel: 'true' } });
    await runner.complete('Canceled');
    expect(github.job(job.id)).toMatchObject({
      status: 'completed',
      conclusion: 'cancelled',
      runner: { name: 'runner-1' },
    });
  });

  test('whose runner falls silent fails after ten minutes, and not before', async () => {
    const { clock, github, installations } = acme;
    const job = queue();
    const runner = await startRunner();
    await runner.poll();
    await runner.acquire();
    clock.advance(9 * minute);
    expect(github.job(job.id).status).toBe('in_progress');
    const octokit = connect(github, installations.acme);
    const runner_id = Number(github.runners[0]?.id);
    await expect(octokit.actions.deleteSelfHostedRunnerFromOrg({ org: 'acme', runner_id })).rejects.toMatchObject({
      status: 422,
    });
    expect((await octokit.actions.getSelfHostedRunnerForOrg({ org: 'acme', runner_id })).data).toMatchObject({
      busy: true,
      status: 'offline',
    });
    clock.advance(minute);
    expect(github.job(job.id)).toMatchObject({ status: 'completed', conclusion: 'failure' });
    expect(github.runners).toEqual([]);
    expect((await runner.renew()).status).toBe(404);
  });

  test('that nobody takes for a day is cancelled', () => {
    const job = queue();
    acme.clock.advance(24 * hour);
    expect(acme.github.job(job.id).conclusion).toBe('cancelled');
  });

  test('is run again as a new job of the next attempt, and its siblings are announced once more', async () => {
    const { github, receiver } = acme;
    const job = queue({ name: 'one' });
    const sibling = queue({ name: 'two', runId: job.runId });
    github.cancelJob(job.id);
    expect(() => github.rerunJob(job.id)).toThrow('already running');
    github.cancelJob(sibling.id);
    await github.deliveriesSettled();
    receiver.posted.length = 0;
    const again = github.rerunJob(job.id);
    expect(again).toMatchObject({ runId: job.runId, runAttempt: 2, status: 'queued' });
    expect(again.id).not.toBe(job.id);
    await github.deliveriesSettled();
    expect(receiver.actions.toSorted()).toEqual(['completed', 'queued']);
  });
});

describe('a runner', () => {
  test('shows busy late, but cannot be deleted from the moment it has a job', async () => {
    const { clock, github, installations } = acme;
    const runner = await startRunner();
    const octokit = connect(github, installations.acme);
    const id = { org: 'acme', runner_id: Number(github.runners[0]?.id) };
    const show = async () => (await octokit.actions.getSelfHostedRunnerForOrg(id)).data;
    queue();
    expect(await show()).toMatchObject({ status: 'online', busy: false });
    await expect(octokit.actions.deleteSelfHostedRunnerFromOrg(id)).rejects.toMatchObject({ status: 422 });
    clock.advance(3000);
    expect((await show()).busy).toBe(true);
    expect((await runner.poll(0)).status).toBe(200);
  });

  test('that is deleted is told by its poll, and is refused after', async () => {
    const { github, installations } = acme;
    const runner = await startRunner();
    const { answered } = await startPoll(runner);
    const octokit = connect(github, installations.acme);
    await octokit.actions.deleteSelfHostedRunnerFromOrg({ org: 'acme', runner_id: Number(github.runners[0]?.id) });
    expect((await answered).status).toBe(404);
    expect((await runner.open()).status).toBe(401);
  });

  test('is offline at once when it closed its session, and after a minute without a poll', async () => {
    const { clock, github } = acme;
    const polite = await startRunner({ name: 'polite' });
    await startRunner({ name: 'killed' });
    const online = () => github.runners.filter((runner) => runner.online).map(({ name }) => name);
    expect((await polite.close()).status).toBe(200);
    expect(online()).toEqual(['killed']);
    expect((await polite.poll()).status).toBe(410);
    clock.advance(minute + 1);
    expect(online()).toEqual([]);
    queue();
    expect(github.runners.some(({ busy }) => busy)).toBe(false);
    clock.advance(24 * hour);
    expect(github.runners).toEqual([]);
  });

  test('has one session at a time', async () => {
    const runner = await startRunner();
    expect((await runner.open()).status).toBe(409);
    acme.clock.advance(minute + 1);
    expect((await runner.open()).status).toBe(200);
  });

  test('that is not ephemeral runs one job after the other', async () => {
    const runner = await startRunner({ ephemeral: 'false' });
    for (const job of [queue(), queue()]) {
      expect((await runner.poll(0)).lines['job-id']).toBe(job.id);
      await runner.acquire();
      await runner.complete('Failed');
      expect(acme.github.job(job.id).conclusion).toBe('failure');
    }
    expect(acme.github.runners).toMatchObject([{ online: true, busy: false }]);
  });

  test('is polled for in silence until the time is over', async () => {
    const { answered } = await startPoll(await startRunner());
    acme.clock.advance(50_000);
    expect((await answered).status).toBe(204);
  });
});

describe('a registration', () => {
  test('needs a fresh token for just this url', async () => {
    const { clock, github } = acme;
    expect(await attempt({ url: `${github.url}/acme/app` })).toBe(404);
    expect(await attempt({ url: `${github.url}/dev/toy` }, 'dev/toy')).toBe(200);
    const { token } = github.issueRegistrationToken('acme');
    clock.advance(hour);
    const form = { url: `${github.url}/acme`, name: 'late', labels: 'small' };
    expect((await HandRunner.call(`${github.url}/_services/register`, `RemoteAuth ${token}`, form)).status).toBe(404);
  });

  test('needs a free name, unless it replaces, and a group that exists', async () => {
    expect(await attempt()).toBe(200);
    expect(await attempt({ name: 'RUNNER-1' })).toBe(409);
    const before = acme.github.runners[0]?.id;
    expect(await attempt({ replace: 'true' })).toBe(200);
    expect(acme.github.runners.map(({ id }) => id)).toEqual([before]);
    expect(await attempt({ name: 'x', group: 'gpu' })).toBe(422);
  });

  test('needs a runner that is not too old', async () => {
    acme.github.behave({ minimumRunnerVersion: '2.329.0' });
    expect(await attempt({ version: '2.99.0' })).toBe(403);
    expect(await attempt({ version: '2.329.0' })).toBe(200);
  });

  test('is refused when there were too many in five minutes', async () => {
    acme.github.behave({ registrationLimit: { count: 2, perMs: 5 * minute } });
    expect(await attempt({ name: 'a' })).toBe(200);
    expect(await attempt({ name: 'b' })).toBe(200);
    expect(await attempt({ name: 'c' })).toBe(429);
    acme.clock.advance(5 * minute);
    expect(await attempt({ name: 'c' })).toBe(200);
  });
});

test('a thousand jobs and three hundred polls are no burden', async () => {
  const { github } = acme;
  const runners = await Promise.all(
    Array.from({ length: 300 }, async (_, index) => startRunner({ name: `r${index}` })),
  );
  const polls = runners.map(async (runner) => runner.poll());
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (let index = 0; index < 1000; index += 1) queue();
  for (const poll of polls) expect((await poll).status).toBe(200);
  await Promise.all(
    runners.map(async (runner) => {
      await runner.acquire();
      await runner.complete();
    }),
  );
  expect(github.jobs.filter(({ status }) => status === 'completed')).toHaveLength(300);
  await github.deliveriesSettled();
  expect(acme.receiver.posted).toHaveLength(1600);
});

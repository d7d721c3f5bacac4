import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Repository } from '../../functions/contracts/between-rooms/job.ts';
import { githubJobs, type GitHubJobs } from '../../functions/github/jobs.ts';
import { HandRunner } from '../emulators/github/start-acme.ts';
import type { JobOptions } from '../emulators/github/jobs.ts';
import { errorOf, startApp, type AppOnAcme } from './start-app.ts';

let acme: AppOnAcme;
let github: GitHubJobs;

beforeEach(async () => {
  acme = await startApp();
  github = githubJobs(acme.app);
});
afterEach(async () => {
  await acme.stop();
});

const repositoryOf = (fullName: string): Repository => {
  const { id, owner } = acme.github.addRepository(fullName);
  return { id: String(id), fullName, ownerType: owner.type, private: true };
};
const queue = (options: Partial<JobOptions> = {}) =>
  acme.github.queueJob({ repo: 'acme/app', labels: ['small'], ...options });
const jobOf = (
  { id, runId }: { readonly id: string; readonly runId: string },
  repository = repositoryOf('acme/app'),
) => ({
  id,
  runId,
  attempt: 1,
  name: 'build',
  labels: ['small'],
  createdAt: new Date(acme.clock.now()).toISOString(),
  repository,
});
const startRunner = async (scope = 'acme') => {
  const runner = await HandRunner.register(acme.github, scope, { name: 'runner-1' });
  await runner.open();
  await runner.poll();
  await runner.acquire();
  return runner;
};

describe('a look at one job', () => {
  test('has a name that a message can carry', async () => {
    const queued = queue({ name: 'x'.repeat(5000) });
    const { job } = (await github.lookAtJob(jobOf(queued))) as { job: { name: string } };
    expect(job.name).toBe('x'.repeat(1000));
  });

  test('shows it queued, with all that a delivery would have told', async () => {
    const queued = queue({ name: 'build', labels: ['Small', 'linux'] });
    const { job, state, runnerName } = (await github.lookAtJob(jobOf(queued))) as never;
    expect({ state, runnerName }).toEqual({ state: 'queued', runnerName: undefined });
    expect(job).toEqual({
      id: queued.id,
      runId: queued.runId,
      attempt: 1,
      name: 'build',
      labels: ['Small', 'linux'],
      createdAt: new Date(Math.floor(queued.createdAt / 1000) * 1000).toISOString(),
      repository: repositoryOf('acme/app'),
    });
  });

  test('shows it blocked while a protection rule holds it', async () => {
    expect(await github.lookAtJob(jobOf(queue({ waiting: true })))).toMatchObject({ state: 'blocked' });
  });

  test('shows it in progress with its runner, then completed with its conclusion', async () => {
    const job = jobOf(queue());
    const runner = await startRunner();
    expect(await github.lookAtJob(job)).toMatchObject({
      state: 'in_progress',
      runnerName: 'runner-1',
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
    });
    await runner.complete('Failed');
    expect(await github.lookAtJob(job)).toMatchObject({
      state: 'completed',
      conclusion: 'failure',
      runnerName: 'runner-1',
      completedAt: expect.stringMatching(/^\d{4}-.*Z$/) as unknown,
    });
  });

  test('shows it in a repository of a personal account', async () => {
    const job = jobOf(queue({ repo: 'dev/toy' }), repositoryOf('dev/toy'));
    expect(await github.lookAtJob(job)).toMatchObject({ state: 'queued' });
  });

  test('shows it gone when GitHub does not know it', async () => {
    expect(await github.lookAtJob(jobOf({ id: '5', runId: '6' }))).toBe('gone');
  });

  test('asks for its very id, also beyond 2^53', async () => {
    await github.lookAtJob(jobOf({ id: '9007199254740993', runId: '1' }));
    expect(acme.asked.at(-1)?.path).toBe('/repos/acme/app/actions/jobs/9007199254740993');
  });

  test('says nothing when GitHub does not answer', async () => {
    acme.github.goDown(60_000);
    expect(await errorOf(github.lookAtJob(jobOf(queue())))).toMatchObject({ kind: 'unavailable' });
  });

  test('says nothing when the App may not look: that proves no job gone', async () => {
    acme.github.uninstall('acme');
    expect(await errorOf(github.lookAtJob(jobOf(queue())))).toMatchObject({ kind: 'not-installed' });
  });
});

describe('the unfinished jobs of a repository', () => {
  const listed = async (repository = repositoryOf('acme/app')) =>
    (await github.listUnfinishedJobs(repository)).jobs.map(({ job, state }) => `${job.id} ${state}`).toSorted();

  test('are those of its runs that are queued or in progress, each once', async () => {
    const first = queue();
    const beside = queue({ runId: first.runId });
    const other = queue();
    expect(await listed()).toEqual([`${first.id} queued`, `${beside.id} queued`, `${other.id} queued`].toSorted());
    await startRunner();
    expect(await listed()).toEqual([`${first.id} in_progress`, `${beside.id} queued`, `${other.id} queued`].toSorted());
  });

  test('are listed with what is over in the same run, but not with runs that are over', async () => {
    const first = queue();
    const beside = queue({ runId: first.runId });
    const runner = await startRunner();
    await runner.complete();
    expect(await listed()).toEqual([`${first.id} completed`, `${beside.id} queued`].toSorted());
    acme.github.cancelJob(beside.id);
    expect(await listed()).toEqual([]);
  });

  test('are those of the newest attempt', async () => {
    const first = queue();
    acme.github.cancelJob(first.id);
    const again = acme.github.rerunJob(first.id);
    const { jobs } = await github.listUnfinishedJobs(repositoryOf('acme/app'));
    expect(jobs).toHaveLength(1);
    expect(jobs[0]?.job).toMatchObject({ id: again.id, attempt: 2 });
  });

  test('are listed to the last one, however many pages they take', async () => {
    const { runId } = queue();
    for (let index = 1; index < 120; index += 1) queue({ runId });
    for (let index = 0; index < 5; index += 1) queue();
    expect(new Set(await listed()).size).toBe(125);
  });

  test('are all of them unless no more may be asked on the way, and it says which', async () => {
    for (let index = 0; index < 3; index += 1) queue();
    expect(await github.listUnfinishedJobs(repositoryOf('acme/app'))).toMatchObject({ complete: true });
    let left = 2;
    const cut = await github.listUnfinishedJobs(repositoryOf('acme/app'), () => left-- > 0);
    expect(cut.complete).toBe(false);
    expect(cut.jobs).toHaveLength(2);
  });

  test('cost nothing of the rate limit while nothing changes', async () => {
    queue();
    const first = await listed();
    const { rest } = await acme.app.inScope('acme');
    const used = async () => (await rest.rateLimit.get()).data.resources.core.used;
    const before = await used();
    expect(await listed()).toEqual(first);
    expect(await used()).toBe(before);
  });
});

describe('the repositories that the App may see', () => {
  test('of an org are all it is installed on', async () => {
    acme.github.addRepository('acme/tool', { private: false });
    expect(await github.listRepositories('acme')).toEqual([
      { id: expect.any(String) as unknown, fullName: 'acme/app', ownerType: 'Organization', private: true },
      { id: expect.any(String) as unknown, fullName: 'acme/tool', ownerType: 'Organization', private: false },
    ]);
  });

  test('of a personal account are all it is installed on', async () => {
    expect(await github.listRepositories('dev')).toMatchObject([{ fullName: 'dev/toy', ownerType: 'User' }]);
  });
});

import { describe, expect, test } from '@jest/globals';
import { plainJob, startScenario, until } from './scenario.ts';

describe('a queued job', () => {
  test('runs, and everything is gone afterwards', async () => {
    const scenario = await startScenario();
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    expect(scenario.github.job(job.id).conclusion).toBe('success');
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(1);
    expect(await scenario.ledgerOf(job.id)).toMatchObject({ state: 'completed', conclusion: 'success', launches: 1 });
  });

  test('whose deliveries all come twice gets one runner', async () => {
    const scenario = await startScenario({ github: { deliver: () => 'twice' } });
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await scenario.quiet();
    await scenario.expectAllGone();
    expect(scenario.launches).toBe(1);
  });

  test('that is announced after it began and after it ended gets no runner', async () => {
    const scenario = await startScenario({ github: { deliver: () => 'lose' } });
    const job = scenario.github.queueJob(plainJob);
    const queued = scenario.github.describeJob(job.id, 'queued');
    const inProgress = structuredClone(queued) as { action: string; workflow_job: Record<string, unknown> };
    inProgress.action = 'in_progress';
    Object.assign(inProgress.workflow_job, { status: 'in_progress', runner_name: 'somebody-else' });
    scenario.github.cancelJob(job.id);

    await scenario.github.post('workflow_job', inProgress);
    await scenario.quiet();
    expect((await scenario.github.post('workflow_job', queued)).status).toBe(202);
    await scenario.quiet();
    await scenario.github.post('workflow_job', scenario.github.describeJob(job.id, 'completed'));
    await scenario.quiet();
    await scenario.github.post('workflow_job', queued);
    await scenario.quiet();

    expect(scenario.launches).toBe(0);
    expect(await scenario.ledgerOf(job.id)).toMatchObject({ state: 'completed' });
    await scenario.expectAllGone();
  });

  test('that waits for an approval gets its runner when it is approved', async () => {
    const scenario = await startScenario();
    const job = scenario.github.queueJob({ ...plainJob, waiting: 'as-queued' });
    await until(async () => (await scenario.ledgerOf(job.id))?.['state'] === 'blocked', 'the job is known as blocked');
    expect(scenario.launches).toBe(0);
    scenario.github.approveJob(job.id);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
  });

  test('starts nothing when the signature is wrong, missing, or made with another secret', async () => {
    const scenario = await startScenario({ github: { deliver: () => 'lose' } });
    const job = scenario.github.queueJob(plainJob);
    const payload = scenario.github.describeJob(job.id, 'queued');
    const answers = [
      await scenario.github.post('workflow_job', payload, { secret: 'a guess' }),
      await scenario.github.post('workflow_job', payload, { secret: null }),
      await scenario.github.post('workflow_job', payload, { signature: `sha256=${'0'.repeat(64)}` }),
      await scenario.github.post('workflow_job', payload, { signature: 'sha1=abc' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
    await scenario.quiet();
    expect(scenario.launches).toBe(0);
    expect(await scenario.ledgerOf(job.id)).toBeUndefined();
  });

  test('is taken under a rotated secret without a new start of the function', async () => {
    const scenario = await startScenario({ github: { deliver: () => 'lose' } });
    const job = scenario.github.queueJob(plainJob);
    const payload = scenario.github.describeJob(job.id, 'queued');
    const { webhookSecret } = scenario.github.app;
    expect((await scenario.github.post('ping', { zen: 'Keep it logically awesome.' })).status).toBe(200);

    scenario.fleet.parameters.put('/github-runners/local/webhook-secret', `new secret\n${webhookSecret}`);
    scenario.fleet.clock.advance(61_000);
    expect((await scenario.github.post('workflow_job', payload, { secret: 'new secret' })).status).toBe(202);
    expect((await scenario.github.post('ping', { zen: 'Still the old one.' })).status).toBe(200);
    await scenario.jobIs(job.id, 'completed');
  });

  test('is refused with 503 while the queue or the secret is not there, so that GitHub sees it fail', async () => {
    const scenario = await startScenario({ github: { deliver: () => 'lose' } });
    const job = scenario.github.queueJob(plainJob);
    const payload = scenario.github.describeJob(job.id, 'queued');
    scenario.fleet.parameters.put('/github-runners/local/webhook-secret', ' ');
    const answer = await scenario.github.post('workflow_job', payload);
    expect(answer.status).toBe(503);
    expect(answer.body).toContain('the webhook secret is not set up');
    expect(answer.body).not.toContain('/github-runners/local/webhook-secret');
  });
});

import { createHmac } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { until } from '../../until.ts';
import { connect, startAcme } from './start-acme.ts';

let acme: Awaited<ReturnType<typeof startAcme>>;

beforeEach(async () => {
  acme = await startAcme();
});
afterEach(async () => acme.stop());

const queue = (options = {}) => acme.github.queueJob({ repo: 'acme/app', labels: ['small'], ...options });
const sign = (secret: string, body: string) => `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

describe('a delivery', () => {
  test('is signed, says where it comes from, and tells of our job in GitHub’s words', async () => {
    const job = queue({ name: 'one', guid: '72d3162e-cc78-11e3-81ab-4c9367dc0958' });
    await acme.github.deliveriesSettled();
    const [posted] = acme.receiver.posted;
    const body = posted?.body ?? '';
    expect(posted?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^GitHub-Hookshot\//) as unknown,
      'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      'x-github-event': 'workflow_job',
      'x-github-hook-installation-target-id': '700001',
      'x-github-hook-installation-target-type': 'integration',
      'x-hub-signature-256': sign('It is a secret', body),
    });
    expect(JSON.parse(body)).toMatchObject({
      action: 'queued',
      workflow_job: {
        id: Number(job.id),
        name: 'one',
        status: 'queued',
        labels: ['small'],
        runner_id: null,
        steps: [],
      },
      repository: { full_name: 'acme/app', private: true, owner: { login: 'acme', type: 'Organization' } },
      organization: { login: 'acme' },
      installation: { id: acme.installations.acme },
    });
    expect(body).not.toMatch(/octo-org|octo-repo|lineville|Codertocat|github\.com/);
    expect(body.length).toBeGreaterThan(6000);
    expect(acme.github.deliveries).toMatchObject([
      { status: 'OK', statusCode: 202, action: 'queued', redelivery: false },
    ]);
  });

  test('of a person’s repository has no organization', async () => {
    queue({ repo: 'dev/toy' });
    await acme.github.deliveriesSettled();
    const payload = JSON.parse(acme.receiver.posted[0]?.body ?? '') as object;
    expect(payload).toMatchObject({
      repository: { owner: { type: 'User' } },
      installation: { id: acme.installations.dev },
    });
    expect(payload).not.toHaveProperty('organization');
  });

  test('may say queued of a job that waits for approval', async () => {
    queue({ waiting: 'as-queued' });
    await acme.github.deliveriesSettled();
    expect(JSON.parse(acme.receiver.posted[0]?.body ?? '')).toMatchObject({
      action: 'queued',
      workflow_job: { status: 'waiting' },
      deployment: { environment: expect.any(String) as unknown },
    });
  });

  test('is not made for accounts without the App, or where it is suspended', async () => {
    acme.github.suspend('dev');
    queue({ repo: 'dev/toy' });
    acme.github.uninstall('acme');
    queue();
    queue({ unannounced: true });
    await acme.github.deliveriesSettled();
    expect(acme.receiver.posted).toEqual([]);
    expect(acme.github.jobs).toHaveLength(3);
  });

  test('that fails is logged and not tried again', async () => {
    const { github, receiver } = acme;
    receiver.status = 500;
    queue();
    await github.deliveriesSettled();
    receiver.status = 0;
    github.behave({ deliveryTimeoutMs: 1000 });
    queue();
    await github.deliveriesSettled();
    github.behave({ deliveryTimeoutMs: 30_000 });
    github.setWebhook({ url: 'http://127.0.0.1:1/' });
    queue();
    await github.deliveriesSettled();
    expect(github.deliveries.map(({ status, statusCode }) => [status, statusCode])).toEqual([
      ['Invalid HTTP Response: 500', 500],
      ['timed out', 0],
      ['failed to connect to host', 0],
    ]);
    expect(receiver.posted).toHaveLength(2);
  });

  test('may be lost, fail, come twice, or come late and so out of order', async () => {
    const { clock, github, receiver } = acme;
    const fates = { lost: 'lose', failed: 'fail', double: 'twice', late: { delayMs: 60_000 } } as const;
    github.behave({
      deliver: ({ payload }) => fates[(payload['workflow_job'] as { name: keyof typeof fates }).name] ?? 'now',
    });
    for (const name of ['lost', 'failed', 'late', 'double']) queue({ name });
    const names = () =>
      receiver.posted.map(({ body }) => (JSON.parse(body) as { workflow_job: { name: string } }).workflow_job.name);
    await github.deliveriesSettled();
    expect(names()).toEqual(['double', 'double']);
    expect(new Set(receiver.posted.map(({ headers }) => headers['x-github-delivery']))).toHaveProperty('size', 1);
    clock.advance(60_000);
    await github.deliveriesSettled();
    expect(names()).toEqual(['double', 'double', 'late']);
    expect(github.deliveries.map(({ status }) => status)).toEqual(['timed out', 'OK', 'OK', 'OK']);
  });

  test('is signed with the secret of its time, and posted as a form when the hook says so', async () => {
    const { github, receiver } = acme;
    github.rotateSecret('new');
    github.setWebhook({ contentType: 'form' });
    queue();
    await github.deliveriesSettled();
    const [posted] = receiver.posted;
    expect(posted?.headers).toMatchObject({
      'content-type': 'application/x-www-form-urlencoded',
      'x-hub-signature-256': sign('new', posted?.body ?? ''),
    });
    expect(JSON.parse(new URLSearchParams(posted?.body).get('payload') ?? '')).toMatchObject({ action: 'queued' });
  });

  test('of a ping or an installation is made when told', async () => {
    const { github, receiver } = acme;
    github.ping();
    const installation = github.uninstall('acme');
    for (const action of ['created', 'deleted', 'suspend', 'unsuspend', 'new_permissions_accepted'] as const) {
      github.announceInstallation(installation, action);
    }
    await github.deliveriesSettled();
    expect(receiver.posted.map(({ headers }) => String(headers['x-github-event'])).toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => 'installation'),
      'ping',
    ]);
  });

  test('can be forged', async () => {
    const { github, receiver } = acme;
    const job = queue({ unannounced: true });
    const payload = github.describeJob(job.id, 'completed');
    expect(
      await github.post('workflow_job', payload, { signature: 'sha256=00', headers: { 'X-Extra': 'yes' } }),
    ).toMatchObject({
      status: 202,
      body: 'received',
    });
    expect((await github.post('nonsense', 'no JSON', { secret: null })).status).toBe(202);
    expect(receiver.posted[0]?.headers).toMatchObject({ 'x-hub-signature-256': 'sha256=00', 'x-extra': 'yes' });
    expect(receiver.posted[1]?.headers).not.toHaveProperty('x-hub-signature-256');
    expect(github.deliveries).toEqual([]);
  });
});

describe('the delivery log', () => {
  test('is read newest first by cursor, with ids beyond 2^53 in bare digits', async () => {
    const { github } = acme;
    for (const name of ['a', 'b', 'c']) {
      queue({ name });
      await github.deliveriesSettled();
    }
    const octokit = connect(github);
    const all = await octokit.paginate(octokit.apps.listWebhookDeliveries, { per_page: 2 });
    expect(all.map(({ id }) => String(id))).toEqual(github.deliveries.map(({ id }) => id).toReversed());
    expect(typeof all[0]?.id).toBe('bigint');
    expect(all[0]).toMatchObject({ status: 'OK', event: 'workflow_job', action: 'queued' });
  });

  test('can be asked for what failed, which leaves out what never had an answer', async () => {
    const { github, receiver } = acme;
    queue();
    await github.deliveriesSettled();
    receiver.status = 500;
    queue();
    await github.deliveriesSettled();
    github.behave({ deliver: () => 'fail' });
    queue();
    const octokit = connect(github);
    const list = async (status?: 'success' | 'failure') =>
      (await octokit.request('GET /app/hook/deliveries', { ...(status && { status }) })).data.map(
        ({ status_code }) => status_code,
      );
    expect([await list('failure'), await list('success'), await list()]).toEqual([[500], [202], [0, 500, 202]]);
  });

  test('gives a delivery again: the same guid, a new id', async () => {
    const { github, receiver } = acme;
    receiver.status = 500;
    queue();
    await github.deliveriesSettled();
    receiver.status = 202;
    const [failed] = github.deliveries;
    const octokit = connect(github);
    const delivery_id = BigInt(failed?.id ?? 0) as unknown as number;
    const { data } = await octokit.apps.getWebhookDelivery({ delivery_id });
    expect(data).toMatchObject({
      status_code: 500,
      request: { payload: { action: 'queued' } },
      response: { payload: 'received' },
    });
    expect((await octokit.apps.redeliverWebhookDelivery({ delivery_id })).status).toBe(202);
    await until(() => github.deliveries.length === 2);
    expect(github.deliveries[1]).toMatchObject({ guid: failed?.guid, redelivery: true, status: 'OK' });
    expect(github.deliveries[1]?.id).not.toBe(failed?.id);
    await expect(octokit.apps.redeliverWebhookDelivery({ delivery_id: 5 })).rejects.toMatchObject({ status: 404 });
  });

  test('forgets after a week', async () => {
    queue();
    await acme.github.deliveriesSettled();
    acme.clock.advance(8 * 86_400_000);
    await acme.github.deliveriesSettled();
    // The job was cancelled after a day, which was a delivery of its own.
    expect(acme.github.deliveries.map(({ action }) => action)).not.toContain('queued');
  });
});

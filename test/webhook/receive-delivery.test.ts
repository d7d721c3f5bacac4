import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import { MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import { readDeliveryId, receiveDelivery, type DeliveryRequest } from '../../functions/webhook/receive-delivery.ts';
import { aProfile, prefix } from '../fakes/builders.ts';
import { fakeWorld, webhookSecret, type FakeWorld } from '../fakes/world.ts';

const load = createRequire(import.meta.url);
type Payload = { readonly action: string; readonly workflow_job: { readonly status: string } };
const events = load('@octokit/webhooks-examples') as { readonly name: string; readonly examples: readonly Payload[] }[];
const examples = events.find(({ name }) => name === 'workflow_job')?.examples ?? [];

const exampleOf = (action: string): string => JSON.stringify(examples.find((example) => example.action === action));
const queued = exampleOf('queued');

function sign(body: Uint8Array | string, secret = webhookSecret): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}
function request(body: Uint8Array | string = queued, parts: Partial<DeliveryRequest> = {}): DeliveryRequest {
  return {
    body: Buffer.from(body),
    signature: sign(body),
    event: 'workflow_job',
    delivery: 'guid-1',
    contentType: 'application/json',
    ...parts,
  };
}
/** Serves GitHub's own examples. */
function aWorld(options: Parameters<typeof fakeWorld>[0] = {}): FakeWorld {
  const labels = ['ubuntu-latest', 'gpu', 'db-app', 'dc-03', 'k8s'];
  return fakeWorld({
    profiles: [aProfile({ labels, publicRepositories: true })],
    owners: ['codertocat', 'octo-org', 'lineville', 'wolfy1339'],
    ...options,
  });
}
const nothingSent = (world: FakeWorld) => {
  expect([world.queues.launches, world.queues.events]).toEqual([[], []]);
};

describe('a delivery', () => {
  test('of a queued job asks for its first launch', async () => {
    const world = aWorld();
    expect(await receiveDelivery(request(), world.ports)).toEqual({
      status: 202,
      verdict: 'launch',
      note: 'queued',
      profile: 'small',
      job: '289782451',
      repository: 'Codertocat/Hello-World',
    });
    expect(world.queues.launches).toMatchObject([
      { message: { kind: 'queued', delivery: 'guid-1', returns: 0, job: { id: '289782451' } }, delayMs: 0 },
    ]);
    expect(world.queues.events).toEqual([]);
  });

  test('of a completed job tells what became of it, at the moment GitHub gives', async () => {
    const world = aWorld();
    await receiveDelivery(request(exampleOf('completed')), world.ports);
    expect(world.queues.events).toMatchObject([
      {
        version: 2,
        sighting: {
          state: 'completed',
          completedAt: '2021-08-05T10:38:16.000Z',
          runnerName: 'GitHub Actions 5',
          conclusion: 'failure',
          by: 'guid-1',
        },
      },
    ]);
    expect(world.queues.launches).toEqual([]);
  });

  test('of a job in progress tells when it started', async () => {
    const world = aWorld();
    await receiveDelivery(request(exampleOf('in_progress')), world.ports);
    expect(world.queues.events).toMatchObject([
      { sighting: { state: 'in_progress', startedAt: '2021-06-15T19:22:27.000Z' } },
    ]);
  });

  test('of a job that waits for an approval tells so', async () => {
    const world = aWorld();
    await receiveDelivery(request(exampleOf('waiting')), world.ports);
    expect(world.queues.events).toMatchObject([{ sighting: { state: 'blocked' } }]);
    nothingSent({ ...world, queues: { ...world.queues, events: [] } });
  });

  test("of each of GitHub's examples is taken", async () => {
    for (const example of examples) {
      const world = aWorld();
      const { status, verdict } = await receiveDelivery(request(JSON.stringify(example)), world.ports);
      const starts = example.action === 'queued' && example.workflow_job.status === 'queued';
      expect([status, verdict]).toEqual([202, starts ? 'launch' : 'track']);
      expect([world.queues.launches.length, world.queues.events.length]).toEqual(starts ? [1, 0] : [0, 1]);
    }
  });

  test('of a job that is not ours is taken and sends nothing', async () => {
    const world = aWorld({ owners: ['acme'] });
    expect(await receiveDelivery(request(), world.ports)).toEqual({
      status: 202,
      verdict: 'ignore',
      note: "owner codertocat is not one of this fleet's",
      job: '289782451',
      repository: 'Codertocat/Hello-World',
    });
    nothingSent(world);
  });

  test('of a foreign job on a runner of ours is told on', async () => {
    const world = aWorld({ profiles: [aProfile({ labels: ['other'], publicRepositories: true })] });
    const body = exampleOf('in_progress').replace('"my runner"', `"${prefix}-1-1"`);
    expect(await receiveDelivery(request(body), world.ports)).toMatchObject({ status: 202, verdict: 'track' });
    expect(world.queues.events).toMatchObject([{ sighting: { runnerName: `${prefix}-1-1` } }]);
  });

  test.each(['ping', 'installation', 'installation_repositories', 'push'])(
    'of the event %s is fine, and sends nothing',
    async (event) => {
      const world = aWorld();
      expect(await receiveDelivery(request('{}', { event }), world.ports)).toMatchObject({
        status: 200,
        verdict: 'ignore',
      });
      nothingSent(world);
    },
  );

  test('without a GUID is taken all the same', async () => {
    const world = aWorld();
    await receiveDelivery(request(queued, { delivery: undefined }), world.ports);
    expect(world.queues.launches).toMatchObject([{ message: { delivery: 'unknown' } }]);
  });

  test.each([
    ['72d3162e-cc78-11e3-81ab-4c9367dc0958', '72d3162e-cc78-11e3-81ab-4c9367dc0958'],
    ['x'.repeat(9000), 'x'.repeat(64)],
    ['', undefined],
    [undefined, undefined],
  ])('has an id that is safe to log', (header, id) => {
    expect(readDeliveryId(header)).toBe(id);
  });

  test.each<[string, DeliveryRequest, number, RegExp]>([
    ['without a signature', request(queued, { signature: undefined }), 401, /^there is no X-Hub-Signature-256$/],
    ['with a wrong signature', request(queued, { signature: sign('x') }), 401, /^the signature is wrong$/],
    ['signed by another', request(queued, { signature: sign(queued, 'guess') }), 401, /^the signature is wrong$/],
    ['with an empty signature', request(queued, { signature: '' }), 401, /^the signature is wrong$/],
    ['without an event', request(queued, { event: undefined }), 400, /^there is no X-GitHub-Event$/],
    ['that is no text', request(Uint8Array.from([0xff, 0x7b])), 400, /^the body must be UTF-8$/],
    ['that is no JSON', request('{'), 400, /^the body must be JSON$/],
    ['that lacks its job', request('{"action":"queued"}'), 400, /^workflow_job must be /],
    [
      'that is form-encoded',
      request('payload=%7B%7D', { contentType: 'application/x-www-form-urlencoded' }),
      415,
      /"application\/json"/,
    ],
    [
      'that is form-encoded, however that is written',
      request('payload=%7B%7D', { contentType: 'Application/X-WWW-Form-Urlencoded; charset=utf-8' }),
      415,
      /"application\/json"/,
    ],
  ])('%s is refused, and says what must be', async (_, given, status, note) => {
    const world = aWorld();
    expect(await receiveDelivery(given, world.ports)).toEqual({
      status,
      verdict: 'refuse',
      note: expect.stringMatching(note),
    });
    nothingSent(world);
  });

  test('that is not signed learns nothing but that', async () => {
    const unsigned = { signature: sign('other') };
    for (const given of [
      request('{', unsigned),
      request(Uint8Array.from([0xff]), unsigned),
      request('', { ...unsigned, event: 'ping' }),
    ]) {
      expect(await receiveDelivery(given, aWorld().ports)).toMatchObject({ status: 401 });
    }
  });

  test('that no queue takes fails, so that GitHub sees it fail', async () => {
    for (const body of [queued, exampleOf('completed')]) {
      const world = aWorld();
      world.queues.failNext(new Error('SQS is not there'));
      await expect(receiveDelivery(request(body), world.ports)).rejects.toThrow('SQS is not there');
    }
  });
});

describe('the webhook secret', () => {
  test('that is not there yet is ours to mend: GitHub is told to come again', async () => {
    const world = aWorld();
    const readSecrets = async () => Promise.reject(new MissingSecretError('/webhook-secret must hold a secret'));
    expect(await receiveDelivery(request(), { ...world.ports, readSecrets })).toEqual({
      status: 503,
      verdict: 'refuse',
      note: 'the webhook secret is not set up',
      detail: '/webhook-secret must hold a secret',
    });
    nothingSent(world);
  });

  test('that cannot be read fails the delivery', async () => {
    const readSecrets = async () => Promise.reject(new Error('SSM is not there'));
    await expect(receiveDelivery(request(), { ...aWorld().ports, readSecrets })).rejects.toThrow('SSM is not there');
  });

  test('may be two while it is rotated', async () => {
    const { ports } = aWorld({ secrets: ['next', webhookSecret] });
    expect(await receiveDelivery(request(), ports)).toMatchObject({ status: 202 });
    expect(await receiveDelivery(request(queued, { signature: sign(queued, 'next') }), ports)).toMatchObject({
      status: 202,
    });
  });

  /** A parameter that was changed after it was read, and remembers how it was asked. */
  function rotated(): { looks: boolean[]; readSecrets: (options?: { fresh: boolean }) => Promise<string[]> } {
    const looks: boolean[] = [];
    return {
      looks,
      readSecrets: async ({ fresh } = { fresh: false }) => {
        looks.push(fresh);
        return [fresh ? webhookSecret : 'the one before'];
      },
    };
  }

  test('that was rotated since it was read is looked for again', async () => {
    const { looks, readSecrets } = rotated();
    expect(await receiveDelivery(request(), { ...aWorld().ports, readSecrets })).toMatchObject({ status: 202 });
    expect(looks).toEqual([false, true]);
  });

  test('that still fits is not looked for again', async () => {
    const { looks, readSecrets } = rotated();
    const given = request(queued, { signature: sign(queued, 'the one before') });
    expect(await receiveDelivery(given, { ...aWorld().ports, readSecrets })).toMatchObject({ status: 202 });
    expect(looks).toEqual([false]);
  });

  test('is asked for twice at most for a wrong signature, and not at all without one', async () => {
    const { looks, readSecrets } = rotated();
    await receiveDelivery(request(queued, { signature: sign('x') }), { ...aWorld().ports, readSecrets });
    expect(looks).toEqual([false, true]);
    await receiveDelivery(request(queued, { signature: undefined }), { ...aWorld().ports, readSecrets });
    await receiveDelivery(request(queued, { signature: 'sha256=x' }), { ...aWorld().ports, readSecrets });
    expect(looks).toHaveLength(2);
  });
});

import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeNames, type Choices } from '../functions/contracts/with-infra/settings.ts';
import { bundleFunctions } from '../infra/function-bundle.ts';
import { HttpApi } from './emulators/aws/http-api.ts';
import { LambdaFunction, type LogLine } from './emulators/aws/lambda.ts';
import { Parameters } from './emulators/aws/parameters.ts';
import { Queues, type Queue } from './emulators/aws/queues.ts';
import { TurnableClock } from './emulators/clock.ts';
import { aProfile } from './fakes/builders.ts';

type Example = { readonly event: string; readonly payload: Readonly<Record<string, unknown>> };

const require = createRequire(import.meta.url);
const sources = ['api.github.com', 'ghes-31', 'ghes-32', 'ghes-33', 'ghes-34', 'ghes-35'];
/** Every payload that GitHub's own examples hold, of every event and every release. */
const examples: readonly Example[] = sources.flatMap((source) =>
  (
    require(`@octokit/webhooks-examples/${source}/index.json`) as readonly {
      readonly name: string;
      readonly examples: readonly Example['payload'][];
    }[]
  ).flatMap(({ name, examples: payloads }) => payloads.map((payload) => ({ event: name, payload }))),
);
const events = [...new Set(examples.map(({ event }) => event))].toSorted();
const of = (event: string) => examples.filter((example) => example.event === event);

const secret = "It's a Secret to Everybody";
const owners = ['octocat', 'codertocat', 'octo-org', 'octokit', 'wolfy1339'];
const labels = ['self-hosted', 'linux', 'x64', 'ubuntu-latest', 'my label', 'fargate-small'];
const choices: Choices = {
  version: 1,
  fleet: 'ci',
  github: { url: 'https://github.com', owners },
  profiles: [aProfile({ labels, catchAll: true, publicRepositories: true })],
};

const clock = new TurnableClock();
const log: LogLine[] = [];
let directory: string;
let parameters: Parameters;
let queues: Queues;
let jobs: Queue;
let webhook: LambdaFunction;
let api: HttpApi;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'webhook-examples-'));
  parameters = await Parameters.start({ clock });
  parameters.put('/ci/webhook-secret', secret);
  queues = await Queues.start({ clock });
  jobs = await queues.createQueue('jobs');
  const eventsQueue = await queues.createQueue('events');
  webhook = new LambdaFunction({
    name: 'webhook',
    file: join(bundleFunctions(choices, directory).webhook, 'index.js'),
    clock,
    environment: {
      ...encodeNames({
        fleetId: '111122223333/us-east-1/ci',
        tables: { ledger: 'Ledger', claims: 'Claims' },
        queues: { jobs: jobs.url, events: eventsQueue.url },
        tasks: { cluster: 'c', revisions: {}, subnets: ['s'], securityGroups: ['g'], assignPublicIp: 'ENABLED' },
        parameters: { appId: '/ci/app-id', appKey: '/ci/app-key', webhookSecret: '/ci/webhook-secret' },
      }),
      AWS_ENDPOINT_URL_SQS: queues.url,
      AWS_ENDPOINT_URL_SSM: parameters.url,
    },
    maxConcurrency: 4,
  });
  webhook.onLog((line) => log.push(line));
  api = await HttpApi.start({ clock, invoke: webhook.invoke });
});
afterAll(async () => {
  await api.stop();
  await webhook.stop();
  await queues.stop();
  await parameters.stop();
  clock.stop();
  await rm(directory, { recursive: true, force: true });
});

let posted = 0;
async function post({ event, payload }: Example, signature?: string): Promise<{ status: number; body: unknown }> {
  posted += 1;
  const body = JSON.stringify(payload);
  const response = await fetch(`${api.url}/webhook`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/e5c3a1b',
      'x-github-event': event,
      'x-github-delivery': crypto.randomUUID(),
      'x-hub-signature-256': signature ?? `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
    body,
  });
  return { status: response.status, body: await response.json() };
}

describe("GitHub's own example of a delivery", () => {
  test('is there of every event', () => {
    expect(events.length).toBeGreaterThan(50);
    expect(examples.length).toBeGreaterThan(700);
  });

  test.each(events.filter((event) => event !== 'workflow_job'))(
    'of %s is taken and asks for nothing',
    async (event) => {
      for (const example of of(event)) {
        expect({ ...(await post(example)), payload: example.payload }).toMatchObject({
          status: 200,
          body: { verdict: 'ignore' },
        });
      }
    },
  );

  test('of workflow_job is understood, each of them', async () => {
    expect(of('workflow_job').length).toBeGreaterThan(3);
    for (const example of of('workflow_job')) {
      const { status, body } = await post(example);
      expect({ action: example.payload['action'], status, body }).toMatchObject({
        status: 202,
        body: { verdict: expect.stringMatching(/^(launch|track|ignore)$/) as unknown },
      });
    }
  });

  test('of a queued workflow_job of our owners starts a runner', async () => {
    await queues.purge(jobs);
    const queued = of('workflow_job').filter(({ payload }) => payload['action'] === 'queued');
    expect(queued.length).toBeGreaterThan(0);
    const verdicts = await Promise.all(queued.map(async (example) => (await post(example)).body));
    const launched = verdicts.filter((body) => (body as { verdict: string }).verdict === 'launch');
    expect(launched.length).toBeGreaterThan(0);
    expect(await queues.messages(jobs)).toHaveLength(launched.length);
  });

  test('with a wrong signature is refused, whatever its event', async () => {
    const one = events.flatMap((event) => of(event).slice(0, 1));
    const answers = await Promise.all(one.map(async (example) => post(example, `sha256=${'0'.repeat(64)}`)));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
  });

  test('has never made the function fail, nor its log tell a secret or a payload', async () => {
    for (const event of events) for (const example of of(event).slice(0, 1)) await post(example);
    const text = log.map(({ line }) => line).join('\n');
    expect(text).not.toMatch(/"level":"ERROR"|Unhandled|Task timed out/);
    expect(text).not.toContain(secret);
    expect(text).not.toMatch(/sha256=|"sender"|"avatar_url"|node_id/);
    expect(log.filter(({ line }) => line.includes('"delivery: '))).toHaveLength(posted);
  });
});

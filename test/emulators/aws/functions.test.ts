import { createHmac } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { until } from '../../until.ts';
import { TurnableClock } from '../clock.ts';
import { EventSource, failedIds, type BatchOutcome } from './event-source.ts';
import { HttpApi } from './http-api.ts';
import { LambdaFunction, type FunctionOptions, type Invocation } from './lambda.ts';
import { Queues } from './queues.ts';
import { Scheduler, stoppedTaskOf } from './scheduler.ts';

const clock = new TurnableClock();
const ends: (() => Promise<void>)[] = [];
let directory: string;
let queues: Queues;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'functions-'));
  queues = await Queues.start({ clock });
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});
afterAll(async () => {
  await queues.stop();
  clock.stop();
  await rm(directory, { recursive: true, force: true });
});

const define = async (body: string, options: Partial<FunctionOptions> = {}): Promise<LambdaFunction> => {
  const file = join(directory, `${Math.random().toString(36).slice(2)}.cjs`);
  await writeFile(file, body);
  const made = new LambdaFunction({ name: 'webhook', file, clock, ...options });
  ends.push(async () => made.stop());
  return made;
};
const resultOf = (invocation: Invocation): unknown => (invocation.ok ? invocation.result : invocation.error);
const wait = async (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const post = async (url: string, body: string | Uint8Array, headers: Record<string, string> = {}) =>
  fetch(`${url}/webhook`, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
const startSource = async (body: string, options: { batchSize?: number; maximumConcurrency?: number } = {}) => {
  const queue = await queues.createQueue(`jobs-${count++}`, { visibilitySeconds: 180 });
  const made = await define(body, { maxConcurrency: 20 });
  const client = new SQSClient({ endpoint: queues.url, region: 'us-east-1' });
  const source = EventSource.start({ queues, queue, invoke: made.invoke, ...options });
  const outcomes: BatchOutcome[] = [];
  source.onBatch((outcome) => outcomes.push(outcome));
  ends.push(async () => {
    await source.stop();
    client.destroy();
  });
  const send = async (text: string) => client.send(new SendMessageCommand({ QueueUrl: queue.url, MessageBody: text }));
  return { queue, made, source, outcomes, send };
};
const startScheduler = () => {
  const scheduler = new Scheduler({ clock });
  ends.push(async () => scheduler.stop());
  return scheduler;
};
const recorder = (outcomes: boolean[] = []) => {
  const seen: unknown[] = [];
  return {
    seen,
    invoke: async (event: unknown): Promise<Invocation> => {
      seen.push(event);
      return Promise.resolve(
        (outcomes.shift() ?? true)
          ? { ok: true, requestId: '1', result: null }
          : { ok: false, requestId: '1', error: { errorType: 'Error', errorMessage: 'no' } },
      );
    },
  };
};
const digest = (text: string | Buffer) => createHmac('sha256', 'key').update(text).digest('hex');

const startApi = async (body: string, options: { timeoutMs?: number } = {}) => {
  const made = await define(body);
  const api = await HttpApi.start({ clock, invoke: made.invoke, ...options });
  ends.push(async () => api.stop());
  return api;
};

describe('a function', () => {
  test('gets its event and a whole context, and answers in JSON', async () => {
    const made = await define(
      `exports.handler = async (event, context) => ({ event, lost: undefined, at: new Date(0), name: context.functionName,
        arn: context.invokedFunctionArn, id: context.awsRequestId, memory: context.memoryLimitInMB,
        log: context.logGroupName, left: context.getRemainingTimeInMillis(), env: process.env.LEDGER, ours: process.env.JEST_WORKER_ID })`,
      { environment: { LEDGER: 'ledger-1' }, memoryMiB: 512 },
    );
    const invocation = await made.invoke({ hello: 'world' });
    expect(invocation).toMatchObject({
      ok: true,
      result: {
        event: { hello: 'world' },
        at: '1970-01-01T00:00:00.000Z',
        name: 'webhook',
        arn: 'arn:aws:lambda:us-east-1:111122223333:function:webhook',
        id: invocation.requestId,
        memory: '512',
        log: '/aws/lambda/webhook',
        env: 'ledger-1',
      },
    });
    expect(resultOf(invocation)).not.toHaveProperty('ours');
    expect((resultOf(invocation) as { left: number }).left).toBeGreaterThan(15_000);
  });

  test('stays warm, works on one event at a time, and grows with the load', async () => {
    const made = await define(
      `let calls = 0; let busy = 0; let most = 0;
       exports.handler = async () => { most = Math.max(most, ++busy); await new Promise(r => setTimeout(r, 30)); busy--; return { calls: ++calls, most } }`,
      { maxConcurrency: 2 },
    );
    await made.invoke({});
    expect(resultOf(await made.invoke({}))).toEqual({ calls: 2, most: 1 });
    const results = await Promise.all(Array.from({ length: 6 }, async () => resultOf(await made.invoke({}))));
    expect(made.environments).toBe(2);
    expect(results.every((result) => (result as { most: number }).most === 1)).toBe(true);
  });

  test('follows the clock', async () => {
    const made = await define(
      `exports.handler = async () => [Date.now(), new Date().getTime(), new Date(5).getTime(), new Date() instanceof Date]`,
    );
    await made.invoke({});
    clock.advance(86_400_000);
    const [now, date, five, isDate] = resultOf(await made.invoke({})) as number[];
    expect(Math.abs((now ?? 0) - clock.now())).toBeLessThan(60_000);
    expect(Math.abs((date ?? 0) - clock.now())).toBeLessThan(60_000);
    expect([five, isDate]).toEqual([5, true]);
  });

  test('that throws answers with the error, and stays warm', async () => {
    const made = await define(
      `let calls = 0; exports.handler = async () => { if (++calls === 1) throw new TypeError('no'); return calls }`,
    );
    const failed = await made.invoke({});
    expect(failed).toMatchObject({ ok: false, error: { errorType: 'TypeError', errorMessage: 'no' } });
    expect(failed.ok ? [] : failed.error.trace?.[0]).toBe('TypeError: no');
    expect(resultOf(await made.invoke({}))).toBe(2);
  });

  test('that takes too long is ended, and starts afresh', async () => {
    const made = await define(
      `let calls = 0; exports.handler = async (event) => { calls++; if (event.hang) for (;;); return calls }`,
      { timeoutSeconds: 1 },
    );
    expect(resultOf(await made.invoke({}))).toBe(1);
    const late = await made.invoke({ hang: true });
    expect(late).toMatchObject({
      ok: false,
      error: { errorMessage: `RequestId: ${late.requestId} Error: Task timed out after 1.00 seconds` },
    });
    expect(resultOf(await made.invoke({}))).toBe(1);
  });

  test.each([
    ['exits', 'process.exit(3)', /exit status 3/],
    [
      'throws outside of its promise',
      "setTimeout(() => { throw new Error('astray') }); await new Promise(() => {})",
      /astray/,
    ],
  ])('that %s fails the call and starts afresh', async (_, how, message) => {
    const made = await define(`exports.handler = async (event) => { if (event.crash) { ${how} } return 'well' }`);
    const crashed = await made.invoke({ crash: true });
    expect(crashed).toMatchObject({ ok: false, error: { errorMessage: expect.stringMatching(message) } });
    expect(resultOf(await made.invoke({}))).toBe('well');
  });

  test('that does not load says why, every time', async () => {
    const made = await define(`throw new Error('missing setting')`);
    expect(resultOf(await made.invoke({}))).toMatchObject({ errorMessage: 'missing setting' });
    expect(resultOf(await made.invoke({}))).toMatchObject({ errorMessage: 'missing setting' });
    const without = await define(`exports.other = 1`);
    expect(resultOf(await without.invoke({}))).toMatchObject({ errorType: 'Runtime.HandlerNotFound' });
  });

  test('can be killed in the middle', async () => {
    const made = await define(
      `exports.handler = async (event) => { if (event.hang) { console.log('inside'); await new Promise(r => setTimeout(r, 60000)) } return 'well' }`,
    );
    const lines: string[] = [];
    made.onLog(({ line }) => lines.push(line));
    const killed = made.invoke({ hang: true });
    await until(() => lines.includes('inside'));
    expect(made.kill()).toBe(true);
    expect(await killed).toMatchObject({ ok: false, error: { errorType: 'Runtime.ExitError' } });
    expect(made.kill()).toBe(false);
    expect(resultOf(await made.invoke({}))).toBe('well');
  });

  test('writes lines that are there before its answer', async () => {
    const made = await define(
      `exports.handler = async () => { console.log('one\\ntwo'); process.stdout.write('thr'); process.stdout.write('ee\\n'); console.error('four') }`,
    );
    const lines: { line: string; requestId: string | undefined }[] = [];
    made.onLog(({ line, requestId }) => lines.push({ line, requestId }));
    const { requestId } = await made.invoke({});
    expect(lines).toEqual(['one', 'two', 'three', 'four'].map((line) => ({ line, requestId })));
  });
});

describe('the HTTP API', () => {
  const echo = `exports.handler = async (event) => ({ statusCode: 202, headers: { 'x-seen': '1' }, body: JSON.stringify(event) })`;
  type Event = { body: string; isBase64Encoded: boolean; headers: Record<string, string>; [name: string]: unknown };

  test('hands a delivery over as payload 2.0, byte for byte', async () => {
    const api = await startApi(echo);
    const body = '{"emoji":"🚀",  "odd" :\t"ä\\u0000"}';
    const response = await post(api.url, body, { 'X-GitHub-Event': 'workflow_job' });
    expect(response.status).toBe(202);
    expect(response.headers.get('x-seen')).toBe('1');
    const event = (await response.json()) as Event;
    expect(event).toMatchObject({
      version: '2.0',
      routeKey: 'POST /webhook',
      rawPath: '/webhook',
      rawQueryString: '',
      headers: { 'x-github-event': 'workflow_job', 'content-type': 'application/json' },
      requestContext: { http: { method: 'POST', path: '/webhook', sourceIp: '127.0.0.1' } },
      isBase64Encoded: false,
    });
    expect(digest(event.body)).toBe(digest(body));
  });

  test.each([
    ['compressed', gzipSync('{"a":1}'), { 'content-encoding': 'gzip' }],
    ['a form', Buffer.from('payload=%7B%7D'), { 'content-type': 'application/x-www-form-urlencoded' }],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0xfe, 0x22]), {}],
  ])('hands over what is %s in base64', async (_, body, headers) => {
    const api = await startApi(echo);
    const event = (await (await post(api.url, body, headers)).json()) as Event;
    expect(event.isBase64Encoded).toBe(true);
    expect(Buffer.from(event.body, 'base64').equals(body)).toBe(true);
  });

  test('joins headers that came twice', async () => {
    const api = await startApi(echo);
    const { hostname, port } = new URL(api.url);
    const event = await new Promise<Event>((resolve, reject) => {
      const headers = ['host', hostname, 'X-Twice', 'a', 'x-twice', 'b', 'content-type', 'application/json'];
      request({ hostname, port, path: '/webhook?a=1&a=2', method: 'POST', headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          resolve(JSON.parse(Buffer.concat(chunks).toString()) as Event);
        });
      })
        .on('error', reject)
        .end('{}');
    });
    expect(event.headers['x-twice']).toBe('a,b');
    expect(event['rawQueryString']).toBe('a=1&a=2');
    expect(event['queryStringParameters']).toEqual({ a: '1,2' });
  });

  test('knows one route', async () => {
    const api = await startApi(echo);
    expect((await fetch(`${api.url}/webhook`)).status).toBe(404);
    const other = await fetch(`${api.url}/other`, { method: 'POST', body: '{}' });
    expect([other.status, await other.json()]).toEqual([404, { message: 'Not Found' }]);
  });

  test('refuses what is too large', async () => {
    const api = await startApi(echo);
    expect((await post(api.url, 'x'.repeat(10 * 1024 * 1024 + 1))).status).toBe(413);
  });

  test('answers for a function that fails or is late', async () => {
    const failing = await startApi(`exports.handler = async () => { throw new Error('no') }`);
    const response = await post(failing.url, '{}');
    expect([response.status, await response.json()]).toEqual([500, { message: 'Internal Server Error' }]);
    const late = await startApi(`exports.handler = async () => new Promise(() => setTimeout(() => {}, 60000))`, {
      timeoutMs: 50,
    });
    expect((await post(late.url, '{}')).status).toBe(503);
  });
});

describe('an event source', () => {
  test('brings a message to the function and deletes it', async () => {
    const { queue, outcomes, send } = await startSource(
      `exports.handler = async (event) => { console.log(event); return { batchItemFailures: [] } }`,
    );
    await send('hello');
    await until(() => outcomes.length === 1);
    expect(await queues.messages(queue)).toEqual([]);
  });

  test('makes records as AWS does', async () => {
    const { queue, outcomes, send } = await startSource(`exports.handler = async (event) => event.Records[0]`);
    await send('hello');
    await until(() => outcomes.length === 1);
    expect(outcomes[0]?.invocation).toMatchObject({
      result: {
        messageId: expect.any(String),
        receiptHandle: expect.any(String),
        body: 'hello',
        attributes: { ApproximateReceiveCount: '1', SentTimestamp: expect.stringMatching(/^\d{13}$/) },
        messageAttributes: {},
        md5OfBody: '5d41402abc4b2a76b9719d911017c592',
        eventSource: 'aws:sqs',
        eventSourceARN: queue.arn,
        awsRegion: 'us-east-1',
      },
    });
  });

  test('brings back only the messages that failed, after their visibility timeout', async () => {
    const { queue, source, outcomes, send } = await startSource(
      `exports.handler = async (event) => ({ batchItemFailures: event.Records.filter(r => r.body === 'bad' && r.attributes.ApproximateReceiveCount === '1').map(r => ({ itemIdentifier: r.messageId })) })`,
    );
    await source.pause();
    for (const text of ['good', 'bad', 'good']) await send(text);
    source.resume();
    await until(async () => (await queues.messages(queue)).length === 1);
    expect(await queues.messages(queue)).toMatchObject([{ body: 'bad', state: 'in-flight' }]);
    clock.advance(180_001);
    await until(() => outcomes.reduce((sum, { messages }) => sum + messages, 0) === 4);
    expect(await queues.messages(queue)).toEqual([]);
  });

  test('brings all back when the function fails', async () => {
    const { queue, outcomes, send } = await startSource(`exports.handler = async () => { throw new Error('no') }`);
    await send('hello');
    await until(() => outcomes.length === 1);
    expect(await queues.depth(queue)).toEqual({ visible: 0, inFlight: 1, delayed: 0 });
    clock.advance(180_001);
    await until(() => outcomes.length === 2);
  });

  test.each<[string, unknown, string[]]>([
    ['nothing', null, []],
    ['an empty list', { batchItemFailures: [] }, []],
    ['no list', { batchItemFailures: 'x' }, ['a', 'b']],
    ['text', 'x', ['a', 'b']],
    ['a known id', { batchItemFailures: [{ itemIdentifier: 'b' }] }, ['b']],
    ['an unknown id', { batchItemFailures: [{ itemIdentifier: 'c' }] }, ['a', 'b']],
    ['an empty id', { batchItemFailures: [{ itemIdentifier: '' }] }, ['a', 'b']],
    ['an odd entry', { batchItemFailures: [null] }, ['a', 'b']],
  ])('reads an answer of %s as AWS does', (_, result, failed) => {
    expect([...failedIds({ ok: true, requestId: '1', result }, ['a', 'b'], true)]).toEqual(failed);
  });

  test('keeps within its concurrency and its batch size', async () => {
    const gate = join(directory, 'gate');
    const { made, source, outcomes, send } = await startSource(
      `exports.handler = async () => { while (!require('fs').existsSync('${gate}')) await new Promise(r => setTimeout(r, 5)) }`,
      { batchSize: 2, maximumConcurrency: 2 },
    );
    await source.pause();
    await Promise.all(Array.from({ length: 20 }, async (_, n) => send(String(n))));
    source.resume();
    await until(() => source.inFlight === 2);
    await wait(30);
    expect(source.inFlight).toBe(2);
    await writeFile(gate, '');
    await until(() => outcomes.reduce((sum, { messages }) => sum + messages, 0) === 20);
    expect(made.environments).toBe(2);
    expect(Math.max(...outcomes.map(({ messages }) => messages))).toBe(2);
  });

  test('waits for what is in flight when it stops, and swallows nothing after', async () => {
    const { queue, source, outcomes, send } = await startSource(
      `exports.handler = async () => { await new Promise(r => setTimeout(r, 50)) }`,
    );
    await send('one');
    await until(() => source.inFlight === 1);
    await source.pause();
    expect(outcomes).toHaveLength(1);
    await send('two');
    await wait(30);
    expect(await queues.depth(queue)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
  });
});

describe('the scheduler', () => {
  test('runs a function at its rate, by the clock', async () => {
    const scheduler = startScheduler();
    const { seen, invoke } = recorder();
    const schedule = scheduler.every(60_000, invoke);
    clock.advance(59_000);
    expect(seen).toHaveLength(0);
    clock.advance(121_000);
    await scheduler.settled();
    expect(seen).toHaveLength(3);
    expect(seen[0]).toMatchObject({ 'detail-type': 'Scheduled Event' });
    schedule.pause();
    clock.advance(600_000);
    expect(seen).toHaveLength(3);
    expect((await schedule.runNow()).ok).toBe(true);
    expect(seen).toHaveLength(4);
  });

  test('lets a slow run overlap the next', async () => {
    const scheduler = startScheduler();
    const { promise, resolve } = Promise.withResolvers<void>();
    scheduler.every(60_000, async () => {
      await promise;
      return { ok: true, requestId: '1', result: null };
    });
    clock.advance(120_000);
    expect(scheduler.running).toBe(2);
    resolve();
    await scheduler.settled();
  });

  test('sends stopped tasks of one cluster to a queue, as they are', async () => {
    const scheduler = startScheduler();
    const queue = await queues.createQueue(`stops-${count++}`);
    const hear = scheduler.rule(stoppedTaskOf('arn:mine'), async (body) => queues.send(queue, body));
    const event = { source: 'aws.ecs', 'detail-type': 'ECS Task State Change' };
    hear({ ...event, detail: { clusterArn: 'arn:mine', lastStatus: 'RUNNING' } });
    hear({ ...event, detail: { clusterArn: 'arn:other', lastStatus: 'STOPPED' } });
    hear({ ...event, detail: { clusterArn: 'arn:mine', lastStatus: 'STOPPED' } });
    await scheduler.settled();
    const bodies = (await queues.messages(queue)).map(({ body }) => JSON.parse(body) as unknown);
    expect(bodies).toEqual([{ ...event, detail: { clusterArn: 'arn:mine', lastStatus: 'STOPPED' } }]);
  });
});

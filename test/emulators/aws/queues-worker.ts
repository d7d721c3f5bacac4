// fauxqs in a thread of its own: `Date` there follows the clock, so that turning it makes messages visible again, and
// a burst of queue traffic leaves the main thread alone. Not `startFauxqs`: that listens on every interface.
import { parentPort, workerData } from 'node:worker_threads';
import { signerOf, type AwsCall } from './aws-call.ts';
import { turnDate } from './turned-date.ts';

type FauxqsQueue = { enqueue(message: unknown): void; purge(): void; cancelWaiters(): void };
type FauxqsStore = {
  createQueue(name: string, url: string, arn: string, attributes: Record<string, string>): FauxqsQueue;
  getQueueByName(name: string): FauxqsQueue | undefined;
  inspectQueue(name: string): unknown;
  processAllTimers(): void;
};
export type QueuesRequest =
  | { kind: 'create'; id: number; name: string; url: string; arn: string; attributes: Record<string, string> }
  | { kind: 'inspect' | 'wake' | 'purge'; id: number; name: string }
  | { kind: 'send'; id: number; name: string; body: string }
  | { kind: 'stop'; id: number };
export type QueuesReply = { id: number; answer?: unknown; error?: string };
/** An answer, or news of a call that somebody made over HTTP. */
export type QueuesMessage = QueuesReply | { readonly call: AwsCall };

const { offset, region, tellsOfCalls } = workerData as {
  offset: BigInt64Array;
  region: string;
  tellsOfCalls: boolean;
};
turnDate(offset);

const { buildApp } = await import('fauxqs');
// The store is not exported, but an app can be given one.
const { SqsStore } = (await import(new URL('sqs/sqsStore.js', import.meta.resolve('fauxqs')).href)) as {
  SqsStore: { new (): FauxqsStore; createMessage(body: string): unknown };
};
const { SnsStore } = (await import(new URL('sns/snsStore.js', import.meta.resolve('fauxqs')).href)) as {
  SnsStore: new () => unknown;
};
const { S3Store } = (await import(new URL('s3/s3Store.js', import.meta.resolve('fauxqs')).href)) as {
  S3Store: new () => unknown;
};
// fauxqs refuses what is beyond U+FFFF, an emoji say. SQS takes it.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
const { INVALID_MESSAGE_BODY_CHAR } = (await import(
  new URL('sqs/sqsTypes.js', import.meta.resolve('fauxqs')).href
)) as { INVALID_MESSAGE_BODY_CHAR: RegExp };
const refused = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u;
INVALID_MESSAGE_BODY_CHAR.test = (body) => refused.test(body);
const store = new SqsStore();
const stores = { sqsStore: store, snsStore: new SnsStore(), s3Store: new S3Store() };
const app = buildApp({ logger: false, defaultRegion: region, stores } as unknown as Parameters<typeof buildApp>[0]);
if (tellsOfCalls) {
  app.addHook('preHandler', (request, _, done) => {
    const signer = signerOf(request.headers.authorization ?? '');
    const operation = String(request.headers['x-amz-target']).split('.').at(-1) ?? '';
    if (signer !== undefined) say({ call: { ...signer, operation, input: request.body as AwsCall['input'] } });
    done();
  });
}
await app.listen({ port: 0, host: '127.0.0.1' });

async function answer(request: QueuesRequest): Promise<unknown> {
  switch (request.kind) {
    case 'create':
      return void store.createQueue(request.name, request.url, request.arn, request.attributes);
    case 'inspect':
      store.processAllTimers();
      return store.inspectQueue(request.name);
    case 'send':
      return store.getQueueByName(request.name)?.enqueue(SqsStore.createMessage(request.body));
    case 'wake':
      return store.getQueueByName(request.name)?.cancelWaiters();
    case 'purge':
      return store.getQueueByName(request.name)?.purge();
    case 'stop':
      return app.close();
  }
}

function say(message: QueuesMessage): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- worker_threads, not a window
  parentPort?.postMessage(message);
}

async function serve(request: QueuesRequest): Promise<void> {
  try {
    say({ id: request.id, answer: await answer(request) });
  } catch (error) {
    say({ id: request.id, error: String(error) });
  }
}

parentPort?.on('message', (request: QueuesRequest) => void serve(request));
say({ id: 0, answer: (app.server.address() as { port: number }).port });

import { setTimeout as wait } from 'node:timers/promises';
import { DeleteMessageBatchCommand, ReceiveMessageCommand, SQSClient, type Message } from '@aws-sdk/client-sqs';
import type { Invocation, Invoke } from './lambda.ts';
import type { Queue, Queues } from './queues.ts';

export type EventSourceOptions = {
  readonly queues: Queues;
  readonly queue: Queue;
  readonly invoke: Invoke;
  /** @default 10 */
  readonly batchSize?: number;
  /** Invocations at once; AWS takes 2 to 1000. @default 10 */
  readonly maximumConcurrency?: number;
  /** @default true */
  readonly reportBatchItemFailures?: boolean;
  readonly region?: string;
  /** Signs what the poller asks the queue: in AWS it polls as the function's role. @default 'test' */
  readonly accessKeyId?: string;
};

/** What became of a batch: told to whoever listens, a test or the terminal. */
export type BatchOutcome = {
  readonly queue: string;
  readonly invocation: Invocation;
  readonly messages: number;
  readonly failed: number;
};

/** An SQS event source mapping: one long poll, several invocations, messages deleted only when their function was well. */
export class EventSource {
  readonly #options: Required<EventSourceOptions>;
  readonly #client: SQSClient;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #listeners = new Set<(outcome: BatchOutcome) => void>();
  #running = true;
  #polling: Promise<void>;
  #freed: (() => void) | undefined;

  private constructor(options: Required<EventSourceOptions>) {
    this.#options = options;
    this.#client = new SQSClient({
      endpoint: options.queues.url,
      region: options.region,
      credentials: { accessKeyId: options.accessKeyId, secretAccessKey: 'test' },
      maxAttempts: 1,
    });
    this.#polling = this.#poll();
  }

  static start(options: EventSourceOptions): EventSource {
    return new EventSource({
      batchSize: 10,
      maximumConcurrency: 10,
      reportBatchItemFailures: true,
      region: 'us-east-1',
      accessKeyId: 'test',
      ...options,
    });
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  onBatch(listener: (outcome: BatchOutcome) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Takes no more messages, as an outage would; what it has taken is worked off first. */
  async pause(): Promise<void> {
    this.#running = false;
    this.#freed?.();
    const polled = this.#polling.then(() => true);
    // A poll may still be on its way to the queue when it is woken the first time.
    do await this.#options.queues.wake(this.#options.queue);
    while (!(await Promise.race([polled, wait(10, false)])));
    await Promise.all(this.#inFlight);
  }

  async stop(): Promise<void> {
    await this.pause();
    this.#client.destroy();
  }

  resume(): void {
    if (this.#running) return;
    this.#running = true;
    this.#polling = this.#poll();
  }

  async #poll(): Promise<void> {
    const { queue, batchSize, maximumConcurrency } = this.#options;
    while (this.#running) {
      if (this.#inFlight.size >= maximumConcurrency) {
        await new Promise<void>((resolve) => {
          this.#freed = resolve;
        });
        continue;
      }
      try {
        const { Messages = [] } = await this.#client.send(
          new ReceiveMessageCommand({
            QueueUrl: queue.url,
            MaxNumberOfMessages: Math.min(batchSize, 10),
            WaitTimeSeconds: 20,
            MessageSystemAttributeNames: ['All'],
            MessageAttributeNames: ['All'],
          }),
        );
        if (Messages.length > 0) this.#dispatch(Messages);
      } catch {
        // As AWS's pollers do: whatever is wrong with the queue, poll on.
        if (this.#running) await wait(50);
      }
    }
  }

  #dispatch(messages: readonly Message[]): void {
    const handled: Promise<void> = this.#handle(messages).finally(() => {
      this.#inFlight.delete(handled);
      this.#freed?.();
    });
    this.#inFlight.add(handled);
  }

  async #handle(messages: readonly Message[]): Promise<void> {
    const { queue, invoke, reportBatchItemFailures, region } = this.#options;
    const invocation = await invoke({ Records: messages.map((message) => recordOf(message, queue, region)) }).catch(
      (error: unknown): Invocation => ({
        ok: false,
        requestId: '',
        error: { errorType: 'Error', errorMessage: String(error) },
      }),
    );
    const ids = messages.map(({ MessageId }) => MessageId ?? '');
    const failed = failedIds(invocation, ids, reportBatchItemFailures);
    const done = messages.filter(({ MessageId }) => !failed.has(MessageId ?? ''));
    if (done.length > 0) {
      await this.#client
        .send(
          new DeleteMessageBatchCommand({
            QueueUrl: queue.url,
            Entries: done.map(({ ReceiptHandle }, at) => ({ Id: String(at), ReceiptHandle })),
          }),
        )
        .catch(() => undefined);
    }
    for (const listener of this.#listeners) {
      listener({ queue: queue.name, invocation, messages: messages.length, failed: failed.size });
    }
  }
}

/**
 * Which messages come back. A thrown error, an answer that is no list of failures, an unknown or empty id: all of them.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export function failedIds(invocation: Invocation, ids: readonly string[], reported: boolean): ReadonlySet<string> {
  const all = new Set(ids);
  if (!invocation.ok) return all;
  if (!reported) return new Set();
  const { result } = invocation;
  if (result === null || result === undefined) return new Set();
  if (typeof result !== 'object') return all;
  const failures = (result as { batchItemFailures?: unknown }).batchItemFailures;
  if (failures === null || failures === undefined) return new Set();
  if (!Array.isArray(failures)) return all;
  const named = failures.map((failure: unknown) =>
    typeof failure === 'object' && failure !== null
      ? (failure as { itemIdentifier?: unknown }).itemIdentifier
      : undefined,
  );
  const known = named.filter((id): id is string => typeof id === 'string' && all.has(id));
  return known.length === named.length ? new Set(known) : all;
}

function recordOf(message: Message, queue: Queue, region: string): unknown {
  return {
    messageId: message.MessageId,
    receiptHandle: message.ReceiptHandle,
    body: message.Body,
    attributes: message.Attributes ?? {},
    messageAttributes: Object.fromEntries(
      Object.entries(message.MessageAttributes ?? {}).map(([name, value]) => [
        name,
        {
          ...(value.StringValue !== undefined && { stringValue: value.StringValue }),
          ...(value.BinaryValue !== undefined && { binaryValue: Buffer.from(value.BinaryValue).toString('base64') }),
          stringListValues: [],
          binaryListValues: [],
          dataType: value.DataType,
        },
      ]),
    ),
    md5OfBody: message.MD5OfBody,
    eventSource: 'aws:sqs',
    eventSourceARN: queue.arn,
    awsRegion: region,
  };
}

import { randomUUID } from 'node:crypto';
import { failedIds } from '../../emulators/aws/event-source.ts';
import type { Invoke } from '../../emulators/aws/lambda.ts';

export type QueuedMessage = {
  readonly id: string;
  readonly body: string;
  /** 1 the first time. */
  readonly receives: number;
  readonly sentAt: number;
};

/** How AWS hands messages to a function. */
export type DeliveryShape = {
  readonly batchSize: number;
  /** How long a batch is gathered. */
  readonly windowMs: number;
  /** Invocations at once. */
  readonly atOnce: number;
  readonly eventOf: (messages: readonly QueuedMessage[]) => unknown;
  /** How long a message that failed stays away. */
  readonly comesBackAfterMs: number;
  /** A message that fails so often is a dead letter. */
  readonly mostReceives: number;
};

/** A queue and its poller, in real time. Polling itself takes no time. */
export class Poller {
  /** Messages that the function did not finish, each time one was not. */
  failed = 0;
  deadLetters = 0;
  readonly #shape: DeliveryShape;
  readonly #invoke: Invoke;
  readonly #ready: QueuedMessage[] = [];
  /** Messages that are ready, delayed or at work. */
  #open = 0;
  #busy = 0;
  #emptied: (() => void) | undefined;

  constructor(shape: DeliveryShape, invoke: Invoke) {
    this.#shape = shape;
    this.#invoke = invoke;
  }

  send(bodies: readonly string[], delayMs = 0): void {
    const sentAt = Date.now();
    this.#open += bodies.length;
    this.#show(
      bodies.map((body) => ({ id: randomUUID(), body, receives: 1, sentAt })),
      delayMs,
    );
  }

  /** Waits until no message is left. @returns false when the time was over first */
  async drained(withinMs: number): Promise<boolean> {
    if (this.#open === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), withinMs);
    this.#emptied = () => resolve(true);
    const inTime = await promise;
    clearTimeout(timer);
    return inTime;
  }

  #show(messages: readonly QueuedMessage[], delayMs: number): void {
    if (delayMs > 0) {
      setTimeout(() => this.#show(messages, 0), delayMs).unref();
      return;
    }
    this.#ready.push(...messages);
    this.#poll();
  }

  #poll(): void {
    const { batchSize, windowMs, atOnce } = this.#shape;
    for (; this.#busy < atOnce; void this.#deliver()) {
      const [oldest] = this.#ready;
      if (oldest === undefined) return;
      const left = oldest.sentAt + windowMs - Date.now();
      if (this.#ready.length < batchSize && left > 0) {
        setTimeout(() => this.#poll(), left);
        return;
      }
    }
  }

  async #deliver(): Promise<void> {
    const { batchSize, eventOf, mostReceives, comesBackAfterMs } = this.#shape;
    const messages = this.#ready.splice(0, batchSize);
    this.#busy += 1;
    const invocation = await this.#invoke(eventOf(messages));
    this.#busy -= 1;
    const failed = failedIds(
      invocation,
      messages.map(({ id }) => id),
      true,
    );
    const back = messages.filter(({ id, receives }) => failed.has(id) && receives < mostReceives);
    this.failed += failed.size;
    this.deadLetters += failed.size - back.length;
    this.#open -= messages.length - back.length;
    this.#show(
      back.map((message) => ({ ...message, receives: message.receives + 1 })),
      comesBackAfterMs,
    );
    this.#poll();
    if (this.#open === 0) this.#emptied?.();
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
export function queueEvent(messages: readonly QueuedMessage[]): unknown {
  return {
    Records: messages.map(({ id, body, receives, sentAt }) => ({
      messageId: id,
      receiptHandle: id,
      body,
      attributes: {
        ApproximateReceiveCount: String(receives),
        SentTimestamp: String(sentAt),
        SenderId: '111122223333',
        ApproximateFirstReceiveTimestamp: String(sentAt),
      },
      messageAttributes: {},
      md5OfBody: '',
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:111122223333:bench',
      awsRegion: 'us-east-1',
    })),
  };
}

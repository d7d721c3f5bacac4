import { Worker } from 'node:worker_threads';
import type { TurnableClock } from '../clock.ts';
import type { OnCall } from './aws-call.ts';
import type { QueuesMessage, QueuesReply, QueuesRequest } from './queues-worker.ts';

export type QueueOptions = {
  /** @default 30 */
  readonly visibilitySeconds?: number;
  /** @default 0 */
  readonly delaySeconds?: number;
  /** Where a message goes once it was received this often without being deleted. */
  readonly deadLetters?: { readonly queue: Queue; readonly maxReceiveCount: number };
};
export type Queue = { readonly name: string; readonly url: string; readonly arn: string };
export type Depth = { readonly visible: number; readonly inFlight: number; readonly delayed: number };
export type StoredMessage = {
  readonly messageId: string;
  readonly body: string;
  readonly sentAt: number;
  readonly receiveCount: number;
  readonly state: 'visible' | 'in-flight' | 'delayed';
};

type Inspected = { messages: { ready: Raw[]; delayed: Raw[]; inflight: { message: Raw }[] } };
type Raw = { messageId: string; body: string; sentTimestamp: number; approximateReceiveCount: number };
type Unsent<R> = R extends unknown ? Omit<R, 'id'> : never;

const account = '000000000000';

/** SQS: fauxqs, on the clock. Visibility and delays pass when the clock is turned, within some 20 ms. */
export class Queues {
  readonly url: string;
  readonly #worker: Worker;
  readonly #region: string;
  readonly #waiting = new Map<number, (reply: QueuesReply) => void>();
  #lastId = 0;

  private constructor(
    worker: Worker,
    { port, region, onCall }: { port: number; region: string; onCall: OnCall | undefined },
  ) {
    this.#worker = worker;
    this.#region = region;
    this.url = `http://127.0.0.1:${port}`;
    worker.on('message', (message: QueuesMessage) => {
      if ('call' in message) {
        onCall?.(message.call);
        return;
      }
      this.#waiting.get(message.id)?.(message);
      this.#waiting.delete(message.id);
    });
    worker.unref();
  }

  static async start({
    clock,
    region = 'us-east-1',
    onCall,
  }: {
    clock: TurnableClock;
    region?: string;
    onCall?: OnCall | undefined;
  }): Promise<Queues> {
    const worker = new Worker(new URL('queues-worker.ts', import.meta.url), {
      workerData: { offset: clock.offset, region, tellsOfCalls: onCall !== undefined },
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const port = await new Promise<number>((resolve, reject) => {
      worker.once('message', (reply: QueuesReply) => {
        resolve(Number(reply.answer));
      });
      worker.once('error', reject);
    });
    return new Queues(worker, { port, region, onCall });
  }

  async createQueue(name: string, options: QueueOptions = {}): Promise<Queue> {
    const { visibilitySeconds, delaySeconds, deadLetters } = options;
    const queue = {
      name,
      url: `${this.url}/${account}/${name}`,
      arn: `arn:aws:sqs:${this.#region}:${account}:${name}`,
    };
    const attributes = {
      ...(visibilitySeconds !== undefined && { VisibilityTimeout: String(visibilitySeconds) }),
      ...(delaySeconds !== undefined && { DelaySeconds: String(delaySeconds) }),
      ...(deadLetters !== undefined && {
        RedrivePolicy: JSON.stringify({
          deadLetterTargetArn: deadLetters.queue.arn,
          maxReceiveCount: deadLetters.maxReceiveCount,
        }),
      }),
    };
    await this.#ask({ kind: 'create', ...queue, attributes });
    return queue;
  }

  async depth(queue: Queue): Promise<Depth> {
    const { ready, delayed, inflight } = await this.#inspect(queue);
    return { visible: ready.length, inFlight: inflight.length, delayed: delayed.length };
  }

  /** What a queue holds, without receiving it. */
  async messages(queue: Queue): Promise<StoredMessage[]> {
    const { ready, delayed, inflight } = await this.#inspect(queue);
    return [
      ...ready.map((raw) => stored(raw, 'visible')),
      ...inflight.map(({ message }) => stored(message, 'in-flight')),
      ...delayed.map((raw) => stored(raw, 'delayed')),
    ];
  }

  /** Takes a message that another service of AWS sends: no function makes this call. */
  async send(queue: Queue, body: string): Promise<void> {
    await this.#ask({ kind: 'send', name: queue.name, body });
  }

  /** Answers every long poll of a queue now, empty: who hangs up instead leaves a poll behind that swallows a message. */
  async wake(queue: Queue): Promise<void> {
    await this.#ask({ kind: 'wake', name: queue.name });
  }

  async purge(queue: Queue): Promise<void> {
    await this.#ask({ kind: 'purge', name: queue.name });
  }

  async stop(): Promise<void> {
    await this.#ask({ kind: 'stop' });
    await this.#worker.terminate();
  }

  async #inspect(queue: Queue): Promise<Inspected['messages']> {
    const inspected = (await this.#ask({ kind: 'inspect', name: queue.name })) as Inspected | undefined;
    if (inspected === undefined) throw new Error(`there must be a queue ${queue.name}, there is none`);
    return inspected.messages;
  }

  async #ask(request: Unsent<QueuesRequest>): Promise<unknown> {
    const id = ++this.#lastId;
    const replied = new Promise<QueuesReply>((resolve) => this.#waiting.set(id, resolve));
    this.#worker.ref();
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- worker_threads, not a window
    this.#worker.postMessage({ ...request, id });
    const { answer, error } = await replied;
    if (this.#waiting.size === 0) this.#worker.unref();
    if (error !== undefined) throw new Error(error);
    return answer;
  }
}

function stored(raw: Raw, state: StoredMessage['state']): StoredMessage {
  return {
    messageId: raw.messageId,
    body: raw.body,
    sentAt: raw.sentTimestamp,
    receiveCount: raw.approximateReceiveCount,
    state,
  };
}

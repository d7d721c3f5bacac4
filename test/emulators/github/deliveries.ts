import { createHmac, randomUUID } from 'node:crypto';
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Clock } from '../clock.ts';
import type { Behaviour, DeliveryFate } from './behaviour.ts';

const day = 86_400_000;
/** As on GHES; github.com keeps them for three. */
const keptFor = 7 * day;

export type HookConfig = {
  readonly url: string | undefined;
  readonly contentType: 'json' | 'form';
  readonly insecureSsl: '0' | '1';
  readonly secret: string | undefined;
};

export type Delivery = {
  /** Beyond 2^53. */
  readonly id: string;
  /** The same for a delivery and its redeliveries. */
  readonly guid: string;
  readonly event: string;
  readonly action: string | null;
  readonly redelivery: boolean;
  readonly installationId: string | null;
  readonly repositoryId: string | null;
  readonly payload: Readonly<Record<string, unknown>>;
  url: string;
  deliveredAt: number;
  durationSeconds: number;
  /** As GitHub writes it: `OK`, `Invalid HTTP Response: 500`, `timed out`, ...; `pending` before it came to that. */
  status: string;
  /** 0 when there was no answer. */
  statusCode: number;
  request: { headers: Readonly<Record<string, string>>; body: string };
  response: { readonly headers: Readonly<Record<string, string>>; readonly body: string } | undefined;
};

export type Posting = {
  readonly event: string;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly guid?: string;
};

export type PostOptions = {
  readonly guid?: string;
  /** Signs with this instead of the App's secret; null leaves the signature out. */
  readonly secret?: string | null;
  /** Sent as it is, instead of a right signature. */
  readonly signature?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly url?: string;
};

export type PostAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

export type HookIdentity = { readonly hookId: number; readonly appId: string; readonly host: string };

type Sending = Pick<HookConfig, 'url' | 'contentType'> & {
  readonly event: string;
  readonly guid: string;
  readonly body: string;
  readonly secret: string | null | undefined;
  readonly signature?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
};

/** The App's webhook: posts each delivery once, keeps a log of it, and never tries again by itself. */
export class Deliveries {
  readonly #clock: Clock;
  readonly #behaviour: () => Behaviour;
  readonly #identity: HookIdentity;
  readonly #posted: (delivery: Delivery) => void;
  readonly #log: Delivery[] = [];
  readonly #waiting: Array<() => Promise<void>> = [];
  readonly #late = new Set<() => void>();
  readonly #abort = new AbortController();
  #underWay = 0;
  #lastId = 3_804_004_623_172_239_366n;
  #settled: Array<() => void> = [];
  config: HookConfig;

  constructor(
    clock: Clock,
    behaviour: () => Behaviour,
    options: {
      readonly config: HookConfig;
      readonly identity: HookIdentity;
      readonly posted: (delivery: Delivery) => void;
    },
  ) {
    this.#clock = clock;
    this.#behaviour = behaviour;
    this.#identity = options.identity;
    this.#posted = options.posted;
    this.config = options.config;
  }

  get identity(): HookIdentity {
    return this.#identity;
  }

  /** Oldest first. */
  get log(): readonly Delivery[] {
    const horizon = this.#clock.now() - keptFor;
    const old = this.#log.findIndex(({ deliveredAt }) => deliveredAt >= horizon);
    this.#log.splice(0, old === -1 ? this.#log.length : old);
    return this.#log;
  }

  find(id: string): Delivery | undefined {
    return this.log.find((delivery) => delivery.id === id);
  }

  /** Without a webhook URL nothing is posted, nor logged. */
  announce({ event, payload, guid = randomUUID() }: Posting): void {
    this.#dispatch({ event, payload, guid, redelivery: false });
  }

  redeliver({ event, payload, guid }: Delivery): void {
    this.#dispatch({ event, payload, guid, redelivery: true });
  }

  /** Resolves when nothing is under way; what is held back by `delayMs` does not count. */
  async settled(): Promise<void> {
    if (this.#underWay === 0 && this.#waiting.length === 0) return;
    await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  /** Posts outside of the log, for a test that forges. */
  async post(event: string, payload: unknown, options: PostOptions = {}): Promise<PostAnswer> {
    const { secret = this.config.secret, signature, headers, guid = randomUUID(), url = this.config.url } = options;
    const body = typeof payload === 'string' ? payload : JSON.stringify(payload);
    const { contentType } = this.config;
    return (await this.#send({ event, guid, body, secret, signature, headers, url, contentType })).answer;
  }

  stop(): void {
    for (const callOff of this.#late) callOff();
    this.#waiting.length = 0;
    this.#abort.abort();
  }

  #dispatch(posting: Required<Posting> & { readonly redelivery: boolean }): void {
    const { url } = this.config;
    if (url === undefined) return;
    const delivery = this.#create(posting, url);
    const { delayMs = 0, copies = 1, fail, lose } = composeFate(this.#behaviour().deliver(delivery));
    if (lose) return;
    const act = () => {
      for (let copy = 0; copy < copies; copy += 1) {
        const sent = copy === 0 ? delivery : this.#create(posting, url);
        if (fail === undefined) this.#enqueue(sent);
        else this.#fail(sent, fail);
      }
    };
    if (delayMs <= 0) {
      act();
      return;
    }
    const callOff = this.#clock.after(delayMs, () => {
      this.#late.delete(callOff);
      act();
    });
    this.#late.add(callOff);
  }

  #create(
    { event, payload, guid, redelivery }: Required<Posting> & { readonly redelivery: boolean },
    url: string,
  ): Delivery {
    this.#lastId += 1_000_003n;
    const { action, installation, repository } = payload as {
      readonly action?: string;
      readonly installation?: { readonly id: number };
      readonly repository?: { readonly id: number };
    };
    return {
      id: String(this.#lastId),
      guid,
      event,
      action: action ?? null,
      redelivery,
      installationId: installation === undefined ? null : String(installation.id),
      repositoryId: repository === undefined ? null : String(repository.id),
      payload,
      url,
      deliveredAt: this.#clock.now(),
      durationSeconds: 0,
      status: 'pending',
      statusCode: 0,
      request: { headers: {}, body: '' },
      response: undefined,
    };
  }

  #fail(delivery: Delivery, how: true | number): void {
    delivery.deliveredAt = this.#clock.now();
    delivery.request = { headers: {}, body: JSON.stringify(delivery.payload) };
    delivery.status = how === true ? 'timed out' : `Invalid HTTP Response: ${how}`;
    delivery.statusCode = how === true ? 0 : how;
    delivery.durationSeconds = how === true ? this.#behaviour().deliveryTimeoutMs / 1000 : 0.1;
    this.#record(delivery);
  }

  #enqueue(delivery: Delivery): void {
    this.#waiting.push(() => this.#deliver(delivery));
    this.#next();
  }

  #next(): void {
    if (this.#underWay >= this.#behaviour().deliveriesAtOnce) return;
    const send = this.#waiting.shift();
    if (send === undefined) {
      if (this.#underWay > 0) return;
      for (const resolve of this.#settled.splice(0)) resolve();
      return;
    }
    this.#underWay += 1;
    void send().finally(() => {
      this.#underWay -= 1;
      this.#next();
    });
  }

  async #deliver(delivery: Delivery): Promise<void> {
    delivery.deliveredAt = this.#clock.now();
    delivery.url = this.config.url ?? delivery.url;
    const { contentType, secret } = this.config;
    const { event, guid, url } = delivery;
    const body = JSON.stringify(delivery.payload);
    const started = performance.now();
    try {
      const { headers, answer } = await this.#send({ event, guid, body, secret, url, contentType });
      delivery.request = { headers, body };
      delivery.response = { headers: answer.headers, body: answer.body };
      delivery.statusCode = answer.status;
      delivery.status = answer.status >= 200 && answer.status < 300 ? 'OK' : `Invalid HTTP Response: ${answer.status}`;
    } catch (error) {
      delivery.request = { headers: {}, body };
      delivery.status = isTimeout(error) ? 'timed out' : 'failed to connect to host';
    }
    delivery.durationSeconds = Math.round(performance.now() - started) / 1000;
    if (!this.#abort.signal.aborted) this.#record(delivery);
  }

  #record(delivery: Delivery): void {
    this.#log.push(delivery);
    this.#posted(delivery);
  }

  async #send(sending: Sending): Promise<{ readonly headers: Record<string, string>; readonly answer: PostAnswer }> {
    const { url, body, contentType } = sending;
    if (url === undefined) throw new Error('the App must have a webhook URL');
    const bytes = Buffer.from(contentType === 'json' ? body : new URLSearchParams({ payload: body }).toString());
    const headers = { ...this.#headers(sending, bytes), ...sending.headers };
    const signal = AbortSignal.any([this.#abort.signal, AbortSignal.timeout(this.#behaviour().deliveryTimeoutMs)]);
    const answer = await new Promise<PostAnswer>((resolve, reject) => {
      const send = url.startsWith('https:') ? requestHttps : requestHttp;
      // A connection each: one kept alive may close under a delivery, and deliveries are not retried.
      const request = send(url, { method: 'POST', headers, signal, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)])),
            body: Buffer.concat(chunks).toString('utf8'),
          }),
        );
      });
      request.on('error', (error) => reject(signal.aborted ? (signal.reason as Error) : error));
      request.end(bytes);
    });
    return { headers, answer };
  }

  #headers({ event, guid, contentType, secret, signature }: Sending, bytes: Buffer): Record<string, string> {
    const sign = (algorithm: string) =>
      `${algorithm}=${createHmac(algorithm, secret ?? '')
        .update(bytes)
        .digest('hex')}`;
    const signatures: Record<string, string> =
      typeof secret === 'string' ? { 'X-Hub-Signature': sign('sha1'), 'X-Hub-Signature-256': sign('sha256') } : {};
    return {
      Accept: '*/*',
      'Content-Type': contentType === 'json' ? 'application/json' : 'application/x-www-form-urlencoded',
      'Content-Length': String(bytes.length),
      'User-Agent': 'GitHub-Hookshot/e5c3a1b',
      'X-GitHub-Delivery': guid,
      'X-GitHub-Enterprise-Host': this.#identity.host,
      'X-GitHub-Enterprise-Version': '3.19.0',
      'X-GitHub-Event': event,
      'X-GitHub-Hook-ID': String(this.#identity.hookId),
      'X-GitHub-Hook-Installation-Target-ID': this.#identity.appId,
      'X-GitHub-Hook-Installation-Target-Type': 'integration',
      ...signatures,
      ...(signature !== undefined && { 'X-Hub-Signature-256': signature }),
    };
  }
}

function composeFate(fate: DeliveryFate): Exclude<DeliveryFate, string> {
  switch (fate) {
    case 'now':
      return {};
    case 'lose':
      return { lose: true };
    case 'fail':
      return { fail: true };
    case 'twice':
      return { copies: 2 };
    default:
      return fate;
  }
}

// Not `instanceof`: under jest the signal's reason is of another realm.
const isTimeout = (error: unknown) => (error as { readonly name?: string }).name === 'TimeoutError';

import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { signerOf, type OnCall } from './aws-call.ts';
import { closeServer } from '../close-server.ts';

/** One call of an AWS JSON 1.0 or 1.1 service, as the SDK sent it. */
export type Call = {
  readonly operation: string;
  readonly input: Record<string, unknown>;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
};

/** An answer other than success. `type` is the exception's name as the SDK knows it. */
export class AwsError extends Error {
  readonly type: string;
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(type: string, message: string, { status = 400, fields = {} }: Partial<AwsErrorShape> = {}) {
    super(message);
    this.name = type;
    this.type = type;
    this.status = status;
    this.fields = fields;
  }
}
type AwsErrorShape = { readonly status: number; readonly fields: Readonly<Record<string, unknown>> };

/** A failure a test orders. With `after` the act is done and only its answer is lost, as when a connection breaks. */
export type Failure = {
  readonly type: string;
  readonly message?: string;
  readonly status?: number;
  readonly fields?: Readonly<Record<string, unknown>>;
  readonly after?: boolean;
};

export type JsonServiceOptions = {
  /** Prefix of error types, e.g. `com.amazonaws.dynamodb.v20120810#`; the SDK cuts it off. */
  readonly namespace?: string;
  readonly contentType: 'application/x-amz-json-1.0' | 'application/x-amz-json-1.1';
  readonly perform: (call: Call) => Promise<unknown>;
  /** Hears of every signed call, refused ones included. */
  readonly onCall?: OnCall | undefined;
  /** Answers requests that are no calls (metadata, credentials); false: not mine. */
  readonly serveOther?: (request: IncomingMessage, response: ServerResponse) => boolean;
};

/** The HTTP side of an emulated service: protocol, ordered failures, a count of calls. */
export class JsonService {
  /** How often each operation was called, refused calls included. */
  readonly calls = new Map<string, number>();
  /** Runs before each call is performed; what it awaits holds the call back, what it throws answers it. */
  beforeCall: ((call: Call) => void | Promise<void>) | undefined;
  readonly port: number;
  readonly #options: JsonServiceOptions;
  readonly #server: Server;
  readonly #failures = new Map<string, Failure[]>();

  private constructor(server: Server, options: JsonServiceOptions) {
    this.#server = server;
    this.#options = options;
    this.port = (server.address() as AddressInfo).port;
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(options: JsonServiceOptions): Promise<JsonService> {
    const server = createServer({ keepAliveTimeout: 600_000 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', 4096, resolve);
    });
    return new JsonService(server, options);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next `times` calls of an operation fail. Those ordered first come first. */
  failNext(operation: string, failure: Failure, times = 1): void {
    const failures = this.#failures.get(operation) ?? [];
    failures.push(...Array.from({ length: times }, () => failure));
    this.#failures.set(operation, failures);
  }

  async stop(): Promise<void> {
    await closeServer(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (this.#options.serveOther?.(request, response) === true) return;
    try {
      const body = await readBody(request);
      const answer = await this.#answer(request, body);
      this.#send(response, 200, answer);
    } catch (error) {
      if (response.destroyed) return;
      const refusal =
        error instanceof AwsError
          ? error
          : new AwsError(
              'InternalFailure',
              `the emulator broke: ${error instanceof Error ? error.stack : String(error)}`,
              { status: 500 },
            );
      this.#send(response, refusal.status, {
        __type: `${this.#options.namespace ?? ''}${refusal.type}`,
        message: refusal.message,
        ...refusal.fields,
      });
    }
  }

  async #answer(request: IncomingMessage, body: Buffer): Promise<unknown> {
    const operation = headerOf(request, 'x-amz-target').split('.').at(-1) ?? '';
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1);
    const call: Call = {
      operation,
      input: parseInput(body),
      method: request.method ?? 'POST',
      path: request.url ?? '/',
      headers: Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [
          name,
          Array.isArray(value) ? value.join(',') : (value ?? ''),
        ]),
      ),
      body,
    };
    const signer = this.#options.onCall && signerOf(call.headers['authorization'] ?? '');
    if (signer !== undefined) this.#options.onCall?.({ ...signer, operation, input: call.input });
    await this.beforeCall?.(call);
    const failure = this.#failures.get(operation)?.shift();
    if (failure !== undefined && failure.after !== true) throw errorOf(failure);
    const answer = await this.#options.perform(call);
    if (failure !== undefined) throw errorOf(failure);
    return answer;
  }

  #send(response: ServerResponse, status: number, answer: unknown): void {
    const text = Buffer.from(JSON.stringify(answer ?? {}));
    // It would be that of real time: where a test has turned the clock, the SDK takes every error for one of its own clock, and tries again.
    response.sendDate = false;
    response.writeHead(status, {
      'content-type': this.#options.contentType,
      'content-length': text.length,
      'x-amzn-requestid': randomUUID(),
    });
    response.end(text);
  }
}

export function sha256(text: string | Buffer): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Text that is equal for equal values, whatever the order of their keys. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function headerOf(request: IncomingMessage, name: string): string {
  const value = request.headers[name];
  return typeof value === 'string' ? value : '';
}

function parseInput(body: Buffer): Record<string, unknown> {
  try {
    const input: unknown = JSON.parse(body.length === 0 ? '{}' : body.toString());
    if (typeof input === 'object' && input !== null) return input as Record<string, unknown>;
  } catch {
    // Falls through: neither text that is no JSON nor JSON that is no object is a call.
  }
  throw new AwsError('SerializationException', 'the request must be a JSON object');
}

function errorOf({ type, message, status, fields }: Failure): AwsError {
  return new AwsError(type, message ?? defaultMessages[type] ?? type, {
    status: status ?? (type.startsWith('Server') || type.startsWith('Internal') ? 500 : 400),
    ...(fields !== undefined && { fields }),
  });
}

const defaultMessages: Readonly<Record<string, string>> = {
  ThrottlingException: 'Rate exceeded',
  BlockedException: 'Your account is currently blocked.',
  AccessDeniedException: 'User is not authorized to perform this operation',
  ServerException: 'Service Unavailable. Please try again later.',
};

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.ts';
import type { Invocation, Invoke } from './lambda.ts';
import { closeServer } from '../close-server.ts';

export type HttpApiOptions = {
  readonly clock: Clock;
  readonly invoke: Invoke;
  /** @default 'POST /webhook' */
  readonly route?: string;
  /** Real time; AWS's limit is 30 s, hard. @default 30000 */
  readonly timeoutMs?: number;
};

type ProxyResult = {
  readonly statusCode?: number;
  readonly headers?: Readonly<Record<string, string | number | boolean>>;
  readonly cookies?: readonly string[];
  readonly body?: string;
  readonly isBase64Encoded?: boolean;
};

const maxBodyBytes = 10 * 1024 * 1024;
const maxHeaderBytes = 10_240;

/** An API Gateway HTTP API with one route to one function, payload format 2.0. */
export class HttpApi {
  readonly url: string;
  readonly #server: Server;
  readonly #options: Required<HttpApiOptions>;

  private constructor(server: Server, options: Required<HttpApiOptions>) {
    this.#server = server;
    this.#options = options;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request, response) => void this.#serve(request, response));
  }

  static async start(options: HttpApiOptions): Promise<HttpApi> {
    const server = createServer({ maxHeaderSize: maxHeaderBytes, keepAliveTimeout: 600_000 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', 4096, resolve);
    });
    return new HttpApi(server, { route: 'POST /webhook', timeoutMs: 30_000, ...options });
  }

  async stop(): Promise<void> {
    await closeServer(this.#server);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path = '/'] = (request.url ?? '/').split('?');
    if (`${request.method} ${path}` !== this.#options.route) {
      request.resume();
      refuse(response, 404, 'Not Found');
      return;
    }
    const body = await readUpTo(request, maxBodyBytes).catch(() => undefined);
    if (body === undefined) return;
    if (body === 'too large') {
      refuse(response, 413, 'Request Entity Too Large');
      return;
    }
    const event = eventOf(request, body, { clock: this.#options.clock, routeKey: this.#options.route });
    const answer = await this.#invoke(event);
    if (answer === 'late') refuse(response, 503, 'Service Unavailable');
    else if (answer === undefined || !answer.ok) refuse(response, 500, 'Internal Server Error');
    else send(response, answer.result);
  }

  async #invoke(event: unknown): Promise<Invocation | 'late' | undefined> {
    const { promise: late, resolve } = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => {
      resolve('late');
    }, this.#options.timeoutMs);
    try {
      return await Promise.race([this.#options.invoke(event), late]);
    } catch {
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }
}

function eventOf(
  request: IncomingMessage,
  body: Buffer,
  { clock, routeKey }: { clock: Clock; routeKey: string },
): unknown {
  const [rawPath = '/', rawQueryString = ''] = (request.url ?? '/').split('?');
  const headers = joinHeaders(request);
  const { cookie, ...others } = headers;
  const isText = isTextual(headers) && body.equals(Buffer.from(body.toString()));
  const query = [...new URLSearchParams(rawQueryString).entries()];
  const at = new Date(clock.now());
  return {
    version: '2.0',
    routeKey,
    rawPath,
    rawQueryString,
    ...(cookie !== undefined && { cookies: cookie.split(/; ?/) }),
    headers: others,
    ...(query.length > 0 && { queryStringParameters: joinDuplicates(query) }),
    requestContext: {
      accountId: '111122223333',
      apiId: 'emulated',
      domainName: headers['host'] ?? '',
      domainPrefix: 'emulated',
      http: {
        method: request.method,
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: request.socket.remoteAddress ?? '127.0.0.1',
        userAgent: headers['user-agent'] ?? '',
      },
      requestId: randomUUID(),
      routeKey,
      stage: '$default',
      time: accessLogTime(at),
      timeEpoch: at.getTime(),
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}

/** Lower-case names; what came twice is joined by commas. Node itself would drop some duplicates, so read the raw ones. */
function joinHeaders(request: IncomingMessage): Record<string, string> {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < request.rawHeaders.length; at += 2) {
    pairs.push([(request.rawHeaders[at] ?? '').toLowerCase(), request.rawHeaders[at + 1] ?? '']);
  }
  return joinDuplicates(pairs);
}

function joinDuplicates(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of pairs) joined[name] = joined[name] === undefined ? value : `${joined[name]},${value}`;
  return joined;
}

/** What API Gateway hands over as text; anything else, forms included, comes in base64. */
function isTextual(headers: Readonly<Record<string, string>>): boolean {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') return false;
  const type = (headers['content-type'] ?? 'application/json').split(';')[0]?.trim().toLowerCase() ?? '';
  return type.startsWith('text/') || /^application\/(json|javascript|xml|[^/]+\+(json|xml))$/.test(type);
}

function accessLogTime(at: Date): string {
  const [, day, month, year, time] = /^\w+, (\d+) (\w+) (\d+) ([\d:]+)/.exec(at.toUTCString()) ?? [];
  return `${day}/${month}/${year}:${time} +0000`;
}

async function readUpTo(request: IncomingMessage, limit: number): Promise<Buffer | 'too large'> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= limit) chunks.push(chunk);
  }
  return size > limit ? 'too large' : Buffer.concat(chunks);
}

function refuse(response: ServerResponse, status: number, message: string): void {
  send(response, {
    statusCode: status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ message }),
  });
}

/** A result with a status is an answer; any other is a 200 with the result as JSON. */
function send(response: ServerResponse, result: unknown): void {
  const shaped = typeof result === 'object' && result !== null && 'statusCode' in result;
  const answer: ProxyResult = shaped
    ? (result as ProxyResult)
    : { body: typeof result === 'string' ? result : JSON.stringify(result) };
  const body = Buffer.from(answer.body ?? '', answer.isBase64Encoded === true ? 'base64' : 'utf8');
  response.writeHead(answer.statusCode ?? 200, {
    'content-type': shaped ? 'text/plain;charset=UTF-8' : 'application/json',
    'content-length': body.length,
    'apigw-requestid': randomUUID(),
    ...Object.fromEntries(
      Object.entries(answer.headers ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
    ),
    ...(answer.cookies !== undefined && { 'set-cookie': [...answer.cookies] }),
  });
  response.end(body);
}

import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { closeServer } from '../emulators/close-server.ts';
import { messageOf } from '../../functions/contracts/with-github/errors.ts';

/** A request that somebody else than MiniStack answers. */
type Diversion = {
  readonly matches: (target: string) => boolean;
  /** @returns the port on this machine that answers instead */
  readonly divert: (target: string, body: Buffer) => Promise<number>;
};

/** A call, and what it was answered. */
export type Answered = {
  /** `AmazonSSM.GetParameter`, or method and path where a service has no such header. */
  readonly call: string;
  readonly request: Buffer;
  readonly status: number;
  readonly answer: string;
};

const siteMark = '/_site/';

/**
 * The one address of AWS: CLI, functions, tasks and tests ask here. It does what a plain port of MiniStack cannot:
 *
 * - AWS is asked over TLS, and bucket and queue policies deny whoever does not. On the loopback there is none to speak of, so
 *   requests are marked as having come over it.
 * - `https://<id>.execute-api...` needs a name server that knows `localhost`'s subdomains; `siteUrl` gives an address without one.
 * - Some calls are answered by an emulator that does them better: see `divert`.
 */
export class Gateway {
  readonly url: string;
  /** Called after each call, whoever made it. */
  onAnswer: (answered: Answered) => void = () => undefined;
  readonly #server: Server;
  #miniStack = 0;
  #diversion: Diversion | undefined;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (incoming, response) => void this.#serve(incoming, response));
  }

  static async start(): Promise<Gateway> {
    const server = createServer({ keepAliveTimeout: 600_000, requestTimeout: 0 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', 4096, resolve);
    });
    return new Gateway(server);
  }

  /** MiniStack's own port, known once it is chosen. */
  leadTo(port: number): void {
    this.#miniStack = port;
  }

  divert(diversion: Diversion): void {
    this.#diversion = diversion;
  }

  /** The same page as `address` shows, at an address that needs no name server. */
  siteUrl(address: string): string {
    const { host, pathname } = new URL(address);
    return `${this.url}${siteMark}${host}${pathname}`;
  }

  async stop(): Promise<void> {
    await closeServer(this.#server);
  }

  async #serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const { path, host } = placeOf(incoming);
      const target = String(incoming.headers['x-amz-target'] ?? '');
      const body = await bytesOf(incoming);
      const diverted = this.#diversion?.matches(target) === true;
      const port = diverted ? await this.#diversion?.divert(target, body) : this.#miniStack;
      const headers = { ...incoming.headers, host, 'x-forwarded-proto': 'https' };
      const outgoing = request(
        {
          host: '127.0.0.1',
          port,
          method: incoming.method,
          path,
          headers: { ...headers, 'content-length': body.length },
        },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502, answer.headers);
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.once('end', () => {
            this.onAnswer({
              call: target === '' ? `${incoming.method} ${host}${path}` : target,
              request: body,
              status: answer.statusCode ?? 502,
              answer: Buffer.concat(chunks).toString(),
            });
          });
          answer.pipe(response);
        },
      );
      outgoing.on('error', (error) => {
        fail(response, error);
      });
      response.on('close', () => {
        outgoing.destroy();
      });
      outgoing.end(body);
    } catch (error) {
      fail(response, error);
    }
  }
}

function placeOf(incoming: IncomingMessage): { readonly path: string; readonly host: string } {
  const path = incoming.url ?? '/';
  if (!path.startsWith(siteMark)) return { path, host: incoming.headers.host ?? '127.0.0.1' };
  const [host = '', ...rest] = path.slice(siteMark.length).split('/');
  return { path: `/${rest.join('/')}`, host };
}

async function bytesOf(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function fail(response: ServerResponse, error: unknown): void {
  if (!response.headersSent) response.writeHead(502, { 'content-type': 'text/plain' });
  response.end(messageOf(error));
}

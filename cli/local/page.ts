import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Snapshot } from './snapshot.ts';

export type PageOptions = {
  readonly port: number;
  readonly look: () => Snapshot;
  /** Grows with every change. */
  readonly version: () => number;
  /** A body to sign and post, of a job that does not exist. */
  readonly exampleDelivery: () => unknown;
};

const page = readFileSync(new URL('page.html', import.meta.url));
/** A browser cannot use more, and a thousand jobs are half a megabyte. */
const updateMs = 250;
const slowUpdateMs = 1000;
const mostJobs = 100;
const mostMoving = 50;
const mostWaiting = 30;
const mostDecisions = 60;

/** The local page: HTML, and what it shows as JSON, once or as a stream. Listens on this machine alone. */
export class Page {
  readonly url: string;
  readonly #server: Server;
  readonly #options: PageOptions;
  readonly #watchers = new Set<ServerResponse>();
  readonly #timer: NodeJS.Timeout;
  #sent = -1;
  #sentAt = 0;

  private constructor(server: Server, options: PageOptions) {
    this.#server = server;
    this.#options = options;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    server.on('request', (request, response) => this.#serve(request, response));
    this.#timer = setInterval(() => this.#update(), updateMs);
  }

  /** @throws Error with code EADDRINUSE or EACCES when the port cannot be had */
  static async start(options: PageOptions): Promise<Page> {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(options.port, '127.0.0.1', resolve);
    });
    return new Page(server, options);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#sent = -1;
    this.#sentAt = 0;
    this.#update();
    for (const watcher of this.#watchers) watcher.end('event: end\ndata: {}\n\n');
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    // Another site's page must not read this one under a name of its own that points here.
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(request.headers.host ?? '')) {
      answer(response, 421, 'text/plain', 'ask for 127.0.0.1');
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      answer(response, 405, 'text/plain', 'GET is all there is', { allow: 'GET, HEAD' });
      return;
    }
    const [path = '/'] = (request.url ?? '/').split('?');
    switch (path) {
      case '/':
        answer(response, 200, 'text/html; charset=utf-8', page, {
          'content-security-policy':
            "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:",
        });
        return;
      case '/state.json':
        answer(response, 200, 'application/json', JSON.stringify(this.#options.look(), null, 2));
        return;
      case '/example-delivery.json':
        answer(response, 200, 'application/json', JSON.stringify(this.#options.exampleDelivery()));
        return;
      case '/events':
        this.#watch(response);
        return;
      default:
        answer(response, 404, 'text/plain', 'there is /, /state.json, /events and /example-delivery.json');
    }
  }

  #watch(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(frame(this.#options.look()));
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
  }

  #update(): void {
    const version = this.#options.version();
    if (this.#watchers.size === 0 || version === this.#sent) return;
    const snapshot = this.#options.look();
    const now = performance.now();
    if (snapshot.jobs.length > mostJobs && now - this.#sentAt < slowUpdateMs) return;
    this.#sent = version;
    this.#sentAt = now;
    const text = frame(snapshot);
    for (const watcher of this.#watchers) {
      // Who does not read gets the next one.
      if (!watcher.writableNeedDrain) watcher.write(text);
    }
  }
}

/** What moves, who waits longest, and the newest of what is done: a page has only so much room. */
function frame(snapshot: Snapshot): string {
  const {
    moving = [],
    queued = [],
    done = [],
  } = Object.groupBy(snapshot.jobs, ({ phase }) => (phase === 'done' || phase === 'queued' ? phase : 'moving'));
  const shown = [...moving.slice(0, mostMoving), ...queued.slice(0, mostWaiting)];
  const jobs = [...shown, ...done.slice(-Math.max(1, mostJobs - shown.length))].toSorted((a, b) => a.number - b.number);
  return `data: ${JSON.stringify({ ...snapshot, jobs, decisions: snapshot.decisions.slice(-mostDecisions) })}\n\n`;
}

function answer(
  response: ServerResponse,
  status: number,
  type: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...headers,
  });
  response.end(body);
}

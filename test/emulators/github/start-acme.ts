import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createAppAuth } from '@octokit/auth-app';
import { Octokit } from '@octokit/rest';
import { TurnableClock } from '../clock.ts';
import { GitHubEmulator, type GitHubOptions } from './server.ts';

type Posted = { readonly headers: Readonly<Record<string, unknown>>; readonly body: string };

/** An endpoint for deliveries that remembers what it got. */
class Receiver {
  readonly posted: Posted[] = [];
  readonly url: string;
  status = 202;
  readonly #server: ReturnType<typeof createServer>;

  static async start(): Promise<Receiver> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Receiver(server);
  }

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/webhook`;
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        this.posted.push({ headers: request.headers, body: Buffer.concat(chunks).toString('utf8') });
        if (this.status === 0) return;
        response.writeHead(this.status).end('received');
      });
    });
  }

  /** The action of each workflow_job, in the order of arrival. */
  get actions(): string[] {
    return this.posted.map(({ body }) => (JSON.parse(body) as { action: string }).action);
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

/** A GitHub with the organization `acme`, its repository `acme/app` and the person `dev` with `dev/toy`, all installed. */
export async function startAcme(options: Partial<GitHubOptions> = {}) {
  const clock = new TurnableClock();
  const receiver = await Receiver.start();
  const github = await GitHubEmulator.start({
    clock,
    webhookUrl: receiver.url,
    webhookSecret: 'It is a secret',
    ...options,
  });
  github.addAccount({ login: 'acme' });
  github.addAccount({ login: 'dev', type: 'User' });
  github.addRepository('acme/app');
  github.addRepository('dev/toy');
  const installations = { acme: github.install('acme').id, dev: github.install('dev').id };
  const stop = async () => {
    await github.stop();
    await receiver.stop();
    clock.stop();
    const broken = github.contractViolations.map(({ by, where, problem }) => `${by}: ${where}: ${problem}`);
    if (broken.length > 0) throw new Error(`GitHub's API description must be kept:\n${broken.join('\n')}`);
  };
  return { clock, github, receiver, installations, stop };
}

export const silence = { debug() {}, info() {}, warn() {}, error() {} };

/** octokit as anyone would set it up: as the App, or as one of its installations. */
export function connect({ apiUrl, app }: GitHubEmulator, installationId?: number): Octokit {
  const auth = { appId: app.id, privateKey: app.privateKey, ...(installationId !== undefined && { installationId }) };
  return new Octokit({ baseUrl: apiUrl, authStrategy: createAppAuth, auth, log: silence });
}

type Lines = Readonly<Record<string, string>>;
export type ServiceAnswer = { readonly status: number; readonly lines: Lines };

/** A runner that speaks PROTOCOL.md by hand, a step at a time. */
export class HandRunner {
  readonly #url: string;
  #authorization: string;
  #session = '';
  request = '';

  private constructor(url: string, credential: string) {
    this.#url = url;
    this.#authorization = `Bearer ${credential}`;
  }

  static async call(url: string, authorization: string, form: Lines = {}): Promise<ServiceAnswer> {
    return say(url, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) });
  }

  static async register(github: GitHubEmulator, scope: string, form: Lines = {}): Promise<HandRunner> {
    const { status, lines } = await HandRunner.tryRegister(github, scope, form);
    if (status !== 200) throw new Error(`registration must succeed, got ${status} ${lines['error']}`);
    return new HandRunner(github.url, lines['credential'] ?? '');
  }

  static async tryRegister(github: GitHubEmulator, scope: string, form: Lines = {}): Promise<ServiceAnswer> {
    const { token } = github.issueRegistrationToken(scope);
    const usual = { url: `${github.url}/${scope}`, name: 'runner-1', labels: 'self-hosted,Linux,X64,small' };
    return HandRunner.call(`${github.url}/_services/register`, `RemoteAuth ${token}`, {
      ...usual,
      ephemeral: 'true',
      disableupdate: 'true',
      version: '2.336.0',
      ...form,
    });
  }

  async open(): Promise<ServiceAnswer> {
    const answer = await this.#post('session', { version: '2.336.0' });
    this.#session = answer.lines['session'] ?? this.#session;
    return answer;
  }

  async poll(seconds = 50): Promise<ServiceAnswer> {
    const query = new URLSearchParams({ session: this.#session, 'poll-seconds': String(seconds) });
    const answer = await say(`${this.#url}/_services/message?${query.toString()}`, { headers: this.#headers });
    this.request = answer.lines['request'] ?? this.request;
    return answer;
  }

  async acquire(): Promise<ServiceAnswer> {
    return this.#post('acquire', { request: this.request });
  }

  async renew(): Promise<ServiceAnswer> {
    return this.#post('renew', { request: this.request });
  }

  async complete(result = 'Succeeded'): Promise<ServiceAnswer> {
    return this.#post('complete', { request: this.request, result });
  }

  async close(): Promise<ServiceAnswer> {
    return say(`${this.#url}/_services/session?session=${this.#session}`, { method: 'DELETE', headers: this.#headers });
  }

  get #headers() {
    return { authorization: this.#authorization };
  }

  async #post(path: string, form: Lines): Promise<ServiceAnswer> {
    return HandRunner.call(`${this.#url}/_services/${path}`, this.#authorization, form);
  }
}

async function say(url: string, init: RequestInit): Promise<ServiceAnswer> {
  const response = await fetch(url, init);
  const text = await response.text();
  const lines = text.split('\n').filter((line) => line !== '');
  const pairs = lines.map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)] as const);
  return { status: response.status, lines: Object.fromEntries(pairs) };
}

import { EventEmitter } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../clock.ts';
import {
  Accounts,
  type Account,
  type AccountOptions,
  type Installation,
  type InstallationOptions,
  type Repository,
  type RepositoryOptions,
  type RunnerGroup,
  type RunnerGroupOptions,
} from './accounts.ts';
import { AppAuth } from './app-auth.ts';
import { Assignments } from './assignments.ts';
import { usualBehaviour, type Behaviour, type RequestFate } from './behaviour.ts';
import { loadContract, type ContractViolation } from './contract.ts';
import { Deliveries, type Delivery, type PostAnswer, type PostOptions } from './deliveries.ts';
import { Jobs, type Announcement, type Job, type JobAction, type JobOptions, type Run } from './jobs.ts';
import { AppManifests, type AppManifest } from './manifests.ts';
import { Payloads, type InstallationAction } from './payloads.ts';
import { RateLimits } from './rate-limit.ts';
import { defineOperations } from './rest-operations.ts';
import { RestApi } from './rest.ts';
import { RunnerServices } from './runner-services.ts';
import { Runners, scopeOf, type Runner, type RunnerToken } from './runners.ts';
import { Shapes, type AppShape, type Shape } from './shapes.ts';

export type GitHubOptions = Partial<Behaviour> & {
  readonly clock: Clock;
  readonly port?: number;
  readonly webhookUrl?: string;
  readonly webhookSecret?: string;
  /** GitHub's own default for an App is `form`; most tests mean JSON. */
  readonly webhookContentType?: 'json' | 'form';
};

export type GitHubApp = {
  readonly id: string;
  readonly clientId: string;
  readonly slug: string;
  readonly name: string;
  /** PKCS#1 PEM. */
  readonly privateKey: string;
  readonly webhookSecret: string | undefined;
  readonly webhookUrl: string | undefined;
};

/** A runner as it truly is; REST shows `busy` later. */
export type RunnerView = {
  readonly id: string;
  readonly name: string;
  /** `acme` or `acme/app`. */
  readonly scope: string;
  readonly group: string;
  readonly labels: readonly string[];
  readonly ephemeral: boolean;
  readonly version: string | null;
  readonly online: boolean;
  readonly busy: boolean;
  readonly jobId: string | undefined;
};

export type AnsweredRequest = {
  readonly at: number;
  readonly kind: 'rest' | 'service';
  readonly method: string;
  readonly path: string;
  readonly operation: string | undefined;
  readonly status: number;
  readonly durationMs: number;
};

type Events = {
  job: [job: Readonly<Job>];
  delivery: [delivery: Readonly<Delivery>];
  request: [request: AnsweredRequest];
};

const restPrefix = '/api/v3';
const servicesPrefix = '/_services/';

/** A GitHub host in this process: the App's REST API, its webhook deliveries, and the services runners talk to. */
export class GitHubEmulator {
  /** The web origin, where runners register: `${url}/acme`. */
  readonly url: string;
  readonly apiUrl: string;
  readonly contractViolations: ContractViolation[] = [];
  readonly #clock: Clock;
  readonly #server: Server;
  readonly #events = new EventEmitter<Events>();
  readonly #identity: AppShape;
  readonly #contract = loadContract();
  readonly #accounts = new Accounts();
  readonly #auth: AppAuth;
  readonly #jobs: Jobs;
  readonly #runners: Runners;
  readonly #assignments: Assignments;
  readonly #deliveries: Deliveries;
  readonly #payloads: Payloads;
  readonly #limits: RateLimits;
  readonly #manifests: AppManifests;
  readonly #rest: RestApi;
  readonly #services: RunnerServices;
  #behaviour: Behaviour;
  #downUntil = -Infinity;

  static async start({ port = 0, ...options }: GitHubOptions): Promise<GitHubEmulator> {
    const server = createServer({ keepAliveTimeout: 60_000, requestTimeout: 0 });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return new GitHubEmulator(server, options);
  }

  private constructor(server: Server, options: Omit<GitHubOptions, 'port'>) {
    const { clock, webhookUrl, webhookSecret, webhookContentType = 'json', ...knobs } = options;
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.#server = server;
    this.#clock = clock;
    this.url = `http://${host}`;
    this.apiUrl = `${this.url}${restPrefix}`;
    this.#behaviour = { ...usualBehaviour, ...knobs };
    const behaviour = () => this.#behaviour;
    this.#identity = {
      id: '700001',
      clientId: 'Iv23liEmulatedApp001',
      slug: 'fargate-runners',
      name: 'fargate-runners',
      createdAt: clock.now(),
    };
    this.#auth = new AppAuth(clock, this.#identity);
    this.#limits = new RateLimits(clock);
    const shapes = new Shapes(this);
    this.#payloads = new Payloads(shapes, this.#identity, ({ login }) => this.#accounts.installationOf(login));
    this.#deliveries = new Deliveries(clock, behaviour, {
      config: { url: webhookUrl, secret: webhookSecret, contentType: webhookContentType, insecureSsl: '0' },
      identity: { hookId: 500_000_001, appId: this.#identity.id, host },
      posted: (delivery) => this.#events.emit('delivery', delivery),
    });
    this.#assignments = new Assignments(clock, behaviour, {
      accounts: this.#accounts,
      jobs: () => this.#jobs,
      runners: () => this.#runners,
    });
    this.#runners = new Runners(clock, behaviour, { retired: (runner) => this.#assignments.retire(runner) });
    this.#jobs = new Jobs(clock, behaviour, {
      ready: (job) => this.#assignments.enqueue(job),
      gone: (job) => this.#assignments.withdraw(job),
      announce: (job, action, announcement) => this.#announceJob(job, action, announcement),
      changed: (job) => this.#events.emit('job', job),
    });
    this.#manifests = new AppManifests(
      () => clock.now(),
      (manifest) => this.#adopt(manifest),
    );
    const violate = (violation: ContractViolation) => this.contractViolations.push(violation);
    this.#rest = new RestApi({
      clock,
      behaviour,
      contract: this.#contract,
      auth: this.#auth,
      limits: this.#limits,
      apiUrl: this.apiUrl,
      violate,
      operations: defineOperations({
        clock,
        behaviour,
        shapes,
        app: this.#identity,
        owner: () => this.#accounts.installations[0]?.account ?? { id: 1, login: 'owner', type: 'User' },
        accounts: this.#accounts,
        auth: this.#auth,
        jobs: this.#jobs,
        runners: this.#runners,
        deliveries: this.#deliveries,
        manifests: this.#manifests,
        limits: this.#limits,
        url: this.url,
      }),
    });
    this.#services = new RunnerServices(clock, behaviour, {
      accounts: this.#accounts,
      runners: this.#runners,
      assignments: this.#assignments,
      url: this.url,
    });
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      void this.#receive(request, response);
    });
  }

  get app(): GitHubApp {
    const { id, clientId, slug, name } = this.#identity;
    const { secret, url } = this.#deliveries.config;
    return { id, clientId, slug, name, privateKey: this.#auth.privateKey, webhookSecret: secret, webhookUrl: url };
  }

  // Who and what there is.

  addAccount(options: AccountOptions): Account {
    return this.#accounts.addAccount(options);
  }

  addRepository(fullName: string, options?: RepositoryOptions): Repository {
    return this.#accounts.addRepository(fullName, options);
  }

  /** Adds a runner group to an organization, or changes the one of that name; `Default` is always there. */
  addRunnerGroup(login: string, options: RunnerGroupOptions): RunnerGroup {
    const group = this.#accounts.addRunnerGroup(login, options);
    this.#assignments.reconsider();
    return group;
  }

  install(login: string, options?: InstallationOptions): Installation {
    return this.#accounts.install(login, this.#clock.now(), options);
  }

  /** Its tokens die with it; a later `install` has another id. */
  uninstall(login: string): Installation {
    const installation = this.#accounts.uninstall(login);
    this.#auth.revokeTokensOf(installation);
    return installation;
  }

  suspend(login: string): Installation {
    return this.#accounts.suspend(login, this.#clock.now());
  }

  unsuspend(login: string): Installation {
    return this.#accounts.suspend(login, undefined);
  }

  // Jobs and runners.

  queueJob(options: JobOptions): Readonly<Job> {
    return this.#jobs.add(this.#accounts.getRepository(options.repo), options);
  }

  approveJob(id: string): void {
    this.#jobs.approve(this.#job(id));
  }

  cancelJob(id: string): void {
    this.#jobs.cancel(this.#job(id));
  }

  /** @returns the job's successor, in the next attempt of its run. */
  rerunJob(id: string): Readonly<Job> {
    const run = this.#jobs.run(this.#job(id).runId) as Run;
    return this.#jobs.rerun(run, (job) => job.id === id)[0] as Job;
  }

  job(id: string): Readonly<Job> {
    return this.#job(id);
  }

  /** Oldest first. */
  get jobs(): ReadonlyArray<Readonly<Job>> {
    return [...this.#jobs.all];
  }

  get runners(): readonly RunnerView[] {
    return [...this.#runners.all].map((runner) => this.#view(runner));
  }

  /** For a test that needs a runner's token and no App. */
  issueRegistrationToken(scope: string): RunnerToken {
    const repository = this.#accounts.findRepository(scope);
    const account = repository?.owner ?? this.#accounts.getAccount(scope);
    return this.#runners.issueToken(scopeOf(account, repository), 'registration');
  }

  // Deliveries.

  /** The delivery log, oldest first. */
  get deliveries(): ReadonlyArray<Readonly<Delivery>> {
    return this.#deliveries.log;
  }

  setWebhook(config: { readonly url?: string; readonly contentType?: 'json' | 'form' }): void {
    this.#deliveries.config = { ...this.#deliveries.config, ...config };
  }

  rotateSecret(secret: string | undefined): void {
    this.#deliveries.config = { ...this.#deliveries.config, secret };
  }

  rotatePrivateKey(options?: { readonly deleteOld?: boolean }): string {
    return this.#auth.rotateKey(options);
  }

  ping(): void {
    const { hookId } = this.#deliveries.identity;
    const { url, contentType, insecureSsl, secret } = this.#deliveries.config;
    const config = {
      url,
      content_type: contentType,
      insecure_ssl: insecureSsl,
      ...(secret !== undefined && { secret: '********' }),
    };
    this.#announce('ping', this.#payloads.ping({ id: hookId, config }, this.#clock.now()));
  }

  announceInstallation(installation: Installation, action: InstallationAction): void {
    const repositories = this.#accounts.repositoriesOf(installation);
    this.#announce('installation', this.#payloads.installation(installation, action, repositories));
  }

  /** What GitHub would post for a job as it stands now, for a test that bends it and posts it itself. */
  describeJob(id: string, action: JobAction): Shape {
    return this.#payloads.workflowJob(this.#job(id), action);
  }

  /** Signs and posts anything, past the log. */
  async post(event: string, payload: unknown, options?: PostOptions): Promise<PostAnswer> {
    return this.#deliveries.post(event, payload, options);
  }

  redeliver(id: string): void {
    const delivery = this.#deliveries.find(id);
    if (delivery === undefined) throw new Error(`delivery must be in the log, got ${id}`);
    this.#deliveries.redeliver(delivery);
  }

  /** Resolves when no delivery is under way; those held back by `delayMs` do not count. */
  async deliveriesSettled(): Promise<void> {
    await this.#deliveries.settled();
  }

  // How it behaves.

  behave(knobs: Partial<Behaviour>): void {
    this.#behaviour = { ...this.#behaviour, ...knobs };
    for (const part of [this.#jobs, this.#runners, this.#assignments]) part.rearm();
  }

  /** Every request is answered 503 for so long. */
  goDown(ms: number): void {
    this.#downUntil = this.#clock.now() + ms;
  }

  setRateLimit(login: string, allowance: { readonly limit?: number; readonly used?: number }): void {
    this.#limits.set(String(this.#accounts.getInstallation(login).id), allowance);
  }

  on<Name extends keyof Events>(name: Name, listener: (...args: Events[Name]) => void): () => void {
    const emitter = this.#events as EventEmitter;
    emitter.on(name, listener as (...args: unknown[]) => void);
    return () => emitter.off(name, listener as (...args: unknown[]) => void);
  }

  async stop(): Promise<void> {
    for (const part of [this.#services, this.#jobs, this.#runners, this.#assignments, this.#deliveries]) part.stop();
    this.#events.removeAllListeners();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }

  #job(id: string): Job {
    const job = this.#jobs.job(id);
    if (job === undefined) throw new Error(`job must exist, got ${id}`);
    return job;
  }

  #view(runner: Runner): RunnerView {
    const { id, name, scope, groupName, labels, ephemeral, version, assignment } = runner;
    return {
      id: String(id),
      name,
      scope: scope.repository?.fullName ?? scope.account.login,
      group: groupName,
      labels,
      ephemeral,
      version,
      online: this.#runners.isOnline(runner),
      busy: assignment !== undefined,
      jobId: assignment?.job.id,
    };
  }

  /** An App hears only of accounts where it is installed and not suspended. */
  #announceJob(job: Job, action: JobAction, announcement: Announcement): void {
    const installation = this.#accounts.installationOf(job.repository.owner.login);
    if (installation === undefined || installation.suspendedAt !== undefined) return;
    if (!this.#accounts.covers(installation, job.repository)) return;
    this.#announce('workflow_job', this.#payloads.workflowJob(job, action), announcement);
  }

  #announce(event: string, payload: Shape, announcement: Announcement = {}): void {
    for (const problem of this.#contract.judgeWebhook(event, payload)) {
      this.contractViolations.push({ by: 'emulator', where: `${event} ${String(payload['action'])}`, problem });
    }
    this.#deliveries.announce({ event, payload, ...announcement });
  }

  /** There is one App: a manifest's becomes this one. */
  #adopt({ hook_attributes: hook }: AppManifest): Shape {
    if (hook?.active !== false) this.#deliveries.config = { ...this.#deliveries.config, url: hook?.url };
    const { id, clientId, slug, name, privateKey, webhookSecret } = this.app;
    const at = new Date(this.#identity.createdAt).toISOString();
    return {
      id: Number(id),
      slug,
      node_id: `A_${id}`,
      client_id: clientId,
      client_secret: 'c'.repeat(40),
      webhook_secret: webhookSecret ?? null,
      pem: privateKey,
      owner: new Shapes(this).user({ id: 1, login: 'owner', type: 'User' }),
      name,
      description: null,
      external_url: this.url,
      html_url: `${this.url}/apps/${slug}`,
      created_at: at,
      updated_at: at,
      permissions: { actions: 'read', metadata: 'read', organization_self_hosted_runners: 'write' },
      events: ['workflow_job'],
    };
  }

  async #receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const started = performance.now();
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const method = request.method ?? 'GET';
    const kind = pathname.startsWith(servicesPrefix) ? 'service' : 'rest';
    const path = kind === 'service' ? pathname.slice(servicesPrefix.length) : pathname.slice(restPrefix.length);
    const operation = kind === 'rest' ? this.#contract.match(method, path)?.operation.id : undefined;
    const seen = { method, url: request.url ?? '/', path, authorization: request.headers.authorization ?? '' };
    response.once('close', () => {
      const durationMs = Math.round(performance.now() - started);
      this.#events.emit('request', {
        at: this.#clock.now(),
        kind,
        method,
        path,
        operation,
        status: response.statusCode,
        durationMs,
      });
    });
    try {
      const body = await readBody(request);
      const fate = this.#behaviour.failRequests(operation === undefined ? seen : { ...seen, operation });
      if (await this.#meet(fate, response)) return;
      if (fate === 'lose-answer') swallow(response);
      if (kind === 'service') {
        this.#services.answer({ message: request, path, query: searchParams, form: parseForm(body) }, response);
        return;
      }
      if (pathname.startsWith(`${restPrefix}/`)) {
        this.#rest.answer({ message: request, path, query: searchParams, body }, response);
        return;
      }
      this.#showWeb(method, pathname, { form: parseForm(body), state: searchParams.get('state') }, response);
    } catch (error) {
      this.contractViolations.push({ by: 'emulator', where: `${method} ${path}`, problem: String(error) });
      if (!response.headersSent) response.writeHead(500, { 'Content-Type': 'text/plain' });
      response.end(String(error));
    }
  }

  /** True when the request has met its end. */
  async #meet(fate: RequestFate, response: ServerResponse): Promise<boolean> {
    if (this.#clock.now() < this.#downUntil) {
      response.writeHead(503, { 'Content-Type': 'text/html' }).end('<title>Unicorn! &middot; GitHub</title>');
      return true;
    }
    if (fate === undefined || fate === 'lose-answer') return false;
    if (fate === 'reset') {
      response.destroy();
      return true;
    }
    if (typeof fate === 'object' && 'delayMs' in fate) {
      await new Promise<void>((resolve) => this.#clock.after(fate.delayMs, resolve));
      return false;
    }
    const { status, headers, body } = typeof fate === 'number' ? { status: fate, headers: {}, body: undefined } : fate;
    response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
    response.end(JSON.stringify(body ?? { message: 'told to fail', documentation_url: '', status: String(status) }));
    return true;
  }

  #showWeb(
    method: string,
    path: string,
    { form, state }: { readonly form: URLSearchParams; readonly state: string | null },
    response: ServerResponse,
  ): void {
    const isNewApp = /^(\/organizations\/[^/]+)?\/settings\/apps\/new$/.test(path);
    const target = method === 'POST' && isNewApp ? this.#manifests.submit(form, state) : undefined;
    if (target === undefined) response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not Found');
    else response.writeHead(302, { Location: target }).end();
  }
}

/** The request is carried out, and the connection closes before its answer. */
function swallow(response: ServerResponse): void {
  response.end = () => response.destroy();
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

const parseForm = (body: Buffer) => new URLSearchParams(body.toString('utf8'));

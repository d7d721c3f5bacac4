import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import type { Accounts, RunnerGroup } from './accounts.ts';
import type { Assignments } from './assignments.ts';
import type { Behaviour } from './behaviour.ts';
import type { Conclusion } from './jobs.ts';
import { isOlder, scopeOf, type Runner, type Runners, type Scope, type Session } from './runners.ts';

const conclusions: Readonly<Record<string, Conclusion>> = {
  Succeeded: 'success',
  Failed: 'failure',
  Canceled: 'cancelled',
};

export type ServiceRequest = {
  readonly message: IncomingMessage;
  /** After `/_services/`. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly form: URLSearchParams;
};

type Lines = Readonly<Record<string, string | number>>;

const isTrue = (value: string | null) => value !== null && !['', '0', 'false', 'no'].includes(value.toLowerCase());

/** The other end of the stand-in runner's wire, see ../PROTOCOL.md. */
export class RunnerServices {
  readonly #clock: Clock;
  readonly #behaviour: () => Behaviour;
  readonly #accounts: Accounts;
  readonly #runners: Runners;
  readonly #assignments: Assignments;
  readonly #url: string;
  readonly #polls = new Set<() => void>();

  constructor(
    clock: Clock,
    behaviour: () => Behaviour,
    parts: {
      readonly accounts: Accounts;
      readonly runners: Runners;
      readonly assignments: Assignments;
      readonly url: string;
    },
  ) {
    this.#clock = clock;
    this.#behaviour = behaviour;
    this.#accounts = parts.accounts;
    this.#runners = parts.runners;
    this.#assignments = parts.assignments;
    this.#url = parts.url;
  }

  answer(request: ServiceRequest, response: ServerResponse): void {
    response.setHeader('Date', new Date(this.#clock.now()).toUTCString());
    const call = `${request.message.method} ${request.path}`;
    if (call === 'POST register') {
      this.#register(request, response);
      return;
    }
    const credential = /^Bearer (.+)$/.exec(request.message.headers.authorization ?? '')?.[1] ?? '';
    const runner = this.#runners.byCredential(credential);
    switch (call) {
      case 'POST session':
        this.#openSession(runner, request.form, response);
        return;
      case 'GET message':
        this.#poll(runner, request.query, response);
        return;
      case 'POST acquire':
        this.#acquire(runner, request.form, response);
        return;
      case 'POST renew':
        this.#renew(runner, request.form, response);
        return;
      case 'POST complete':
        this.#complete(runner, request.form, response);
        return;
      case 'DELETE session':
        this.#closeSession(runner, request.query, response);
        return;
      default:
        refuse(response, 404, 'no such service');
    }
  }

  stop(): void {
    for (const end of this.#polls) end();
  }

  #register({ message, form }: ServiceRequest, response: ServerResponse): void {
    const token = /^RemoteAuth (.+)$/.exec(message.headers.authorization ?? '')?.[1] ?? '';
    const known = this.#runners.findToken(token, 'registration');
    const scope = this.#findScope(form.get('url') ?? '');
    if (known === undefined || scope?.key !== known.scope.key) {
      refuse(response, 404, 'the token is bad or expired, or not for this url');
      return;
    }
    const version = form.get('version') ?? '';
    if (this.#isTooOld(version)) {
      refuse(response, 403, `deprecated: runner version v${version} is deprecated and cannot receive messages`);
      return;
    }
    if (!this.#runners.countRegistration(scope)) {
      response.setHeader('Retry-After', '60');
      refuse(response, 429, 'too many registrations in this scope');
      return;
    }
    const group = this.#findGroup(scope, form.get('group') ?? '');
    const name = form.get('name') ?? '';
    if (group === undefined || !/^[\w.-]{1,64}$/.test(name)) {
      refuse(response, 422, group === undefined ? 'no such runner group' : 'name must be 1 to 64 of A-Z a-z 0-9 . _ -');
      return;
    }
    const runner = this.#runners.register({
      scope,
      name,
      group,
      labels: (form.get('labels') ?? '')
        .split(',')
        .map((label) => label.trim())
        .filter((label) => label !== ''),
      ephemeral: isTrue(form.get('ephemeral')),
      os: 'linux',
      version,
      replace: isTrue(form.get('replace')),
    });
    if (runner === undefined) {
      refuse(response, 409, 'a runner with this name exists already');
      return;
    }
    send(response, 200, { 'runner-id': runner.id, credential: runner.credential });
  }

  #openSession(runner: Runner | undefined, form: URLSearchParams, response: ServerResponse): void {
    if (runner?.state !== 'registered') {
      refuse(response, 401, 'invalid_client');
      return;
    }
    const version = form.get('version');
    if (this.#isTooOld(version ?? runner.version ?? '')) {
      refuse(response, 403, `deprecated: runner version v${version} is deprecated and cannot receive messages`);
      return;
    }
    const session = this.#runners.openSession(runner, version);
    if (session === undefined) {
      refuse(response, 409, 'a session for this runner already exists');
      return;
    }
    this.#runners.notice(runner);
    this.#assignments.offer(runner);
    send(response, 200, { session: session.id });
  }

  #poll(runner: Runner | undefined, query: URLSearchParams, response: ServerResponse): void {
    const session = runner?.session;
    if (runner === undefined || runner.state === 'deleted') {
      refuse(response, 404, 'the registration was deleted');
      return;
    }
    if (session === undefined || session.id !== query.get('session')) {
      refuse(response, 410, 'the session is gone');
      return;
    }
    this.#runners.notice(runner);
    this.#assignments.offer(runner);
    if (tell(runner, response)) return;
    session.wake?.();
    this.#hold(runner, session, query, response);
  }

  /** Keeps the poll open until there is something to say, its time is over, or the runner hangs up. */
  #hold(runner: Runner, session: Session, query: URLSearchParams, response: ServerResponse): void {
    const longest = this.#behaviour().pollSeconds;
    const seconds = Math.min(Number(query.get('poll-seconds') ?? longest), longest);
    const release = () => {
      callOff();
      this.#polls.delete(end);
      response.off('close', release);
      if (session.wake === end) session.wake = undefined;
      this.#runners.notice(runner);
    };
    const end = () => {
      release();
      if (runner.state === 'deleted') {
        refuse(response, 404, 'the registration was deleted');
        return;
      }
      if (runner.session !== session) {
        refuse(response, 410, 'the session is gone');
        return;
      }
      if (!tell(runner, response)) response.writeHead(204).end();
    };
    const callOff = this.#clock.after(seconds * 1000, end);
    this.#polls.add(end);
    session.wake = end;
    response.on('close', release);
  }

  #acquire(runner: Runner | undefined, form: URLSearchParams, response: ServerResponse): void {
    const job = runner && this.#assignments.acquire(runner, form.get('request') ?? '');
    if (job === undefined) {
      refuse(response, 404, 'the job is gone');
      return;
    }
    const script = Buffer.from(job.script).toString('base64');
    send(response, 200, { 'job-id': job.id, 'job-name': job.name, repository: job.repository.fullName, script });
  }

  #renew(runner: Runner | undefined, form: URLSearchParams, response: ServerResponse): void {
    const job = runner && this.#assignments.renew(runner, form.get('request') ?? '');
    if (runner === undefined || job === undefined) {
      refuse(response, 404, 'no such request');
      return;
    }
    this.#runners.notice(runner);
    send(response, 200, job.cancelRequested ? { cancel: 'true' } : {});
  }

  #complete(runner: Runner | undefined, form: URLSearchParams, response: ServerResponse): void {
    const conclusion = conclusions[form.get('result') ?? ''];
    if (conclusion === undefined) {
      refuse(response, 400, 'result must be Succeeded, Failed or Canceled');
      return;
    }
    const job = runner && this.#assignments.complete(runner, form.get('request') ?? '', conclusion);
    if (runner === undefined || job === undefined) {
      refuse(response, 404, 'no such request');
      return;
    }
    this.#runners.notice(runner);
    send(response, 200, {});
  }

  #closeSession(runner: Runner | undefined, query: URLSearchParams, response: ServerResponse): void {
    if (runner === undefined || runner.state !== 'registered') {
      refuse(response, 401, 'invalid_client');
      return;
    }
    if (runner.session === undefined || runner.session.id !== query.get('session')) {
      refuse(response, 404, 'no such session');
      return;
    }
    this.#runners.closeSession(runner);
    send(response, 200, {});
  }

  #isTooOld(version: string): boolean {
    const minimum = this.#behaviour().minimumRunnerVersion;
    return minimum !== undefined && isOlder(version, minimum);
  }

  #findScope(url: string): Scope | undefined {
    if (!url.startsWith(`${this.#url}/`)) return undefined;
    const [login = '', name] = url
      .slice(this.#url.length + 1)
      .replace(/\/$/, '')
      .split('/');
    if (name !== undefined) {
      const repository = this.#accounts.findRepository(`${login}/${name}`);
      return repository && scopeOf(repository.owner, repository);
    }
    const account = this.#accounts.findAccount(login);
    return account?.type === 'Organization' ? scopeOf(account) : undefined;
  }

  #findGroup({ account, repository }: Scope, name: string): RunnerGroup | undefined {
    const wanted = (name === '' ? 'Default' : name).toLowerCase();
    const group = this.#accounts.groupsOf(account.login).find((each) => each.name.toLowerCase() === wanted);
    return repository !== undefined && group?.id !== 1 ? undefined : group;
  }
}

function send(response: ServerResponse, status: number, lines: Lines): void {
  const text = Object.entries(lines)
    .map(([key, value]) => `${key} ${String(value).replaceAll(/\s+/g, ' ')}\n`)
    .join('');
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text);
}

function refuse(response: ServerResponse, status: number, reason: string): void {
  send(response, status, { error: reason });
}

/** Tells the runner of the job it was given; false when there is nothing to tell. */
function tell({ assignment, state }: Runner, response: ServerResponse): boolean {
  if (assignment === undefined || assignment.acquired || state !== 'registered') return false;
  const { request, job } = assignment;
  send(response, 200, { 'job-id': job.id, request, 'job-name': job.name });
  return true;
}

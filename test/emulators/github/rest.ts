import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../clock.ts';
import type { AppAuth, InstallationToken } from './app-auth.ts';
import type { Behaviour } from './behaviour.ts';
import type { Contract, ContractViolation, MatchedOperation } from './contract.ts';
import type { Allowance, RateLimits } from './rate-limit.ts';
import { notFound, printJson, refuse, type RestAnswer } from './rest-answers.ts';
import { permits, type RestCall, type RestOperation } from './rest-operation.ts';

const apiVersions = new Set(['2022-11-28', '2026-03-10']);

/** Operations that some hosts do not have, which a client may therefore try. */
const optional = /^\/(orgs\/[^/]+|repos\/[^/]+\/[^/]+)\/actions\/runners\/deprecations\/[^/]+$/;

export type RestRequest = {
  readonly message: IncomingMessage;
  /** After the prefix, without query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly body: Buffer;
};

type Bearer =
  | { readonly kind: 'app'; readonly id: 'app' }
  | { readonly kind: 'installation'; readonly id: string; readonly token: InstallationToken }
  | { readonly kind: 'nobody'; readonly id: 'nobody' };

export type RestOptions = {
  readonly clock: Clock;
  readonly behaviour: () => Behaviour;
  readonly contract: Contract;
  readonly auth: AppAuth;
  readonly limits: RateLimits;
  readonly operations: Readonly<Record<string, RestOperation>>;
  readonly apiUrl: string;
  readonly violate: (violation: ContractViolation) => void;
};

/** What every REST request goes through: who asks, may they, how often, and does it keep to GitHub's API description. */
export class RestApi {
  readonly #options: RestOptions;

  constructor(options: RestOptions) {
    this.#options = options;
  }

  answer(request: RestRequest, response: ServerResponse): void {
    const { clock } = this.#options;
    response.setHeader('Date', new Date(clock.now()).toUTCString());
    response.setHeader('X-GitHub-Request-Id', requestId());
    response.setHeader('X-GitHub-Enterprise-Version', '3.19.0');
    response.setHeader('X-GitHub-Media-Type', 'github.v3; format=json');
    if (request.message.headers['user-agent'] === undefined) {
      response.writeHead(403, { 'Content-Type': 'text/plain' });
      response.end('Request forbidden by administrative rules. Please make sure your request has a User-Agent header.');
      return;
    }
    const matched = this.#options.contract.match(request.message.method ?? 'GET', request.path);
    const bearer = this.#identify(request.message.headers.authorization);
    if (typeof bearer === 'string') {
      this.#send(request, response, refuse(401, bearer));
      return;
    }
    const answer = this.#limit(request, bearer, matched) ?? this.#handle(request, bearer, matched, response);
    this.#send(request, response, answer, { bearer, matched });
  }

  #handle(
    { message, path, query, body }: RestRequest,
    bearer: Bearer,
    matched: MatchedOperation | undefined,
    response: ServerResponse,
  ): RestAnswer {
    const { apiUrl, contract, operations, violate } = this.#options;
    const where = `${message.method} ${path}`;
    const version = message.headers['x-github-api-version'];
    if (version !== undefined && !apiVersions.has(String(version))) {
      violate({ by: 'client', where, problem: `there is no API version ${String(version)}` });
      return { ...refuse(400, `Invalid API version ${String(version)}`), unforeseen: true };
    }
    const operation = matched && operations[matched.operation.id];
    if (matched === undefined || operation === undefined) {
      if (!optional.test(path)) violate({ by: 'client', where, problem: 'is not among the operations described' });
      return notFound;
    }
    const refusal = this.#authorise(operation, bearer, response);
    if (refusal !== undefined) return refusal;

    const parsed = parseBody(body);
    if (parsed === 'malformed') {
      violate({ by: 'client', where, problem: 'the body is not JSON' });
      return { ...refuse(400, 'Problems parsing JSON'), unforeseen: true };
    }
    const problems = contract.judgeRequest({ ...matched, query, body: parsed });
    if (problems.length > 0) {
      for (const problem of problems) violate({ by: 'client', where, problem });
      return { ...refuse(422, `Invalid request.\n\n${problems.join('\n')}`), unforeseen: true };
    }
    const call: RestCall = {
      parameters: matched.parameters,
      query,
      body: parsed as RestCall['body'],
      base: `${apiUrl}${path}`,
      token: bearer.kind === 'installation' ? bearer.token : undefined,
      bearer: bearer.id,
    };
    return operation.answer(call);
  }

  /** Who asks; a text when the credentials are bad. */
  #identify(authorization: string | undefined): Bearer | string {
    if (authorization === undefined) return { kind: 'nobody', id: 'nobody' };
    const [, scheme = '', credentials = ''] = /^(bearer|token) (.+)$/i.exec(authorization) ?? [];
    const { auth } = this.#options;
    if (scheme !== '' && /^[\w-]+\.[\w-]+\.[\w-]+$/.test(credentials) && !credentials.startsWith('ghs_')) {
      return auth.refuseJwt(credentials) ?? { kind: 'app', id: 'app' };
    }
    const token = auth.findToken(credentials);
    if (token === undefined) return 'Bad credentials';
    return { kind: 'installation', id: String(token.installation.id), token };
  }

  #authorise({ auth, permission }: RestOperation, bearer: Bearer, response: ServerResponse): RestAnswer | undefined {
    if (auth === 'nobody') return undefined;
    if (permission !== undefined) response.setHeader('X-Accepted-GitHub-Permissions', permission.join('='));
    if (bearer.kind === 'nobody') return refuse(401, 'Requires authentication');
    if (auth === 'app' && bearer.kind !== 'app') return refuse(401, 'A JSON web token could not be decoded');
    if (auth === 'installation' && bearer.kind !== 'installation') return refuse(401, 'Bad credentials');
    if (bearer.kind !== 'installation') return undefined;
    if (bearer.token.installation.suspendedAt !== undefined) return refuse(403, 'This installation has been suspended');
    if (permission !== undefined && !permits(bearer.token.permissions, permission)) {
      return refuse(403, 'Resource not accessible by integration');
    }
    return undefined;
  }

  #limit({ message }: RestRequest, bearer: Bearer, matched: MatchedOperation | undefined): RestAnswer | undefined {
    const { behaviour, limits } = this.#options;
    const { rateLimit, rateLimitStatus, secondaryPoints, secondaryRetryAfterSeconds } = behaviour();
    if (matched?.operation.id === 'rate-limit/get') return undefined;
    const reads = ['GET', 'HEAD', 'OPTIONS'].includes(message.method ?? 'GET');
    if (limits.look(bearer.id, rateLimit).remaining === 0) {
      const who = bearer.kind === 'installation' ? `installation ID ${bearer.id}` : bearer.id;
      return refuse(
        rateLimitStatus,
        `API rate limit exceeded for ${who}. If you reach out to GitHub Support for help, please include the request ID.`,
      );
    }
    if (limits.spend(bearer.id, reads ? 1 : 5) <= secondaryPoints) return undefined;
    return {
      ...refuse(
        rateLimitStatus,
        'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
      ),
      headers: secondaryRetryAfterSeconds === undefined ? {} : { 'Retry-After': String(secondaryRetryAfterSeconds) },
    };
  }

  #send(
    request: RestRequest,
    response: ServerResponse,
    answer: RestAnswer,
    seen?: { readonly bearer: Bearer; readonly matched: MatchedOperation | undefined },
  ): void {
    const checked = this.#check(request, answer, seen?.matched);
    const text = checked.body === undefined ? '' : printJson(checked.body);
    const etag = `W/"${createHash('sha256').update(text).digest('hex')}"`;
    const isRead = request.message.method === 'GET' && checked.status === 200;
    const unchanged = isRead && request.message.headers['if-none-match'] === etag;
    const free = unchanged || seen?.matched?.operation.id === 'rate-limit/get';
    if (seen !== undefined) {
      const { behaviour, limits } = this.#options;
      if (!free) limits.count(seen.bearer.id);
      for (const [name, value] of describeAllowance(limits.look(seen.bearer.id, behaviour().rateLimit))) {
        response.setHeader(name, value);
      }
    }
    for (const [name, value] of Object.entries(checked.headers ?? {})) response.setHeader(name, value);
    if (isRead) response.setHeader('ETag', etag);
    if (unchanged || text === '') {
      response.writeHead(unchanged ? 304 : checked.status).end();
      return;
    }
    response.writeHead(checked.status, { 'Content-Type': 'application/json; charset=utf-8' }).end(text);
  }

  #check({ message, path }: RestRequest, answer: RestAnswer, matched: MatchedOperation | undefined): RestAnswer {
    if (matched === undefined || answer.unforeseen) return answer;
    const { contract, violate } = this.#options;
    const body = answer.body === undefined ? undefined : (JSON.parse(printJson(answer.body)) as unknown);
    const problems = contract.judgeResponse(matched.operation, answer.status, body);
    for (const problem of problems) {
      violate({ by: 'emulator', where: `${answer.status} to ${message.method} ${path}`, problem });
    }
    return problems.length === 0 ? answer : refuse(500, `Server Error: ${problems.join('; ')}`);
  }
}

function describeAllowance({ limit, remaining, used, reset }: Allowance): ReadonlyArray<readonly [string, string]> {
  return [
    ['X-RateLimit-Limit', String(limit)],
    ['X-RateLimit-Remaining', String(remaining)],
    ['X-RateLimit-Used', String(used)],
    ['X-RateLimit-Reset', String(reset)],
    ['X-RateLimit-Resource', 'core'],
  ];
}

function parseBody(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch {
    return 'malformed';
  }
}

function requestId(): string {
  const hex = randomBytes(16).toString('hex').toUpperCase();
  return [hex.slice(0, 4), hex.slice(4, 10), hex.slice(10, 17), hex.slice(17, 24), hex.slice(24)].join(':');
}

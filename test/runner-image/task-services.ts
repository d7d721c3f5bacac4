import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { encodeClaim, type Claim } from '../../functions/contracts/with-tasks/claim.ts';
import { verifySignature } from '../emulators/aws/task-role.ts';

export type Call = {
  readonly route: string;
  readonly headers: Record<string, string>;
  readonly text: string;
  /** The fields of a form. */
  readonly form: URLSearchParams;
};

type Answer = { readonly status: number; readonly body: string | Buffer; readonly date?: number | null };
/**
 * A status, a status with a body, what a healthy world says (`answer`), or `hang` and `cut` for an answer that never comes or
 * breaks off.
 */
export type Reply = number | Answer | 'answer' | 'hang' | 'cut';

type Script = Reply | ((call: Call) => Reply | Promise<Reply>);

export const credentials = {
  accessKeyId: 'ASIAEXAMPLETASKROLE0',
  secretAccessKey: 'the/secret+key/of/the+task+role/0123456789',
  token: 'the+session/token==',
};

/**
 * Everything one task talks to, on one port: metadata, credentials, the claims table, GitHub's services, downloads.
 * It does what a healthy world does, unless a test has scripted the next answers of a route.
 */
export class TaskServices {
  readonly calls: Call[] = [];
  claim: Claim | undefined;
  readonly #scripts = new Map<string, Script[]>();
  readonly #jobs: string[] = [];
  readonly #server: Server;
  #wake: (() => void) | undefined;
  #assigned = 0;
  readonly #cancelled = new Set<string>();

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(port = 0): Promise<TaskServices> {
    const services = new TaskServices();
    await new Promise<void>((resolve) => services.#server.listen(port, '127.0.0.1', resolve));
    return services;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** The next answers of a route, such as `POST register`; the last one stays. */
  script(route: string, ...replies: Script[]): void {
    this.#scripts.set(route, replies);
  }

  count(route: string): number {
    return this.calls.filter((call) => call.route === route).length;
  }

  /** Gives the runner a job: a bash script. */
  assign(script: string): void {
    this.#jobs.push(script);
    this.#wake?.();
  }

  cancel(request: string): void {
    this.#cancelled.add(request);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const path = (request.url ?? '').split('?')[0] ?? '';
    const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, String(value)]));
    const route = headers['x-amz-target'] ?? `${request.method} ${path.replace('/_services/', '')}`;
    const call = { route, headers, text, form: new URLSearchParams(text) };
    this.calls.push(call);
    const scripts = this.#scripts.get(route);
    const script = (scripts?.length ?? 0) > 1 ? scripts?.shift() : scripts?.[0];
    const scripted = typeof script === 'function' ? await script(call) : script;
    const reply = scripted === undefined || scripted === 'answer' ? await this.#answer(call, request) : scripted;
    if (reply === 'hang') return;
    if (reply === 'cut') {
      response.writeHead(200, { 'content-length': '1000000' });
      response.write('half');
      response.destroy();
      return;
    }
    const { status, body, date = Date.now() } = typeof reply === 'number' ? { status: reply, body: '' } : reply;
    if (date === null) response.sendDate = false;
    else response.setHeader('date', new Date(date).toUTCString());
    response.writeHead(status).end(body);
  }

  async #answer(call: Call, request: IncomingMessage): Promise<Exclude<Reply, 'answer'>> {
    switch (call.route) {
      case 'GET /metadata/task':
        return json({
          Cluster: 'fleet',
          TaskARN: 'arn:aws:ecs:us-east-1:111122223333:task/fleet/0123',
          Family: 'ci_small',
          Revision: '7',
          Limits: { CPU: 0.5, Memory: 1024 },
          Containers: [
            {
              DockerId: 'b',
              Name: 'docker',
              Image: 'docker:dind',
              ImageID: 'sha256:d',
              Labels: { a: 'b' },
              Limits: { CPU: 2, Memory: 0 },
            },
            {
              DockerId: 'a',
              Name: 'runner',
              DockerName: 'ci-runner',
              Image: 'runner:1',
              ImageID: 'sha256:r',
              Labels: {},
            },
          ],
        });
      case 'GET /credentials':
        return json({
          RoleArn: 'arn',
          AccessKeyId: credentials.accessKeyId,
          SecretAccessKey: credentials.secretAccessKey,
          Token: credentials.token,
        });
      case 'DynamoDB_20120810.DeleteItem':
        return this.#deleteClaim(call);
      case 'POST register':
        return { status: 200, body: 'runner-id 7\ncredential the-runner-credential\n' };
      case 'POST session':
        return { status: 200, body: 'session s-1\n' };
      case 'GET message':
        return this.#nextJob(request);
      case 'POST acquire':
        return {
          status: 200,
          body: `job-id j-1\njob-name build\nscript ${Buffer.from(this.#jobs.at(-1) ?? '').toString('base64')}\n`,
        };
      case 'POST renew':
        return { status: 200, body: this.#cancelled.has(call.form.get('request') ?? '') ? 'cancel true\n' : '' };
      case 'POST complete':
      case 'DELETE session':
        return 200;
      default:
        return 404;
    }
  }

  async #deleteClaim({ headers, text }: Call): Promise<Answer> {
    try {
      await verifySignature(
        { method: 'POST', path: '/', headers, operation: 'DeleteItem', input: {}, body: Buffer.from(text) },
        credentials,
      );
    } catch (error) {
      return dynamoError('com.amazon.coral.service#InvalidSignatureException', String(error));
    }
    const { claim } = this;
    this.claim = undefined;
    if (claim === undefined) {
      return dynamoError(
        'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException',
        'The conditional request failed',
      );
    }
    return json({ Attributes: { id: { S: 'claim#c-1' }, expiresAt: { N: '1' }, body: { S: encodeClaim(claim) } } });
  }

  async #nextJob(request: IncomingMessage): Promise<Answer | number> {
    if (this.#jobs.length === this.#assigned) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        request.once('close', resolve);
      });
    }
    if (this.#jobs.length === this.#assigned) return 204;
    this.#assigned += 1;
    return { status: 200, body: 'job-id j-1\nrequest r-1\njob-name build\n' };
  }
}

/** A claim as `scale-up` makes it, at these services. */
export function claimAt(url: string, changes: Partial<Claim> = {}): Claim {
  return {
    url: `${url}/acme`,
    token: 'AREGISTRATIONTOKEN',
    name: 'ci-1234-81230000001-1',
    labels: ['fargate-small', 'linux'],
    idleSeconds: 60,
    maxSeconds: 120,
    ...changes,
  };
}

export const dynamoError = (type: string, message: string): Answer => ({
  status: 400,
  body: JSON.stringify({ __type: type, message }),
});

const json = (body: object): Answer => ({ status: 200, body: JSON.stringify(body) });

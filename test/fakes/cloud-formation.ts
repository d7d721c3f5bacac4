import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Deployment } from '../../functions/aws/deployments.ts';
import { closeServer } from '../emulators/close-server.ts';

type Answer = {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
};

/** Where CloudFormation waits for the answer of a custom resource: an address in S3 that is good for one PUT. */
export class CloudFormation {
  /** What came, refused or not, in the order of arrival. */
  readonly answers: Answer[] = [];
  /** The statuses of the next answers; after them it is 200. With 0 the connection breaks. */
  readonly statuses: number[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const { method, url: path, headers } = request;
        this.answers.push({ method, path, headers, body: Buffer.concat(chunks).toString() });
        const status = this.statuses.shift() ?? 200;
        if (status === 0) response.destroy();
        else response.writeHead(status).end();
      });
    });
  }

  static async start(): Promise<CloudFormation> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new CloudFormation(server);
  }

  get responseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/bucket/arn%3Aaws%3Acloudformation?X-Amz-Signature=abc%2Bdef`;
  }

  /** What it was told, in the order of arrival. */
  get told(): Record<string, unknown>[] {
    return this.answers.map(({ body }) => JSON.parse(body) as Record<string, unknown>);
  }

  /** A request as CloudFormation makes it: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-requests.html */
  ask(type: Deployment['RequestType'], parts: Partial<Deployment> = {}): Deployment {
    const common = {
      ServiceToken: 'arn:aws:lambda:us-east-1:111122223333:function:room',
      ResponseURL: this.responseUrl,
      StackId: 'arn:aws:cloudformation:us-east-1:111122223333:stack/github-runners-ci/0123abcd',
      RequestId: '5d478078-13e9-baf0-464a-7ef285ecc786',
      LogicalResourceId: 'EndFleetTasks0A1B2C3D',
      ResourceType: 'Custom::RunnerTasks',
      ResourceProperties: { ServiceToken: 'arn:aws:lambda:us-east-1:111122223333:function:room' },
    };
    const asked = {
      Create: { RequestType: 'Create', ...common },
      Update: {
        RequestType: 'Update',
        ...common,
        PhysicalResourceId: common.LogicalResourceId,
        OldResourceProperties: common.ResourceProperties,
      },
      Delete: { RequestType: 'Delete', ...common, PhysicalResourceId: common.LogicalResourceId },
    } satisfies Record<Deployment['RequestType'], Deployment>;
    return { ...asked[type], ...parts } as Deployment;
  }

  async stop(): Promise<void> {
    await closeServer(this.#server);
  }
}

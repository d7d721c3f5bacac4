import { CodeBuildClient } from '@aws-sdk/client-codebuild';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { ECRClient } from '@aws-sdk/client-ecr';
import { ECSClient } from '@aws-sdk/client-ecs';
import { SQSClient } from '@aws-sdk/client-sqs';
import { SSMClient } from '@aws-sdk/client-ssm';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { rootCredentials } from './ministack.ts';

export const region = 'us-east-1';
export const account = '000000000000';

type RoleCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiration: Date;
};

/** The emulated AWS, asked as the account's root. */
export class Aws {
  readonly ecs: ECSClient;
  readonly ssm: SSMClient;
  readonly sqs: SQSClient;
  readonly tables: DynamoDBDocumentClient;
  readonly builds: CodeBuildClient;
  readonly images: ECRClient;
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
    const options = { endpoint: url, region, credentials: rootCredentials };
    this.ecs = new ECSClient(options);
    this.ssm = new SSMClient(options);
    this.sqs = new SQSClient(options);
    this.builds = new CodeBuildClient(options);
    this.images = new ECRClient(options);
    this.tables = DynamoDBDocumentClient.from(new DynamoDBClient(options));
  }

  /** A service of the old protocol, parameters as a form and XML back. There is no client of these here. */
  async query(
    service: 'cloudformation' | 'iam' | 'sts',
    parameters: Readonly<Record<string, string>>,
  ): Promise<string> {
    return this.#ask(service, {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(parameters).toString(),
    });
  }

  /** A service of the JSON protocol that there is no client of here. */
  async call(service: 'logs' | 'events', target: string, input: unknown): Promise<unknown> {
    const text = await this.#ask(service, {
      headers: { 'content-type': 'application/x-amz-json-1.1', 'x-amz-target': target },
      body: JSON.stringify(input),
    });
    return JSON.parse(text === '' ? '{}' : text);
  }

  /** Runs a function as if its time had come. @throws Error when it failed */
  async invoke(functionName: string, event: unknown = {}): Promise<void> {
    const text = await this.#ask('lambda', {
      path: `2015-03-31/functions/${functionName}/invocations`,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(event),
    });
    if (text.includes('"errorMessage"')) throw new Error(`${functionName} failed: ${text}`);
  }

  /** MiniStack lets root past a trust policy that names a service: how a task gets the credentials of its role. */
  async assume(roleArn: string): Promise<RoleCredentials> {
    const xml = await this.query('sts', {
      Action: 'AssumeRole',
      Version: '2011-06-15',
      RoleArn: roleArn,
      RoleSessionName: 'task',
    });
    const [accessKeyId = '', secretAccessKey = '', sessionToken = '', expiration = ''] = [
      'AccessKeyId',
      'SecretAccessKey',
      'SessionToken',
      'Expiration',
    ].map((element) => textsOf(xml, element)[0]);
    return { accessKeyId, secretAccessKey, sessionToken, expiration: new Date(expiration) };
  }

  stop(): void {
    for (const client of [this.ecs, this.ssm, this.sqs, this.tables, this.builds, this.images]) client.destroy();
  }

  /** Of a signature MiniStack reads who asks for what; root's own it takes without a date as it is. */
  async #ask(
    service: string,
    { path = '', headers, body }: { path?: string; headers: Record<string, string>; body: string },
  ): Promise<string> {
    const credential = `${rootCredentials.accessKeyId}/20260101/${region}/${service}/aws4_request`;
    const answer = await fetch(`${this.#url}/${path}`, {
      method: 'POST',
      headers: {
        ...headers,
        authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=0`,
      },
      body,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${service} answered ${answer.status}: ${text}`);
    return text;
  }
}

/** The texts of all elements of a name. */
export function textsOf(xml: string, element: string): string[] {
  return [...xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map(([, text = '']) => text);
}

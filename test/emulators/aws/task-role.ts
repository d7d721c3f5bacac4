import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import { AwsError, sha256, type Call } from './aws-json.ts';

/** What ECS hands a task at its credentials address. */
export type TaskCredentials = {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly token: string;
};

const skewMs = 15 * 60_000;

/**
 * Checks a signed call the way AWS does, with AWS's own signing code.
 * Against real time, not the turned clock: tasks are processes, and they live in real time.
 * @throws AwsError
 */
export async function verifySignature(call: Call, credentials: TaskCredentials): Promise<void> {
  const { scope, signedHeaders, signature } = parseAuthorization(call.headers['authorization'] ?? '');
  const [, day, region, service] = scope;
  if (service !== 'dynamodb') {
    throw new AwsError('InvalidSignatureException', `Credential should be scoped to correct service: 'dynamodb'.`);
  }
  const signedAt = parseAmzDate(call.headers['x-amz-date'] ?? '');
  if (Math.abs(Date.now() - signedAt.getTime()) > skewMs) {
    throw new AwsError(
      'InvalidSignatureException',
      `Signature expired: ${call.headers['x-amz-date']} is not within 15 min.`,
    );
  }
  for (const name of ['host', 'x-amz-date', 'x-amz-security-token']) {
    if (!signedHeaders.includes(name)) {
      throw new AwsError('InvalidSignatureException', `'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
    }
  }
  const claimed = call.headers['x-amz-content-sha256'];
  if (claimed !== undefined && claimed !== sha256(call.body)) {
    throw new AwsError('InvalidSignatureException', `x-amz-content-sha256 must be the body's digest, got ${claimed}`);
  }
  const signer = new SignatureV4({
    credentials: {
      accessKeyId: credentials.accessKeyId,
      secretAccessKey: credentials.secretAccessKey,
      sessionToken: credentials.token,
    },
    region: region ?? '',
    service,
    sha256: Sha256,
    applyChecksum: false,
  });
  const [path = '/', search = ''] = call.path.split('?');
  const signed = await signer.sign(
    {
      method: call.method,
      protocol: 'http:',
      hostname: '127.0.0.1',
      path,
      query: Object.fromEntries(new URLSearchParams(search)),
      headers: Object.fromEntries(signedHeaders.map((name) => [name, call.headers[name] ?? ''])),
      body: call.body,
    },
    { signingDate: signedAt, signableHeaders: new Set(signedHeaders) },
  );
  const expected = parseAuthorization(signed.headers['authorization'] ?? '');
  if (expected.scope[1] !== day || !equalText(expected.signature, signature)) {
    throw new AwsError(
      'InvalidSignatureException',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method.',
    );
  }
}

/** The access key a call is signed with; undefined when it carries no signature we can read. */
export function signingKeyOf(call: Call): string | undefined {
  return /Credential=([^/,\s]+)\//.exec(call.headers['authorization'] ?? '')?.[1];
}

function parseAuthorization(text: string): { scope: string[]; signedHeaders: string[]; signature: string } {
  const match = /^AWS4-HMAC-SHA256 (.*)$/.exec(text)?.[1] ?? '';
  const parts = new Map(
    match.split(',').map((part) => {
      const [name = '', ...value] = part.trim().split('=');
      return [name, value.join('=')] as const;
    }),
  );
  const scope = (parts.get('Credential') ?? '').split('/');
  const signedHeaders = (parts.get('SignedHeaders') ?? '').split(';').filter((name) => name !== '');
  const signature = parts.get('Signature') ?? '';
  if (scope.length !== 5 || scope[4] !== 'aws4_request' || signedHeaders.length === 0 || signature === '') {
    throw new AwsError(
      'IncompleteSignatureException',
      `Authorization header is not a complete AWS4-HMAC-SHA256 signature`,
    );
  }
  return { scope, signedHeaders, signature };
}

function parseAmzDate(text: string): Date {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) {
    throw new AwsError('IncompleteSignatureException', `Date must be in ISO-8601 'basic format'. Got '${text}'.`);
  }
  const [, year, month, day, hour, minute, second] = parts;
  return new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function equalText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

type Bytes = string | ArrayBuffer | ArrayBufferView;

class Sha256 {
  readonly #hash;

  constructor(secret?: Bytes) {
    this.#hash = secret === undefined ? createHash('sha256') : createHmac('sha256', bytesOf(secret));
  }

  update(chunk: Bytes): void {
    this.#hash.update(bytesOf(chunk));
  }

  async digest(): Promise<Uint8Array> {
    return Promise.resolve(this.#hash.digest());
  }

  reset(): void {
    throw new Error('a digest is computed once');
  }
}

function bytesOf(value: Bytes): Buffer {
  if (typeof value === 'string') return Buffer.from(value);
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  return Buffer.from(value);
}

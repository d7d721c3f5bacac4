import type { Clock } from '../clock.ts';
import type { OnCall } from './aws-call.ts';
import { AwsError, JsonService, type Call, type Failure } from './aws-json.ts';

type Parameter = {
  readonly name: string;
  readonly type: 'String' | 'StringList' | 'SecureString';
  readonly value: string;
  readonly version: number;
  readonly modifiedAt: number;
};
export type ParametersOptions = {
  readonly clock: Clock;
  readonly account?: string;
  readonly region?: string;
  readonly onCall?: OnCall | undefined;
};

const types = ['String', 'StringList', 'SecureString'];

/** SSM Parameter Store: standard tier, by name. */
export class Parameters {
  readonly service: JsonService;
  readonly #parameters: Map<string, Parameter>;
  readonly #clock: Clock;

  private constructor(service: JsonService, parameters: Map<string, Parameter>, clock: Clock) {
    this.service = service;
    this.#parameters = parameters;
    this.#clock = clock;
  }

  static async start({
    clock,
    account = '111122223333',
    region = 'us-east-1',
    onCall,
  }: ParametersOptions): Promise<Parameters> {
    const parameters = new Map<string, Parameter>();
    const arn = (name: string): string =>
      `arn:aws:ssm:${region}:${account}:parameter${name.startsWith('/') ? '' : '/'}${name}`;
    const service = await JsonService.start({
      contentType: 'application/x-amz-json-1.1',
      perform: async (call) => Promise.resolve(perform(call, { parameters, clock, arn })),
      onCall,
    });
    return new Parameters(service, parameters, clock);
  }

  get url(): string {
    return this.service.url;
  }

  /** Sets a parameter as an operator would from a terminal, overwriting. */
  put(name: string, value: string, type: Parameter['type'] = 'SecureString'): void {
    put(this.#parameters, { name, value, type, at: this.#clock.now() });
  }

  value(name: string): string | undefined {
    return this.#parameters.get(name)?.value;
  }

  failNext(operation: string, failure: Failure = { type: 'ThrottlingException' }, times = 1): void {
    this.service.failNext(operation, failure, times);
  }

  async stop(): Promise<void> {
    await this.service.stop();
  }
}

type Store = {
  readonly parameters: Map<string, Parameter>;
  readonly clock: Clock;
  readonly arn: (name: string) => string;
};

function perform({ operation, input }: Call, store: Store): unknown {
  switch (operation) {
    case 'GetParameter': {
      const shown = show(String(input['Name']), input['WithDecryption'] === true, store);
      if (shown === undefined) throw new AwsError('ParameterNotFound', '');
      return { Parameter: shown };
    }
    case 'GetParameters': {
      const names = [...new Set((input['Names'] as string[] | undefined) ?? [])];
      if (names.length === 0 || names.length > 10) {
        throw new AwsError(
          'ValidationException',
          `1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length from 1 to 10, got ${names.length}`,
        );
      }
      const shown = names.map((name) => [name, show(name, input['WithDecryption'] === true, store)] as const);
      return {
        Parameters: shown.flatMap(([, parameter]) => (parameter === undefined ? [] : [parameter])),
        InvalidParameters: shown.filter(([, parameter]) => parameter === undefined).map(([name]) => name),
      };
    }
    case 'PutParameter':
      return { Version: putByCall(input, store), Tier: 'Standard' };
    default:
      throw new AwsError('UnknownOperationException', `${operation} is not emulated`);
  }
}

function putByCall(input: Record<string, unknown>, { parameters, clock }: Store): number {
  const name = String(input['Name']);
  const value = String(input['Value']);
  const before = parameters.get(name);
  const type = (input['Type'] ?? before?.type) as Parameter['type'] | undefined;
  if (before !== undefined && input['Overwrite'] !== true) {
    throw new AwsError(
      'ParameterAlreadyExists',
      'The parameter already exists. To overwrite this value, set the overwrite option in the request to true.',
    );
  }
  if (type === undefined || !types.includes(type)) {
    throw new AwsError('ValidationException', `A parameter type is required when you create a parameter, got ${type}`);
  }
  if (value === '' || Buffer.byteLength(value) > 4096) {
    throw new AwsError(
      'ValidationException',
      'Standard tier parameters support a maximum parameter value of 4096 characters, and a value must not be empty.',
    );
  }
  return put(parameters, { name, value, type, at: clock.now() }).version;
}

function put(
  parameters: Map<string, Parameter>,
  { name, value, type, at }: { name: string; value: string; type: Parameter['type']; at: number },
): Parameter {
  const parameter = { name, value, type, version: (parameters.get(name)?.version ?? 0) + 1, modifiedAt: at };
  parameters.set(name, parameter);
  return parameter;
}

function show(nameOrArn: string, decrypted: boolean, { parameters, arn }: Store): unknown {
  const parameter = parameters.get(nameOrArn) ?? [...parameters.values()].find(({ name }) => nameOrArn === arn(name));
  if (parameter === undefined) return undefined;
  const hidden = parameter.type === 'SecureString' && !decrypted;
  return {
    Name: parameter.name,
    Type: parameter.type,
    // KMS ciphertext begins so, and nobody must mistake it for the value.
    Value: hidden
      ? `AQICAHh${Buffer.from(parameter.value).toString('base64').split('').toReversed().join('')}`
      : parameter.value,
    Version: parameter.version,
    LastModifiedDate: parameter.modifiedAt / 1000,
    ARN: arn(parameter.name),
    DataType: 'text',
  };
}

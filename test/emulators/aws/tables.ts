import type { CreateTableCommandInput } from '@aws-sdk/client-dynamodb';
import { claimKeyPrefix } from '../../../functions/contracts/with-tasks/claim.ts';
import type { Clock } from '../clock.ts';
import type { OnCall } from './aws-call.ts';
import { AwsError, canonicalJson, JsonService, sha256, type Call, type Failure } from './aws-json.ts';
import { DynaliteStore, type AttributeValue, type Item, type Parsed } from './dynalite-store.ts';
import { signingKeyOf, verifySignature, type TaskCredentials } from './task-role.ts';

export type TablesOptions = {
  readonly clock: Clock;
  /** What tasks may do: delete items of this table whose key begins so. Without it they may do nothing. */
  readonly taskRole?: { readonly deleteFrom: string; readonly keysBeginning?: string };
  readonly account?: string;
  readonly region?: string;
  readonly onCall?: OnCall | undefined;
};

/** What a table is made of, as CreateTable takes it; on demand unless it says otherwise. */
export type TableShape = Omit<CreateTableCommandInput, 'BillingMode'> & { readonly timeToLiveAttribute?: string };

type TransactItem = { readonly parsed: Parsed; readonly act: boolean; readonly showItem: boolean };
type CancellationReason = { readonly Code: string; readonly Message?: string; readonly Item?: Item };

const idempotencyMs = 10 * 60_000;
const writes = new Set(['PutItem', 'UpdateItem', 'DeleteItem']);

/**
 * DynamoDB: dynalite, plus what it lacks (transactions, time to live, the item of a failed condition), plus the one
 * policy that matters here, the task role's. Callers without temporary credentials are functions and are not checked.
 */
export class Tables {
  /**
   * How long after a transaction its items answer others with TransactionConflict, in real milliseconds. In AWS a
   * transaction takes some ten; here it takes none that anyone could run into unless this is set.
   */
  conflictMs = 0;
  readonly #store: DynaliteStore;
  readonly #options: Required<Pick<TablesOptions, 'account' | 'region'>> & TablesOptions;
  readonly #gate = new Gate();
  readonly #credentials = new Map<string, TaskCredentials>();
  readonly #timeToLive = new Map<string, string>();
  readonly #tokens = new Map<string, { readonly fingerprint: string; readonly at: number }>();
  readonly #touched = new Map<string, number>();
  #service: JsonService | undefined;

  private constructor(options: TablesOptions) {
    this.#options = { account: '111122223333', region: 'us-east-1', ...options };
    this.#store = new DynaliteStore(this.#options);
  }

  static async start(options: TablesOptions): Promise<Tables> {
    const tables = new Tables(options);
    tables.#service = await JsonService.start({
      namespace: 'com.amazonaws.dynamodb.v20120810#',
      contentType: 'application/x-amz-json-1.0',
      perform: async (call) => tables.#perform(call),
      onCall: options.onCall,
    });
    return tables;
  }

  get service(): JsonService {
    if (this.#service === undefined) throw new Error('the tables have not started');
    return this.#service;
  }

  get url(): string {
    return this.service.url;
  }

  failNext(operation: string, failure: Failure, times = 1): void {
    this.service.failNext(operation, failure, times);
  }

  async createTable({ timeToLiveAttribute, ...shape }: TableShape): Promise<void> {
    const name = String(shape.TableName);
    await this.#store.perform(this.#store.parse('CreateTable', { BillingMode: 'PAY_PER_REQUEST', ...shape }));
    if (timeToLiveAttribute !== undefined) this.#timeToLive.set(name, timeToLiveAttribute);
    for (;;) {
      const { Table } = await this.#store.perform(this.#store.parse('DescribeTable', { TableName: name }));
      if ((Table as { TableStatus?: string }).TableStatus === 'ACTIVE') return;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  /** Everything in a table as plain values, for a test to look at. */
  async items(table: string): Promise<Record<string, unknown>[]> {
    return (await this.#gate.exclusive(async () => this.#scan(table))).map((item) => plainItem(item));
  }

  /** Sweeps what is past its time to live, as AWS does some time within days. @returns how many items went */
  async expire(clock: Clock = this.#options.clock): Promise<number> {
    const now = Math.floor(clock.now() / 1000);
    return this.#gate.exclusive(async () => {
      let gone = 0;
      for (const [table, attribute] of this.#timeToLive) {
        const names = await this.#store.keyNames(table);
        for (const item of await this.#scan(table)) {
          const expiry = Number(item[attribute]?.['N'] ?? Number.NaN);
          if (!(expiry <= now)) continue;
          await this.#delete(table, pick(item, names));
          gone++;
        }
      }
      return gone;
    });
  }

  registerTaskCredentials(credentials: TaskCredentials): void {
    this.#credentials.set(credentials.accessKeyId, credentials);
  }

  forgetTaskCredentials(accessKeyId: string): void {
    this.#credentials.delete(accessKeyId);
  }

  async stop(): Promise<void> {
    await this.service.stop();
    await this.#gate.exclusive(async () => {
      await this.#store.close();
    });
  }

  async #perform(call: Call): Promise<unknown> {
    await this.#authorize(call);
    switch (call.operation) {
      case 'TransactWriteItems':
        return this.#gate.exclusive(async () => this.#transactWrite(call.input));
      case 'TransactGetItems':
        return this.#gate.exclusive(async () => this.#transactGet(call.input));
      case 'UpdateTimeToLive':
        return this.#updateTimeToLive(call.input);
      case 'DescribeTimeToLive':
        return this.#describeTimeToLive(call.input);
      default:
        return this.#performSingle(call);
    }
  }

  async #performSingle({ operation, input }: Call): Promise<unknown> {
    const parsed = this.#store.parse(operation, input);
    if (!writes.has(operation)) return this.#gate.shared(async () => this.#store.perform(parsed));
    if (input['ReturnValuesOnConditionCheckFailure'] !== 'ALL_OLD') {
      return this.#gate.shared(async () => {
        await this.#refuseConflict(parsed);
        return this.#store.perform(parsed);
      });
    }
    return this.#gate.exclusive(async () => {
      await this.#refuseConflict(parsed);
      const { existing } = await this.#store.look(parsed);
      if (this.#store.meetsCondition(parsed, existing)) return this.#store.perform(parsed);
      throw new AwsError('ConditionalCheckFailedException', 'The conditional request failed', {
        fields: existing === undefined ? {} : { Item: existing },
      });
    });
  }

  async #transactWrite(input: Record<string, unknown>): Promise<unknown> {
    const token = input['ClientRequestToken'];
    const fingerprint = sha256(canonicalJson({ ...input, ClientRequestToken: undefined }));
    if (typeof token === 'string' && this.#repeats(token, fingerprint)) return {};
    const items = this.#parseTransaction(input['TransactItems']);
    const looks = await Promise.all(items.map(async ({ parsed }) => this.#store.look(parsed)));
    if (new Set(looks.map((look) => look.identity)).size < looks.length) {
      throw new AwsError('ValidationException', 'Transaction request cannot include multiple operations on one item');
    }
    const reasons = items.map(({ parsed, showItem }, index): CancellationReason => {
      const look = looks[index];
      if (look === undefined) return { Code: 'None' };
      if (this.#conflicts(look.identity)) {
        return { Code: 'TransactionConflict', Message: 'Transaction is ongoing for the item' };
      }
      if (this.#store.meetsCondition(parsed, look.existing)) return { Code: 'None' };
      return {
        Code: 'ConditionalCheckFailed',
        Message: 'The conditional request failed',
        ...(showItem && look.existing !== undefined && { Item: look.existing }),
      };
    });
    refuseCancelled(reasons);
    await this.#apply(items, looks);
    const now = performance.now();
    if (this.conflictMs > 0) for (const { identity } of looks) this.#touched.set(identity, now);
    if (typeof token === 'string') this.#tokens.set(token, { fingerprint, at: this.#options.clock.now() });
    return {};
  }

  #repeats(token: string, fingerprint: string): boolean {
    const oldest = this.#options.clock.now() - idempotencyMs;
    for (const [known, { at }] of this.#tokens) {
      if (at > oldest) break;
      this.#tokens.delete(known);
    }
    const before = this.#tokens.get(token);
    if (before === undefined) return false;
    if (before.fingerprint === fingerprint) return true;
    throw new AwsError(
      'IdempotentParameterMismatchException',
      'The provided ClientRequestToken was used for another transaction',
    );
  }

  #parseTransaction(transactItems: unknown): TransactItem[] {
    if (!Array.isArray(transactItems) || transactItems.length === 0 || transactItems.length > 100) {
      throw new AwsError(
        'ValidationException',
        "1 validation error detected: Value at 'transactItems' failed to satisfy constraint: Member must have length from 1 to 100",
      );
    }
    return (transactItems as Record<string, Record<string, unknown>>[]).map((item) => {
      const [kind, ...others] = Object.keys(item).filter((key) => item[key] !== undefined && item[key] !== null);
      const operation = kind === undefined ? undefined : transactOperations[kind];
      const write = item[kind ?? ''];
      if (operation === undefined || write === undefined || others.length > 0) {
        throw new AwsError('ValidationException', 'TransactItems can only contain one of Check, Put, Update or Delete');
      }
      if (kind === 'ConditionCheck' && typeof write['ConditionExpression'] !== 'string') {
        throw new AwsError('ValidationException', 'a ConditionCheck must have a ConditionExpression');
      }
      return {
        parsed: this.#store.parse(operation, write),
        act: kind !== 'ConditionCheck',
        showItem: write['ReturnValuesOnConditionCheckFailure'] === 'ALL_OLD',
      };
    });
  }

  /** All or nothing: what was done is undone when a later write cannot be done. */
  async #apply(
    items: readonly TransactItem[],
    looks: readonly { readonly key: Item; readonly existing: Item | undefined }[],
  ): Promise<void> {
    for (const [index, { parsed, act }] of items.entries()) {
      if (!act) continue;
      try {
        await this.#store.perform(parsed);
      } catch (error) {
        for (let undone = 0; undone < index; undone++) {
          const look = looks[undone];
          const table = String(items[undone]?.parsed.input['TableName']);
          if (look?.existing !== undefined) {
            await this.#store.perform(this.#store.parse('PutItem', { TableName: table, Item: look.existing }));
          } else if (look !== undefined) await this.#delete(table, look.key);
        }
        if (!(error instanceof AwsError)) throw error;
        refuseCancelled(
          items.map((_, at) => (at === index ? { Code: 'ValidationError', Message: error.message } : { Code: 'None' })),
        );
      }
    }
  }

  async #transactGet(input: Record<string, unknown>): Promise<unknown> {
    const items = input['TransactItems'];
    if (!Array.isArray(items) || items.length === 0 || items.length > 100) {
      throw new AwsError('ValidationException', 'TransactItems must have 1 to 100 members');
    }
    const Responses = await Promise.all(
      (items as { Get?: Record<string, unknown> }[]).map(async ({ Get }) => {
        const { Item } = await this.#store.perform(this.#store.parse('GetItem', { ...Get, ConsistentRead: true }));
        return Item === undefined ? {} : { Item };
      }),
    );
    return { Responses };
  }

  #conflicts(identity: string): boolean {
    const at = this.#touched.get(identity);
    if (at === undefined) return false;
    if (performance.now() - at < this.conflictMs) return true;
    this.#touched.delete(identity);
    return false;
  }

  async #refuseConflict(parsed: Parsed): Promise<void> {
    if (this.#touched.size === 0) return;
    const { identity } = await this.#store.look(parsed);
    if (this.#conflicts(identity)) {
      throw new AwsError('TransactionConflictException', 'Transaction is ongoing for the item');
    }
  }

  #updateTimeToLive({ TableName, TimeToLiveSpecification }: Record<string, unknown>): unknown {
    const specification = (TimeToLiveSpecification ?? {}) as { Enabled?: boolean; AttributeName?: string };
    if (specification.Enabled === true) this.#timeToLive.set(String(TableName), specification.AttributeName ?? '');
    else this.#timeToLive.delete(String(TableName));
    return { TimeToLiveSpecification: specification };
  }

  #describeTimeToLive({ TableName }: Record<string, unknown>): unknown {
    const AttributeName = this.#timeToLive.get(String(TableName));
    return {
      TimeToLiveDescription:
        AttributeName === undefined ? { TimeToLiveStatus: 'DISABLED' } : { TimeToLiveStatus: 'ENABLED', AttributeName },
    };
  }

  async #authorize(call: Call): Promise<void> {
    const key = signingKeyOf(call);
    const credentials = this.#credentials.get(key ?? '');
    const token = call.headers['x-amz-security-token'];
    if (token === undefined && credentials === undefined) return;
    if (credentials === undefined || token !== credentials.token) {
      throw new AwsError('UnrecognizedClientException', 'The security token included in the request is invalid.');
    }
    await verifySignature(call, credentials);
    const { taskRole, account, region } = this.#options;
    const table = String(call.input['TableName']).split('/').at(-1);
    if (call.operation === 'DeleteItem' && taskRole !== undefined && table === taskRole.deleteFrom) {
      const [hash = ''] = await this.#store.keyNames(table);
      const id = (call.input['Key'] as Item | undefined)?.[hash]?.['S'];
      if (typeof id === 'string' && id.startsWith(taskRole.keysBeginning ?? claimKeyPrefix)) return;
    }
    throw new AwsError(
      'AccessDeniedException',
      `User: arn:aws:sts::${account}:assumed-role/task/${key} is not authorized to perform: dynamodb:${call.operation} on resource: arn:aws:dynamodb:${region}:${account}:table/${table} because no identity-based policy allows the dynamodb:${call.operation} action`,
    );
  }

  async #scan(table: string): Promise<Item[]> {
    const found: Item[] = [];
    let start: unknown;
    do {
      const page = await this.#store.perform(
        this.#store.parse('Scan', { TableName: table, ...(start !== undefined && { ExclusiveStartKey: start }) }),
      );
      found.push(...(page['Items'] as Item[]));
      start = page['LastEvaluatedKey'];
    } while (start !== undefined);
    return found;
  }

  async #delete(table: string, key: Item): Promise<void> {
    await this.#store.perform(this.#store.parse('DeleteItem', { TableName: table, Key: key }));
  }
}

const transactOperations: Readonly<Record<string, 'PutItem' | 'UpdateItem' | 'DeleteItem'>> = {
  Put: 'PutItem',
  Update: 'UpdateItem',
  Delete: 'DeleteItem',
  // A check is a delete that is never performed: same key, same condition.
  ConditionCheck: 'DeleteItem',
};

/** Many may be inside together, or one alone. */
class Gate {
  #inside = 0;
  #closed: Promise<void> | undefined;
  #emptied: (() => void) | undefined;

  async shared<T>(act: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    this.#inside++;
    try {
      return await act();
    } finally {
      this.#inside--;
      if (this.#inside === 0) this.#emptied?.();
    }
  }

  async exclusive<T>(act: () => Promise<T>): Promise<T> {
    while (this.#closed !== undefined) await this.#closed;
    const { promise, resolve: open } = Promise.withResolvers<void>();
    this.#closed = promise;
    if (this.#inside > 0) {
      await new Promise<void>((resolve) => {
        this.#emptied = resolve;
      });
      this.#emptied = undefined;
    }
    try {
      return await act();
    } finally {
      this.#closed = undefined;
      open();
    }
  }
}

function refuseCancelled(reasons: readonly CancellationReason[]): void {
  if (reasons.every(({ Code }) => Code === 'None')) return;
  throw new AwsError(
    'TransactionCanceledException',
    `Transaction cancelled, please refer cancellation reasons for specific reasons [${reasons.map(({ Code }) => Code).join(', ')}]`,
    { fields: { CancellationReasons: reasons } },
  );
}

function pick(item: Item, names: readonly string[]): Item {
  return Object.fromEntries(names.map((name) => [name, item[name] as AttributeValue]));
}

function plainItem(item: Item): Record<string, unknown> {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, plain(value)]));
}

function plain(value: AttributeValue): unknown {
  const [type = '', inner] = Object.entries(value)[0] ?? [];
  switch (type) {
    case 'N':
      return Number(inner);
    case 'NULL':
      return null;
    case 'B':
      return Buffer.from(String(inner), 'base64');
    case 'L':
      return (inner as AttributeValue[]).map((element) => plain(element));
    case 'M':
      return plainItem(inner as Item);
    case 'SS':
      return new Set(inner as string[]);
    case 'NS':
      return new Set((inner as string[]).map(Number));
    default:
      return inner;
  }
}

import { createRequire } from 'node:module';
import db, { type Store } from 'dynalite/db/index.js';
import validations from 'dynalite/validations/index.js';
import { AwsError } from './aws-json.ts';

export type AttributeValue = Readonly<Record<string, unknown>>;
export type Item = Readonly<Record<string, AttributeValue>>;

/** An operation whose input dynalite found valid, expressions parsed. */
export type Parsed = { readonly operation: string; readonly input: Record<string, unknown> };
type TableSchema = { readonly KeySchema: readonly { readonly AttributeName: string; readonly KeyType: string }[] };
type Action = (store: Store, input: unknown, answer: (error: unknown, value: unknown) => void) => void;

const load = createRequire(import.meta.url);
const parts = new Map<string, unknown>();
const operations = new Set(
  [
    ['BatchGetItem', 'BatchWriteItem', 'CreateTable', 'DeleteItem', 'DeleteTable', 'DescribeTable', 'GetItem'],
    ['ListTables', 'PutItem', 'Query', 'Scan', 'UpdateItem', 'UpdateTable'],
  ].flat(),
);

/** dynalite without its HTTP server: a second hop per call would halve the speed. */
export class DynaliteStore {
  readonly #store = db.create({ createTableMs: 0, deleteTableMs: 0, updateTableMs: 0 });

  constructor({ account, region }: { account: string; region: string }) {
    this.#store.tableDb.awsAccountId = account;
    this.#store.tableDb.awsRegion = region;
  }

  /** @throws AwsError ValidationException, or UnknownOperationException */
  parse(operation: string, input: unknown): Parsed {
    if (!operations.has(operation)) throw new AwsError('UnknownOperationException', `${operation} is not emulated`);
    const { types, custom } = loadPart('validations', operation) as { types: unknown; custom: unknown };
    try {
      const parsed = validations.checkTypes({ ...(input as Record<string, unknown>) }, types) as Record<
        string,
        unknown
      >;
      validations.checkValidations(parsed, types, custom, this.#store);
      return { operation, input: parsed };
    } catch (error) {
      throw translate(error);
    }
  }

  async perform({ operation, input }: Parsed): Promise<Record<string, unknown>> {
    const act = loadPart('actions', operation) as Action;
    return (await this.#call((answer) => {
      act(this.#store, input, answer);
    })) as Record<string, unknown>;
  }

  async keyNames(table: string): Promise<readonly string[]> {
    return (await this.#schema(table)).KeySchema.map((key) => key.AttributeName);
  }

  /** The item a write is about as it is now, and the key that names it among all tables. */
  async look({ operation, input }: Parsed): Promise<{ identity: string; key: Item; existing: Item | undefined }> {
    const table = String(input['TableName']);
    const schema = await this.#schema(table);
    const whole = (operation === 'PutItem' ? input['Item'] : input['Key']) as Item;
    const invalid = operation === 'PutItem' ? db.validateItem(whole, schema) : db.validateKey(whole, schema);
    if (invalid) throw translate(invalid);
    const name = db.createKey(whole, schema);
    const existing = await this.#call((answer) => {
      this.#store.getItemDb(table).get(name, answer);
    });
    const key = Object.fromEntries(
      schema.KeySchema.map(({ AttributeName }) => [AttributeName, whole[AttributeName] as AttributeValue]),
    );
    return { identity: `${table}/${name}`, key, existing: existing as Item | undefined };
  }

  meetsCondition({ input }: Parsed, existing: Item | undefined): boolean {
    return !db.checkConditional(input, existing);
  }

  async close(): Promise<void> {
    await this.#call((answer) => {
      this.#store.db.close((error) => {
        answer(error, undefined);
      });
    });
  }

  async #schema(table: string): Promise<TableSchema> {
    return (await this.#call((answer) => {
      this.#store.getTable(table, answer);
    })) as TableSchema;
  }

  async #call(begin: (answer: (error: unknown, value: unknown) => void) => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      begin((error, value) => {
        if (error) reject(translate(error));
        else resolve(value);
      });
    });
  }
}

function loadPart(part: 'actions' | 'validations', operation: string): unknown {
  const file = `dynalite/${part}/${operation.charAt(0).toLowerCase()}${operation.slice(1)}.js`;
  const loaded = parts.get(file) ?? (load(file) as unknown);
  parts.set(file, loaded);
  return loaded;
}

/** dynalite's errors carry the body AWS would send. */
function translate(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(`dynalite failed with ${String(error)}`);
  const { body } = error as { body?: Readonly<Record<string, string>> };
  if (body === undefined) return error;
  return new AwsError(
    body['__type']?.split('#').at(-1) ?? 'InternalServerError',
    body['message'] ?? body['Message'] ?? '',
  );
}

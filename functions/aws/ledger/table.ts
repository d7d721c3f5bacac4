import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  TransactionCanceledException,
  TransactionConflictException,
  TransactionInProgressException,
} from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { openIndex } from '../../contracts/with-infra/table-shape.ts';
import { messageOf } from '../../contracts/with-github/errors.ts';
import { clientOptions } from '../requests.ts';
import { conditionExpression, present, type Condition } from './condition.ts';
import { together, type Result } from '../together.ts';

export type Item = Readonly<Record<string, unknown>>;

/** A record as its item holds it: with a key, its place in the sparse index, and its time to live in seconds. */
type Stored<R> = R & {
  readonly id: string;
  readonly open?: string;
  readonly openKey?: string;
  readonly expiresAt?: number;
};

/** One item's change. */
export type Change<R> = {
  readonly id: string;
  /** An undefined value is left as it is. */
  readonly set?: Partial<Stored<R>>;
  /** Set only where the item has no such attribute yet. */
  readonly setOnce?: Partial<Stored<R>>;
  readonly remove?: readonly (keyof Stored<R>)[];
  readonly add?: { readonly [K in keyof R]?: number };
  readonly when?: Condition<Stored<R>>;
};

type AnyChange = Change<Record<string, unknown>>;

/** One part of a transaction. `table` names another table than the ledger. */
export type Act =
  | { readonly kind: 'change'; readonly change: AnyChange }
  | { readonly kind: 'put'; readonly item: Item; readonly table?: string }
  | { readonly kind: 'remove'; readonly id: string; readonly table?: string; readonly mustExist?: boolean }
  | { readonly kind: 'check'; readonly change: Pick<AnyChange, 'id' | 'when'> };

/** A part of a transaction that changes a record of a type, or checks one. */
export function changeOf<R>(change: Change<R>): Act {
  return { kind: 'change', change: change as unknown as AnyChange };
}

export function checkOf<R>(change: Pick<Change<R>, 'id' | 'when'>): Act {
  return { kind: 'check', change: change as unknown as AnyChange };
}

/** The names of the acts whose condition did not hold; undefined when all were done. */
export type Hindrance = ReadonlySet<string> | undefined;

type Changed =
  /** The item as it is now. */
  | { readonly done: true; readonly item: Item }
  /** The condition did not hold. The item as it is; undefined when there is none. */
  | { readonly done: false; readonly item: Item | undefined };

export type Table = {
  /** Reads consistently. */
  readonly read: (id: string) => Promise<Item | undefined>;
  readonly change: <R>(change: Change<R>) => Promise<Changed>;
  readonly remove: (id: string) => Promise<boolean>;
  /** All or nothing. The acts have names, which tell the caller which act stood in the way. */
  readonly transact: (acts: Readonly<Record<string, Act>>) => Promise<Hindrance>;
  /** Reads the sparse index, in the order of its keys: candidates only, for an index lags. */
  readonly listOpen: (open: string, range?: OpenRange) => Promise<readonly Item[]>;
};

type OpenRange = {
  readonly from: string;
  readonly to: string;
  readonly limit?: number;
};

/** Sorts behind every name there can be. */
export const last = '\uffff';

/** The most acts in a transaction. https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html */
export const mostActs = 100;
/** The most items in a BatchGetItem. */
const mostReads = 100;
/**
 * How often a write is tried that meets another one. All that starts or ends a runner of a profile meets at the profile's item, and a
 * transaction shuts others out for some milliseconds. DynamoDB leaves trying again to the caller.
 */
const conflictRetries = 20;
const leastPauseMs = 20;
const spreadMs = 200;
const longestSpreadMs = 1500;

export function table(
  name: string,
  client: DynamoDBDocumentClient = DynamoDBDocumentClient.from(new DynamoDBClient(clientOptions), {
    marshallOptions: { removeUndefinedValues: true },
  }),
): Table {
  async function readAll(ids: readonly string[]): Promise<Result<Item | undefined>[]> {
    const [only = ''] = ids;
    if (ids.length === 1) {
      const { Item } = await client.send(new GetCommand({ TableName: name, Key: { id: only }, ConsistentRead: true }));
      return [Item];
    }
    const found = new Map<unknown, Item>();
    let left: readonly Record<string, unknown>[] = [...new Set(ids)].map((id) => ({ id }));
    for (let attempt = 1; left.length > 0; attempt += 1) {
      if (attempt > 1) await pauseBefore(attempt);
      const { Responses = {}, UnprocessedKeys = {} } = await client.send(
        new BatchGetCommand({ RequestItems: { [name]: { Keys: [...left], ConsistentRead: true } } }),
      );
      for (const item of Responses[name] ?? []) found.set(item['id'], item);
      left = UnprocessedKeys[name]?.Keys ?? [];
      if (attempt === conflictRetries && left.length > 0) {
        throw new Error(`all items of ${name} must be read, and ${left.length} were not in ${attempt} tries`);
      }
    }
    return ids.map((id) => found.get(id));
  }

  return {
    read: together(readAll, mostReads),
    change: async (change) => {
      try {
        const { Attributes = {} } = await throughConflicts(async () =>
          client.send(
            new UpdateCommand({
              TableName: name,
              Key: { id: change.id },
              ReturnValues: 'ALL_NEW',
              ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
              ...expressionOf(change),
            }),
          ),
        );
        return { done: true, item: Attributes };
      } catch (error) {
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
        return { done: false, item: error.Item && unmarshall(error.Item) };
      }
    },
    remove: async (id) => {
      const { Attributes } = await throughConflicts(async () =>
        client.send(new DeleteCommand({ TableName: name, Key: { id }, ReturnValues: 'ALL_OLD' })),
      );
      return Attributes !== undefined;
    },
    transact: async (acts) => {
      const names = Object.keys(acts);
      const TransactItems = Object.values(acts).map((act) => transactItem(act, name));
      // One token for all tries: where the answer to a try was lost, the next try gets that answer, and nothing is done twice.
      const ClientRequestToken = randomUUID();
      try {
        await throughConflicts(async () =>
          client.send(new TransactWriteCommand({ TransactItems, ClientRequestToken })),
        );
        return undefined;
      } catch (error) {
        const failed = failedConditions(error);
        if (failed.length === 0) throw error;
        return new Set(failed.map((place) => names[place] ?? ''));
      }
    },
    listOpen: async (open, range) => {
      const items: Item[] = [];
      let from: Record<string, unknown> | undefined;
      do {
        const page = await client.send(
          new QueryCommand({
            TableName: name,
            IndexName: openIndex.indexName,
            KeyConditionExpression:
              range === undefined ? '#open = :open' : '#open = :open AND #key BETWEEN :from AND :to',
            ExpressionAttributeNames: { '#open': openIndex.partitionKey, ...(range && { '#key': openIndex.sortKey }) },
            ExpressionAttributeValues: { ':open': open, ...(range && { ':from': range.from, ':to': range.to }) },
            Limit: range?.limit === undefined ? undefined : range.limit - items.length,
            ExclusiveStartKey: from,
          }),
        );
        items.push(...(page.Items ?? []));
        from = page.LastEvaluatedKey;
      } while (from !== undefined && items.length < (range?.limit ?? Infinity));
      return items;
    },
  };
}

type Expression = {
  UpdateExpression: string | undefined;
  ConditionExpression: string | undefined;
  ExpressionAttributeNames: Record<string, string> | undefined;
  ExpressionAttributeValues: Record<string, unknown> | undefined;
};

/** Every name is written behind a `#`, so that none can be one of DynamoDB's 573 reserved words. */
function expressionOf<R>({ set = {}, setOnce = {}, remove = [], add = {}, when = {} }: Change<R>): Expression {
  const setting = Object.entries(set).filter(([, value]) => value !== undefined);
  const adding = Object.entries(add);
  const settings = [
    ...setting.map(([name]) => `#${name} = :set_${name}`),
    ...Object.keys(setOnce).map((name) => `#${name} = if_not_exists(#${name}, :once_${name})`),
  ];
  const clauses = [
    settings.length > 0 && `SET ${settings.join(', ')}`,
    remove.length > 0 && `REMOVE ${remove.map((name) => `#${String(name)}`).join(', ')}`,
    adding.length > 0 && `ADD ${adding.map(([name]) => `#${name} :add_${name}`).join(', ')}`,
  ].filter((clause) => clause !== false);
  const update = clauses.join(' ');
  const condition = conditionExpression(when);
  const names = [...`${update} ${condition.text}`.matchAll(/#(\w+)/g)].map(
    ([alias, name = '']) => [alias, name] as const,
  );
  const bound = {
    ...Object.fromEntries(setting.map(([name, value]) => [`:set_${name}`, value])),
    ...Object.fromEntries(Object.entries(setOnce).map(([name, value]) => [`:once_${name}`, value])),
    ...Object.fromEntries(adding.map(([name, value]) => [`:add_${name}`, value])),
    ...condition.values,
  };
  return {
    UpdateExpression: update || undefined,
    ConditionExpression: condition.text || undefined,
    ExpressionAttributeNames: names.length > 0 ? Object.fromEntries(names) : undefined,
    ExpressionAttributeValues: Object.keys(bound).length > 0 ? bound : undefined,
  };
}

type TransactItem = NonNullable<TransactWriteCommandInput['TransactItems']>[number];

function transactItem(act: Act, own: string): TransactItem {
  switch (act.kind) {
    case 'put':
      return {
        Put: {
          TableName: act.table ?? own,
          Item: act.item,
          ConditionExpression: 'attribute_not_exists(#id)',
          ExpressionAttributeNames: { '#id': 'id' },
        },
      };
    case 'remove': {
      const { UpdateExpression: _none, ...rest } = expressionOf({
        id: act.id,
        when: act.mustExist ? { id: present } : {},
      });
      return { Delete: { TableName: act.table ?? own, Key: { id: act.id }, ...rest } };
    }
    case 'change': {
      const { UpdateExpression = '', ...rest } = expressionOf(act.change);
      return { Update: { TableName: own, Key: { id: act.change.id }, UpdateExpression, ...rest } };
    }
    case 'check': {
      const { ConditionExpression = '', ...rest } = expressionOf(act.change);
      return { ConditionCheck: { TableName: own, Key: { id: act.change.id }, ConditionExpression, ...rest } };
    }
  }
}

function failedConditions(error: unknown): number[] {
  if (!(error instanceof TransactionCanceledException)) return [];
  return (error.CancellationReasons ?? []).flatMap(({ Code }, place) =>
    Code === 'ConditionalCheckFailed' ? [place] : [],
  );
}

async function throughConflicts<T>(act: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (!isConflict(error) || attempt === conflictRetries) throw error;
      await pauseBefore(attempt + 1);
    }
  }
}

/** The transaction that holds the item is done after some tens of milliseconds. The others spread out, so that they do not meet again. */
async function pauseBefore(attempt: number): Promise<void> {
  await pause(leastPauseMs + Math.random() * Math.min(spreadMs * 2 ** (attempt - 2), longestSpreadMs));
}

function isConflict(error: unknown): boolean {
  if (error instanceof TransactionInProgressException || error instanceof TransactionConflictException) return true;
  if (!(error instanceof TransactionCanceledException) || failedConditions(error).length > 0) return false;
  const retryable = ['TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded'];
  return (error.CancellationReasons ?? []).some(({ Code }) => retryable.includes(Code ?? ''));
}

/**
 * Decodes what a list found. One item that cannot be read, written by another version perhaps, must not hide the
 * others: it is reported and left alone.
 */
export function decodeEach<T>(items: readonly Item[], decode: (item: Item) => T): T[] {
  return items.flatMap((item) => {
    try {
      return [decode(item)];
    } catch (error) {
      const message = messageOf(error);
      console.error(
        JSON.stringify({ level: 'ERROR', message: 'ledger: unreadable item', id: item['id'], error: message }),
      );
      return [];
    }
  });
}

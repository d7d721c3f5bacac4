import { setTimeout as pause } from 'node:timers/promises';
import {
  ConditionalCheckFailedException,
  DynamoDBClient,
  TransactionCanceledException,
  TransactionConflictException,
  TransactionInProgressException,
} from '@aws-sdk/client-dynamodb';
import {
  DeleteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  QueryCommand,
  TransactWriteCommand,
  UpdateCommand,
  type TransactWriteCommandInput,
} from '@aws-sdk/lib-dynamodb';
import { openIndex } from '../../contracts/with-infra/table-shape.ts';
import { clientOptions } from '../requests.ts';
import { messageOf } from '../../contracts/with-github/errors.ts';

export type Item = Readonly<Record<string, unknown>>;

/** One item's change. Attributes are named as they are; in `when` a name is written `#name` and a value `:name`. */
type Change = {
  readonly id: string;
  readonly set?: Readonly<Record<string, unknown>>;
  /** Set only where the item has no such attribute yet. */
  readonly setOnce?: Readonly<Record<string, unknown>>;
  readonly remove?: readonly string[];
  readonly add?: Readonly<Record<string, number>>;
  readonly when?: string;
  readonly values?: Readonly<Record<string, unknown>>;
};

export type Act =
  | { readonly kind: 'change'; readonly change: Change; readonly table?: string }
  | { readonly kind: 'put'; readonly item: Item; readonly table?: string }
  | { readonly kind: 'remove'; readonly id: string; readonly table?: string }
  | { readonly kind: 'check'; readonly change: Pick<Change, 'id' | 'when' | 'values'> };

/** Which act of a transaction stood in the way, by its place; undefined when all were done. */
type Hindrance = { readonly failed: readonly number[] } | undefined;

export type Table = {
  /** Reads consistently. */
  readonly read: (id: string) => Promise<Item | undefined>;
  /** @returns the item before and after, or undefined when the condition did not hold */
  readonly change: (change: Change) => Promise<{ readonly before: Item | undefined } | undefined>;
  /** @returns what the change made of the attributes it touched, or undefined when the condition did not hold */
  readonly changeAndTell: (change: Change) => Promise<Item | undefined>;
  readonly remove: (id: string, when?: Pick<Change, 'when' | 'values'>) => Promise<boolean>;
  readonly transact: (acts: readonly Act[]) => Promise<Hindrance>;
  /** Reads the sparse index, oldest first: candidates only, for an index lags. */
  readonly listOpen: (open: string, range?: OpenRange) => Promise<readonly Item[]>;
};

type OpenRange = {
  readonly from: string;
  readonly to: string;
  readonly limit?: number;
};

/** Sorts behind every name there can be. */
export const last = '\uffff';

/**
 * Everything that starts or ends a runner of a profile meets at the profile's item, and a transaction shuts others out
 * for some milliseconds. DynamoDB leaves trying again to the caller: so often, with pauses that grow to a second.
 */
const conflictRetries = 20;

export function table(
  name: string,
  client: DynamoDBDocumentClient = DynamoDBDocumentClient.from(new DynamoDBClient(clientOptions), {
    marshallOptions: { removeUndefinedValues: true },
  }),
): Table {
  async function update(change: Change, ReturnValues: 'ALL_OLD' | 'UPDATED_NEW'): Promise<Item | undefined | null> {
    try {
      const { Attributes } = await throughConflicts(async () =>
        client.send(
          new UpdateCommand({ TableName: name, Key: { id: change.id }, ReturnValues, ...expressionOf(change) }),
        ),
      );
      return Attributes;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return null;
      throw error;
    }
  }

  return {
    read: async (id) => {
      const { Item } = await client.send(new GetCommand({ TableName: name, Key: { id }, ConsistentRead: true }));
      return Item;
    },
    change: async (one) => {
      const before = await update(one, 'ALL_OLD');
      return before === null ? undefined : { before };
    },
    changeAndTell: async (one) => (await update(one, 'UPDATED_NEW')) ?? undefined,
    remove: async (id, { when, values } = {}) => {
      try {
        const { Attributes } = await throughConflicts(async () =>
          client.send(
            new DeleteCommand({
              TableName: name,
              Key: { id },
              ReturnValues: 'ALL_OLD',
              ...(when !== undefined && expressionOf({ id, when, ...(values && { values }) })),
            }),
          ),
        );
        return Attributes !== undefined;
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) return false;
        throw error;
      }
    },
    transact: async (acts) => {
      const TransactItems = acts.map((act) => transactItem(act, name));
      try {
        await throughConflicts(async () => client.send(new TransactWriteCommand({ TransactItems })));
        return undefined;
      } catch (error) {
        const failed = failedConditions(error);
        if (failed.length > 0) return { failed };
        throw error;
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
            ...(range?.limit !== undefined && { Limit: range.limit - items.length }),
            ...(from && { ExclusiveStartKey: from }),
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
  UpdateExpression?: string;
  ConditionExpression?: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues?: Record<string, unknown>;
};

/** Every name is written behind a `#`, so that none can be one of DynamoDB's 573 reserved words. */
function expressionOf({ set = {}, setOnce = {}, remove = [], add = {}, when, values = {} }: Change): Expression {
  const setting = Object.entries(set).filter(([, value]) => value !== undefined);
  const settings = [
    ...setting.map(([name]) => `#${name} = :set_${name}`),
    ...Object.keys(setOnce).map((name) => `#${name} = if_not_exists(#${name}, :once_${name})`),
  ];
  const clauses = [
    settings.length > 0 && `SET ${settings.join(', ')}`,
    remove.length > 0 && `REMOVE ${remove.map((name) => `#${name}`).join(', ')}`,
    Object.keys(add).length > 0 &&
      `ADD ${Object.keys(add)
        .map((name) => `#${name} :add_${name}`)
        .join(', ')}`,
  ].filter((clause) => clause !== false);
  const update = clauses.join(' ');
  const names = [...`${update} ${when ?? ''}`.matchAll(/#(\w+)/g)].map(([alias, name]) => [alias, name ?? '']);
  const bound = {
    ...Object.fromEntries(setting.map(([name, value]) => [`:set_${name}`, value])),
    ...Object.fromEntries(Object.entries(setOnce).map(([name, value]) => [`:once_${name}`, value])),
    ...Object.fromEntries(Object.entries(add).map(([name, value]) => [`:add_${name}`, value])),
    ...Object.fromEntries(Object.entries(values).map(([name, value]) => [`:${name}`, value])),
  };
  return {
    ...(update !== '' && { UpdateExpression: update }),
    ...(when !== undefined && { ConditionExpression: when }),
    ...(names.length > 0 && { ExpressionAttributeNames: Object.fromEntries(names) as Record<string, string> }),
    ...(Object.keys(bound).length > 0 && { ExpressionAttributeValues: bound }),
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
    case 'remove':
      return { Delete: { TableName: act.table ?? own, Key: { id: act.id } } };
    case 'change': {
      const { UpdateExpression = '', ...rest } = expressionOf(act.change);
      return { Update: { TableName: act.table ?? own, Key: { id: act.change.id }, UpdateExpression, ...rest } };
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
      await pause(Math.random() * Math.min(20 * 2 ** attempt, 1000));
    }
  }
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

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import {
  ConditionalCheckFailedException,
  DeleteItemCommand,
  DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  TransactGetItemsCommand,
  TransactionCanceledException,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { TurnableClock } from '../clock.ts';
import { Tables } from './tables.ts';

const clock = new TurnableClock();
const region = 'us-east-1';
let tables: Tables;
let client: DynamoDBClient;
let count = 0;
let name: string;

beforeAll(async () => {
  tables = await Tables.start({ clock, taskRole: { deleteFrom: 'claims' } });
  client = new DynamoDBClient({ endpoint: tables.url, region, maxAttempts: 1 });
  await tables.createTable({
    TableName: 'claims',
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
  });
});
afterAll(async () => {
  client.destroy();
  await tables.stop();
  clock.stop();
});
beforeEach(async () => {
  name = `ledger-${count++}`;
  await tables.createTable({
    TableName: name,
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    AttributeDefinitions: [
      { AttributeName: 'id', AttributeType: 'S' },
      { AttributeName: 'open', AttributeType: 'S' },
      { AttributeName: 'since', AttributeType: 'N' },
    ],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'open',
        KeySchema: [
          { AttributeName: 'open', KeyType: 'HASH' },
          { AttributeName: 'since', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    timeToLiveAttribute: 'expires',
  });
});

const put = async (item: Record<string, string | number>, condition?: string) =>
  client.send(
    new PutItemCommand({
      TableName: name,
      Item: Object.fromEntries(
        Object.entries(item).map(([key, value]) => [
          key,
          typeof value === 'number' ? { N: String(value) } : { S: value },
        ]),
      ),
      ...(condition !== undefined && { ConditionExpression: condition }),
      ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
    }),
  );
/** The transaction DESIGN.md calls taking a lease. */
const takeLease = (runner: string, cap = 2, token?: string) =>
  client.send(
    new TransactWriteItemsCommand({
      ClientRequestToken: token,
      TransactItems: [
        {
          Update: {
            TableName: name,
            Key: { id: { S: 'profile#small' } },
            UpdateExpression: 'ADD leases :one',
            ConditionExpression: 'attribute_not_exists(leases) OR leases < :cap',
            ExpressionAttributeValues: { ':one': { N: '1' }, ':cap': { N: String(cap) } },
            ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
          },
        },
        {
          Put: {
            TableName: name,
            Item: { id: { S: `runner#${runner}` } },
            ConditionExpression: 'attribute_not_exists(id)',
          },
        },
      ],
    }),
  );
const leases = async () => (await tables.items(name)).find(({ id }) => id === 'profile#small')?.['leases'];

const takeClaim = async (as: DynamoDBClient, id = 'claim#1', table = 'claims') =>
  as.send(new DeleteItemCommand({ TableName: table, Key: { id: { S: id } }, ReturnValues: 'ALL_OLD' }));

describe('the tables', () => {
  test('keep, find and order items', async () => {
    await put({ id: 'job#2', open: 'p', since: 20 });
    await put({ id: 'job#1', open: 'p', since: 10 });
    await put({ id: 'job#3' });
    const { Items } = await client.send(
      new QueryCommand({
        TableName: name,
        IndexName: 'open',
        KeyConditionExpression: '#open = :p',
        ExpressionAttributeNames: { '#open': 'open' },
        ExpressionAttributeValues: { ':p': { S: 'p' } },
      }),
    );
    expect(Items?.map(({ id }) => id?.S)).toEqual(['job#1', 'job#2']);
  });

  test('show the item that failed a condition', async () => {
    await put({ id: 'job#1', since: 1 });
    const failure = await put({ id: 'job#1' }, 'attribute_not_exists(id)').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(ConditionalCheckFailedException);
    expect((failure as ConditionalCheckFailedException).Item).toEqual({ id: { S: 'job#1' }, since: { N: '1' } });
  });

  test('sweep what is past its time to live, when asked', async () => {
    const now = Math.floor(clock.now() / 1000);
    await put({ id: 'old', expires: now - 1 });
    await put({ id: 'young', expires: now + 3600 });
    await put({ id: 'for ever' });
    expect(await tables.expire()).toBe(1);
    clock.advance(3_700_000);
    expect(await tables.expire()).toBe(1);
    expect((await tables.items(name)).map(({ id }) => id)).toEqual(['for ever']);
  });

  test('fail when told to, before or after the act', async () => {
    tables.failNext('PutItem', { type: 'InternalServerError' });
    await expect(put({ id: 'a' })).rejects.toMatchObject({ name: 'InternalServerError' });
    tables.failNext('PutItem', { type: 'InternalServerError', after: true });
    await expect(put({ id: 'b' })).rejects.toMatchObject({ name: 'InternalServerError' });
    expect((await tables.items(name)).map(({ id }) => id)).toEqual(['b']);
  });
});

describe('a transaction', () => {
  test('does all', async () => {
    await takeLease('1');
    expect(await leases()).toBe(1);
    expect(await tables.items(name)).toHaveLength(2);
  });

  test('does nothing when one condition fails, and says which', async () => {
    await takeLease('1');
    const failure = await takeLease('1').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TransactionCanceledException);
    expect((failure as TransactionCanceledException).CancellationReasons?.map(({ Code }) => Code)).toEqual([
      'None',
      'ConditionalCheckFailed',
    ]);
    expect(await leases()).toBe(1);
  });

  test('shows the item only where it was asked for', async () => {
    await takeLease('1', 1);
    const failure = await takeLease('1', 1).catch((error: unknown) => error);
    expect((failure as TransactionCanceledException).CancellationReasons).toEqual([
      expect.objectContaining({
        Code: 'ConditionalCheckFailed',
        Item: { id: { S: 'profile#small' }, leases: { N: '1' } },
      }),
      expect.not.objectContaining({ Item: expect.anything() }),
    ]);
  });

  test('keeps a cap exact among a hundred at once', async () => {
    const taken = await Promise.allSettled(Array.from({ length: 100 }, (_, n) => takeLease(String(n), 7)));
    expect(taken.filter(({ status }) => status === 'fulfilled')).toHaveLength(7);
    expect(await leases()).toBe(7);
  });

  test('undoes what it did when a later write cannot be done', async () => {
    await put({ id: 'job#1', since: 5 });
    const failure = await client
      .send(
        new TransactWriteItemsCommand({
          TransactItems: [
            { Put: { TableName: name, Item: { id: { S: 'new' } } } },
            { Put: { TableName: name, Item: { id: { S: 'job#1' }, since: { N: '6' } } } },
            {
              Update: {
                TableName: name,
                Key: { id: { S: 'other' } },
                UpdateExpression: 'SET launches = launches + :one',
                ExpressionAttributeValues: { ':one': { N: '1' } },
              },
            },
          ],
        }),
      )
      .catch((error: unknown) => error);
    expect((failure as TransactionCanceledException).CancellationReasons?.[2]?.Code).toBe('ValidationError');
    expect(await tables.items(name)).toEqual([{ id: 'job#1', since: 5 }]);
  });

  test('checks without writing', async () => {
    await put({ id: 'job#1' });
    const check = (id: string) =>
      client.send(
        new TransactWriteItemsCommand({
          TransactItems: [
            {
              ConditionCheck: { TableName: name, Key: { id: { S: id } }, ConditionExpression: 'attribute_exists(id)' },
            },
            { Delete: { TableName: name, Key: { id: { S: 'none' } } } },
          ],
        }),
      );
    await check('job#1');
    await expect(check('job#2')).rejects.toBeInstanceOf(TransactionCanceledException);
    expect(await tables.items(name)).toHaveLength(1);
  });

  test('is done once per token, and a token belongs to one transaction for ten minutes', async () => {
    await takeLease('1', 5, 'token');
    await takeLease('1', 5, 'token');
    expect(await leases()).toBe(1);
    await expect(takeLease('2', 5, 'token')).rejects.toMatchObject({ name: 'IdempotentParameterMismatchException' });
    clock.advance(601_000);
    await takeLease('2', 5, 'token');
    expect(await leases()).toBe(2);
  });

  test('names one item once only', async () => {
    const twice = { Put: { TableName: name, Item: { id: { S: 'a' } } } };
    await expect(client.send(new TransactWriteItemsCommand({ TransactItems: [twice, twice] }))).rejects.toMatchObject({
      name: 'ValidationException',
    });
  });

  test('conflicts with one that is under way, where a test wants that', async () => {
    tables.conflictMs = 600_000;
    await takeLease('1');
    const failure = await takeLease('2').catch((error: unknown) => error);
    await expect(put({ id: 'profile#small' })).rejects.toMatchObject({ name: 'TransactionConflictException' });
    tables.conflictMs = 0;
    expect((failure as TransactionCanceledException).CancellationReasons?.map(({ Code }) => Code)).toEqual([
      'TransactionConflict',
      'None',
    ]);
    await takeLease('2');
  });

  test('reads several items at one moment', async () => {
    await put({ id: 'a' });
    const { Responses } = await client.send(
      new TransactGetItemsCommand({
        TransactItems: ['a', 'b'].map((id) => ({ Get: { TableName: name, Key: { id: { S: id } } } })),
      }),
    );
    expect(Responses).toEqual([{ Item: { id: { S: 'a' } } }, {}]);
  });
});

describe('a task', () => {
  const credentials = { accessKeyId: 'ASIATASK', secretAccessKey: 'secret', token: 'session-token' };
  const taskClient = (secretAccessKey = credentials.secretAccessKey, sessionToken = credentials.token) =>
    new DynamoDBClient({
      endpoint: tables.url,
      region,
      maxAttempts: 1,
      credentials: { accessKeyId: credentials.accessKeyId, secretAccessKey, sessionToken },
    });

  beforeAll(() => {
    tables.registerTaskCredentials(credentials);
  });
  beforeEach(async () => {
    await client.send(new PutItemCommand({ TableName: 'claims', Item: { id: { S: 'claim#1' }, body: { S: 'x' } } }));
    await client.send(new PutItemCommand({ TableName: 'claims', Item: { id: { S: 'token#acme' } } }));
  });

  test('may take a claim', async () => {
    const { Attributes } = await takeClaim(taskClient());
    expect(Attributes).toMatchObject({ body: { S: 'x' } });
  });

  test('may do nothing else', async () => {
    const task = taskClient();
    const denied = { name: 'AccessDeniedException' };
    await expect(takeClaim(task, 'token#acme')).rejects.toMatchObject(denied);
    await expect(takeClaim(task, 'claim#1', name)).rejects.toMatchObject(denied);
    const key = { TableName: 'claims', Key: { id: { S: 'claim#1' } } };
    await expect(task.send(new GetItemCommand(key))).rejects.toMatchObject(denied);
    await expect(task.send(new UpdateItemCommand({ ...key, UpdateExpression: 'REMOVE body' }))).rejects.toMatchObject(
      denied,
    );
    await expect(task.send(new TransactWriteItemsCommand({ TransactItems: [{ Delete: key }] }))).rejects.toMatchObject(
      denied,
    );
  });

  test('must sign with its own secret, and carry its token', async () => {
    await expect(takeClaim(taskClient('another'))).rejects.toMatchObject({ name: 'InvalidSignatureException' });
    await expect(takeClaim(taskClient('secret', 'another'))).rejects.toMatchObject({
      name: 'UnrecognizedClientException',
    });
  });

  test('has no say once its credentials are gone', async () => {
    const other = { accessKeyId: 'ASIAGONE', secretAccessKey: 'secret', token: 'gone' };
    tables.registerTaskCredentials(other);
    tables.forgetTaskCredentials(other.accessKeyId);
    const gone = new DynamoDBClient({
      endpoint: tables.url,
      region,
      maxAttempts: 1,
      credentials: { ...other, sessionToken: other.token },
    });
    await expect(takeClaim(gone)).rejects.toMatchObject({ name: 'UnrecognizedClientException' });
  });
});

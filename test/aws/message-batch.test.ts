import { describe, expect, test } from '@jest/globals';
import type { SQSEvent } from 'aws-lambda';
import { handleBatch, type Received } from '../../functions/aws/message-batch.ts';

const eventOf = (...bodies: readonly string[]): SQSEvent => ({
  Records: bodies.map((body, index) => ({
    messageId: `message-${index + 1}`,
    receiptHandle: 'handle',
    body,
    attributes: {
      ApproximateReceiveCount: String(index + 1),
      SentTimestamp: '0',
      SenderId: 'sender',
      ApproximateFirstReceiveTimestamp: '0',
    },
    messageAttributes: {},
    md5OfBody: '',
    eventSource: 'aws:sqs',
    eventSourceARN: 'arn',
    awsRegion: 'us-east-1',
  })),
});
const withLeft = (ms: number) => ({ getRemainingTimeInMillis: () => ms });
const plenty = withLeft(30_000);
const comesBack = () => false;
const unlessPoison = async ({ body }: Received) => {
  if (body === 'poison') throw new Error('it is poison');
};

describe('a batch of messages', () => {
  test('is handled side by side, and all are done', async () => {
    const seen: Received[] = [];
    const { promise: allSeen, resolve } = Promise.withResolvers<void>();
    const answer = await handleBatch(eventOf('a', 'b', 'c'), plenty, {
      handle: async (message) => {
        seen.push(message);
        if (seen.length === 3) resolve();
        await allSeen;
      },
      failed: comesBack,
    });
    expect(answer).toEqual({ batchItemFailures: [] });
    expect(seen).toEqual([
      { body: 'a', messageId: 'message-1', receives: 1 },
      { body: 'b', messageId: 'message-2', receives: 2 },
      { body: 'c', messageId: 'message-3', receives: 3 },
    ]);
  });

  test('is handled but for one that hangs, which the answer waits for', async () => {
    const done: string[] = [];
    const { promise: hanging, resolve: letGo } = Promise.withResolvers<void>();
    let answered = false;
    const answer = handleBatch(eventOf('a', 'hangs', 'poison', 'c'), plenty, {
      handle: async (message) => {
        if (message.body === 'hangs') await hanging;
        await unlessPoison(message);
        done.push(message.body);
      },
      failed: ({ body }) => {
        done.push(`not ${body}`);
        return false;
      },
    }).finally(() => {
      answered = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(done.toSorted()).toEqual(['a', 'c', 'not poison']);
    expect(answered).toBe(false);
    letGo();
    expect(await answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-3' }] });
    expect(done).toContain('hangs');
  });

  test('gives back only what failed, and tells of it', async () => {
    const told: string[] = [];
    const answer = await handleBatch(eventOf('a', 'poison', 'c', 'poison'), plenty, {
      handle: unlessPoison,
      failed: ({ messageId }, error) => {
        told.push(`${messageId}: ${String(error)}`);
        return false;
      },
    });
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-2' }, { itemIdentifier: 'message-4' }] });
    expect(told).toEqual(['message-2: Error: it is poison', 'message-4: Error: it is poison']);
  });

  test.each([
    [12_000, ['a', 'b'], []],
    [11_999, [], [{ itemIdentifier: 'message-1' }, { itemIdentifier: 'message-2' }]],
  ])('with %i ms left begins %j: what it may not finish comes back untouched', async (left, begun, failures) => {
    const handled: string[] = [];
    const failed: string[] = [];
    const answer = await handleBatch(eventOf('a', 'b'), withLeft(left), {
      handle: async ({ body }) => void handled.push(body),
      failed: ({ body }) => failed.push(body) > 0,
    });
    expect(handled).toEqual(begun);
    expect(answer).toEqual({ batchItemFailures: failures });
    expect(failed).toEqual([]);
  });

  test.each<[string, () => boolean | Promise<boolean>]>([
    [
      'at once',
      () => {
        throw new Error('the ledger is away');
      },
    ],
    ['later', async () => Promise.reject(new Error('the ledger is away'))],
  ])('keeps what was done when telling of a failure fails too, %s', async (_, failed) => {
    const answer = await handleBatch(eventOf('a', 'poison', 'c'), plenty, { handle: unlessPoison, failed });
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-2' }] });
  });

  test.each([
    ['keeps out of sight', true, []],
    ['has come back', false, [{ itemIdentifier: 'message-2' }]],
  ])('%s what failed when whoever hears of it says that it is done with: %s', async (_what, isDone, failures) => {
    const answer = await handleBatch(eventOf('a', 'poison'), plenty, {
      handle: unlessPoison,
      failed: async () => Promise.resolve(isDone),
    });
    expect(answer).toEqual({ batchItemFailures: failures });
  });

  test('asks with the message and the very error', async () => {
    const error = new Error('it is poison');
    const told: unknown[] = [];
    await handleBatch(eventOf('poison'), plenty, {
      handle: async () => Promise.reject(error),
      failed: (message, cause) => {
        told.push(message, cause);
        return false;
      },
    });
    expect(told).toEqual([{ body: 'poison', messageId: 'message-1', receives: 1 }, error]);
  });

  test('without a message has nothing to give back', async () => {
    expect(await handleBatch(eventOf(), plenty, { handle: unlessPoison, failed: comesBack })).toEqual({
      batchItemFailures: [],
    });
  });
});

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
const plenty = { getRemainingTimeInMillis: () => 30_000 };
const comesBack = () => false;

describe('a batch of messages', () => {
  test('is handled one after the other, and all are done', async () => {
    const seen: Received[] = [];
    let underWay = 0;
    const answer = await handleBatch(
      eventOf('a', 'b', 'c'),
      plenty,
      async (message) => {
        underWay += 1;
        expect(underWay).toBe(1);
        seen.push(message);
        await Promise.resolve();
        underWay -= 1;
      },
      comesBack,
    );
    expect(answer).toEqual({ batchItemFailures: [] });
    expect(seen).toEqual([
      { body: 'a', messageId: 'message-1', receives: 1 },
      { body: 'b', messageId: 'message-2', receives: 2 },
      { body: 'c', messageId: 'message-3', receives: 3 },
    ]);
  });

  test('gives back only what failed, and tells of it', async () => {
    const told: string[] = [];
    const answer = await handleBatch(
      eventOf('a', 'poison', 'c'),
      plenty,
      async ({ body }) => {
        if (body === 'poison') throw new Error('it is poison');
        return Promise.resolve();
      },
      ({ messageId }, error) => {
        told.push(`${messageId}: ${String(error)}`);
        return false;
      },
    );
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-2' }] });
    expect(told).toEqual(['message-2: Error: it is poison']);
  });

  test('begins no message that it may not finish, and gives it back untouched', async () => {
    let left = 30_000;
    const begun: string[] = [];
    const failed: string[] = [];
    const answer = await handleBatch(
      eventOf('a', 'b', 'c', 'd'),
      { getRemainingTimeInMillis: () => left },
      async ({ body }) => {
        begun.push(body);
        left -= 9001;
        return Promise.resolve();
      },
      ({ body }) => {
        failed.push(body);
        return false;
      },
    );
    expect(begun).toEqual(['a', 'b']);
    expect(answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier)).toEqual(['message-3', 'message-4']);
    expect(failed).toEqual([]);
  });

  test('keeps what was done when telling of a failure fails too', async () => {
    const answer = await handleBatch(
      eventOf('a', 'poison', 'c'),
      plenty,
      async ({ body }) => {
        if (body === 'poison') throw new Error('it is poison');
        return Promise.resolve();
      },
      () => {
        throw new Error('the ledger is away');
      },
    );
    expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'message-2' }] });
  });

  test.each([
    ['keeps out of sight', true, []],
    ['has come back', false, [{ itemIdentifier: 'message-2' }]],
  ])('%s what failed when whoever hears of it says that it is done with: %s', async (_what, isDone, failures) => {
    const answer = await handleBatch(
      eventOf('a', 'poison'),
      plenty,
      async ({ body }) => {
        if (body === 'poison') throw new Error('it is poison');
        return Promise.resolve();
      },
      async () => Promise.resolve(isDone),
    );
    expect(answer).toEqual({ batchItemFailures: failures });
  });

  test('asks with the message and the very error', async () => {
    const error = new Error('it is poison');
    const told: unknown[] = [];
    await handleBatch(
      eventOf('poison'),
      plenty,
      async () => Promise.reject(error),
      (message, cause) => {
        told.push(message, cause);
        return false;
      },
    );
    expect(told).toEqual([{ body: 'poison', messageId: 'message-1', receives: 1 }, error]);
  });
});

import { describe, expect, test } from '@jest/globals';
import { mostReceives } from '../../functions/contracts/with-infra/queue-limits.ts';
import { decideFailedMessage, isLast } from '../../functions/scale-up/decide-failed-message.ts';
import { settleFailedMessage } from '../../functions/scale-up/settle-failed-message.ts';
import { encodeMessage } from '../../functions/contracts/between-rooms/messages.ts';
import { aJob, aJobRecord, launchMessage, queuedMessage } from '../fakes/builders.ts';
import { after, minute } from '../fakes/clock.ts';
import { fakeWorld } from '../fakes/world.ts';

const now = 1_000_000;
const last = { receives: mostReceives, error: 'a bug', now } as const;

describe('a message whose launch failed', () => {
  test('comes back until SQS would give it up', () => {
    for (let receives = 1; receives < mostReceives; receives += 1) {
      expect(decideFailedMessage({ ...last, receives, isPassing: false })).toEqual({ kind: 'retry' });
      expect(isLast(receives)).toBe(false);
    }
    expect(isLast(mostReceives)).toBe(true);
  });

  test('for the last time refuses its job for an hour, whatever GitHub says of it', () => {
    expect(decideFailedMessage({ ...last, isPassing: false })).toEqual({
      kind: 'refuse',
      note: 'its launch failed 10 times: a bug',
      until: now + 60 * minute,
    });
  });

  test('for the last time because AWS failed lets its job wait', () => {
    expect(decideFailedMessage({ ...last, isPassing: true })).toEqual({
      kind: 'wait',
      reason: 'aws-unavailable',
      note: 'its launch failed 10 times: a bug',
      until: now + 5 * minute,
    });
  });
});

describe('what is written of it', () => {
  const job = aJob();
  const messages = [encodeMessage(queuedMessage(job)), encodeMessage(launchMessage(job.id, 1))];
  const settle = async (body: string, receives: number, isPassing: boolean) => {
    const world = fakeWorld({ jobs: [aJobRecord()] });
    const ports = { ...world.ports, isPassing: () => isPassing };
    const isDone = await settleFailedMessage({ body, receives }, new Error('a bug'), ports);
    return { isDone, job: world.ledger.job(job.id) };
  };

  test.each(messages)('is nothing while it comes back: %s', async (body) => {
    const { isDone, job: record } = await settle(body, 9, false);
    expect(isDone).toBe(false);
    expect(record).toMatchObject({ state: 'waiting' });
    expect(record.reason).toBeUndefined();
  });

  test.each(messages)('is that the job is refused, and the message becomes a dead letter: %s', async (body) => {
    const { isDone, job: record } = await settle(body, 10, false);
    expect(isDone).toBe(false);
    expect(record).toMatchObject({ state: 'refused', inferred: true, notBefore: after(60 * minute) });
  });

  test.each(messages)('is that the job waits for AWS, and the message is done with: %s', async (body) => {
    const { isDone, job: record } = await settle(body, 10, true);
    expect(isDone).toBe(true);
    expect(record).toMatchObject({ state: 'waiting', reason: 'aws-unavailable', notBefore: after(5 * minute) });
  });

  test('is nothing where the message names no job that waits', async () => {
    for (const body of ['not JSON', encodeMessage(launchMessage('9', 1))]) {
      expect((await settle(body, 10, false)).isDone).toBe(false);
    }
    const world = fakeWorld({ jobs: [aJobRecord({ state: 'in_progress' })] });
    const ports = { ...world.ports, isPassing: () => false };
    await settleFailedMessage({ body: messages[0] ?? '', receives: 10 }, new Error('a bug'), ports);
    expect(world.ledger.job(job.id).state).toBe('in_progress');
  });
});

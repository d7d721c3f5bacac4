import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { until } from '../../until.ts';
import { TurnableClock } from '../clock.ts';
import { Queues, type Queue } from './queues.ts';

const clock = new TurnableClock();
let queues: Queues;
let client: SQSClient;

beforeAll(async () => {
  queues = await Queues.start({ clock });
  client = new SQSClient({ endpoint: queues.url, region: 'us-east-1' });
});
afterAll(async () => {
  client.destroy();
  await queues.stop();
  clock.stop();
});

const send = (queue: Queue, MessageBody: string, DelaySeconds?: number) =>
  client.send(new SendMessageCommand({ QueueUrl: queue.url, MessageBody, DelaySeconds }));
const receive = async (queue: Queue, WaitTimeSeconds = 0) => {
  const { Messages = [] } = await client.send(new ReceiveMessageCommand({ QueueUrl: queue.url, WaitTimeSeconds }));
  return Messages;
};

describe('a queue', () => {
  test('shows a message again after its visibility timeout, by the clock', async () => {
    const queue = await queues.createQueue('visibility', { visibilitySeconds: 180 });
    await send(queue, 'hello');
    expect((await receive(queue)).map(({ Body }) => Body)).toEqual(['hello']);
    expect(await queues.depth(queue)).toEqual({ visible: 0, inFlight: 1, delayed: 0 });
    expect(await receive(queue)).toEqual([]);
    clock.advance(180_001);
    expect(await receive(queue)).toHaveLength(1);
  });

  test('holds a delayed message back, by the clock, even from one who waits', async () => {
    const queue = await queues.createQueue('delay');
    await send(queue, 'later', 900);
    const waiting = receive(queue, 20);
    expect(await queues.depth(queue)).toEqual({ visible: 0, inFlight: 0, delayed: 1 });
    clock.advance(900_001);
    expect((await waiting).map(({ Body }) => Body)).toEqual(['later']);
  });

  test('gives a message up to the dead letters after so many receives', async () => {
    const deadLetters = await queues.createQueue('poison-dlq');
    const queue = await queues.createQueue('poison', {
      visibilitySeconds: 30,
      deadLetters: { queue: deadLetters, maxReceiveCount: 2 },
    });
    await send(queue, 'poison');
    for (let time = 0; time < 2; time++) {
      expect(await receive(queue)).toHaveLength(1);
      clock.advance(30_001);
    }
    expect(await receive(queue)).toEqual([]);
    expect(await queues.messages(deadLetters)).toMatchObject([{ body: 'poison', state: 'visible' }]);
  });

  test('takes every character that SQS takes, an emoji too', async () => {
    const queue = await queues.createQueue('emoji');
    await send(queue, '🚀 deploy\t\u{10FFFF}');
    expect((await receive(queue)).map(({ Body }) => Body)).toEqual(['🚀 deploy\t\u{10FFFF}']);
  });

  test.each(['\uFFFE', '\uFFFF', '\u0000', '\u001F'])('refuses %j as SQS does', async (character) => {
    const queue = await queues.createQueue('refused');
    await expect(send(queue, `a${character}b`)).rejects.toThrow('Invalid characters found');
    expect(await queues.messages(queue)).toEqual([]);
  });

  test('forgets a deleted message', async () => {
    const queue = await queues.createQueue('deleted');
    await send(queue, 'once');
    const [message] = await receive(queue);
    await client.send(new DeleteMessageCommand({ QueueUrl: queue.url, ReceiptHandle: message?.ReceiptHandle }));
    expect(await queues.messages(queue)).toEqual([]);
  });

  test('answers a long poll at once when it is woken', async () => {
    const queue = await queues.createQueue('woken');
    let answer: unknown;
    const waiting = receive(queue, 20).then((messages) => (answer = messages));
    // The poll may still be on its way to the queue when it is woken the first time.
    const answered = async () => {
      await queues.wake(queue);
      return answer !== undefined;
    };
    await until(answered, 'the poll is answered', 15_000);
    expect(await waiting).toEqual([]);
  });
});

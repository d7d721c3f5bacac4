import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SQSClient } from '@aws-sdk/client-sqs';
import { jobQueues } from '../../functions/aws/queues.ts';
import { clientOptions, isPassing } from '../../functions/aws/requests.ts';
import {
  decodeSightingMessage,
  decodeLaunchMessage,
  type SightingMessage,
} from '../../functions/contracts/between-rooms/messages.ts';
import { Queues, type Queue } from '../emulators/aws/queues.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { aJob, launchMessage, queuedMessage } from '../fakes/builders.ts';
import { minute } from '../fakes/clock.ts';
import { until } from '../until.ts';

const clock = new TurnableClock();
let queues: Queues;
let jobs: Queue;
let events: Queue;
let client: SQSClient;
let ours: ReturnType<typeof jobQueues>;

beforeAll(async () => {
  queues = await Queues.start({ clock });
  jobs = await queues.createQueue('jobs');
  events = await queues.createQueue('events');
  client = new SQSClient({ ...clientOptions, endpoint: queues.url });
  ours = jobQueues({ jobs: jobs.url, events: events.url }, client);
});
afterAll(async () => {
  client.destroy();
  await queues.stop();
  clock.stop();
});
beforeEach(async () => {
  await queues.purge(jobs);
  await queues.purge(events);
});

const launches = async () => (await queues.messages(jobs)).map(({ body }) => decodeLaunchMessage(body));

describe('a launch', () => {
  test('arrives as it was sent, at once', async () => {
    const message = queuedMessage(aJob());
    await ours.sendLaunch(message);
    expect(await launches()).toEqual([message]);
    expect(await queues.depth(jobs)).toEqual({ visible: 1, inFlight: 0, delayed: 0 });
  });

  test.each(['🚀 deploy', 'a\uFFFFb', '\u0007\uD83D'])('arrives though its job is called %j', async (name) => {
    const message = queuedMessage(aJob({ name }));
    await ours.sendLaunch(message);
    await ours.sendLaunches([message]);
    expect(await launches()).toEqual([message, message]);
  });

  test('comes after its delay, and never sooner', async () => {
    await ours.sendLaunch(launchMessage('1', 1), 5 * minute);
    expect(await queues.depth(jobs)).toMatchObject({ visible: 0, delayed: 1 });
    clock.advance(4 * minute);
    expect(await queues.depth(jobs)).toMatchObject({ visible: 0, delayed: 1 });
    clock.advance(minute);
    await until(async () => (await queues.depth(jobs)).visible === 1);
    expect(await queues.depth(jobs)).toMatchObject({ visible: 1, delayed: 0 });
  });

  test('is delayed by whole seconds, as SQS wants it, rounded up', async () => {
    const asked: unknown[] = [];
    const listening = { send: async ({ input }: { input: unknown }) => Promise.resolve(asked.push(input)) };
    await jobQueues({ jobs: jobs.url, events: events.url }, listening as never).sendLaunch(launchMessage('1', 1), 1500);
    expect(asked).toMatchObject([{ DelaySeconds: 2 }]);
  });

  test('is delayed by no more than SQS allows', async () => {
    await ours.sendLaunch(launchMessage('1', 1), 24 * 3_600_000);
    expect(await queues.depth(jobs)).toMatchObject({ visible: 0, delayed: 1 });
  });

  test.each([0, -5000])('with a delay of %d ms is sent at once', async (delayMs) => {
    await ours.sendLaunch(launchMessage('1', 1), delayMs);
    expect(await queues.depth(jobs)).toMatchObject({ visible: 1 });
  });
});

describe('many launches', () => {
  test.each([0, 1, 10, 11, 95])('all arrive: %d', async (count) => {
    const messages = Array.from({ length: count }, (_, index) => launchMessage(String(index), 1));
    await ours.sendLaunches(messages);
    const ids = (await launches()).map((message) => ('jobId' in message ? message.jobId : '?'));
    expect(ids.toSorted()).toEqual(messages.map((_, index) => String(index)).toSorted());
  });

  test('fail loudly when the queue does not take them', async () => {
    const gone = jobQueues({ jobs: `${queues.url}/000000000000/gone`, events: events.url }, client);
    await expect(gone.sendLaunches([launchMessage('1', 1)])).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
    await expect(gone.sendLaunch(launchMessage('1', 1))).rejects.toMatchObject({ name: 'QueueDoesNotExist' });
  });

  test('fail loudly when the queue takes only some of them', async () => {
    const picky = {
      send: async () => Promise.resolve({ Failed: [{ Id: '1', Code: 'InternalError', Message: 'no' }] }),
    };
    const partly = jobQueues({ jobs: jobs.url, events: events.url }, picky as never);
    await expect(partly.sendLaunches([launchMessage('1', 1), launchMessage('2', 1)])).rejects.toThrow(
      'the jobs queue refused 1 of 2 messages: no',
    );
  });

  test.each([
    [true, false],
    [false, true],
  ])('that the queue refuses by the fault of the sender (%s) may work later: %s', async (SenderFault, mayWork) => {
    const picky = { send: async () => Promise.resolve({ Failed: [{ Id: '0', Code: 'InternalError', SenderFault }] }) };
    const partly = jobQueues({ jobs: jobs.url, events: events.url }, picky as never);
    const [refused] = await Promise.allSettled([
      partly.sendLaunch(launchMessage('1', 1)),
      partly.sendLaunch(launchMessage('2', 1)),
    ]);
    expect(refused).toMatchObject({ status: 'rejected' });
    expect(isPassing(refused?.status === 'rejected' ? refused.reason : undefined)).toBe(mayWork);
  });
});

describe('an event', () => {
  test('goes to its own queue', async () => {
    const event: SightingMessage = { version: 2, sighting: { job: aJob(), state: 'completed', by: 'd' } };
    await ours.sendEvent(event);
    expect((await queues.messages(events)).map(({ body }) => decodeSightingMessage(body))).toEqual([event]);
    expect(await launches()).toEqual([]);
  });
});

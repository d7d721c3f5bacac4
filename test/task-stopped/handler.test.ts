import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { LambdaFunction } from '../emulators/aws/lambda.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { bundleRooms } from '../fakes/bundled-room.ts';

const clock = new TurnableClock();
let rooms: Awaited<ReturnType<typeof bundleRooms>>;
let room: LambdaFunction;
let logs: string[];

beforeAll(async () => {
  rooms = await bundleRooms();
  ({ room, logs } = rooms.start('task-stopped', { clock }));
});
afterAll(async () => {
  await room.stop();
  await rooms.remove();
  clock.stop();
});

/** The event of a task that another fleet started: it is settled without any call. */
const settled = JSON.stringify({
  'detail-type': 'ECS Task State Change',
  detail: { taskArn: 'arn:task/1', clusterArn: 'arn:cluster', lastStatus: 'STOPPED', startedBy: 'other-1-1' },
});

test('a stop that cannot be read comes back, and the others of its batch are settled', async () => {
  const bodies = [settled, 'no event', '{"detail":{"lastStatus":"STOPPED"}}', settled];
  const Records = bodies.map((body, at) => ({
    messageId: `message-${at}`,
    body,
    attributes: { ApproximateReceiveCount: '2' },
  }));
  expect(await room.invoke({ Records })).toMatchObject({
    ok: true,
    result: { batchItemFailures: [{ itemIdentifier: 'message-1' }, { itemIdentifier: 'message-2' }] },
  });
  const lines = logs.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toMatchObject([
    { level: 'INFO', message: 'task stopped: not-ours' },
    { level: 'ERROR', message: 'task stopped: failed', messageId: 'message-1', receives: 2 },
    { level: 'ERROR', message: 'task stopped: failed', messageId: 'message-2', receives: 2 },
    { level: 'INFO', message: 'task stopped: not-ours' },
  ]);
});

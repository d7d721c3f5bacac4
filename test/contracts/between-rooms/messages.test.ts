import { describe, expect, test } from '@jest/globals';
import {
  decodeJobEvent,
  decodeLaunchMessage,
  encodeMessage,
  type JobEvent,
  type LaunchMessage,
} from '../../../functions/contracts/between-rooms/messages.ts';
import { aJob, launchMessage, queuedMessage } from '../../fakes/builders.ts';
import { after, beginning } from '../../fakes/clock.ts';

const warm: LaunchMessage = {
  version: 1,
  kind: 'warm',
  runnerId: 'ci-1a2b3c-wdeadbeef-abc-0',
  profile: 'small',
  scope: 'acme',
  until: after(60_000),
  returns: 0,
};
const event: JobEvent = {
  version: 1,
  kind: 'completed',
  job: aJob(),
  delivery: 'd',
  at: after(1),
  runnerName: 'r',
  conclusion: 'success',
};

describe('a message', () => {
  test.each([
    ['🚀 deploy', '🚀 deploy'],
    ['a\u{FFFE}b\u{FFFF}', 'a\\ufffeb\\uffff'],
    ['\u0000\u001f\t', '\\u0000\\u001f\\t'],
    ['\uD83D alone', '\\ud83d alone'],
    ['\\uffff as it stands', '\\\\uffff as it stands'],
  ])('carries %j without a character that SQS refuses', (name, written) => {
    const message = queuedMessage(aJob({ name }));
    const body = encodeMessage(message);
    expect(body).toContain(`"name":"${written}"`);
    expect(decodeLaunchMessage(body)).toEqual(message);
  });
});

describe('a launch message', () => {
  test.each<[string, LaunchMessage]>([
    ['of the fast path', queuedMessage(aJob())],
    ['of the slow path', launchMessage('81230000001', 3)],
    ['of a warm runner', warm],
    ['that was sent back', launchMessage('1', 1, { slot: 1_795_000_000_000, returns: 2 })],
    ['of a job whose ids exceed 2^53', queuedMessage(aJob({ id: '9007199254740993', runId: '18446744073709551615' }))],
  ])('%s arrives as it was sent', (_, message) => {
    expect(decodeLaunchMessage(encodeMessage(message))).toEqual(message);
  });

  test('without a count of its returns has none', () => {
    const { returns: _, ...older } = launchMessage('1', 1);
    expect(decodeLaunchMessage(JSON.stringify(older))).toMatchObject({ returns: 0 });
  });

  test.each([
    ['not JSON', '{', 'a launch message must be JSON'],
    ['of no kind', '{"version":1}', "a launch message's kind is wrong"],
    [
      'of another version',
      JSON.stringify({ ...launchMessage('1', 1), version: 2 }),
      "a launch message's version is wrong",
    ],
    ['of launch 0', JSON.stringify(launchMessage('1', 0)), "a launch message's launch is wrong"],
    [
      'of a job without a repository',
      JSON.stringify(queuedMessage({ ...aJob(), repository: undefined as never })),
      'repository',
    ],
  ])('%s is refused, by its field', (_, body, says) => {
    expect(() => decodeLaunchMessage(body)).toThrow(says);
  });
});

describe('a job event', () => {
  test.each<[string, JobEvent]>([
    ['with all there is', event],
    ['with the least', { version: 1, kind: 'blocked', job: aJob(), delivery: 'd', at: beginning }],
  ])('%s arrives as it was sent', (_, sent) => {
    expect(decodeJobEvent(encodeMessage(sent))).toEqual(sent);
  });

  test.each([
    ['an unknown kind', { ...event, kind: 'exploded' }, 'kind'],
    ['a moment that is none', { ...event, at: 'yesterday' }, 'at'],
    ['an empty runner name', { ...event, runnerName: '' }, 'runnerName'],
  ])('with %s is refused, by its field', (_, sent, field) => {
    expect(() => decodeJobEvent(JSON.stringify(sent))).toThrow(`a job event's ${field} is wrong`);
  });
});

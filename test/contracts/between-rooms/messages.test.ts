import { describe, expect, test } from '@jest/globals';
import type { JobSighting } from '../../../functions/contracts/between-rooms/job-sighting.ts';
import {
  decodeLaunchMessage,
  decodeSightingMessage,
  encodeMessage,
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
const sighting: JobSighting = {
  job: aJob(),
  state: 'completed',
  by: 'd',
  runnerName: 'r',
  conclusion: 'success',
  startedAt: beginning,
  completedAt: after(1),
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
    ['of the slow path, with where its job stood', launchMessage('1', 3, { profile: 'small', scope: 'acme' })],
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

describe('a sighting', () => {
  test.each<[string, JobSighting]>([
    ['with all there is', sighting],
    ['with the least', { job: aJob(), state: 'blocked', by: 'list' }],
    ['that says when its job began', { job: aJob(), state: 'in_progress', by: 'look', startedAt: beginning }],
    ['that GitHub queued the job', { job: aJob(), state: 'queued', by: 'list' }],
  ])('%s arrives as it was sent', (_, sent) => {
    expect(decodeSightingMessage(encodeMessage({ version: 2, sighting: sent }))).toEqual({
      version: 2,
      sighting: sent,
    });
  });

  test.each([
    ['an unknown state', { ...sighting, state: 'exploded' }, 'sighting.state'],
    ['a moment that is none', { ...sighting, completedAt: 'yesterday' }, 'sighting.completedAt'],
    ['an empty runner name', { ...sighting, runnerName: '' }, 'sighting.runnerName'],
    ['nobody who says so', { ...sighting, by: '' }, 'sighting.by'],
    [
      'a job without a repository',
      { ...sighting, job: { ...aJob(), repository: undefined } },
      'sighting.job.repository',
    ],
  ])('with %s is refused, by its field', (_, sent, field) => {
    const body = JSON.stringify({ version: 2, sighting: sent });
    expect(() => decodeSightingMessage(body)).toThrow(`a job event's ${field} is wrong`);
  });

  test.each([
    ['is not JSON', '{', 'a job event must be JSON'],
    ['has no version', '{}', "a job event's version is wrong"],
    ['has a version that nobody knows', JSON.stringify({ version: 3, sighting }), "a job event's version is wrong"],
  ])('is refused when it %s', (_, body, says) => {
    expect(() => decodeSightingMessage(body)).toThrow(says);
  });
});

describe('a job event that the first release sent', () => {
  const event = {
    version: 1,
    kind: 'completed',
    job: aJob(),
    delivery: 'd',
    at: after(1),
    runnerName: 'r',
    conclusion: 'success',
  };
  const decoded = (parts: object) => decodeSightingMessage(JSON.stringify({ ...event, ...parts }));

  test('is a sighting of a job that is over', () => {
    expect(decoded({})).toEqual({
      version: 2,
      sighting: {
        job: aJob(),
        state: 'completed',
        by: 'd',
        runnerName: 'r',
        conclusion: 'success',
        completedAt: after(1),
      },
    });
  });

  test('is a sighting of a job that began', () => {
    expect(decoded({ kind: 'in_progress', conclusion: undefined })).toEqual({
      version: 2,
      sighting: { job: aJob(), state: 'in_progress', by: 'd', runnerName: 'r', startedAt: after(1) },
    });
  });

  test('is a sighting of a job that is blocked, whose moment says nothing', () => {
    expect(decoded({ kind: 'blocked', runnerName: undefined, conclusion: undefined })).toEqual({
      version: 2,
      sighting: { job: aJob(), state: 'blocked', by: 'd' },
    });
  });

  test('is written anew as the sighting that it is', () => {
    expect(decodeSightingMessage(encodeMessage(decoded({})))).toEqual(decoded({}));
  });

  test.each([
    ['an unknown kind', { kind: 'exploded' }, 'kind'],
    ['a moment that is none', { at: 'yesterday' }, 'at'],
    ['an empty runner name', { runnerName: '' }, 'runnerName'],
  ])('with %s is refused, by its field', (_, parts, field) => {
    expect(() => decoded(parts)).toThrow(`a job event's ${field} is wrong`);
  });
});

import { createRequire } from 'node:module';
import { describe, expect, test } from '@jest/globals';
import { decodeWorkflowJob } from '../../../functions/contracts/with-github/delivery.ts';
import { parseJson } from '../../../functions/contracts/with-github/json.ts';
import { decodeLaunchMessage, encodeMessage } from '../../../functions/contracts/between-rooms/messages.ts';
import { queuedMessage } from '../../fakes/builders.ts';

type Payload = {
  readonly action: string;
  readonly workflow_job: Record<string, unknown>;
  readonly repository: Record<string, unknown>;
};
const load = createRequire(import.meta.url);
const events = load('@octokit/webhooks-examples') as { readonly name: string; readonly examples: readonly Payload[] }[];
const examples = events.find(({ name }) => name === 'workflow_job')?.examples ?? [];

const helloWorld = { id: '186853002', fullName: 'Codertocat/Hello-World', ownerType: 'Organization', private: false };
const testing = { id: '582601213', fullName: 'lineville/elastic-machines-testing', ownerType: 'User', private: false };

/** By action, in the order of the examples: what matters of each. */
const read = [
  [
    'in_progress',
    'in_progress',
    '2832853555',
    ['gpu', 'db-app', 'dc-03'],
    '2021-06-15T19:22:27.000Z',
    'my runner',
    undefined,
  ],
  ['completed', 'completed', '289782451', ['ubuntu-latest'], '2021-08-05T10:33:58.000Z', 'GitHub Actions 5', 'failure'],
  ['completed', 'completed', '289782451', ['ubuntu-latest'], '2021-08-05T10:33:58.000Z', 'GitHub Actions 5', 'success'],
  [
    'in_progress',
    'in_progress',
    '289782451',
    ['ubuntu-latest'],
    '2021-09-13T02:21:13.000Z',
    'GitHub Actions 5',
    undefined,
  ],
  [
    'in_progress',
    'in_progress',
    '14541957942',
    ['ubuntu-latest'],
    '2023-06-26T03:31:29.000Z',
    'GitHub Actions 6',
    undefined,
  ],
  ['queued', 'queued', '289782451', ['ubuntu-latest'], '2021-09-13T02:21:13.000Z', 'GitHub Actions 5', undefined],
  ['queued', 'blocked', '12877621891', ['self-hosted', 'k8s'], '2023-04-19T21:12:12.000Z', undefined, undefined],
  ['waiting', 'blocked', '12877621891', ['self-hosted', 'k8s'], '2023-04-19T21:12:12.000Z', undefined, undefined],
];

/** A queued example with parts changed; `undefined` takes a part away. */
function bodyWith(parts: { workflow_job?: object; repository?: object }): string {
  const queued = examples.find(({ action }) => action === 'queued');
  return JSON.stringify({
    ...queued,
    workflow_job: { ...queued?.workflow_job, ...parts.workflow_job },
    repository: { ...queued?.repository, ...parts.repository },
  });
}

describe('a workflow_job delivery', () => {
  test("is read from each of GitHub's examples", () => {
    const decoded = examples.map((example) => {
      const { action, job, sighting } = decodeWorkflowJob(JSON.stringify(example), 'd');
      expect(sighting).toMatchObject({ job, by: 'd' });
      const { state, runnerName, conclusion } = sighting ?? {};
      return [action, state, job.id, job.labels, job.createdAt, runnerName, conclusion];
    });
    expect(decoded).toEqual(read);
  });

  test('of every example makes a job that a queue can carry', () => {
    expect(examples).toHaveLength(8);
    for (const example of examples) {
      const message = queuedMessage(decodeWorkflowJob(JSON.stringify(example), 'd').job);
      expect(decodeLaunchMessage(encodeMessage(message))).toEqual(message);
    }
  });

  test('names whose repository it is', () => {
    const last = decodeWorkflowJob(JSON.stringify(examples.at(-1)), 'd');
    expect([decodeWorkflowJob(bodyWith({}), 'd').job.repository, last.job.repository]).toMatchObject([
      { ...helloWorld, id: expect.any(String) },
      { ...testing, id: expect.any(String) },
    ]);
  });

  test('of an action that we do not know says nothing of its job', () => {
    const requested = { ...(JSON.parse(bodyWith({})) as object), action: 'requested' };
    expect(decodeWorkflowJob(JSON.stringify(requested), 'd')).toMatchObject({
      action: 'requested',
      sighting: undefined,
    });
  });

  test('says when a job was completed', () => {
    const completed = examples.find(({ action }) => action === 'completed');
    expect(decodeWorkflowJob(JSON.stringify(completed), 'd').sighting).toMatchObject({
      startedAt: '2021-08-05T10:34:58.000Z',
      completedAt: '2021-08-05T10:38:16.000Z',
    });
  });

  test('keeps every digit of ids beyond 2^53', () => {
    const body = bodyWith({ workflow_job: { id: 'ID', run_id: 'RUN' } })
      .replace('"ID"', '9007199254740993')
      .replace('"RUN"', '18446744073709551615');
    expect(decodeWorkflowJob(body, 'd').job).toMatchObject({ id: '9007199254740993', runId: '18446744073709551615' });
  });

  test.each([null, '', undefined])('has no runner where GitHub says %j', (runner_name) => {
    expect(decodeWorkflowJob(bodyWith({ workflow_job: { runner_name } }), 'd').sighting?.runnerName).toBeUndefined();
  });

  test('without an attempt is of the first', () => {
    expect(decodeWorkflowJob(bodyWith({ workflow_job: { run_attempt: undefined } }), 'd').job.attempt).toBe(1);
    expect(decodeWorkflowJob(bodyWith({ workflow_job: { run_attempt: 3 } }), 'd').job.attempt).toBe(3);
  });

  test('spells its moments one way, whatever the time zone GitHub wrote', () => {
    const { job } = decodeWorkflowJob(bodyWith({ workflow_job: { created_at: '2026-11-21T11:00:00+02:00' } }), 'd');
    expect(job.createdAt).toBe('2026-11-21T09:00:00.000Z');
  });

  test.each<[string, { workflow_job?: object; repository?: object }, object]>([
    ['an empty start', { workflow_job: { started_at: '' } }, { startedAt: undefined }],
    ['a start that is no date', { workflow_job: { started_at: 'soon' } }, { startedAt: undefined }],
    ['a start beyond all years', { workflow_job: { started_at: '+012026-01-01T00:00:00Z' } }, { startedAt: undefined }],
    ['an end that is a number', { workflow_job: { completed_at: 5 } }, { completedAt: undefined }],
    ['no name', { workflow_job: { name: null } }, { job: { name: '' } }],
    ['a name that is missing', { workflow_job: { name: undefined } }, { job: { name: '' } }],
    ['a name that is no text', { workflow_job: { name: 5 } }, { job: { name: '' } }],
    ['no attempt', { workflow_job: { run_attempt: null } }, { job: { attempt: 1 } }],
    ['an attempt 0', { workflow_job: { run_attempt: 0 } }, { job: { attempt: 1 } }],
    ['an attempt in words', { workflow_job: { run_attempt: 'first' } }, { job: { attempt: 1 } }],
    ['a conclusion that is no text', { workflow_job: { conclusion: {} } }, { conclusion: undefined }],
    ['a runner name that is no text', { workflow_job: { runner_name: 0 } }, { runnerName: undefined }],
    ['no status', { workflow_job: { status: null } }, { state: 'queued' }],
    [
      'no moment of its creation',
      { workflow_job: { created_at: 'soon', started_at: '2026-09-01T10:00:00Z' } },
      { job: { createdAt: '2026-09-01T10:00:00.000Z' } },
    ],
  ])('with %s is taken: that is read as absent', (_, parts, expected) => {
    const decoded = decodeWorkflowJob(bodyWith(parts), 'd');
    expect({
      startedAt: undefined,
      completedAt: undefined,
      conclusion: undefined,
      runnerName: undefined,
      ...decoded.sighting,
    }).toMatchObject(expected);
  });

  test.each([
    ['of an organization when the delivery names one', { organization: { login: 'acme' } }, 'Organization'],
    ['of one repository alone when nothing is said', { organization: undefined }, 'User'],
  ])('whose owner has no type is %s', (_, more, ownerType) => {
    for (const owner of [{ login: 'acme' }, { type: null }, undefined]) {
      const payload = JSON.parse(bodyWith({ repository: { owner } })) as object;
      expect(decodeWorkflowJob(JSON.stringify({ ...payload, ...more }), 'd').job.repository.ownerType).toBe(ownerType);
    }
  });

  test('has a name that a message can carry', () => {
    const name = '🚀'.repeat(5000);
    expect(decodeWorkflowJob(bodyWith({ workflow_job: { name } }), 'd').job.name).toBe('🚀'.repeat(500));
  });

  test.each([
    ['not JSON', 'payload=%7B', 'the body must be JSON'],
    ['no object', 'null', 'the body must be '],
    ['without a job', '{"action":"queued"}', 'workflow_job must be '],
    ['with an id that is none', bodyWith({ workflow_job: { id: -1 } }), 'workflow_job.id must be '],
    ['with a broken id', bodyWith({ workflow_job: { id: 1.5 } }), 'workflow_job.id must be '],
    ['with labels that are none', bodyWith({ workflow_job: { labels: 'x64' } }), 'workflow_job.labels'],
    [
      'without any date',
      bodyWith({ workflow_job: { created_at: null, started_at: null } }),
      'workflow_job.created_at must be a date',
    ],
    [
      'with dates that are none',
      bodyWith({ workflow_job: { created_at: 'soon', started_at: '' } }),
      'workflow_job.created_at must be a date',
    ],
    ['without a run', bodyWith({ workflow_job: { run_id: null } }), 'workflow_job.run_id must be '],
    [
      'of a repository that does not say whether it is private',
      bodyWith({ repository: { private: null } }),
      'repository.private',
    ],
    [
      'of a repository without an owner',
      bodyWith({ repository: { full_name: 'web' } }),
      'repository.full_name must be ',
    ],
  ])('%s is refused, by its part', (_, body, says) => {
    expect(() => decodeWorkflowJob(body, 'd')).toThrow(says);
  });

  test('that is refused is not quoted', () => {
    for (const part of ['id', 'run_id', 'labels']) {
      const secretive = bodyWith({ workflow_job: { [part]: 's3cret' } });
      expect(() => decodeWorkflowJob(secretive, 'd')).toThrow(/^((?!s3cret).)*$/s);
    }
  });
});

describe('JSON', () => {
  test.each<[string, unknown]>([
    ['9007199254740991', 9_007_199_254_740_991],
    ['9007199254740992', '9007199254740992'],
    ['-9007199254740993', '-9007199254740993'],
    ['1.5', 1.5],
    ['{"a":[12345678901234567890]}', { a: ['12345678901234567890'] }],
    ['"9007199254740993"', '9007199254740993'],
  ])('of %s loses no digit', (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });
});

import { describe, expect, test } from '@jest/globals';
import type { WorkflowJobDelivery } from '../../functions/contracts/with-github/delivery.ts';
import { decideDelivery } from '../../functions/webhook/decide-delivery.ts';
import { aJob, aProfile, prefix, type JobParts } from '../fakes/builders.ts';

const fleet = { prefix, owners: ['acme'], profiles: [aProfile()] };
const ours = `${prefix}-81230000001-1`;

function decide(parts: Partial<Omit<WorkflowJobDelivery, 'job'>>, job: JobParts = {}) {
  return decideDelivery({ action: 'queued', status: 'queued', ...parts, job: aJob(job) }, fleet);
}

describe('a delivery of a job that we serve', () => {
  test.each([
    ['queued', 'queued', { kind: 'launch', profile: 'small' }],
    ['queued', 'waiting', { kind: 'track', event: 'blocked', profile: 'small' }],
    ['waiting', 'waiting', { kind: 'track', event: 'blocked', profile: 'small' }],
    ['in_progress', 'in_progress', { kind: 'track', event: 'in_progress', profile: 'small' }],
    ['completed', 'completed', { kind: 'track', event: 'completed', profile: 'small' }],
    ['requested', 'queued', { kind: 'ignore', reason: 'action requested asks for nothing' }],
  ])('whose action is %s and whose status is %s', (action, status, decision) => {
    expect(decide({ action, status })).toEqual(decision);
  });

  test('starts a runner though an old payload names one', () => {
    expect(decide({ runnerName: 'GitHub Actions 5' })).toEqual({ kind: 'launch', profile: 'small' });
  });
});

describe('a delivery of a job that is not ours', () => {
  test.each<[string, JobParts, RegExp]>([
    ['by its owner', { repository: { fullName: 'evil/web' } }, /^owner evil/],
    ['by its labels', { labels: ['ubuntu-latest'] }, /^no profile has the labels/],
    ['by its openness', { repository: { private: false } }, /is public/],
  ])('%s starts nothing, and says why', (_, job, reason) => {
    expect(decide({}, job)).toEqual({ kind: 'ignore', reason: expect.stringMatching(reason) });
    expect(decide({ action: 'completed', runnerName: 'GitHub Actions 5' }, job)).toMatchObject({ kind: 'ignore' });
  });

  test.each(['in_progress', 'completed'] as const)(
    'that is %s on a runner of ours is followed all the same',
    (action) => {
      const foreign = { labels: ['self-hosted'] };
      expect(decide({ action, runnerName: ours }, foreign)).toEqual({ kind: 'track', event: action });
      expect(decide({ action, runnerName: `other-${prefix}-1` }, foreign)).toMatchObject({ kind: 'ignore' });
      expect(decide({ action, runnerName: `${prefix}9-81230000001-1` }, foreign)).toMatchObject({ kind: 'ignore' });
    },
  );

  test.each(['in_progress', 'completed'])(
    'that is %s says nothing of our runners when its owner is not ours',
    (action) => {
      const evil = { labels: ['mine'], repository: { fullName: 'evil/anything', private: false } };
      expect(decide({ action, runnerName: ours }, evil)).toEqual({
        kind: 'ignore',
        reason: "owner evil is not one of this fleet's",
      });
    },
  );

  test('that is queued starts nothing, whatever runner it names', () => {
    expect(decide({ runnerName: ours }, { labels: ['self-hosted'] })).toMatchObject({ kind: 'ignore' });
  });
});

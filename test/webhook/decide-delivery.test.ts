import { describe, expect, test } from '@jest/globals';
import type { JobSighting } from '../../functions/contracts/between-rooms/job-sighting.ts';
import { decideDelivery } from '../../functions/webhook/decide-delivery.ts';
import { aJob, aProfile, prefix, type JobParts } from '../fakes/builders.ts';

const fleet = { prefix, owners: ['acme'], profiles: [aProfile()] };
const ours = `${prefix}-81230000001-1`;

function sightingOf(parts: Partial<JobSighting>, job: JobParts = {}): JobSighting {
  return { state: 'queued', by: 'd', ...parts, job: aJob(job) };
}

function decide(parts: Partial<JobSighting>, job: JobParts = {}) {
  return decideDelivery({ action: 'any', job: aJob(job), sighting: sightingOf(parts, job) }, fleet);
}

describe('a delivery of a job that we serve', () => {
  test('that is queued starts a runner, though an old payload names one', () => {
    expect(decide({})).toEqual({ kind: 'launch', profile: 'small' });
    expect(decide({ runnerName: 'GitHub Actions 5' })).toEqual({ kind: 'launch', profile: 'small' });
  });

  test.each(['blocked', 'in_progress', 'completed'] as const)('that is %s is followed', (state) => {
    expect(decide({ state })).toEqual({ kind: 'track', sighting: sightingOf({ state }), profile: 'small' });
  });

  test('whose action says nothing of it is ignored', () => {
    expect(decideDelivery({ action: 'requested', job: aJob(), sighting: undefined }, fleet)).toEqual({
      kind: 'ignore',
      note: 'action requested asks for nothing',
    });
  });
});

describe('a delivery of a job that is not ours', () => {
  test.each<[string, JobParts, RegExp]>([
    ['by its owner', { repository: { fullName: 'evil/web' } }, /^owner evil/],
    ['by its labels', { labels: ['ubuntu-latest'] }, /^no profile has the labels/],
    ['by its openness', { repository: { private: false } }, /is public/],
  ])('%s starts nothing, and says why', (_, job, note) => {
    expect(decide({}, job)).toEqual({ kind: 'ignore', note: expect.stringMatching(note) });
    expect(decide({ state: 'completed', runnerName: 'GitHub Actions 5' }, job)).toMatchObject({ kind: 'ignore' });
  });

  test.each(['in_progress', 'completed'] as const)(
    'that is %s on a runner of ours is followed all the same',
    (state) => {
      const foreign = { labels: ['self-hosted'] };
      const sighting = sightingOf({ state, runnerName: ours }, foreign);
      expect(decide({ state, runnerName: ours }, foreign)).toEqual({ kind: 'track', sighting });
      expect(decide({ state, runnerName: `other-${prefix}-1` }, foreign)).toMatchObject({ kind: 'ignore' });
      expect(decide({ state, runnerName: `${prefix}9-81230000001-1` }, foreign)).toMatchObject({ kind: 'ignore' });
    },
  );

  test.each(['in_progress', 'completed'] as const)(
    'that is %s says nothing of our runners when its owner is not ours',
    (state) => {
      const evil = { labels: ['mine'], repository: { fullName: 'evil/anything', private: false } };
      expect(decide({ state, runnerName: ours }, evil)).toEqual({
        kind: 'ignore',
        note: "owner evil is not one of this fleet's",
      });
    },
  );

  test('that is queued starts nothing, whatever runner it names', () => {
    expect(decide({ runnerName: ours }, { labels: ['self-hosted'] })).toMatchObject({ kind: 'ignore' });
  });
});

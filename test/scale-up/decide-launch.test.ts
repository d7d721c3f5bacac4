import { describe, expect, test } from '@jest/globals';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideAfterLook, decideLaunch, type LaunchView } from '../../functions/scale-up/decide-launch.ts';
import { aJobRecord, aLaunchedRunner, aProfile, aRunner } from '../fakes/builders.ts';
import { after, beginning, hour, minute, second } from '../fakes/clock.ts';

const now = Date.parse(beginning) + minute;
const profile = aProfile();
const view = (parts: Partial<LaunchView> = {}): LaunchView => ({
  job: aJobRecord(),
  launch: 1,
  runner: undefined,
  admission: { kind: 'admitted', profile },
  receivedBefore: false,
  hasTurn: false,
  turnsAhead: 0,
  begunUnder: parts.runner && profile,
  leases: parts.runner === undefined ? 0 : 1,
  scope: { scope: 'acme' },
  breaker: { revision: 0, failures: 0 },
  room: { 'on-demand': { revision: 0, failures: 0 }, spot: { revision: 0, failures: 0 } },
  now,
  ...parts,
});
const probes = { breaker: false, room: false };
const starts = { kind: 'start', capacity: 'on-demand', probes, instead: undefined, profile, asksGitHub: false };
const asks = { ...starts, asksGitHub: true };

describe('a waiting job', () => {
  test('gets its first runner at once', () => {
    expect(decideLaunch(view())).toEqual(starts);
  });

  test.each<[string, Partial<LaunchView>]>([
    ['is older than five minutes', { now: Date.parse(beginning) + 5 * minute + 1 }],
    ['comes by a message that was received before', { receivedBefore: true }],
    ['had a launch before', { launch: 2, job: aJobRecord({ launches: 1 }) }],
    ['was not known to GitHub a moment ago', { job: aJobRecord({ goneSince: beginning }) }],
    [
      'was older than a day when we first heard of it',
      { job: aJobRecord({ job: { createdAt: after(-25 * hour) }, wasBlocked: true, waitingSince: beginning }) },
    ],
  ])('is looked up at GitHub first when it %s', (_, parts) => {
    expect(decideLaunch(view(parts))).toEqual(asks);
  });

  test.each<[string, Partial<LaunchView>, object]>([
    [
      'takes no turn far off when those before it may fill its profile',
      { leases: 4, turnsAhead: 401 },
      { kind: 'wait', reason: 'pacing' },
    ],
    [
      'takes a turn within twenty seconds, whatever profiles those before it have',
      { turnsAhead: 400 },
      { kind: 'start' },
    ],
    [
      'takes a turn far off when its profile has a place more than those',
      { leases: 4, turnsAhead: 401, admission: { kind: 'admitted', profile: aProfile({ maxRunners: 406 }) } },
      { kind: 'start' },
    ],
    ['goes on with the turn that it has', { leases: 9, turnsAhead: 401, hasTurn: true }, { kind: 'start' }],
  ])('%s', (_case, parts, expected) => {
    expect(decideLaunch(view(parts))).toMatchObject(expected);
  });

  test('is trusted to wait for five minutes', () => {
    expect(decideLaunch(view({ now: Date.parse(beginning) + 5 * minute }))).toEqual(starts);
  });

  test('is given up after a day, as GitHub does', () => {
    expect(decideLaunch(view({ now: Date.parse(beginning) + 24 * hour + 1 }))).toEqual({
      kind: 'give-up',
      state: 'expired',
      note: 'GitHub gives a job up after 24 hours',
    });
    expect(decideLaunch(view({ now: Date.parse(beginning) + 24 * hour }))).toEqual(asks);
  });

  test('that an approval held back is as old as its wait, not as its creation', () => {
    const released = aJobRecord({ wasBlocked: true, seenAt: after(0), waitingSince: after(48 * hour) });
    const start = Date.parse(after(48 * hour));
    expect(decideLaunch(view({ job: released, now: start + minute }))).toEqual(starts);
    expect(decideLaunch(view({ job: released, now: start + 6 * minute }))).toEqual(asks);
    expect(decideLaunch(view({ job: released, now: start + 24 * hour + 1 }))).toMatchObject({ state: 'expired' });
  });

  test('that was announced late is looked up, as its creation says', () => {
    const late = aJobRecord({ waitingSince: after(30 * hour), seenAt: after(30 * hour) });
    expect(decideLaunch(view({ job: late, now: Date.parse(after(30 * hour)) }))).toEqual(asks);
  });

  test('that no profile serves any more is refused', () => {
    const admission = { kind: 'not-ours', note: 'no profile has the labels ["gone"]' } as const;
    expect(decideLaunch(view({ admission }))).toEqual({
      kind: 'give-up',
      state: 'refused',
      note: 'no profile has the labels ["gone"]',
    });
  });

  test.each<[string, Partial<LaunchView>, object]>([
    [
      'for a probe of its pool, or a person',
      { job: aJobRecord({ parked: true }) },
      { reason: 'parked', note: 'parked: too many runners started for it ended without a job' },
    ],
    [
      'for its time, with the reason it has',
      { job: aJobRecord({ notBefore: after(2 * minute), reason: 'quota' }) },
      { reason: 'quota', note: `not before ${after(2 * minute)}`, until: Date.parse(after(2 * minute)) },
    ],
    [
      'for its time, with a reason where it has none',
      { job: aJobRecord({ notBefore: after(2 * minute) }) },
      { reason: 'backing-off', note: `not before ${after(2 * minute)}`, until: Date.parse(after(2 * minute)) },
    ],
    [
      'for a paused profile',
      { admission: { kind: 'admitted', profile: aProfile({ maxRunners: 0 }) } },
      { reason: 'profile-paused', note: 'profile small is paused: maxRunners is 0' },
    ],
  ])('waits %s', (_, parts, wait) => {
    expect(decideLaunch(view(parts))).toEqual({ kind: 'wait', ...wait });
  });

  test('whose turn has come starts, though its record says that it waits for its turn', () => {
    const job = aJobRecord({ notBefore: after(minute + second), reason: 'pacing' });
    expect(decideLaunch(view({ job }))).toMatchObject({ kind: 'wait', reason: 'pacing' });
    expect(decideLaunch(view({ job, hasTurn: true }))).toEqual(starts);
  });

  test('starts once its time has come', () => {
    expect(decideLaunch(view({ job: aJobRecord({ notBefore: after(minute) }) }))).toEqual(starts);
  });
});

describe('a launch', () => {
  test.each([
    ['was overtaken', 1, 1],
    ['is doubled', 2, 2],
    ['runs ahead', 3, 1],
    ['runs far ahead', 2, 0],
  ])('that %s is dropped: launch %i after launch %i', (_, launch, launches) => {
    expect(decideLaunch(view({ launch, job: aJobRecord({ launches }) }))).toEqual({
      kind: 'drop',
      note: `launch ${launch} does not follow launch ${launches}`,
    });
  });

  test.each(['blocked', 'refused', 'expired', 'in_progress', 'completed'] as const)(
    'of a job that is %s is dropped',
    (state) => {
      expect(decideLaunch(view({ job: aJobRecord({ state }) }))).toEqual({
        kind: 'drop',
        note: `the job is ${state}`,
      });
    },
  );
});

describe('a launch that was begun before', () => {
  const begun = (runner: RunnerRecord, parts: Partial<LaunchView> = {}) =>
    decideLaunch(view({ job: aJobRecord({ launches: 1 }), runner, ...parts }));
  const claimed = aRunner();

  test('is resumed while the job waits', () => {
    expect(begun(claimed)).toEqual({ kind: 'resume', runner: claimed, profile });
  });

  test('is abandoned when the job waits no more', () => {
    expect(begun(claimed, { job: aJobRecord({ state: 'completed', launches: 1 }) })).toEqual({
      kind: 'abandon',
      runner: claimed,
      reason: undefined,
      note: 'the job is completed',
    });
  });

  test.each<[string, Partial<LaunchView>, object]>([
    [
      'is paused',
      { begunUnder: aProfile({ maxRunners: 0 }) },
      { reason: 'profile-paused', note: 'profile small is paused: maxRunners is 0' },
    ],
    [
      'has more runners than it may have',
      { begunUnder: aProfile({ maxRunners: 2 }), leases: 3 },
      { reason: 'profile-full', note: 'profile small is full (3 of 2)' },
    ],
    ['is gone', { begunUnder: undefined }, { reason: 'starting', note: 'profile small is gone' }],
  ])('is abandoned when its profile %s, and its job waits', (_, parts, wait) => {
    expect(begun(claimed, parts)).toEqual({ kind: 'abandon', runner: claimed, ...wait });
  });

  test('goes on while its profile has as many runners as it may have', () => {
    expect(begun(claimed, { begunUnder: aProfile({ maxRunners: 2 }), leases: 2 })).toMatchObject({ kind: 'resume' });
  });

  test('is left to the sweep when the sweep may call it lost before RunTask answers', () => {
    const start = Date.parse(beginning);
    expect(begun(claimed, { now: start + 10 * minute - 10 * second - 1 })).toMatchObject({ kind: 'resume' });
    expect(begun(claimed, { now: start + 10 * minute - 10 * second })).toMatchObject({ kind: 'drop' });
  });

  test('by the version before, without a claim, is abandoned', () => {
    const { claimId: _none, ...old } = claimed;
    expect(begun(old)).toMatchObject({ kind: 'abandon', reason: 'starting' });
  });

  test('and whose claim was revoked is dropped', () => {
    expect(begun({ ...claimed, revoked: true })).toEqual({ kind: 'drop', note: 'its claim was revoked' });
  });

  test('and has its task is dropped', () => {
    expect(begun(aLaunchedRunner())).toEqual({ kind: 'drop', note: 'this launch has its task' });
  });

  test('and is over is dropped', () => {
    const over = aRunner({ endedAt: beginning, ending: 'not-launched' });
    expect(begun(over)).toEqual({ kind: 'drop', note: 'this launch has ended: not-launched' });
  });
});

describe("GitHub's answer", () => {
  const later = aJobRecord({ launches: 1 });
  const wait = (reason: string) => ({ kind: 'wait', reason });
  const go = { kind: 'launch' };
  const close = { kind: 'close' };

  test.each([
    ['queued', go, go],
    ['unknown', go, wait('github-unavailable')],
    ['blocked', wait('blocked'), wait('blocked')],
    ['in_progress', close, close],
    ['completed', close, close],
    ['gone', wait('not-found'), wait('not-found')],
  ] as const)('%s means %j for a first launch and %j for a later one', (answer, ofFirst, ofLater) => {
    expect([decideAfterLook(aJobRecord(), answer, now), decideAfterLook(later, answer, now)]).toEqual([
      ofFirst,
      ofLater,
    ]);
  });

  test('gone is believed when a look five minutes before said the same', () => {
    const gone = aJobRecord({ goneSince: beginning });
    const start = Date.parse(beginning);
    expect(decideAfterLook(gone, 'gone', start + 5 * minute - 1)).toEqual(wait('not-found'));
    expect(decideAfterLook(gone, 'gone', start + 5 * minute)).toEqual(close);
  });

  test('that does not come lets no job start that was old when we first heard of it: its delivery may be a replay', () => {
    const replayed = aJobRecord({ job: { createdAt: after(-25 * hour) } });
    expect(decideAfterLook(replayed, 'unknown', now)).toEqual(wait('github-unavailable'));
    expect(decideAfterLook(replayed, 'queued', now)).toEqual(go);
  });
});

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
  now,
  ...parts,
});

describe('a waiting job', () => {
  test('gets its first runner at once', () => {
    expect(decideLaunch(view())).toEqual({ kind: 'launch' });
  });

  test.each<[string, Partial<LaunchView>]>([
    ['is older than five minutes', { now: Date.parse(beginning) + 5 * minute + 1 }],
    ['comes by a message that was received before', { receivedBefore: true }],
    ['had a launch before', { launch: 2, job: aJobRecord({ launches: 1 }) }],
  ])('is looked up at GitHub first when it %s', (_, parts) => {
    expect(decideLaunch(view(parts))).toEqual({ kind: 'look-first' });
  });

  test('is trusted to wait for five minutes', () => {
    expect(decideLaunch(view({ now: Date.parse(beginning) + 5 * minute }))).toEqual({ kind: 'launch' });
  });

  test('is given up after a day, as GitHub does', () => {
    expect(decideLaunch(view({ now: Date.parse(beginning) + 24 * hour + 1 }))).toEqual({
      kind: 'give-up',
      state: 'expired',
      reason: 'GitHub gives a job up after 24 hours',
    });
    expect(decideLaunch(view({ now: Date.parse(beginning) + 24 * hour }))).toEqual({ kind: 'look-first' });
  });

  test('that an approval held back is as old as its wait, not as its creation', () => {
    const released = aJobRecord({ wasBlocked: true, seenAt: after(0), waitingSince: after(48 * hour) });
    const start = Date.parse(after(48 * hour));
    expect(decideLaunch(view({ job: released, now: start + minute }))).toEqual({ kind: 'launch' });
    expect(decideLaunch(view({ job: released, now: start + 6 * minute }))).toEqual({ kind: 'look-first' });
    expect(decideLaunch(view({ job: released, now: start + 24 * hour + 1 }))).toMatchObject({ state: 'expired' });
  });

  test('that was announced late is looked up, as its creation says', () => {
    const late = aJobRecord({ waitingSince: after(30 * hour), seenAt: after(30 * hour) });
    expect(decideLaunch(view({ job: late, now: Date.parse(after(30 * hour)) }))).toEqual({ kind: 'look-first' });
  });

  test('that no profile serves any more is refused', () => {
    const admission = { kind: 'not-ours', reason: 'no profile has the labels ["gone"]' } as const;
    expect(decideLaunch(view({ admission }))).toEqual({
      kind: 'give-up',
      state: 'refused',
      reason: 'no profile has the labels ["gone"]',
    });
  });

  test.each<[string, Partial<LaunchView>, object]>([
    [
      'for a person',
      { job: aJobRecord({ held: true }) },
      { reason: 'held', note: 'too many runners started for it ended without a job' },
    ],
    [
      'for its time, with the reason it has',
      { job: aJobRecord({ notBefore: after(2 * minute), reason: 'quota' }) },
      { reason: 'quota', note: `not before ${after(2 * minute)}` },
    ],
    [
      'for its time, with a reason where it has none',
      { job: aJobRecord({ notBefore: after(2 * minute) }) },
      { reason: 'backing-off', note: `not before ${after(2 * minute)}` },
    ],
    [
      'for a paused profile',
      { admission: { kind: 'admitted', profile: aProfile({ maxRunners: 0 }) } },
      { reason: 'profile-paused', note: 'profile small is paused: maxRunners is 0' },
    ],
  ])('waits %s', (_, parts, wait) => {
    expect(decideLaunch(view(parts))).toEqual({ kind: 'wait', ...wait });
  });

  test('starts once its time has come', () => {
    expect(decideLaunch(view({ job: aJobRecord({ notBefore: after(minute) }) }))).toEqual({ kind: 'launch' });
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
      reason: `launch ${launch} does not follow launch ${launches}`,
    });
  });

  test.each(['blocked', 'refused', 'expired', 'in_progress', 'completed'] as const)(
    'of a job that is %s is dropped',
    (state) => {
      expect(decideLaunch(view({ job: aJobRecord({ state }) }))).toEqual({
        kind: 'drop',
        reason: `the job is ${state}`,
      });
    },
  );
});

describe('a launch that was begun before', () => {
  const begun = (runner: RunnerRecord, parts: Partial<LaunchView> = {}) =>
    decideLaunch(view({ job: aJobRecord({ launches: 1 }), runner, ...parts }));
  const claimed = aRunner({ claimId: 'c', claimedAt: beginning });

  test('is resumed from its lease while the job waits', () => {
    expect(begun(aRunner())).toEqual({ kind: 'resume', runner: aRunner() });
  });

  test('gives its lease back when the job waits no more', () => {
    expect(begun(aRunner(), { job: aJobRecord({ state: 'completed', launches: 1 }) })).toEqual({
      kind: 'abandon',
      runner: aRunner(),
      reason: 'the job is completed',
    });
  });

  test('is resumed from its claim whatever became of the job, for there may be a task', () => {
    expect(begun(claimed)).toEqual({ kind: 'resume', runner: claimed });
    const job = aJobRecord({ state: 'completed', launches: 1 });
    expect(begun(claimed, { job })).toEqual({ kind: 'resume', runner: claimed });
  });

  test('is left to the sweep once its claim has expired', () => {
    const start = Date.parse(beginning);
    expect(begun(claimed, { now: start + 15 * minute - second })).toMatchObject({ kind: 'resume' });
    expect(begun(claimed, { now: start + 15 * minute })).toMatchObject({ kind: 'drop' });
  });

  test('and whose claim was revoked is dropped', () => {
    expect(begun({ ...claimed, revoked: true })).toEqual({ kind: 'drop', reason: 'its claim was revoked' });
  });

  test('and has its task is dropped', () => {
    expect(begun(aLaunchedRunner())).toEqual({ kind: 'drop', reason: 'this launch has its task' });
  });

  test('and is over is dropped', () => {
    const over = aRunner({ endedAt: beginning, ending: 'not-launched' });
    expect(begun(over)).toEqual({ kind: 'drop', reason: 'this launch has ended: not-launched' });
  });
});

describe("GitHub's answer", () => {
  test.each([
    ['queued', 'launch', 'launch'],
    ['unknown', 'launch', 'wait'],
    ['blocked', 'wait', 'wait'],
    ['in_progress', 'close', 'close'],
    ['completed', 'close', 'close'],
    ['gone', 'close', 'close'],
  ] as const)('%s means %s for a first launch and %s for a later one', (look, first, later) => {
    expect([decideAfterLook(1, look), decideAfterLook(2, look)]).toEqual([first, later]);
  });
});

import { describe, expect, test } from '@jest/globals';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { decideWaiting } from '../../functions/replenish/decide-waiting.ts';
import { aJobRecord, aProfile } from '../fakes/builders.ts';
import { after, beginning, hour } from '../fakes/clock.ts';

const now = Date.parse(beginning);
const admitted = (profile: Profile = aProfile()) => ({ kind: 'admitted', profile }) as const;
const refused = { kind: 'not-ours', note: 'no profile has the labels ["gone"]' } as const;

describe('a job that waits', () => {
  test('stays in its pool while its profile serves it', () => {
    expect(decideWaiting(aJobRecord(), admitted(), now)).toEqual({ kind: 'keep' });
  });

  test('moves to the profile that serves it now', () => {
    expect(decideWaiting(aJobRecord(), admitted(aProfile({ name: 'renamed' })), now)).toEqual({
      kind: 'move',
      pool: 'renamed@acme',
      profile: 'renamed',
    });
  });

  test('moves when its profile has another runner group', () => {
    expect(decideWaiting(aJobRecord(), admitted(aProfile({ runnerGroup: 'private' })), now)).toEqual({
      kind: 'move',
      pool: 'small@acme+private',
      profile: 'small',
    });
  });

  test('is refused with the reason when no profile serves it any more', () => {
    expect(decideWaiting(aJobRecord(), refused, now)).toEqual({
      kind: 'give-up',
      state: 'refused',
      note: refused.note,
    });
  });

  test('counts its 24 hours from when we heard that it waits: an approval may have held it back for weeks', () => {
    const approved = aJobRecord({
      job: { createdAt: after(-400 * hour) },
      seenAt: after(-400 * hour),
      waitingSince: after(-24 * hour),
      wasBlocked: true,
    });
    expect(decideWaiting(approved, admitted(), now)).toEqual({ kind: 'keep' });
    expect(decideWaiting(approved, admitted(), now + 1)).toMatchObject({ kind: 'give-up', state: 'expired' });
  });

  test('expires after 24 hours, and not a millisecond sooner', () => {
    const day = 24 * hour;
    expect(decideWaiting(aJobRecord(), admitted(), now + day)).toEqual({ kind: 'keep' });
    expect(decideWaiting(aJobRecord(), admitted(), now + day + 1)).toMatchObject({ kind: 'give-up', state: 'expired' });
    expect(decideWaiting(aJobRecord(), refused, now + day + 1)).toMatchObject({ kind: 'give-up', state: 'expired' });
  });
});

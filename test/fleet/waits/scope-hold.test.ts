import { describe, expect, test } from '@jest/globals';
import { MissingSecretError, type GitHubFailure } from '../../../functions/contracts/with-github/errors.ts';
import { holdAfterLook, holdAfterMint, holdOf } from '../../../functions/fleet/waits/scope-hold.ts';
import { after, beginning, hour, minute } from '../../fakes/clock.ts';
import { aGitHubError } from '../../fakes/github.ts';

const now = Date.parse(beginning);

describe('the hold of a scope', () => {
  test('lasts until its time, to the millisecond', () => {
    const scope = { scope: 'acme', holdUntil: after(minute), holdReason: 'suspended' };
    expect(holdOf(scope, now + minute - 1)).toEqual({ until: now + minute, note: 'suspended' });
    expect(holdOf(scope, now + minute)).toBeUndefined();
  });

  test('is none where there was none, and has words where nobody gave any', () => {
    expect(holdOf({ scope: 'acme' }, now)).toBeUndefined();
    expect(holdOf({ scope: 'acme', holdUntil: after(1) }, now)).toEqual({
      until: now + 1,
      note: 'the scope is on hold',
    });
  });
});

describe('a registration token that could not be had', () => {
  test.each<GitHubFailure>(['refused', 'rate-limited', 'not-installed', 'suspended'])(
    'holds the scope for five minutes when GitHub says %s',
    (kind) => {
      expect(holdAfterMint(aGitHubError(kind), now)).toEqual({
        until: now + 5 * minute,
        note: `GET /somewhere: ${kind}`,
      });
    },
  );

  test('holds the scope until GitHub asks for it again, and an hour at most', () => {
    const until = (retryAt: number) => holdAfterMint(aGitHubError('rate-limited', { retryAt }), now)?.until;
    expect(until(now + 50 * minute)).toBe(now + 50 * minute);
    expect(until(now + hour)).toBe(now + hour);
    expect(until(now + 31_536_000_000)).toBe(now + hour);
  });

  test('holds nobody when GitHub did not answer: that passes', () => {
    expect(holdAfterMint(aGitHubError('unavailable'), now)).toBeUndefined();
    expect(holdAfterMint(aGitHubError('unavailable', { retryAt: now + hour }), now)).toBeUndefined();
  });

  test('holds the scope for a minute while a secret is missing', () => {
    const error = new MissingSecretError('the parameter /app-key is not set');
    expect(holdAfterMint(error, now)).toEqual({ until: now + minute, note: error.message });
  });
});

describe("GitHub's no to a question about one job", () => {
  test.each<GitHubFailure>(['not-installed', 'suspended'])('holds the scope for five minutes when it is %s', (kind) => {
    expect(holdAfterLook(aGitHubError(kind), now)).toEqual({
      until: now + 5 * minute,
      note: `GET /somewhere: ${kind}`,
    });
  });

  test.each<GitHubFailure>(['refused', 'rate-limited', 'unavailable'])(
    'never holds the scope when it is %s: it may say something about that job alone',
    (kind) => {
      expect(holdAfterLook(aGitHubError(kind, { retryAt: now + 50 * minute }), now)).toBeUndefined();
    },
  );

  test('never holds the scope when it did not come to a question', () => {
    expect(holdAfterLook(new MissingSecretError('the parameter /app-key is not set'), now)).toBeUndefined();
    expect(holdAfterLook(new Error('socket hang up'), now)).toBeUndefined();
  });
});

import { describe, expect, test } from '@jest/globals';
import type { BreakerRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import {
  afterBadStart,
  afterGoodStart,
  allowedByBreaker,
  pauseMs,
  withProbe,
} from '../../../functions/fleet/waits/breaker.ts';
import { after, beginning, minute } from '../../fakes/clock.ts';

const now = Date.parse(beginning);
const closed: BreakerRecord = { revision: 4, failures: 0 };
const open: BreakerRecord = { revision: 4, failures: 3, openedAt: after(0), until: after(minute) };
/** A runner that began so long after the breaker opened. */
const runner = (runnerId: string, began = -minute) => ({ runnerId, createdAt: after(began) });

/** The record after so many starts failed in a row, each by a runner of its own. */
function failed(times: number, record = closed): BreakerRecord {
  return Array.from({ length: times }, (_, n) => `r${n}`).reduce(
    (before, name) => afterBadStart(before, runner(name), now) ?? before,
    record,
  );
}

describe('a breaker', () => {
  test('lets all start while it is closed, also after two failed starts', () => {
    expect(allowedByBreaker(closed, now)).toEqual({ kind: 'go' });
    expect(failed(2)).toEqual({ revision: 4, failures: 2 });
    expect(allowedByBreaker(failed(2), now)).toEqual({ kind: 'go' });
  });

  test('opens for a minute at the third failed start in a row', () => {
    expect(failed(3)).toEqual(open);
    expect(allowedByBreaker(failed(3), now)).toEqual({ kind: 'wait', until: now + minute });
  });

  test('lets exactly one start when its pause is over, to the millisecond', () => {
    expect(allowedByBreaker(open, now + minute - 1)).toEqual({ kind: 'wait', until: now + minute });
    expect(allowedByBreaker(open, now + minute)).toEqual({ kind: 'probe' });
  });

  test('makes the others wait while its probe is on its way, as long as after one more failure', () => {
    const probed = withProbe(open, 'p', now + minute);
    expect(probed).toEqual({ ...open, probe: 'p', until: after(3 * minute) });
    expect(allowedByBreaker(probed, now + 3 * minute - 1)).toEqual({ kind: 'wait', until: now + 3 * minute });
  });

  test('counts only its probes while it is open: other starts that fail now began before', () => {
    for (const began of [-minute, 0]) {
      expect(afterBadStart(open, runner('r9', began), now)).toBeUndefined();
      expect(afterBadStart(withProbe(open, 'p', now), runner('r9', began), now)).toBeUndefined();
    }
  });

  test('counts also a probe that took so long to fail that others have begun by then', () => {
    const probed = withProbe(withProbe(open, 'p', now + minute), 'q', now + 3 * minute);
    expect(afterBadStart(probed, runner('p', minute), now + 20 * minute)).toEqual({
      ...open,
      failures: 4,
      until: after(22 * minute),
    });
  });

  test('waits twice as long when its probe fails', () => {
    const probed = withProbe(open, 'p', now + minute);
    expect(afterBadStart(probed, runner('p'), now + 2 * minute)).toEqual({
      ...open,
      failures: 4,
      until: after(4 * minute),
    });
  });

  test('does not wait longer for a probe that was never tried', () => {
    let record = open;
    for (let probe = 0; probe < 5; probe += 1) record = withProbe(record, `p${probe}`, now);
    expect(record).toMatchObject({ failures: 3, until: after(2 * minute) });
  });

  test('closes after one good start, whoever began it', () => {
    const shut = { revision: 4, failures: 0 };
    for (const record of [open, withProbe(open, 'p', now), failed(1)]) expect(afterGoodStart(record)).toEqual(shut);
    expect(allowedByBreaker(shut, now)).toEqual({ kind: 'go' });
  });

  test('begins to count anew after a good start', () => {
    const shut = afterGoodStart(failed(2));
    expect(failed(2, shut)).toMatchObject({ failures: 2 });
    expect(failed(2, shut).until).toBeUndefined();
  });

  test('costs no write when a good start changes nothing', () => {
    expect(afterGoodStart(closed)).toBeUndefined();
  });
});

describe('the pause of a breaker', () => {
  test.each([
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 1],
    [4, 2],
    [5, 4],
    [6, 8],
    [7, 16],
    [8, 30],
    [9, 30],
    [100, 30],
  ])('after %i failed starts in a row is %i minutes', (failures, minutes) => {
    expect(pauseMs(failures)).toBe(minutes * minute);
  });
});

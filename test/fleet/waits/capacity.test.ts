import assert from 'node:assert/strict';
import { describe, expect, test } from '@jest/globals';
import type { CapacityRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import {
  afterLostTask,
  afterRefusal,
  afterRoom,
  afterStart,
  allowedByCapacity,
  whileProbed,
} from '../../../functions/fleet/waits/capacity.ts';
import { after, beginning, minute } from '../../fakes/clock.ts';

const now = Date.parse(beginning);
const roomy: CapacityRecord = { revision: 2, failures: 0 };
const quota = { reason: 'quota', note: 'the vCPU limit is reached' } as const;
/** What a refusal makes of a record; it must change it. */
const refused = (record: CapacityRecord, at: number): CapacityRecord => {
  const changed = afterRefusal(record, quota, at);
  assert(changed);
  return changed;
};
const full = refused(roomy, now);
const lost = { note: 'SpotInterruption', certain: false };

describe('room in AWS', () => {
  test('is there until AWS says no', () => {
    expect(allowedByCapacity(roomy, now)).toEqual({ kind: 'go' });
  });

  test('is waited for after a refusal, for the reason and in the words of AWS', () => {
    expect(full).toEqual({ revision: 2, failures: 0, ...quota, refusedAt: after(0), until: after(minute) });
    expect(allowedByCapacity(full, now)).toEqual({ kind: 'wait', until: now + minute, ...quota });
  });

  test('says no capacity where nothing more is known', () => {
    expect(allowedByCapacity({ ...roomy, until: after(1) }, now)).toEqual({
      kind: 'wait',
      until: now + 1,
      reason: 'no-capacity',
      note: 'AWS had no room',
    });
  });

  test('is probed by one launch a minute', () => {
    expect(allowedByCapacity(full, now + minute - 1)).toMatchObject({ kind: 'wait' });
    expect(allowedByCapacity(full, now + minute)).toEqual({ kind: 'probe' });
    const probed = whileProbed(full, now + minute);
    expect(probed).toEqual({ ...full, until: after(2 * minute) });
    expect(allowedByCapacity(probed, now + 2 * minute - 1)).toMatchObject({ kind: 'wait', ...quota });
    expect(allowedByCapacity(probed, now + 2 * minute)).toEqual({ kind: 'probe' });
  });

  test('lets one launch follow another at once after a probe has found room', () => {
    const found = afterRoom(whileProbed(full, now + minute), now + minute);
    expect(found).toEqual({ ...full, until: after(minute) });
    expect(allowedByCapacity(found ?? roomy, now + minute)).toEqual({ kind: 'probe' });
  });

  test('is taken for certain again when AWS has refused nothing for five minutes', () => {
    const quiet = 5 * minute;
    expect(afterRoom(full, now + quiet - 1)).toMatchObject({ until: after(quiet - 1), ...quota });
    const open = afterRoom(full, now + quiet);
    expect(open).toEqual({ revision: 2, failures: 0 });
    expect(allowedByCapacity(open ?? full, now + quiet)).toEqual({ kind: 'go' });
  });

  test('counts the five minutes from the last refusal', () => {
    const again = refused(full, now + 4 * minute);
    expect(afterRoom(again, now + 8 * minute)).toMatchObject({ until: after(8 * minute) });
    expect(afterRoom(again, now + 9 * minute)).toEqual({ revision: 2, failures: 0 });
  });

  test('is refused once for all launches that were under way together', () => {
    expect(afterRefusal(full, quota, now + 4999)).toBeUndefined();
    expect(afterRefusal(full, quota, now + 5000)).toMatchObject({
      refusedAt: after(5000),
      until: after(minute + 5000),
    });
    expect(afterLostTask(full, { note: 'Capacity is unavailable', certain: true }, now + 1)).toBeUndefined();
    // A probe that is refused says so, however soon after the refusal before.
    expect(afterRefusal({ ...full, until: after(1) }, quota, now + 2)).toMatchObject({ refusedAt: after(2) });
  });

  test('costs no write while there is no doubt of it', () => {
    expect(afterRoom(roomy, now)).toBeUndefined();
    expect(afterStart(roomy)).toBeUndefined();
  });
});

describe('a task that AWS took and did not start', () => {
  test('is no want of room the first two times: one in a hundred is usual', () => {
    const once = afterLostTask(roomy, lost, now);
    const twice = afterLostTask(once ?? roomy, lost, now);
    expect([once, twice]).toEqual([
      { revision: 2, failures: 1 },
      { revision: 2, failures: 2 },
    ]);
  });

  test('is want of room the third time in a row, and each time from then on', () => {
    const third = afterLostTask({ ...roomy, failures: 2 }, lost, now);
    expect(third).toEqual({
      revision: 2,
      failures: 3,
      reason: 'no-capacity',
      note: 'SpotInterruption',
      refusedAt: after(0),
      until: after(minute),
    });
    expect(afterLostTask(third ?? roomy, lost, now + minute)).toMatchObject({ failures: 4, until: after(2 * minute) });
  });

  test('is want of room the first time when AWS says that it has none', () => {
    expect(afterLostTask(roomy, { note: 'Capacity is unavailable', certain: true }, now)).toMatchObject({
      failures: 1,
      reason: 'no-capacity',
      note: 'Capacity is unavailable',
      until: after(minute),
    });
  });

  test('is forgotten when another comes up', () => {
    expect(afterStart({ ...roomy, failures: 2 })).toEqual(roomy);
    expect(afterStart({ ...full, failures: 3 })).toEqual(full);
  });
});

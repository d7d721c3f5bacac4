import { describe, expect, test } from '@jest/globals';
import { isExpired, wasOldWhenSeen } from '../../../functions/fleet/waits/lifetime.ts';
import { aJobRecord } from '../../fakes/builders.ts';
import { after, beginning, hour } from '../../fakes/clock.ts';

const now = Date.parse(beginning);
const day = 24 * hour;

describe('a job', () => {
  test('waits for 24 hours from when we heard that it waits', () => {
    const job = aJobRecord({ seenAt: after(0), waitingSince: after(2 * hour) });
    expect(isExpired(job, now + 2 * hour + day)).toBe(false);
    expect(isExpired(job, now + 2 * hour + day + 1)).toBe(true);
  });

  test('waits for 24 hours from when we first heard of it where nothing says since when it waits', () => {
    const job = aJobRecord({ seenAt: after(hour) });
    expect(isExpired(job, now + hour + day)).toBe(false);
    expect(isExpired(job, now + hour + day + 1)).toBe(true);
  });

  test('that an approval held back for weeks has its 24 hours from then', () => {
    const job = aJobRecord({ seenAt: after(-20 * day), waitingSince: after(0), job: { createdAt: after(-20 * day) } });
    expect(isExpired(job, now + day)).toBe(false);
  });

  test('was old when seen if GitHub had made it more than 24 hours before', () => {
    const seenAfter = (ms: number) => wasOldWhenSeen(aJobRecord({ seenAt: after(0), job: { createdAt: after(-ms) } }));
    expect([seenAfter(0), seenAfter(day), seenAfter(day + 1)]).toEqual([false, false, true]);
  });
});

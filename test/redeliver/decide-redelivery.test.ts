import { describe, expect, test } from '@jest/globals';
import type { FailedDelivery } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideRedelivery } from '../../functions/redeliver/decide-redelivery.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';

const start = Date.parse(beginning);
const failed = (parts: Partial<FailedDelivery> = {}): FailedDelivery => ({
  guid: 'guid-1',
  deliveryId: '3804004623172239366',
  firstAt: beginning,
  lastAt: beginning,
  tries: 1,
  asked: 0,
  statusCode: 503,
  ...parts,
});
const decide = (delivery: FailedDelivery, age: number, secretChangedAt?: number) =>
  decideRedelivery(delivery, { now: start + age, secretChangedAt }).kind;

describe('a delivery that failed', () => {
  test.each([
    [1, 1],
    [2, 5],
    [3, 10],
  ])('%d times is asked for again after %d minutes', (tries, minutes) => {
    expect(decide(failed({ tries }), minutes * minute - 1)).toBe('wait');
    expect(decide(failed({ tries }), minutes * minute)).toBe('redeliver');
  });

  test('waits from its last failure on, not from its first', () => {
    expect(decide(failed({ tries: 2, lastAt: after(10 * minute) }), 15 * minute - 1)).toBe('wait');
    expect(decide(failed({ tries: 2, lastAt: after(10 * minute) }), 15 * minute)).toBe('redeliver');
  });

  test('is left alone when it was asked for as often, whatever the list shows', () => {
    expect(decide(failed({ tries: 1, asked: 2 }), hour)).toBe('redeliver');
    expect(decide(failed({ tries: 1, asked: 3 }), hour)).toBe('wait');
  });

  test('four times is left alone, and stays known so that it is not taken for a new one', () => {
    expect(decide(failed({ tries: 4 }), hour)).toBe('wait');
    expect(decide(failed({ tries: 9 }), hour)).toBe('wait');
  });

  test('more than 24 hours ago is forgotten', () => {
    expect(decide(failed(), 24 * hour)).toBe('redeliver');
    expect(decide(failed(), 24 * hour + 1)).toBe('forget');
    expect(decide(failed({ tries: 4, lastAt: after(23 * hour) }), 24 * hour + 1)).toBe('forget');
    expect(decide(failed({ statusCode: 401 }), 24 * hour + 1)).toBe('forget');
  });

  test.each([0, 403, 404, 413, 429, 500, 502, 503, 504])('with %d is asked for again', (statusCode) => {
    expect(decide(failed({ statusCode }), minute)).toBe('redeliver');
  });

  test.each([400, 415])('with %d is left alone: we could not read it, and it would be the same again', (statusCode) => {
    expect(decide(failed({ statusCode }), hour)).toBe('wait');
    expect(decide(failed({ statusCode }), hour, start + minute)).toBe('wait');
    expect(decide(failed({ statusCode }), 24 * hour + 1)).toBe('forget');
  });

  test('because its signature was wrong is asked for again only once the secret was changed', () => {
    const wrong = failed({ statusCode: 401 });
    expect(decide(wrong, hour)).toBe('wait');
    expect(decide(wrong, hour, start - 1)).toBe('wait');
    expect(decide(wrong, hour, start + minute)).toBe('redeliver');
  });

  test('says why it waits', () => {
    expect(decideRedelivery(failed({ tries: 3 }), { now: start, secretChangedAt: undefined })).toEqual({
      kind: 'wait',
      note: 'it failed less than 10 minutes ago',
    });
  });
});

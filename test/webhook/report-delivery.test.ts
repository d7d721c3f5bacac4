import { describe, expect, test } from '@jest/globals';
import type { DeliveryVerdict } from '../../functions/webhook/receive-delivery.ts';
import { reportDelivery, reportNotTaken } from '../../functions/webhook/report-delivery.ts';

const verdict: DeliveryVerdict = { status: 202, verdict: 'launch', note: 'queued', job: '81230000001' };

describe('the report of a delivery', () => {
  test('is one line with the verdict and the GUID, and one count', () => {
    expect(reportDelivery(verdict, 'guid')).toEqual({
      level: 'info',
      line: 'delivery: launch',
      about: { ...verdict, delivery: 'guid' },
      measures: [{ name: 'Deliveries', value: 1, dimensions: { Reason: 'launch' } }],
    });
  });

  test.each([
    [401, 'info'],
    [415, 'info'],
    [503, 'error'],
  ] as const)('that was refused with %i counts its status, at level %s', (status, level) => {
    expect(reportDelivery({ status, verdict: 'refuse', note: 'no' }, undefined)).toMatchObject({
      level,
      line: 'delivery: refuse',
      measures: [{ dimensions: { Reason: `refused-${status}` } }],
    });
  });

  test('that could not be taken names the error', () => {
    const error = new Error('SQS is not there');
    expect(reportNotTaken(error, 'guid')).toEqual({
      level: 'error',
      line: 'delivery: not taken',
      about: { delivery: 'guid', error },
      measures: [{ name: 'Deliveries', value: 1, dimensions: { Reason: 'not-taken' } }],
    });
  });
});

import type { Report } from '../contracts/with-infra/report.ts';
import type { DeliveryVerdict } from './receive-delivery.ts';

/** The log line and the metric of a delivery. `delivery` is its GUID. */
export function reportDelivery(verdict: DeliveryVerdict, delivery: string | undefined): Report {
  const Reason = verdict.verdict === 'refuse' ? `refused-${verdict.status}` : verdict.verdict;
  return {
    level: verdict.status < 500 ? 'info' : 'error',
    line: `delivery: ${verdict.verdict}`,
    about: { ...verdict, delivery },
    measures: [{ name: 'Deliveries', value: 1, dimensions: { Reason } }],
  };
}

/** The log line and the metric of a delivery that could not be taken. */
export function reportNotTaken(error: unknown, delivery: string | undefined): Report {
  return {
    level: 'error',
    line: 'delivery: not taken',
    about: { delivery, error },
    measures: [{ name: 'Deliveries', value: 1, dimensions: { Reason: 'not-taken' } }],
  };
}

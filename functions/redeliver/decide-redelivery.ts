import type { FailedDelivery } from '../contracts/between-rooms/ledger-records.ts';

export type RedeliveryDecision =
  | { readonly kind: 'redeliver' }
  /** Not yet: it is asked for again in a later pass. */
  | { readonly kind: 'wait'; readonly note: string }
  /** Nothing is known of it any more. */
  | { readonly kind: 'forget'; readonly note: string };

const minute = 60_000;
const youngestMs = minute;
const oldestMs = 24 * 60 * minute;
const mostTries = 4;

/** Is a failed delivery worth asking for again? GitHub never does so by itself. */
export function decideRedelivery(
  delivery: FailedDelivery,
  { now, secretChangedAt }: { readonly now: number; readonly secretChangedAt: number | undefined },
): RedeliveryDecision {
  if (now - Date.parse(delivery.firstAt) > oldestMs) {
    return { kind: 'forget', note: 'it is older than a day, and so is its job' };
  }
  // It stays known as long as GitHub lists it: forgotten, it would be found anew and look like a first failure.
  const tries = Math.max(delivery.tries, delivery.asked + 1);
  if (tries >= mostTries) return { kind: 'wait', note: `it was tried ${tries} times` };
  if (delivery.statusCode === 401 && (secretChangedAt === undefined || secretChangedAt < Date.parse(delivery.lastAt))) {
    return { kind: 'wait', note: 'its signature was wrong, and the secret is still the same' };
  }
  if (delivery.statusCode === 400 || delivery.statusCode === 415) {
    return { kind: 'wait', note: 'we could not read it, and it would be the same again' };
  }
  // The first gap is short, as most of what fails, fails once; the next ones are those of the passes, and double.
  const gap = delivery.tries === 1 ? youngestMs : 5 * minute * 2 ** (delivery.tries - 2);
  if (now - Date.parse(delivery.lastAt) < gap) {
    return { kind: 'wait', note: `it failed less than ${gap / minute} minutes ago` };
  }
  return { kind: 'redeliver' };
}

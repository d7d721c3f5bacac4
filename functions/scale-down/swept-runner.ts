import type { Ending } from '../contracts/with-infra/reasons.ts';
import type { Fate } from './decide-fate.ts';

/** What the sweep did about one runner, task or registration. */
export type SweptRunner = {
  readonly kind: Exclude<Fate['kind'], 'keep'> | 'delete-registration' | 'stop-stranger';
  readonly runner: string;
  readonly profile?: string;
  readonly note: string;
  readonly result?: string;
  /** Its lease came back by this sweep. */
  readonly ending?: Ending;
  readonly parked?: boolean;
};

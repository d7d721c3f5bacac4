import type { JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import type { RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import type { Hold } from '../fleet/waits/scope-hold.ts';

/** What a launch came to, and all that must be written because of it. `applyOutcome` alone writes it. */
export type Outcome =
  | {
      readonly kind: 'launched';
      readonly note: string;
      readonly provider: string;
      /** The capacity provider had no room before: the next job may be let in. */
      readonly foundRoom?: boolean;
    }
  /** The same message again, later. */
  | { readonly kind: 'returned'; readonly note: string; readonly message: LaunchMessage; readonly delayMs: number }
  | {
      readonly kind: 'wait';
      readonly reason: WaitReason;
      readonly note: string;
      /** When the job may be launched at the earliest; ms since the epoch. */
      readonly until?: number;
      /** GitHub did not know the job. */
      readonly goneSince?: number;
      /** Nothing is launched in the scope until then. */
      readonly hold?: Hold & { readonly scope: string };
      readonly giveBack?: GiveBack;
    }
  | {
      readonly kind: 'drop';
      readonly note: string;
      readonly giveBack?: GiveBack;
      /** GitHub says that the job is over, or runs. `inferred`: GitHub does not know the job, and we conclude that it is over. */
      readonly closed?: { readonly sighting: JobSighting; readonly inferred: boolean };
    }
  | {
      readonly kind: 'give-up';
      readonly state: 'refused' | 'expired';
      readonly note: string;
      /** When GitHub's word that the job is queued counts again. */
      readonly until?: number;
    };

/** A runner that was begun and has no task: its lease goes back. */
type GiveBack = {
  readonly runner: RunnerRecord;
  /** This capacity provider had no room. */
  readonly noRoomOn?: string;
  /** ECS refused the task for good: a failed start. */
  readonly isBadStart?: boolean;
};

/** A step gives what the next step needs, or the outcome that ends the launch here. */
export type Step<T extends object> = T | Outcome;

export function isOutcome(step: object): step is Outcome {
  return 'kind' in step;
}

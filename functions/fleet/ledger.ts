import type { Repository } from '../contracts/between-rooms/job.ts';
import type {
  BreakerRecord,
  CapacityRecord,
  DeliveryCursor,
  JobRecord,
  ProfileRecord,
  RepositoryRecord,
  RunnerRecord,
  ScopeRecord,
} from '../contracts/between-rooms/ledger-records.ts';
import type { Ending, WaitReason } from '../contracts/with-infra/reasons.ts';

/** Why a job waits; `until` is when it may be launched at the earliest, in milliseconds since the epoch. */
type Wait = { readonly reason: WaitReason; readonly note: string; readonly until?: number };

/** Everything that begins with a runner: one transaction writes all of it, or nothing. */
export type LaunchToBegin = {
  /** With its claim id, provider and task definition. */
  readonly runner: RunnerRecord & { readonly claimId: string };
  /** The job it is started for, as it was read; none for a warm runner. */
  readonly job: JobRecord | undefined;
  /** The ledger did not hold the job in this state yet: it is written with its first launch. */
  readonly isNews: boolean;
  /** What the ledger held of the job. */
  readonly before: JobRecord | undefined;
  /** The profile's `maxRunners`. */
  readonly cap: number;
  readonly claim: { readonly body: string; readonly expiresAt: number };
};

export type BeginResult =
  | { readonly kind: 'begun' }
  | { readonly kind: 'full' }
  /** Its scope was put on hold since it was read. */
  | { readonly kind: 'held' }
  /** The job no longer waits, or this launch was begun before. */
  | { readonly kind: 'overtaken' };

/** A breaker belongs to a profile in a scope. */
export type BreakerKey = { readonly profile: string; readonly scope: string };
/** Room in AWS belongs to a profile on a capacity provider. */
export type CapacityKey = { readonly profile: string; readonly provider: string };

/**
 * What the ledger can do, in our words. Adapters compare and set; the rules are in `fleet/` and `fleet/waits/`. A flow takes the part
 * that it uses: `Pick<Ledger, 'readJob' | 'begin'>`. Times are milliseconds since the epoch unless a record holds them.
 */
export type Ledger = {
  readonly readJob: (jobId: string) => Promise<JobRecord | undefined>;
  /**
   * Writes what differs between the two records, if the ledger still holds the job as `before` says.
   *
   * @returns false when the job has changed since it was read
   */
  readonly changeJob: (before: JobRecord | undefined, after: JobRecord) => Promise<boolean>;
  /** Says why a job waits. Does nothing when it no longer waits. */
  readonly explainWait: (jobId: string, wait: Wait) => Promise<void>;
  /** True for exactly one of several callers that ask at once; that one sends the launch message. */
  readonly askLaunch: (jobId: string, launch: number) => Promise<boolean>;
  /** Keeps the record of a job that GitHub still shows. */
  readonly rememberJob: (jobId: string) => Promise<void>;
  readonly listWaiting: () => Promise<readonly JobRecord[]>;
  readonly listBlocked: () => Promise<readonly JobRecord[]>;
  /** The pools of the profile that have a waiting job. */
  readonly listWaitingPools: (profile: string) => Promise<readonly string[]>;
  /** The oldest waiting jobs of a pool, parked ones last: at most `ofEach` of a repository, from at most `repositories` of them. */
  readonly listWaitingJobs: (
    pool: string,
    most: { readonly ofEach: number; readonly repositories: number },
  ) => Promise<readonly JobRecord[]>;

  /**
   * A turn to register in the scope and to call RunTask.
   *
   * @returns when it comes; undefined when that is too far off
   */
  readonly takeTurn: (scope: string) => Promise<number | undefined>;
  /** How many launches have a turn that has not come yet. */
  readonly countTurns: () => Promise<number>;
  /** Takes the lease and issues the claim, together. */
  readonly begin: (launch: LaunchToBegin) => Promise<BeginResult>;
  readonly readRunner: (runnerId: string) => Promise<RunnerRecord | undefined>;
  readonly changeProvider: (runnerId: string, provider: string) => Promise<void>;
  /** @returns the record with its task; its lease may have ended meanwhile */
  readonly recordTask: (runnerId: string, taskArn: string) => Promise<RunnerRecord | undefined>;
  /** Notes which job a sighting named this runner with. The first job stays, as a runner has one. */
  readonly markBusy: (runnerId: string, jobId: string, at: string) => Promise<RunnerRecord | undefined>;
  /**
   * Takes a claim back that no task has fetched, and notes that on the runner's record: then its task can never become a runner.
   *
   * @returns false when a task has fetched it
   */
  readonly revokeClaim: (runner: RunnerRecord) => Promise<boolean>;
  readonly markMissing: (runnerId: string, missing: boolean) => Promise<void>;
  readonly markDeregistered: (runnerId: string) => Promise<void>;
  /**
   * Ends the record, gives the lease back and removes what is left of the claim, in one transaction. `not-launched` must be true: it
   * fails when the claim was fetched, or the record has a task or a job.
   *
   * @returns false when the record has ended before, or is not as `not-launched` says
   */
  readonly endRunnerRecord: (runner: RunnerRecord, ending: Ending) => Promise<boolean>;
  readonly listLive: () => Promise<readonly RunnerRecord[]>;
  readonly listRunners: (profile: string) => Promise<readonly RunnerRecord[]>;

  readonly readProfile: (profile: string) => Promise<ProfileRecord>;
  readonly readScope: (scope: string) => Promise<ScopeRecord>;
  /** Nothing is launched in the scope until then. A hold that lasts longer stays. */
  readonly holdScope: (scope: string, hold: { readonly until: number; readonly note: string }) => Promise<void>;
  /** GitHub answers again. Does nothing where there is no hold. */
  readonly endHold: (scope: string) => Promise<void>;
  /** GitHub refused a registration in the scope: tokens minted before now are not used any more. */
  readonly noteTokenRefused: (scope: string) => Promise<void>;
  readonly readBreaker: (key: BreakerKey) => Promise<BreakerRecord>;
  /** @returns false when it has changed since it was read */
  readonly changeBreaker: (key: BreakerKey, after: BreakerRecord) => Promise<boolean>;
  readonly readCapacity: (key: CapacityKey) => Promise<CapacityRecord>;
  /** @returns false when it has changed since it was read */
  readonly changeCapacity: (key: CapacityKey, after: CapacityRecord) => Promise<boolean>;

  /** Remembers that a repository has jobs for this fleet. */
  readonly noteRepository: (repository: Repository) => Promise<void>;
  readonly noteAsked: (repositoryId: string) => Promise<void>;
  readonly listRepositories: () => Promise<readonly RepositoryRecord[]>;

  readonly readCursor: () => Promise<DeliveryCursor | undefined>;
  readonly writeCursor: (cursor: DeliveryCursor) => Promise<void>;
  /** Were all repositories that the App may see noted once, since the ledger was made? */
  readonly readSeeded: (owner: string) => Promise<boolean>;
  readonly writeSeeded: (owner: string) => Promise<void>;
  /** Notes that something nobody knows was seen at rest. @returns since when it has been */
  readonly noteStranger: (what: string) => Promise<number>;
  /** Not idle, or not an orphan: starts the clock anew. */
  readonly forgetStranger: (what: string) => Promise<void>;
};

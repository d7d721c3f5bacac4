import type { Delivery } from './deliveries.ts';

/** What a test may do to one REST or runner request before the emulator looks at it. */
export type RequestFate =
  | number
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: unknown }
  | { readonly delayMs: number }
  | 'reset'
  /** Done, but the answer is lost on its way: the client cannot know. */
  | 'lose-answer'
  | undefined;

type SeenRequest = {
  readonly method: string;
  /** As asked for, with prefix and query. */
  readonly url: string;
  /** After /api/v3 or /_services, without query. */
  readonly path: string;
  readonly operation?: string;
  readonly authorization: string;
};

/**
 * What becomes of one delivery. `lose`: never sent, nor in the log (GitHub forgot it). `fail`: in the log as failed, never
 * sent. `twice`: the same delivery two times. An object composes these; with `delayMs` (of the clock) it comes late, and so
 * after those that were posted later.
 */
export type DeliveryFate =
  | 'now'
  | 'lose'
  | 'fail'
  | 'twice'
  | { readonly delayMs?: number; readonly copies?: number; readonly fail?: true | number; readonly lose?: true };

/** The knobs. All times are milliseconds of the clock unless said otherwise. */
export type Behaviour = {
  /** GitHub shows a runner as busy only this long after a job was assigned to it. */
  readonly busyLagMs: number;
  /** A session without a poll for this long shows its runner as offline. */
  readonly offlineAfterMs: number;
  /** A job assigned and not acquired for this long goes to another runner. */
  readonly acquireWithinMs: number;
  /** A running job whose runner did not renew for this long is lost. */
  readonly lostAfterMs: number;
  /** A job that no runner took for this long is cancelled. */
  readonly unservedAfterMs: number;
  readonly ephemeralPurgeMs: number;
  readonly ordinaryPurgeMs: number;
  /** How long a poll for a message is held at most; a client may ask for less with `poll-seconds`. */
  readonly pollSeconds: number;
  readonly registrationTokenMs: number;
  readonly installationTokenMs: number;
  readonly registrationLimit: { readonly count: number; readonly perMs: number };
  /** Older runners are refused at registration and session. */
  readonly minimumRunnerVersion: string | undefined;
  /** Requests an hour for each installation, and for the App itself. */
  readonly rateLimit: number;
  /** 403 or 429 when a limit is exhausted: GitHub uses both. */
  readonly rateLimitStatus: 403 | 429;
  /** Points a minute (a read 1, a write 5) before the secondary limit; GitHub's is 900. Off unless set. */
  readonly secondaryPoints: number;
  readonly secondaryRetryAfterSeconds: number | undefined;
  /** Milliseconds of real time until a delivery counts as timed out. */
  readonly deliveryTimeoutMs: number;
  /** How many deliveries are under way at once. */
  readonly deliveriesAtOnce: number;
  readonly deliver: (delivery: Delivery) => DeliveryFate;
  readonly failRequests: (request: SeenRequest) => RequestFate;
  /** What the downloads endpoints name, for every scope. */
  readonly runnerDownloads: readonly RunnerDownload[];
};

export type RunnerDownload = {
  readonly os: string;
  readonly architecture: string;
  readonly download_url: string;
  readonly filename: string;
  readonly sha256_checksum?: string;
  readonly temp_download_token?: string;
};

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

const release = (version: string): RunnerDownload[] =>
  [
    ['x64', '0'],
    ['arm64', '1'],
    ['arm', '2'],
  ].map(([architecture = '', digit = '']) => ({
    os: 'linux',
    architecture,
    download_url: `https://github.com/actions/runner/releases/download/v${version}/actions-runner-linux-${architecture}-${version}.tar.gz`,
    filename: `actions-runner-linux-${architecture}-${version}.tar.gz`,
    sha256_checksum: digit.repeat(64),
  }));

export const usualBehaviour: Behaviour = {
  busyLagMs: 3000,
  offlineAfterMs: minute,
  acquireWithinMs: minute,
  lostAfterMs: 10 * minute,
  unservedAfterMs: day,
  ephemeralPurgeMs: day,
  ordinaryPurgeMs: 14 * day,
  pollSeconds: 50,
  registrationTokenMs: hour,
  installationTokenMs: hour,
  registrationLimit: { count: 1500, perMs: 5 * minute },
  minimumRunnerVersion: undefined,
  rateLimit: 5000,
  rateLimitStatus: 403,
  secondaryPoints: Infinity,
  secondaryRetryAfterSeconds: 60,
  deliveryTimeoutMs: 10_000,
  deliveriesAtOnce: 50,
  deliver: () => 'now',
  failRequests: () => undefined,
  runnerDownloads: release('2.336.0'),
};

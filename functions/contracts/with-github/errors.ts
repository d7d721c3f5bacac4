export type GitHubFailure =
  /** The App is not installed there, or no longer. */
  | 'not-installed'
  | 'suspended'
  | 'rate-limited'
  /** GitHub understood and said no; asking again will not help. */
  | 'refused'
  /** No answer, or one that says it may work later. */
  | 'unavailable';

/** What GitHub says no with, in our words: the adapter translates into it, flows decide by `kind`. */
export class GitHubError extends Error {
  override readonly name = 'GitHubError';
  readonly kind: GitHubFailure;
  readonly status: number | undefined;
  /** When asking again may help; milliseconds since the epoch. */
  readonly retryAt: number | undefined;

  constructor(
    kind: GitHubFailure,
    message: string,
    { status, retryAt, cause }: { readonly status?: number; readonly retryAt?: number; readonly cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.kind = kind;
    this.status = status;
    this.retryAt = retryAt;
  }
}

/** A secret that must be in the parameter store and is not, or is something else. The message names the parameter, never its value. */
export class MissingSecretError extends Error {
  override readonly name = 'MissingSecretError';
}

/** Anything may be thrown. */
export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function messageOf(error: unknown): string {
  return asError(error).message;
}

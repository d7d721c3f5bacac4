/**
 * The options of every AWS client of ours. The SDK only warns of a request that takes too long unless it is told to
 * throw, and one that hangs would eat the 30 seconds a function has.
 */
export const clientOptions = {
  maxAttempts: 3,
  requestHandler: { requestTimeout: 5000, connectionTimeout: 2000, throwOnRequestTimeout: true },
} as const;

/** RunTask is the slow one. */
export const slowClientOptions = {
  maxAttempts: 3,
  requestHandler: { requestTimeout: 10_000, connectionTimeout: 2000, throwOnRequestTimeout: true },
} as const;

/** For a call whose lost answer the caller must hear of: a repetition inside the SDK would hide it. */
export const onceClientOptions = { ...slowClientOptions, maxAttempts: 1 } as const;

/** The call ends by then, with all its attempts: the message is handled again instead. */
export function withinSeconds(seconds: number): { readonly abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(seconds * 1000) };
}

/** Did AWS fail, or the way to it, and not we? Then the same may well work later. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ('$fault' in error) return error.$fault === 'server' || '$retryable' in error || passing.has(error.name);
  return passing.has(error.name) || ('code' in error && typeof error.code === 'string' && !ours.test(error.code));
}

/** Codes that Node gives to wrong arguments, as `ERR_INVALID_URL`. Every other code is of the network, a certificate's included. */
const ours = /^ERR_(?!SSL_|TLS_)/;

const passing = new Set([
  'TimeoutError',
  'AbortError',
  'ThrottlingException',
  'TransactionConflictException',
  'TransactionCanceledException',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
]);

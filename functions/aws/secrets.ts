import { GetParameterCommand, ParameterNotFound, SSMClient } from '@aws-sdk/client-ssm';
import { MissingSecretError } from '../contracts/with-github/errors.ts';
import { clientOptions, withinSeconds } from './requests.ts';

type Secret = {
  /** As the parameter holds it; empty when there is no such parameter. */
  readonly value: string;
  readonly changedAt: number | undefined;
  readonly readAt: number;
  readonly believedForMs: number;
};

/**
 * How long a secret is believed: five minutes, one minute more or less. Environments that read it together must not come
 * back together, as Parameter Store gives 40 answers a second to the whole account.
 */
const believedAtLeastMs = 4 * 60_000;
const believedAtMostMs = 6 * 60_000;
/** How soon a secret that does not fit, or is not there, is looked for again. */
const lookAgainAfterMs = 60_000;
/** How soon a secret that is known is looked for again after a failure. */
const retryAfterMs = 10_000;
/** GitHub waits ten seconds for an answer to its delivery. */
const longestLookSeconds = 9;
/** A known secret is good enough to not wait longer for a newer one. */
const longestRefreshSeconds = 2;

export type SecretReader = {
  /** @throws MissingSecretError naming the parameter that must be there */
  readonly read: (parameter: string) => Promise<string>;
  /**
   * The secrets of a parameter that may hold two during a rotation, one a line. A line with blanks around it is told as it
   * stands and without them: nobody knows whether the blanks belong to the secret.
   * `fresh` looks again, but never more than once a minute: a wrong signature costs no call to Parameter Store.
   */
  readonly readList: (parameter: string, options?: { readonly fresh: boolean }) => Promise<readonly string[]>;
  /** When the parameter was last written; milliseconds since the epoch. */
  readonly readChangedAt: (parameter: string) => Promise<number | undefined>;
};

export type SecretReaderOptions = {
  /**
   * How often Parameter Store is asked for one answer. Eight serve 200 environments that start at once within nine seconds.
   * @default 3
   */
  readonly attempts?: number;
  readonly client?: SSMClient;
  readonly now?: () => number;
  /** From 0 up to 1. */
  readonly random?: () => number;
  /** Hears of each failure to read a secret anew; until the next try, ten seconds later, callers get the known secret. */
  readonly onStale?: (parameter: string, error: unknown) => void;
};

/** Reads SecureString parameters and keeps them in memory, never anywhere else. */
export function secretReader({
  attempts = clientOptions.maxAttempts,
  client = new SSMClient({ ...clientOptions, maxAttempts: attempts }),
  now = Date.now,
  random = Math.random,
  onStale = () => {},
}: SecretReaderOptions = {}): SecretReader {
  const known = new Map<string, Secret>();
  const looks = new Map<string, Promise<Secret>>();
  const failedAt = new Map<string, number>();

  async function ask(parameter: string, seconds: number): Promise<Secret> {
    const believedForMs = believedAtLeastMs + random() * (believedAtMostMs - believedAtLeastMs);
    try {
      const { Parameter } = await client.send(
        new GetParameterCommand({ Name: parameter, WithDecryption: true }),
        withinSeconds(seconds),
      );
      const changedAt = Parameter?.LastModifiedDate?.getTime();
      return { value: Parameter?.Value ?? '', changedAt, readAt: now(), believedForMs };
    } catch (error) {
      if (!(error instanceof ParameterNotFound)) throw error;
      return { value: '', changedAt: undefined, readAt: now(), believedForMs };
    }
  }

  /** What is known stays true until Parameter Store says otherwise: a failure to read says nothing about the secret. */
  async function look(parameter: string): Promise<Secret> {
    const kept = known.get(parameter);
    try {
      const secret = await ask(parameter, kept === undefined ? longestLookSeconds : longestRefreshSeconds);
      known.set(parameter, secret);
      failedAt.delete(parameter);
      return secret;
    } catch (error) {
      if (kept === undefined) throw error;
      failedAt.set(parameter, now());
      onStale(parameter, error);
      return kept;
    } finally {
      looks.delete(parameter);
    }
  }

  /** @throws MissingSecretError; whatever the SDK throws, when nothing is known yet */
  async function readSecret(parameter: string, { fresh } = { fresh: false }): Promise<Secret> {
    const kept = known.get(parameter);
    if (kept !== undefined && mayUse(parameter, kept, fresh)) return present(parameter, kept);
    const looking = looks.get(parameter) ?? look(parameter);
    looks.set(parameter, looking);
    return present(parameter, await looking);
  }

  function mayUse(parameter: string, { value, readAt, believedForMs }: Secret, fresh: boolean): boolean {
    const failed = failedAt.get(parameter);
    if (failed !== undefined && now() - failed < retryAfterMs) return true;
    return now() - readAt < (fresh || isBlank(value) ? lookAgainAfterMs : believedForMs);
  }

  return {
    read: async (parameter) => (await readSecret(parameter)).value.replaceAll('\r', '').trim(),
    readList: async (parameter, options) => {
      const { value } = await readSecret(parameter, options);
      const lines = value.split('\n').map((line) => line.replace(/\r$/, ''));
      return [...new Set(lines.filter((line) => !isBlank(line)).flatMap((line) => [line, line.trim()]))];
    },
    readChangedAt: async (parameter) => (await readSecret(parameter)).changedAt,
  };
}

function isBlank(value: string): boolean {
  return value.trim() === '';
}

function present(parameter: string, secret: Secret): Secret {
  if (!isBlank(secret.value)) return secret;
  throw new MissingSecretError(`the parameter ${parameter} must hold a secret, and it does not exist or is empty`);
}

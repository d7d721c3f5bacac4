import { GetParameterCommand, ParameterNotFound, SSMClient } from '@aws-sdk/client-ssm';
import { MissingSecretError } from '../contracts/with-github/errors.ts';
import { clientOptions } from './requests.ts';

type Secret = { readonly value: string; readonly changedAt: number | undefined; readonly readAt: number };

/** How long a secret that works is believed. */
const believedForMs = 5 * 60_000;
/** How soon one that does not work, or is not there, is looked for again. */
const lookAgainAfterMs = 60_000;

export type SecretReader = {
  /** @throws MissingSecretError naming the parameter that must be there */
  readonly read: (parameter: string) => Promise<string>;
  /**
   * The secrets of a parameter that may hold two during a rotation, one a line.
   * `fresh` looks again, but never more than once a minute: a wrong signature costs no call to Parameter Store.
   */
  readonly readList: (parameter: string, options?: { readonly fresh: boolean }) => Promise<readonly string[]>;
  /** When the parameter was last written; milliseconds since the epoch. */
  readonly readChangedAt: (parameter: string) => Promise<number | undefined>;
};

/** Reads SecureString parameters and keeps them in memory, never anywhere else. */
export function secretReader({
  client = new SSMClient(clientOptions),
  now = Date.now,
}: { readonly client?: SSMClient; readonly now?: () => number } = {}): SecretReader {
  const known = new Map<string, Promise<Secret>>();

  async function look(parameter: string): Promise<Secret> {
    try {
      const { Parameter } = await client.send(new GetParameterCommand({ Name: parameter, WithDecryption: true }));
      return { value: Parameter?.Value ?? '', changedAt: Parameter?.LastModifiedDate?.getTime(), readAt: now() };
    } catch (error) {
      if (error instanceof ParameterNotFound) return { value: '', changedAt: undefined, readAt: now() };
      known.delete(parameter);
      throw error;
    }
  }

  async function readSecret(parameter: string, maxAgeMs: number): Promise<Secret> {
    const kept = known.get(parameter);
    if (kept !== undefined) {
      const secret = await kept;
      const maxAge = secret.value.trim() === '' ? Math.min(maxAgeMs, lookAgainAfterMs) : maxAgeMs;
      if (now() - secret.readAt < maxAge) return present(parameter, secret);
      // Another call may have looked while this one waited.
      if (known.get(parameter) !== kept) return readSecret(parameter, maxAgeMs);
    }
    const looking = look(parameter);
    known.set(parameter, looking);
    return present(parameter, await looking);
  }

  return {
    read: async (parameter) => (await readSecret(parameter, believedForMs)).value,
    readList: async (parameter, { fresh } = { fresh: false }) => {
      const { value } = await readSecret(parameter, fresh ? lookAgainAfterMs : believedForMs);
      const lines = value.split('\n').map((line) => line.trim());
      return lines.filter((line) => line !== '');
    },
    readChangedAt: async (parameter) => (await readSecret(parameter, believedForMs)).changedAt,
  };
}

function present(parameter: string, secret: Secret): Secret {
  if (secret.value.trim() !== '') return { ...secret, value: secret.value.replaceAll('\r', '').trim() };
  throw new MissingSecretError(`the parameter ${parameter} must hold a secret, and it does not exist or is empty`);
}

/** What a crash does to a call to the outside: it comes before the call, or takes only the answer away. */
export type Crash = 'before' | 'after';

class CrashError extends Error {
  override readonly name = 'CrashError';
}

export type Calls = {
  /** The names of the calls to the outside, in the order they were begun. */
  readonly names: string[];
};

/** Ports that answer at once, without a call to the outside. */
const answeringAtOnce = new Set<string>([
  'now',
  'newClaimId',
  'registrationUrl',
  'taskDefinition',
  'providers',
  'rateLimit',
  'isScarce',
]);

/**
 * The same ports, with a list of the calls made through them. Those named `silent` are left out of it.
 *
 * @param crashAt the place in the list, from 0, of the call at which the process dies; whatever it begins later fails too
 */
export function recordCalls<P extends object>(
  ports: P,
  {
    crashAt,
    crash = 'before',
    silent = [],
  }: { readonly crashAt?: number; readonly crash?: Crash; readonly silent?: readonly (keyof P)[] } = {},
): { readonly ports: P; readonly calls: Calls } {
  const calls: Calls = { names: [] };
  const wrap = (name: string, port: (...given: unknown[]) => unknown) => {
    return async (...given: unknown[]): Promise<unknown> => {
      const place = calls.names.push(name) - 1;
      const isDead = crashAt !== undefined && (place > crashAt || (place === crashAt && crash === 'before'));
      if (isDead) throw new CrashError(`the process died before ${name}`);
      const answer = await port(...given);
      if (place === crashAt) throw new CrashError(`the process died after ${name}`);
      return answer;
    };
  };
  const wrapped = Object.entries(ports).map(([name, port]: [string, unknown]) =>
    typeof port === 'function' && !answeringAtOnce.has(name) && !silent.includes(name as keyof P)
      ? [name, wrap(name, port as (...given: unknown[]) => unknown)]
      : [name, port],
  );
  return { ports: Object.fromEntries(wrapped) as P, calls };
}

/** The same ports, each call waiting for its turn: a test decides in which order flows that run together go on. */
export function takeTurns<P extends object>(ports: P, turn: (name: string) => Promise<unknown>): P {
  const wrapped = Object.entries(ports).map(([name, port]: [string, unknown]) =>
    typeof port === 'function' && !answeringAtOnce.has(name)
      ? [
          name,
          async (...given: unknown[]): Promise<unknown> => {
            await turn(name);
            return (port as (...all: unknown[]) => unknown)(...given);
          },
        ]
      : [name, port],
  );
  return Object.fromEntries(wrapped) as P;
}

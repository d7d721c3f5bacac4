import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { SSMClient } from '@aws-sdk/client-ssm';
import { clientOptions } from '../../functions/aws/requests.ts';
import { secretReader, type SecretReader } from '../../functions/aws/secrets.ts';
import { MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import { Parameters } from '../emulators/aws/parameters.ts';
import { TurnableClock } from '../emulators/clock.ts';

const minute = 60_000;
const clock = new TurnableClock();
let parameters: Parameters;
let client: SSMClient;
let secrets: SecretReader;
let name: string;
let names = 0;
let stale: (readonly [parameter: string, error: string])[];

beforeAll(async () => {
  parameters = await Parameters.start({ clock });
  client = new SSMClient({ ...clientOptions, endpoint: parameters.url });
});
afterAll(async () => {
  client.destroy();
  await parameters.stop();
  clock.stop();
});
beforeEach(() => {
  name = `/ci/secret-${++names}`;
  stale = [];
  secrets = secretReader({
    client,
    now: () => clock.now(),
    random: () => 0.5,
    onStale: (parameter, error) => stale.push([parameter, (error as Error).name]),
  });
});

/** How many calls to Parameter Store something takes. */
const callsOf = async (act: () => Promise<unknown>): Promise<number> => {
  const before = parameters.service.calls.get('GetParameter') ?? 0;
  await act();
  return (parameters.service.calls.get('GetParameter') ?? 0) - before;
};

/** A Parameter Store for one test, which may leave it broken. */
async function withOwnStore(
  act: (own: { readonly store: Parameters; readonly reader: SecretReader }) => Promise<void>,
): Promise<void> {
  const store = await Parameters.start({ clock });
  const ownClient = new SSMClient({ ...clientOptions, endpoint: store.url });
  try {
    await act({ store, reader: secretReader({ client: ownClient, now: () => clock.now() }) });
  } finally {
    ownClient.destroy();
    await store.stop();
  }
}

describe('a secret', () => {
  test('is read in clear and believed for five minutes', async () => {
    parameters.put(name, 'one');
    expect(await secrets.read(name)).toBe('one');
    parameters.put(name, 'two');
    expect(await callsOf(async () => secrets.read(name))).toBe(0);
    clock.advance(5 * minute);
    expect(await secrets.read(name)).toBe('two');
  });

  test('is read once for all who ask together', async () => {
    parameters.put(name, 'one');
    const ask = async () => Promise.all(Array.from({ length: 20 }, async () => secrets.read(name)));
    expect(await callsOf(ask)).toBe(1);
    clock.advance(5 * minute);
    expect(await callsOf(ask)).toBe(1);
  });

  test('loses the line end that a file or a terminal left', async () => {
    parameters.put(name, '-----BEGIN-----\r\nabc\r\n-----END-----\r\n');
    expect(await secrets.read(name)).toBe('-----BEGIN-----\nabc\n-----END-----');
  });

  test('that is not there is named, and looked for again once a minute', async () => {
    await expect(secrets.read(name)).rejects.toThrow(MissingSecretError);
    await expect(secrets.read(name)).rejects.toThrow(name);
    parameters.put(name, 'here');
    await expect(secrets.read(name)).rejects.toThrow(MissingSecretError);
    clock.advance(minute);
    expect(await secrets.read(name)).toBe('here');
  });

  test('that is blank counts as not there', async () => {
    parameters.put(name, '  \n');
    await expect(secrets.readList(name)).rejects.toThrow(MissingSecretError);
  });

  test('whose reading fails is read again at the next call', async () => {
    parameters.put(name, 'one');
    parameters.failNext('GetParameter', { type: 'InternalServerError' }, 3);
    await expect(secrets.read(name)).rejects.toMatchObject({ name: 'InternalServerError' });
    expect(await secrets.read(name)).toBe('one');
  });

  test('that is known outlives a failure to read it anew, which is told', async () => {
    parameters.put(name, 'one');
    await secrets.read(name);
    clock.advance(5 * minute);
    parameters.put(name, 'two');
    parameters.failNext('GetParameter', { type: 'InternalServerError' }, 3);
    expect(await secrets.read(name)).toBe('one');
    expect(stale).toEqual([[name, 'InternalServerError']]);
  });

  test('that is known is looked for again ten seconds after a failure, not at each call', async () => {
    parameters.put(name, 'one');
    await secrets.read(name);
    clock.advance(5 * minute);
    parameters.put(name, 'two');
    parameters.failNext('GetParameter', { type: 'InternalServerError' }, 3);
    await secrets.read(name);
    expect(await callsOf(async () => [await secrets.read(name), await secrets.read(name)])).toBe(0);
    clock.advance(9000);
    expect(await callsOf(async () => secrets.read(name))).toBe(0);
    clock.advance(1000);
    expect(await secrets.read(name)).toBe('two');
    expect(stale).toHaveLength(1);
  });

  test('that is known is given when Parameter Store hangs', async () => {
    const { promise: never, resolve } = Promise.withResolvers<void>();
    await withOwnStore(async ({ store, reader }) => {
      store.put(name, 'one');
      await reader.read(name);
      store.service.beforeCall = async () => never;
      clock.advance(6 * minute);
      const begun = performance.now();
      const value = await reader.read(name).finally(resolve);
      expect(value).toBe('one');
      // A request alone may take five seconds, and there are three.
      expect(performance.now() - begun).toBeLessThan(4500);
    });
  });

  test('that was taken away is missing: that is an answer and no failure', async () => {
    await withOwnStore(async ({ store, reader }) => {
      store.put(name, 'one');
      await reader.read(name);
      store.failNext('GetParameter', { type: 'ParameterNotFound' });
      clock.advance(6 * minute);
      await expect(reader.read(name)).rejects.toThrow(MissingSecretError);
    });
  });

  test('that was emptied is missing too', async () => {
    parameters.put(name, 'one');
    await secrets.read(name);
    parameters.put(name, ' ');
    clock.advance(5 * minute);
    await expect(secrets.read(name)).rejects.toThrow(MissingSecretError);
  });

  test.each([
    ['four minutes at least', 0, 4 * minute],
    ['six minutes at most', 0.999, 6 * minute],
  ])('is believed for %s, so that copies of one moment are not renewed in one moment', async (_, chance, believed) => {
    const reader = secretReader({ client, now: () => clock.now(), random: () => chance });
    parameters.put(name, 'one');
    await reader.read(name);
    clock.advance(believed - minute / 2);
    expect(await callsOf(async () => reader.read(name))).toBe(0);
    clock.advance(minute / 2);
    expect(await callsOf(async () => reader.read(name))).toBe(1);
  });

  test('is asked for as often as the reader was told', async () => {
    parameters.put(name, 'one');
    process.env['AWS_ENDPOINT_URL_SSM'] = parameters.url;
    parameters.failNext('GetParameter', { type: 'InternalServerError' }, 4);
    try {
      expect(await secretReader({ attempts: 5 }).read(name)).toBe('one');
    } finally {
      delete process.env['AWS_ENDPOINT_URL_SSM'];
    }
  });

  test('survives being throttled for a moment', async () => {
    parameters.put(name, 'one');
    parameters.failNext('GetParameter', { type: 'ThrottlingException' }, 2);
    expect(await secrets.read(name)).toBe('one');
  });

  test('is given up when Parameter Store does not answer', async () => {
    const silent = await Parameters.start({ clock });
    silent.put(name, 'one');
    const { promise: never, resolve } = Promise.withResolvers<void>();
    silent.service.beforeCall = async () => never;
    // As the functions' own, but for the five seconds and the repetitions.
    const hasty = new SSMClient({
      ...clientOptions,
      maxAttempts: 1,
      requestHandler: { ...clientOptions.requestHandler, requestTimeout: 50 },
      endpoint: silent.url,
    });
    const { promise: late, resolve: passes } = Promise.withResolvers<string>();
    const timer = setTimeout(passes, 20_000, 'still waiting');
    const reading = secretReader({ client: hasty })
      .read(name)
      .then(
        () => 'read',
        () => 'given up',
      );
    const outcome = await Promise.race([reading, late]);
    clearTimeout(timer);
    resolve();
    await reading;
    hasty.destroy();
    await silent.stop();
    expect(outcome).toBe('given up');
  });
});

describe('a list of secrets', () => {
  test('may hold two during a rotation, one a line', async () => {
    parameters.put(name, 'new\nold\n');
    expect(await secrets.readList(name)).toEqual(['new', 'old']);
  });

  test('has each line with the blanks around it and without: nobody sees whether they belong to it', async () => {
    parameters.put(name, 'new \r\n old\n');
    expect(await secrets.readList(name)).toEqual(['new ', 'new', ' old', 'old']);
  });

  test('loses no blank at its very beginning or end', async () => {
    parameters.put(name, ' it begins and ends with a blank ');
    expect(await secrets.readList(name)).toContain(' it begins and ends with a blank ');
  });

  test('outlives a failure to look again for a wrong signature', async () => {
    parameters.put(name, 'good');
    await secrets.readList(name);
    clock.advance(minute);
    parameters.failNext('GetParameter', { type: 'InternalServerError' }, 3);
    expect(await secrets.readList(name, { fresh: true })).toEqual(['good']);
    expect(await secrets.readList(name)).toEqual(['good']);
  });

  test('is read anew on demand, once a minute at most', async () => {
    parameters.put(name, 'one');
    const fresh = async () => secrets.readList(name, { fresh: true });
    await fresh();
    parameters.put(name, 'two');
    expect(await callsOf(async () => Promise.all(Array.from({ length: 50 }, fresh)))).toBe(0);
    expect(await fresh()).toEqual(['one']);
    clock.advance(minute);
    expect(await callsOf(async () => Promise.all(Array.from({ length: 50 }, fresh)))).toBe(1);
    expect(await secrets.readList(name)).toEqual(['two']);
  });

  test('is not looked for more than once a minute while it is missing', async () => {
    const ask = async () => secrets.readList(name, { fresh: true }).catch(() => undefined);
    expect(await callsOf(async () => [await ask(), await ask(), await ask()])).toBe(1);
    clock.advance(minute);
    expect(await callsOf(ask)).toBe(1);
  });

  test('that is nothing but white space is missing', async () => {
    parameters.put(name, ' \n ');
    const ask = async () => secrets.readList(name);
    await expect(ask()).rejects.toThrow('does not exist or is empty');
    parameters.put(name, 'one');
    clock.advance(minute);
    expect(await ask()).toEqual(['one']);
  });
});

describe('the time a secret was changed', () => {
  test('is that of its last writing', async () => {
    clock.advance(5 * minute);
    parameters.put(name, 'one');
    const written = clock.now();
    clock.advance(minute);
    expect(Math.abs(((await secrets.readChangedAt(name)) ?? 0) - written)).toBeLessThan(30_000);
  });
});

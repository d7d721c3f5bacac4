import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { GetParameterCommand, GetParametersCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { TurnableClock } from '../clock.ts';
import { Parameters } from './parameters.ts';

const clock = new TurnableClock();
let parameters: Parameters;
let client: SSMClient;

beforeAll(async () => {
  parameters = await Parameters.start({ clock });
  client = new SSMClient({ endpoint: parameters.url, region: 'us-east-1', maxAttempts: 1 });
});
afterAll(async () => {
  client.destroy();
  await parameters.stop();
  clock.stop();
});

const get = async (Name: string, WithDecryption = true) =>
  (await client.send(new GetParameterCommand({ Name, WithDecryption }))).Parameter;

const put = async (Value: string, Overwrite?: boolean) =>
  client.send(new PutParameterCommand({ Name: '/ci/put', Value, Type: 'SecureString', Overwrite }));

describe('a parameter', () => {
  test('is read with its version and the time it was set', async () => {
    clock.advance(3_600_000);
    parameters.put('/ci/secret', 'one');
    parameters.put('/ci/secret', 'two');
    const parameter = await get('/ci/secret');
    expect(parameter).toMatchObject({ Name: '/ci/secret', Type: 'SecureString', Value: 'two', Version: 2 });
    expect(Math.abs((parameter?.LastModifiedDate?.getTime() ?? 0) - clock.now())).toBeLessThan(60_000);
  });

  test('that is secret shows only ciphertext to who does not ask for more', async () => {
    parameters.put('/ci/key', 'top-secret');
    parameters.put('/ci/id', '12345', 'String');
    expect((await get('/ci/key', false))?.Value).toMatch(/^AQICAH/);
    expect((await get('/ci/id', false))?.Value).toBe('12345');
  });

  test('that is not there is an error alone and an entry among others', async () => {
    parameters.put('/ci/a', 'a');
    await expect(get('/ci/none')).rejects.toMatchObject({ name: 'ParameterNotFound' });
    const several = await client.send(new GetParametersCommand({ Names: ['/ci/a', '/ci/none'], WithDecryption: true }));
    expect(several.Parameters?.map(({ Value }) => Value)).toEqual(['a']);
    expect(several.InvalidParameters).toEqual(['/ci/none']);
  });

  test('is replaced only on purpose', async () => {
    expect((await put('1')).Version).toBe(1);
    await expect(put('2')).rejects.toMatchObject({ name: 'ParameterAlreadyExists' });
    expect((await put('2', true)).Version).toBe(2);
    expect(parameters.value('/ci/put')).toBe('2');
  });

  test('is withheld when the service is throttled', async () => {
    parameters.put('/ci/b', 'b');
    parameters.failNext('GetParameter');
    await expect(get('/ci/b')).rejects.toMatchObject({ name: 'ThrottlingException' });
    expect((await get('/ci/b'))?.Value).toBe('b');
  });
});

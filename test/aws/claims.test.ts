import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';
import { registrationStore } from '../../functions/aws/claims.ts';
import { table } from '../../functions/aws/ledger/table.ts';
import { clientOptions } from '../../functions/aws/requests.ts';
import { Tables } from '../emulators/aws/tables.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { aRelease } from '../fakes/github.ts';

const clock = new TurnableClock();
let tables: Tables;
let client: DynamoDBDocumentClient;
let claims: ReturnType<typeof registrationStore>;

beforeAll(async () => {
  tables = await Tables.start({ clock });
  await tables.createTable({
    TableName: 'Claims',
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    timeToLiveAttribute: 'expiresAt',
  });
  client = DynamoDBDocumentClient.from(new DynamoDBClient({ ...clientOptions, endpoint: tables.url }));
  claims = registrationStore('Claims', table('Claims', client));
});
afterAll(async () => {
  client.destroy();
  await tables.stop();
  clock.stop();
});

const put = async (item: Record<string, unknown>) => client.send(new PutCommand({ TableName: 'Claims', Item: item }));

describe('a registration', () => {
  const registration = () => ({
    token: 'AAAA',
    tokenExpiresAt: clock.now() + 3_600_000,
    releases: { x64: aRelease('x64'), arm64: aRelease('arm64') },
  });

  test('is shared by scope, and replaced by the next', async () => {
    const first = registration();
    await claims.writeRegistration('acme', first);
    expect(await claims.readRegistration('acme')).toEqual(first);
    expect(await claims.readRegistration('octo/toy')).toBeUndefined();
    const second = { ...first, token: 'BBBB', releases: {} };
    await claims.writeRegistration('acme', second);
    expect(await claims.readRegistration('acme')).toEqual(second);
  });

  test('leaves the table when its token has expired', async () => {
    await claims.writeRegistration('expiring', registration());
    clock.advance(59 * 60_000);
    await tables.expire();
    expect(await claims.readRegistration('expiring')).toBeDefined();
    clock.advance(2 * 60_000);
    await tables.expire();
    expect(await claims.readRegistration('expiring')).toBeUndefined();
  });

  test('that cannot be understood counts as none', async () => {
    await put({ id: 'token#strange', token: 5 });
    expect(await claims.readRegistration('strange')).toBeUndefined();
  });
});

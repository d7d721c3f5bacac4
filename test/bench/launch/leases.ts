import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { profile, tableNames, type Stubs } from './stubs.ts';

export const profileKey = `profile#${profile.name}`;

/** How many places of the profile are taken. */
export async function countLeases({ tables }: Stubs): Promise<number> {
  const { Item } = await tables.send(
    new GetCommand({ TableName: tableNames.ledger, Key: { id: profileKey }, ConsistentRead: true }),
  );
  return Number(Item?.['leases'] ?? 0);
}

import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { claimStore } from '../../../functions/aws/claims.ts';
import { jobLedger, type JobLedger } from '../../../functions/aws/ledger/jobs.ts';
import { sweepMemory, type SweepMemory } from '../../../functions/aws/ledger/memory.ts';
import { takeTurn, type Pace } from '../../../functions/aws/ledger/pace.ts';
import { repositoryLedger, type RepositoryLedger } from '../../../functions/aws/ledger/repositories.ts';
import { runnerLedger, type RunnerLedger } from '../../../functions/aws/ledger/runners.ts';
import { scopeLedger, type ScopeLedger } from '../../../functions/aws/ledger/scopes.ts';
import { table, type Table } from '../../../functions/aws/ledger/table.ts';
import { Tables } from '../../emulators/aws/tables.ts';
import { TurnableClock } from '../../emulators/clock.ts';
import { fakeClaims } from '../../fakes/claims.ts';
import { fakeClock, type FakeClock } from '../../fakes/clock.ts';
import { fakeLedger } from '../../fakes/ledger.ts';

export type Ledger = JobLedger &
  RunnerLedger &
  ScopeLedger &
  RepositoryLedger &
  SweepMemory & {
    readonly clock: FakeClock;
    readonly takeTurn: (pace: Pace, now: number, horizonMs: number) => Promise<number | undefined>;
    readonly revokeClaim: (claimId: string) => Promise<boolean>;
    /** Every claim that waits for its task; `expiresAt` in seconds. */
    readonly listClaims: () => Promise<
      readonly { readonly id: string; readonly body: string; readonly expiresAt: number }[]
    >;
  };

/** Runs a suite twice: against the ledger in memory that flows are tested with, and against the real one. */
export function describeLedgers(title: string, suite: (open: () => Ledger) => void): void {
  describe(`${title} in memory`, () => {
    let ledger: Ledger;
    beforeEach(() => {
      ledger = memoryLedger();
    });
    suite(() => ledger);
  });
  describe(`${title} in DynamoDB`, () => {
    const dynamo = describedDynamo();
    let ledger: Ledger;
    beforeEach(async () => {
      ledger = dynamoLedger(await dynamo().createTables());
    });
    suite(() => ledger);
  });
}

export type Dynamo = {
  readonly tables: Tables;
  readonly client: DynamoDBDocumentClient;
  /** Makes the two tables anew, empty. */
  readonly createTables: () => Promise<TablePair>;
};
type TablePair = {
  readonly ledgerName: string;
  readonly claimsName: string;
  readonly ledger: Table;
  readonly claims: Table;
  readonly tables: Tables;
};

/** The emulator, for the tests of one `describe`. */
export function describedDynamo(): () => Dynamo {
  const clock = new TurnableClock();
  let dynamo: Dynamo;
  beforeAll(async () => {
    const tables = await Tables.start({ clock });
    const client = DynamoDBDocumentClient.from(new DynamoDBClient({ endpoint: tables.url, region: 'us-east-1' }), {
      marshallOptions: { removeUndefinedValues: true },
    });
    let made = 0;
    dynamo = {
      tables,
      client,
      createTables: async () => {
        made += 1;
        const [ledgerName, claimsName] = [`Ledger-${made}`, `Claims-${made}`];
        await createTables(tables, ledgerName, claimsName);
        return { ledgerName, claimsName, tables, ledger: table(ledgerName, client), claims: table(claimsName, client) };
      },
    };
  });
  afterAll(async () => {
    dynamo.client.destroy();
    await dynamo.tables.stop();
    clock.stop();
  });
  return () => dynamo;
}

export function memoryLedger(): Ledger {
  const clock = fakeClock();
  const claims = fakeClaims(clock.now);
  return {
    ...fakeLedger(clock.now, claims),
    clock,
    revokeClaim: claims.revokeClaim,
    listClaims: async () => [...claims.open].map(([id, { body, expiresAt }]) => ({ id, body, expiresAt })),
  };
}

export function dynamoLedger({ ledger, claims, claimsName, tables }: TablePair): Ledger {
  const clock = fakeClock();
  return {
    ...jobLedger(ledger, clock.now),
    ...runnerLedger(ledger, claimsName, clock.now),
    ...scopeLedger(ledger),
    ...repositoryLedger(ledger, clock.now),
    ...sweepMemory(ledger, clock.now),
    clock,
    takeTurn: async (pace, now, horizonMs) => takeTurn(ledger, pace, now, horizonMs),
    revokeClaim: claimStore(claimsName, claims).revokeClaim,
    listClaims: async () =>
      (await tables.items(claimsName)).map(({ id, body, expiresAt }) => ({
        id: String(id).replace('claim#', ''),
        body: String(body),
        expiresAt: Number(expiresAt),
      })),
  };
}

async function createTables(tables: Tables, ledger: string, claims: string): Promise<void> {
  await tables.createTable({
    TableName: ledger,
    AttributeDefinitions: ['id', 'open', 'openKey'].map((name) => ({ AttributeName: name, AttributeType: 'S' })),
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    GlobalSecondaryIndexes: [
      {
        IndexName: 'Open',
        KeySchema: [
          { AttributeName: 'open', KeyType: 'HASH' },
          { AttributeName: 'openKey', KeyType: 'RANGE' },
        ],
        Projection: { ProjectionType: 'ALL' },
      },
    ],
    timeToLiveAttribute: 'expiresAt',
  });
  await tables.createTable({
    TableName: claims,
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    timeToLiveAttribute: 'expiresAt',
  });
}

/** So many at once. */
export async function together<R>(times: number, act: (index: number) => Promise<R>): Promise<R[]> {
  return Promise.all(Array.from({ length: times }, async (_, index) => act(index)));
}

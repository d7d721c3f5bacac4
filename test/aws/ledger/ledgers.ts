import { afterAll, beforeAll, beforeEach, describe } from '@jest/globals';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { ledger as openLedger } from '../../../functions/aws/ledger/ledger.ts';
import { paceLedger, type Pace } from '../../../functions/aws/ledger/pace.ts';
import { table as openTable, type Item, type Table } from '../../../functions/aws/ledger/table.ts';
import { scopeOf, type Job } from '../../../functions/contracts/between-rooms/job.ts';
import type { JobSighting } from '../../../functions/contracts/between-rooms/job-sighting.ts';
import type { JobRecord, RunnerRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { claimKeyPrefix } from '../../../functions/contracts/with-tasks/claim.ts';
import type { Ledger, LaunchToBegin } from '../../../functions/fleet/ledger.ts';
import { recordSighting, type RecordedSighting } from '../../../functions/fleet/record-sighting.ts';
import { Tables } from '../../emulators/aws/tables.ts';
import type { Call } from '../../emulators/aws/aws-json.ts';
import { TurnableClock } from '../../emulators/clock.ts';
import { aRunner, prefix } from '../../fakes/builders.ts';
import { fakeClock, hour, type FakeClock } from '../../fakes/clock.ts';
import { fakeTable } from '../../fakes/table.ts';

/** A table and another one beside it, for transactions over both, and all that they hold. */
export type OpenTables = {
  readonly table: Table;
  /** What a transaction calls the other table. */
  readonly otherName: string;
  readonly items: () => Promise<Item[]>;
  readonly otherItems: () => Promise<Item[]>;
  /** Writes and deletes in the other table, as somebody else does. */
  readonly other: Pick<Table, 'change' | 'remove'>;
};

export type OpenLedger = Ledger & {
  readonly clock: FakeClock;
  readonly table: Table;
  readonly takeTurns: (pace: Pace, turns: number, horizonMs: number) => Promise<readonly (number | undefined)[]>;
  /** Writes down what is said of a job that profile `small` serves. */
  readonly record: (
    job: Job,
    state: JobSighting['state'],
    parts?: Partial<JobSighting>,
    place?: { readonly pool: string; readonly profile: string },
  ) => Promise<RecordedSighting>;
  /** What a task does: takes the claim away. */
  readonly fetchClaim: (claimId: string) => Promise<boolean>;
  /** Every claim that waits for its task; `expiresAt` in seconds. */
  readonly listClaims: () => Promise<
    readonly { readonly id: string; readonly body: string; readonly expiresAt: number }[]
  >;
  readonly items: () => Promise<Item[]>;
  readonly countLeases: (profile: string) => Promise<number>;
};

/** Runs a suite twice: against the table in memory that flows are tested with, and against the real one. */
export function describeTables(title: string, suite: (open: () => OpenTables) => void): void {
  describe(`${title} in memory`, () => {
    let tables: OpenTables;
    beforeEach(() => {
      tables = memoryTables();
    });
    suite(() => tables);
  });
  describe(`${title} in DynamoDB`, () => {
    const dynamo = describedDynamo();
    let tables: OpenTables;
    beforeEach(async () => {
      tables = await dynamo().createTables();
    });
    suite(() => tables);
  });
}

/** Runs a suite twice: against the ledger over the table in memory, and over the real one. */
export function describeLedgers(title: string, suite: (open: () => OpenLedger) => void): void {
  describeTables(title, (open) => {
    let ledger: OpenLedger;
    beforeEach(() => {
      ledger = ledgerOver(open());
    });
    suite(() => ledger);
  });
}

export type Dynamo = {
  readonly tables: Tables;
  readonly client: DynamoDBDocumentClient;
  /** Makes the two tables anew, empty. */
  readonly createTables: () => Promise<OpenTables & { readonly name: string }>;
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
        const [name, otherName] = [`Ledger-${made}`, `Claims-${made}`];
        await createTables(tables, name, otherName);
        return {
          name,
          otherName,
          table: openTable(name, client),
          other: openTable(otherName, client),
          items: async () => tables.items(name),
          otherItems: async () => tables.items(otherName),
        };
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

export function memoryTables(): OpenTables {
  const other = fakeTable();
  const table = fakeTable({ Claims: other.items });
  return {
    table,
    other,
    otherName: 'Claims',
    items: async () => [...table.items.values()],
    otherItems: async () => [...other.items.values()],
  };
}

export function ledgerOver({ table, other, otherName, items, otherItems }: OpenTables): OpenLedger {
  const clock = fakeClock();
  const ledger = openLedger({ ledger: 'Ledger', claims: otherName }, clock.now, table);
  return {
    ...ledger,
    clock,
    table,
    items,
    takeTurns: paceLedger(table, clock.now).takeTurns,
    record: async (job, state, parts = {}, { pool, profile } = { pool: 'small@acme', profile: 'small' }) =>
      recordSighting(
        { job, state, by: 'delivery-1', ...parts },
        { pool, profile, scope: scopeOf(job.repository) },
        { ...ledger, now: clock.now },
      ),
    fetchClaim: async (claimId) => other.remove(`${claimKeyPrefix}${claimId}`),
    listClaims: async () =>
      (await otherItems())
        .map(({ id, body, expiresAt }) => ({
          id: String(id).slice(claimKeyPrefix.length),
          body: String(body),
          expiresAt: Number(expiresAt),
        }))
        .toSorted((a, b) => a.id.localeCompare(b.id)),
    countLeases: async (profile) => (await ledger.readProfile(profile)).leases,
  };
}

/** The next launch of a job, as it was read. */
export function aLaunch(job: JobRecord, parts: Partial<LaunchToBegin> = {}): LaunchToBegin {
  const { profile, pool, scope } = job;
  const launch = job.launches + 1;
  const runnerId = `${prefix}-${job.job.id}-${launch}`;
  return {
    runner: withClaim(aRunner({ runnerId, jobId: job.job.id, launch, profile, pool, scope, claimId: `c-${runnerId}` })),
    job,
    before: job,
    isNews: false,
    cap: 7,
    claim: { body: 'Ym9keQ==', expiresAt: Date.parse(job.seenAt) + hour },
    ...parts,
  };
}

/** The launch of a warm runner. */
export function aWarmLaunch(
  runnerId: string,
  parts: Partial<RunnerRecord> = {},
  others: Partial<LaunchToBegin> = {},
): LaunchToBegin {
  const runner = aRunner({ runnerId, jobId: undefined, launch: undefined, claimId: `c-${runnerId}`, ...parts });
  return {
    runner: withClaim(runner),
    job: undefined,
    before: undefined,
    isNews: false,
    cap: 7,
    claim: { body: 'Ym9keQ==', expiresAt: Date.parse(runner.createdAt) + hour },
    ...others,
  };
}

function withClaim(runner: RunnerRecord): LaunchToBegin['runner'] {
  const { claimId } = runner;
  if (claimId === undefined) throw new Error('a launch begins with its claim');
  return { ...runner, claimId };
}

/** A waiting job, and its record. */
export async function aWaitingJob(ledger: OpenLedger, job: Job): Promise<JobRecord> {
  const { record } = await ledger.record(job, 'queued');
  if (record === undefined) throw new Error(`job ${job.id} was not recorded`);
  return record;
}

/** Begins a launch that must begin. */
export async function begun(ledger: OpenLedger, launch: LaunchToBegin): Promise<RunnerRecord> {
  const { kind } = await ledger.begin(launch);
  if (kind !== 'begun') throw new Error(`the launch of ${launch.runner.runnerId} must begin, and it is ${kind}`);
  return launch.runner;
}

/** The calls of one operation that reach the emulator from now on. */
export function callsOf({ tables }: Dynamo, operation: string): Call[] {
  const calls: Call[] = [];
  tables.service.beforeCall = (call) => {
    if (call.operation === operation) calls.push(call);
  };
  return calls;
}

async function createTables(tables: Tables, name: string, otherName: string): Promise<void> {
  await tables.createTable({
    TableName: name,
    AttributeDefinitions: ['id', 'open', 'openKey'].map((attribute) => ({
      AttributeName: attribute,
      AttributeType: 'S',
    })),
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
    TableName: otherName,
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    timeToLiveAttribute: 'expiresAt',
  });
}

/** So many at once. */
export async function together<R>(times: number, act: (index: number) => Promise<R>): Promise<R[]> {
  return Promise.all(Array.from({ length: times }, async (_, index) => act(index)));
}

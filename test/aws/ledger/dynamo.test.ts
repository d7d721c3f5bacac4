import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import type { JobRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { changeOf, type Item } from '../../../functions/aws/ledger/table.ts';
import { absent } from '../../../functions/aws/ledger/condition.ts';
import { aJob } from '../../fakes/builders.ts';
import {
  aLaunch,
  aWaitingJob,
  aWarmLaunch,
  begun,
  callsOf,
  describedDynamo,
  ledgerOver,
  together,
  type OpenLedger,
} from './ledgers.ts';

const conflict = {
  type: 'TransactionCanceledException',
  status: 400,
  fields: { CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }, { Code: 'None' }] },
};
const refusal = { type: 'ValidationException', message: 'no', status: 400 };

describe('the ledger over DynamoDB', () => {
  const dynamo = describedDynamo();
  let pair: Awaited<ReturnType<ReturnType<typeof dynamo>['createTables']>>;
  let ledger: OpenLedger;
  beforeEach(async () => {
    dynamo().tables.conflictMs = 0;
    dynamo().tables.service.beforeCall = undefined;
    pair = await dynamo().createTables();
    ledger = ledgerOver(pair);
  });
  const failNext = (...failure: Parameters<ReturnType<typeof dynamo>['tables']['failNext']>) =>
    dynamo().tables.failNext(...failure);
  const tokensOf = (calls: ReturnType<typeof callsOf>) => calls.map(({ input }) => input['ClientRequestToken']);

  describe('a transaction', () => {
    test('is tried again when it met another on its way, with the same token', async () => {
      const calls = callsOf(dynamo(), 'TransactWriteItems');
      failNext('TransactWriteItems', conflict, 2);
      expect(await ledger.begin(aWarmLaunch('w1'))).toEqual({ kind: 'begun' });
      expect(await ledger.countLeases('small')).toBe(1);
      expect(calls).toHaveLength(3);
      expect(new Set(tokensOf(calls)).size).toBe(1);
      expect(tokensOf(calls)[0]).toEqual(expect.any(String));
    });

    test('that is still at work when it is sent again is told the same, and done once', async () => {
      const job = await aWaitingJob(ledger, aJob({ id: '1' }));
      const calls = callsOf(dynamo(), 'TransactWriteItems');
      // The first try is done, but DynamoDB says that it is at work; more often than the SDK asks by itself.
      failNext('TransactWriteItems', { type: 'TransactionInProgressException', status: 400, after: true }, 4);
      expect(await ledger.begin(aLaunch(job))).toEqual({ kind: 'begun' });
      expect(await ledger.countLeases('small')).toBe(1);
      expect(tokensOf(calls)).toHaveLength(5);
      expect(new Set(tokensOf(calls)).size).toBe(1);
    });

    test('has another token than the next', async () => {
      const calls = callsOf(dynamo(), 'TransactWriteItems');
      const runner = await begun(ledger, aWarmLaunch('w1'));
      await ledger.endRunnerRecord(runner, 'idle');
      expect(new Set(tokensOf(calls)).size).toBe(2);
    });

    test('gets through while each one shuts others out for some milliseconds', async () => {
      dynamo().tables.conflictMs = 8;
      const ledgers = await together(4, async () => ledgerOver(pair));
      const launches = await Promise.all(
        ledgers.map(async (one, index) => one.begin(aWarmLaunch(`w${index}`, {}, { cap: 3 }))),
      );
      expect(launches.map(({ kind }) => kind).toSorted()).toEqual(['begun', 'begun', 'begun', 'full']);
      expect(await ledger.countLeases('small')).toBe(3);
    });

    test('takes a failed condition at its word, though others conflicted', async () => {
      await begun(ledger, aWarmLaunch('w1'));
      const calls = callsOf(dynamo(), 'TransactWriteItems');
      const reasons = [{ Code: 'TransactionConflict' }, { Code: 'None' }, { Code: 'ConditionalCheckFailed' }];
      failNext('TransactWriteItems', { ...conflict, fields: { CancellationReasons: reasons } });
      expect(await ledger.begin(aWarmLaunch('w2'))).toEqual({ kind: 'overtaken' });
      expect(calls).toHaveLength(1);
    });

    test('takes one lease when its answer was lost', async () => {
      const job = await aWaitingJob(ledger, aJob({ id: '1' }));
      failNext('TransactWriteItems', { type: 'InternalServerError', status: 500, after: true });
      expect(await ledger.begin(aLaunch(job))).toEqual({ kind: 'begun' });
      expect(await ledger.countLeases('small')).toBe(1);
    });

    test('that meets others twenty times is given up', async () => {
      const random = jest.spyOn(Math, 'random').mockReturnValue(0);
      const calls = callsOf(dynamo(), 'TransactWriteItems');
      failNext('TransactWriteItems', conflict, 20);
      await expect(ledger.begin(aWarmLaunch('w1'))).rejects.toThrow('TransactionCanceledException');
      random.mockRestore();
      expect(calls).toHaveLength(20);
      expect(await pair.items()).toEqual([]);
    });

    test.each(['ThrottlingError', 'ProvisionedThroughputExceeded'])('is tried again after %s', async (Code) => {
      const reasons = [{ Code: 'None' }, { Code }, { Code: 'None' }];
      failNext('TransactWriteItems', { ...conflict, fields: { CancellationReasons: reasons } });
      expect(await ledger.begin(aWarmLaunch('w1'))).toEqual({ kind: 'begun' });
    });

    test('throws what is no failed condition, and leaves nothing behind', async () => {
      failNext('TransactWriteItems', refusal);
      await expect(ledger.begin(aWarmLaunch('w1'))).rejects.toThrow('no');
      const reasons = [{ Code: 'ValidationError', Message: 'too large' }, { Code: 'None' }];
      failNext('TransactWriteItems', { ...conflict, fields: { CancellationReasons: reasons } });
      await expect(ledger.begin(aWarmLaunch('w1'))).rejects.toThrow('TransactionCanceledException');
      expect(await pair.items()).toEqual([]);
    });
  });

  describe('a single change', () => {
    test('is tried again when it met a transaction on its way', async () => {
      failNext('UpdateItem', { type: 'TransactionConflictException', status: 400 }, 2);
      await ledger.record(aJob({ id: '1' }), 'queued');
      expect(await ledger.readJob('1')).toMatchObject({ state: 'waiting' });
    });

    test('throws what is no failed condition', async () => {
      failNext('UpdateItem', refusal);
      await expect(ledger.markDeregistered('w1')).rejects.toThrow('no');
    });
  });

  describe('reads', () => {
    const put = async (...ids: string[]) => {
      for (const id of ids) await pair.table.change<Item>({ id, set: { of: id } });
    };
    const readAll = async (...ids: string[]) => Promise.all(ids.map(async (id) => pair.table.read(id)));
    const keysOf = ({ input }: ReturnType<typeof callsOf>[number]) =>
      (input['RequestItems'] as Record<string, { Keys: { id: { S: string } }[]; ConsistentRead: boolean }>)[pair.name];

    test('of one turn of the event loop are one, and consistent', async () => {
      await put('a', 'b');
      const batches = callsOf(dynamo(), 'BatchGetItem');
      expect(await readAll('a', 'nobody', 'b', 'a')).toEqual([
        { id: 'a', of: 'a' },
        undefined,
        { id: 'b', of: 'b' },
        { id: 'a', of: 'a' },
      ]);
      expect(batches).toHaveLength(1);
      expect(keysOf(batches[0]!)).toEqual({
        Keys: [{ id: { S: 'a' } }, { id: { S: 'nobody' } }, { id: { S: 'b' } }],
        ConsistentRead: true,
      });
    });

    test('that wait for one another are not put together', async () => {
      await put('a', 'b');
      const [batches, before] = [callsOf(dynamo(), 'BatchGetItem'), dynamo().tables.service.calls.get('GetItem') ?? 0];
      await readAll('a');
      await readAll('b');
      expect(batches).toEqual([]);
      expect(dynamo().tables.service.calls.get('GetItem')).toBe(before + 2);
    });

    test('of a single item are a plain and consistent read', async () => {
      await put('a');
      const calls = callsOf(dynamo(), 'GetItem');
      expect(await readAll('a')).toEqual([{ id: 'a', of: 'a' }]);
      expect(calls.map(({ input }) => input)).toEqual([
        { TableName: pair.name, Key: { id: { S: 'a' } }, ConsistentRead: true },
      ]);
    });

    test('remember nothing', async () => {
      await put('a');
      await readAll('a', 'b');
      await pair.table.change<Item>({ id: 'a', set: { of: 'new' } });
      expect(await readAll('a', 'b')).toEqual([{ id: 'a', of: 'new' }, undefined]);
    });

    test('of more than a hundred items are several', async () => {
      const batches = callsOf(dynamo(), 'BatchGetItem');
      const ids = Array.from({ length: 150 }, (_, index) => `x${index}`);
      await put('x149');
      expect((await readAll(...ids)).filter(Boolean)).toEqual([{ id: 'x149', of: 'x149' }]);
      expect(batches.map((call) => keysOf(call)?.Keys.length)).toEqual([100, 50]);
    });

    test('ask again for what DynamoDB left out of an answer that grew too large', async () => {
      const large = 'x'.repeat(300_000);
      const ids = Array.from({ length: 12 }, (_, index) => `large${index}`);
      for (const id of ids) await pair.table.change<Item>({ id, set: { large } });
      const batches = callsOf(dynamo(), 'BatchGetItem');
      expect((await readAll(...ids)).map((item) => item?.['id'])).toEqual(ids);
      const asked = batches.map((call) => keysOf(call)?.Keys.length ?? 0);
      expect(asked[0]).toBe(12);
      expect(asked.length).toBeGreaterThan(1);
      expect(asked).toEqual(asked.toSorted((a, b) => b - a));
      expect(batches.map((call) => keysOf(call)?.ConsistentRead)).toEqual(batches.map(() => true));
    });

    test('fail for all that were put together', async () => {
      failNext('BatchGetItem', refusal);
      const results = await Promise.allSettled(['a', 'b'].map(async (id) => pair.table.read(id)));
      expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    });
  });

  describe('a list', () => {
    test('has every page of what is open', async () => {
      const name = 'x'.repeat(40_000);
      await together(60, async (index) => ledger.record(aJob({ id: String(index), name }), 'queued'));
      expect(await ledger.listWaiting()).toHaveLength(60);
      expect(await ledger.listWaitingJobs('small@acme', { ofEach: 50, repositories: 1 })).toHaveLength(50);
    });

    test('of waiting jobs stops reading when it has as many repositories as were asked for', async () => {
      await together(6, async (index) => aWaitingJob(ledger, aJob({ id: `${index}`, repository: { id: `${index}` } })));
      const queries = callsOf(dynamo(), 'Query');
      expect(await ledger.listWaitingJobs('small@acme', { ofEach: 2, repositories: 1 })).toHaveLength(1);
      expect(queries).toHaveLength(1);
      expect(await ledger.listWaitingJobs('small@acme', { ofEach: 1, repositories: 2 })).toHaveLength(2);
      expect(queries).toHaveLength(3);
    });

    test('has what can be read, though one item is of a version that nobody knows', async () => {
      const said: unknown[] = [];
      const told = jest.spyOn(console, 'error').mockImplementation((line) => void said.push(line));
      await ledger.record(aJob({ id: '1' }), 'queued');
      await ledger.record(aJob({ id: '2', createdAt: '2026-11-21T08:00:00.000Z' }), 'queued');
      await pair.table.change<Item>({ id: 'job#2', set: { version: 99 } });
      expect((await ledger.listWaiting()).map(({ job }) => job.id)).toEqual(['1']);
      expect(await ledger.listWaitingPools('small')).toEqual(['small@acme']);
      const jobs = await ledger.listWaitingJobs('small@acme', { ofEach: 5, repositories: 5 });
      expect(jobs.map(({ job }) => job.id)).toEqual(['1']);
      told.mockRestore();
      expect(said[0]).toEqual(expect.stringContaining('job#2'));
    });
  });

  describe('a record', () => {
    test('of a version that nobody knows is not read', async () => {
      await pair.table.change<Item>({ id: 'job#1', set: { version: 99, state: 'waiting' } });
      await expect(ledger.readJob('1')).rejects.toThrow("a job record's version is wrong");
    });

    test('with a reason that only a later version knows has none', async () => {
      await ledger.record(aJob({ id: '1' }), 'queued');
      await pair.table.change<Item>({ id: 'job#1', set: { reason: 'full-moon' } });
      expect((await ledger.listWaiting()).map(({ job, reason }) => [job.id, reason])).toEqual([['1', undefined]]);
    });

    test('keeps what a later version added', async () => {
      await ledger.record(aJob({ id: '1' }), 'queued');
      await pair.table.change<Item>({ id: 'job#1', set: { newcomer: 'something' } });
      expect(await ledger.readJob('1')).toMatchObject({ state: 'waiting' });
      await ledger.record(aJob({ id: '1' }), 'completed');
      expect(await pair.items()).toMatchObject([{ newcomer: 'something', state: 'completed' }]);
    });
  });

  describe('a misspelt attribute', () => {
    test('does not compile, whatever part of a change it stands in', async () => {
      // @ts-expect-error misspelt in `set`
      await pair.table.change<JobRecord>({ id: 'x', set: { staet: 'waiting' } });
      // @ts-expect-error misspelt in `setOnce`
      await pair.table.change<JobRecord>({ id: 'x', setOnce: { seenat: '' } });
      // @ts-expect-error misspelt in `remove`
      await pair.table.change<JobRecord>({ id: 'x', remove: ['notbefore'] });
      // @ts-expect-error misspelt in `add`
      await pair.table.change<JobRecord>({ id: 'x', add: { launch: 1 } });
      // @ts-expect-error misspelt in `when`
      await pair.table.change<JobRecord>({ id: 'x', when: { sate: absent } });
      // @ts-expect-error a value of another type
      await pair.table.change<JobRecord>({ id: 'x', set: { state: 'wating' } });
      // @ts-expect-error misspelt in a part of a transaction
      await pair.table.transact({ act: changeOf<JobRecord>({ id: 'y', set: { staet: 'waiting' } }) });
      // It is the compiler that refuses them; the table takes what it is given.
      expect((await pair.table.read('x'))?.['staet']).toBe('waiting');
    });

    test('does not compile, unlike those that a record and its item have', async () => {
      await pair.table.change<JobRecord>({
        id: 'z',
        set: { state: 'waiting', open: 'job', openKey: 'k', expiresAt: 1 },
        remove: ['notBefore'],
        add: { launches: 1 },
        when: { order: absent },
      });
      expect(await pair.table.read('z')).toMatchObject({ state: 'waiting', launches: 1 });
    });
  });
});

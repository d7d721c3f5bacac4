import { beforeEach, describe, expect, jest, test } from '@jest/globals';
import { aJob } from '../../fakes/builders.ts';
import { describedDynamo, dynamoLedger, together, type Ledger } from './ledgers.ts';

const news = { state: 'waiting', pool: 'small@acme', profile: 'small', scope: 'acme' } as const;
const lease = (runnerId: string, cap = 5) => ({
  runner: { runnerId, pool: 'small@acme', profile: 'small', scope: 'acme', idleMinutes: 5 },
  cap,
});
const conflict = {
  type: 'TransactionCanceledException',
  status: 400,
  fields: { CancellationReasons: [{ Code: 'TransactionConflict' }, { Code: 'None' }, { Code: 'None' }] },
};

describe('the ledger over DynamoDB', () => {
  const dynamo = describedDynamo();
  let pair: Awaited<ReturnType<ReturnType<typeof dynamo>['createTables']>>;
  let ledger: Ledger;
  beforeEach(async () => {
    pair = await dynamo().createTables();
    ledger = dynamoLedger(pair);
  });
  const items = async () => pair.tables.items(pair.ledgerName);

  test('tries a transaction again that met another on its way', async () => {
    pair.tables.failNext('TransactWriteItems', conflict, 2);
    expect(await ledger.takeLease(lease('w1'))).toMatchObject({ kind: 'taken' });
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('takes a failed condition at its word, though others conflicted', async () => {
    await ledger.takeLease(lease('w1'));
    const reasons = [{ Code: 'TransactionConflict' }, { Code: 'None' }, { Code: 'ConditionalCheckFailed' }];
    pair.tables.failNext('TransactWriteItems', { ...conflict, fields: { CancellationReasons: reasons } });
    expect(await ledger.takeLease(lease('w1'))).toEqual({ kind: 'begun' });
  });

  test('takes one lease when the answer to the transaction was lost', async () => {
    await ledger.recordJob(aJob({ id: '1' }), news);
    pair.tables.failNext('TransactWriteItems', { type: 'InternalServerError', status: 500, after: true });
    const runner = { ...lease('r-1-1').runner, jobId: '1', launch: 1 };
    expect(await ledger.takeLease({ runner, cap: 5 })).toMatchObject({ kind: 'taken' });
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('gives back one lease when the answer to the transaction was lost', async () => {
    await ledger.takeLease(lease('w1'));
    const two = await ledger.takeLease(lease('w2'));
    pair.tables.failNext('TransactWriteItems', { type: 'InternalServerError', status: 500, after: true });
    expect(two.kind === 'taken' && (await ledger.endRunnerRecord(two.runner, 'idle'))).toBe(true);
    expect(await ledger.countLeases('small')).toBe(1);
  });

  test('throws what is no failed condition', async () => {
    pair.tables.failNext('TransactWriteItems', { type: 'ValidationException', message: 'no', status: 400 });
    await expect(ledger.takeLease(lease('w1'))).rejects.toThrow('no');
    pair.tables.failNext('UpdateItem', { type: 'ValidationException', message: 'no', status: 400 });
    await expect(ledger.markRevoked('w1')).rejects.toThrow('no');
  });

  test('keeps a live runner for ever, and an ended one for a week', async () => {
    const taken = await ledger.takeLease(lease('w1'));
    const record = async () => (await items()).find(({ id }) => id === 'runner#w1');
    expect(await record()).not.toHaveProperty('expiresAt');
    if (taken.kind === 'taken') await ledger.endRunnerRecord(taken.runner, 'idle');
    expect(await record()).toMatchObject({ expiresAt: ledger.clock.now() / 1000 + 7 * 24 * 3600 });
    expect(await record()).not.toHaveProperty('open');
  });

  test('keeps a job for eight days after its last news', async () => {
    await ledger.recordJob(aJob({ id: '1' }), news);
    ledger.clock.turn(1000);
    await ledger.recordJob(aJob({ id: '1' }), { ...news, state: 'completed' });
    expect(await items()).toMatchObject([{ id: 'job#1', expiresAt: ledger.clock.now() / 1000 + 8 * 24 * 3600 }]);
    expect((await items())[0]).not.toHaveProperty('open');
  });

  test('does not read a record of a version it does not know', async () => {
    await pair.ledger.change({ id: 'job#1', set: { version: 99, state: 'waiting' } });
    await expect(ledger.readJob('1')).rejects.toThrow("a job record's version is wrong");
  });

  test('lists what it can read, though one item is of a version it does not know', async () => {
    const said: unknown[] = [];
    const told = jest.spyOn(console, 'error').mockImplementation((line) => void said.push(line));
    await ledger.recordJob(aJob({ id: '1' }), news);
    await ledger.recordJob(aJob({ id: '2', createdAt: '2026-11-21T08:00:00.000Z' }), news);
    await pair.ledger.change({ id: 'job#2', set: { version: 99 } });
    expect((await ledger.listWaiting()).map(({ job }) => job.id)).toEqual(['1']);
    expect(await ledger.listWaitingPools('small')).toEqual(['small@acme']);
    expect((await ledger.listWaitingJobs('small@acme', 5)).map(({ job }) => job.id)).toEqual(['1']);
    told.mockRestore();
    expect(said[0]).toEqual(expect.stringContaining('job#2'));
  });

  test('reads a reason that only a later version knows as none', async () => {
    await ledger.recordJob(aJob({ id: '1' }), news);
    await pair.ledger.change({ id: 'job#1', set: { reason: 'full-moon' } });
    expect((await ledger.listWaiting()).map(({ job, reason }) => [job.id, reason])).toEqual([['1', undefined]]);
  });

  test('tries a single change again that met a transaction on its way', async () => {
    pair.tables.failNext('UpdateItem', { type: 'TransactionConflictException', status: 400 }, 2);
    await ledger.recordJob(aJob({ id: '1' }), news);
    expect(await ledger.readJob('1')).toMatchObject({ state: 'waiting' });
  });

  test('reads past what a later version of itself added', async () => {
    await ledger.recordJob(aJob({ id: '1' }), news);
    await pair.ledger.change({ id: 'job#1', set: { newcomer: 'something' } });
    expect(await ledger.readJob('1')).toMatchObject({ state: 'waiting' });
    await ledger.recordJob(aJob({ id: '1' }), { ...news, state: 'completed' });
    expect(await items()).toMatchObject([{ newcomer: 'something', state: 'completed' }]);
  });

  test('reads every page of what is open', async () => {
    const name = 'x'.repeat(40_000);
    await together(60, async (index) => ledger.recordJob(aJob({ id: String(index), name }), news));
    expect(await ledger.listWaiting()).toHaveLength(60);
    expect(await ledger.listWaitingJobs('small@acme', 50)).toHaveLength(50);
  });

  test('names an attribute as it likes, though DynamoDB reserves the word', async () => {
    await pair.ledger.change({ id: 'x', set: { state: 1, name: 2, owner: 3 }, when: 'attribute_not_exists(#owner)' });
    expect(await pair.ledger.read('x')).toEqual({ id: 'x', state: 1, name: 2, owner: 3 });
    expect(
      await pair.ledger.change({ id: 'x', remove: ['name'], when: 'attribute_not_exists(#owner)' }),
    ).toBeUndefined();
    expect(await pair.ledger.changeAndTell({ id: 'x', add: { state: 4 } })).toEqual({ state: 5 });
  });

  test('removes an item on a condition, and says whether there was one', async () => {
    await pair.ledger.change({ id: 'x', set: { owner: 'me' } });
    expect(await pair.ledger.remove('x', { when: '#owner = :who', values: { who: 'you' } })).toBe(false);
    expect(await pair.ledger.remove('x', { when: '#owner = :who', values: { who: 'me' } })).toBe(true);
    expect(await pair.ledger.remove('x')).toBe(false);
  });
});

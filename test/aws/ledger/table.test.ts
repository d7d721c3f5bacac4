import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  above,
  absent,
  absentOr,
  asRead,
  below,
  is,
  present,
  type Test,
} from '../../../functions/aws/ledger/condition.ts';
import { changeOf, checkOf, last, type Act, type Change, type Item } from '../../../functions/aws/ledger/table.ts';
import { describedDynamo, describeTables, memoryTables, type OpenTables } from './ledgers.ts';

/** A record of the tests: `state`, `name` and `owner` are words that DynamoDB reserves. */
type Thing = {
  readonly state: string;
  readonly name: string;
  readonly owner: string;
  readonly size: number;
  readonly tags: readonly string[];
  readonly isNew: boolean;
};

const byId = (items: readonly Item[]) => items.toSorted((a, b) => String(a['id']).localeCompare(String(b['id'])));

describeTables('a change', (open) => {
  const change = async (parts: Omit<Change<Thing>, 'id'>) => open().table.change<Thing>({ id: 'x', ...parts });

  test('makes an item that was not there, and gives it back', async () => {
    expect(await change({ set: { state: 'new', size: 1, tags: ['a', 'b'], isNew: true } })).toEqual({
      done: true,
      item: { id: 'x', state: 'new', size: 1, tags: ['a', 'b'], isNew: true },
    });
    expect(await open().table.read('x')).toEqual({ id: 'x', state: 'new', size: 1, tags: ['a', 'b'], isNew: true });
  });

  test('leaves what it does not name, and what it names with no value', async () => {
    await change({ set: { state: 'new', name: 'one' } });
    await change({ set: { state: 'old', name: undefined } });
    expect(await open().table.read('x')).toEqual({ id: 'x', state: 'old', name: 'one' });
  });

  test('sets an attribute once, beside one that it sets each time', async () => {
    await change({ set: { state: 'new' }, setOnce: { owner: 'me' } });
    await change({ set: { state: 'old' }, setOnce: { owner: 'you' } });
    expect(await open().table.read('x')).toEqual({ id: 'x', state: 'old', owner: 'me' });
  });

  test('adds to a number, from nothing and below nothing', async () => {
    expect(await change({ add: { size: 2 } })).toMatchObject({ item: { size: 2 } });
    expect(await change({ add: { size: -3 }, set: { state: 'less' } })).toMatchObject({
      item: { size: -1, state: 'less' },
    });
  });

  test('removes an attribute, whether or not the item has it', async () => {
    await change({ set: { state: 'new', name: 'one' } });
    await change({ remove: ['name', 'owner'] });
    expect(await open().table.read('x')).toEqual({ id: 'x', state: 'new' });
  });

  test('does all of it at once', async () => {
    await change({ set: { state: 'new', name: 'one', size: 1 } });
    const all = { set: { state: 'old' }, setOnce: { owner: 'me' }, remove: ['name'], add: { size: 1 } } as const;
    expect(await change({ ...all, when: { name: is('one'), owner: absent } })).toEqual({
      done: true,
      item: { id: 'x', state: 'old', owner: 'me', size: 2 },
    });
  });

  test('is not done when its condition does not hold, and gives back what the item is', async () => {
    await change({ set: { state: 'new', size: 1 } });
    expect(await change({ set: { state: 'old' }, when: { size: is(2) } })).toEqual({
      done: false,
      item: { id: 'x', state: 'new', size: 1 },
    });
    expect(await open().table.read('x')).toEqual({ id: 'x', state: 'new', size: 1 });
  });

  test('is not done on an item that is not there when it must have something', async () => {
    expect(await change({ set: { state: 'old' }, when: { size: present } })).toEqual({ done: false, item: undefined });
    expect(await open().items()).toEqual([]);
  });
});

describeTables('a condition', (open) => {
  const holds = async (tests: Test | readonly Test[], attribute: 'size' | 'state' = 'size') => {
    const before = await open().table.read('x');
    const { done } = await open().table.change<Thing>({ id: 'x', set: { name: 'n' }, when: { [attribute]: tests } });
    expect((await open().table.read('x'))?.['name']).toBe(done ? 'n' : undefined);
    if (before === undefined) await open().table.remove('x');
    else await open().table.change<Thing>({ id: 'x', remove: ['name'] });
    return done;
  };

  test.each<
    [string, Test | readonly Test[], { readonly none: boolean; readonly four: boolean; readonly five: boolean }]
  >([
    ['absent', absent, { none: true, four: false, five: false }],
    ['present', present, { none: false, four: true, five: true }],
    ['is 5', is(5), { none: false, four: false, five: true }],
    ['below 5', below(5), { none: false, four: true, five: false }],
    ['above 4', above(4), { none: false, four: false, five: true }],
    ['absent or 5', absentOr(is(5)), { none: true, four: false, five: true }],
    ['absent or below 5', absentOr(below(5)), { none: true, four: true, five: false }],
    ['absent or above 4', absentOr(above(4)), { none: true, four: false, five: true }],
    ['absent or present', absentOr(present), { none: true, four: true, five: true }],
    ['as it was read: 4', asRead(4), { none: false, four: true, five: false }],
    ['as it was read: nothing', asRead(undefined), { none: true, four: false, five: false }],
    ['above 3 and below 5', [above(3), below(5)], { none: false, four: true, five: false }],
    ['no test at all', [], { none: true, four: true, five: true }],
    ['is the text 5', is('5'), { none: false, four: false, five: false }],
    ['below a text', below('9'), { none: false, four: false, five: false }],
  ])('%s holds for nothing, 4 and 5 as it says', async (_, tests, { none, four, five }) => {
    const found = [await holds(tests)];
    for (const size of [4, 5]) {
      await open().table.change<Thing>({ id: 'x', set: { size } });
      found.push(await holds(tests));
    }
    expect(found).toEqual([none, four, five]);
  });

  test('compares moments as texts', async () => {
    await open().table.change<Thing>({ id: 'x', set: { state: '2026-11-21T09:00:00.000Z' } });
    expect(await holds(below('2026-11-21T09:00:00.001Z'), 'state')).toBe(true);
    expect(await holds(below('2026-11-21T09:00:00.000Z'), 'state')).toBe(false);
    expect(await holds(above('2026-11-21T08:59:59.999Z'), 'state')).toBe(true);
  });

  test('must hold for each attribute that it names', async () => {
    await open().table.change<Thing>({ id: 'x', set: { size: 5, state: 'new' } });
    const when = { size: is(5), state: is('new') };
    expect(await open().table.change<Thing>({ id: 'x', when })).toMatchObject({ done: true });
    expect(await open().table.change<Thing>({ id: 'x', when: { ...when, state: is('old') } })).toMatchObject({
      done: false,
    });
    expect(await open().table.change<Thing>({ id: 'x', when: { ...when, size: is(4) } })).toMatchObject({
      done: false,
    });
  });
});

describeTables('an item', (open) => {
  test('is removed once', async () => {
    await open().table.change<Thing>({ id: 'x', set: { size: 1 } });
    expect(await open().table.remove('x')).toBe(true);
    expect(await open().table.remove('x')).toBe(false);
    expect(await open().table.read('x')).toBeUndefined();
  });
});

describeTables('a transaction', (open) => {
  const put = (id: string, table?: string): Act => ({ kind: 'put', item: { id, size: 1 }, ...(table && { table }) });
  const there = async (...ids: string[]) => {
    for (const id of ids) await open().table.change<Thing>({ id, set: { size: 1 } });
  };

  test('does every act, in this table and in another', async () => {
    const { table, other, otherName, items, otherItems } = open();
    await there('changed', 'removed', 'checked');
    await other.change<Thing>({ id: 'claim', set: { size: 1 } });
    const hindrance = await table.transact({
      change: changeOf<Thing>({ id: 'changed', set: { state: 'new' }, add: { size: 1 }, when: { size: is(1) } }),
      make: changeOf<Thing>({ id: 'made', setOnce: { owner: 'me' } }),
      check: checkOf<Thing>({ id: 'checked', when: { size: present } }),
      'check of what is not there': checkOf<Thing>({ id: 'nothing', when: { size: absentOr(below(1)) } }),
      put: { kind: 'put', item: { id: 'put', size: 1, name: undefined } },
      'put elsewhere': put('token', otherName),
      remove: { kind: 'remove', id: 'removed' },
      'remove what is not there': { kind: 'remove', id: 'nobody' },
      'remove elsewhere': { kind: 'remove', id: 'claim', table: otherName, mustExist: true },
    });
    expect(hindrance).toBeUndefined();
    expect(byId(await items())).toEqual([
      { id: 'changed', state: 'new', size: 2 },
      { id: 'checked', size: 1 },
      { id: 'made', owner: 'me' },
      { id: 'put', size: 1 },
    ]);
    expect(await otherItems()).toEqual([{ id: 'token', size: 1 }]);
  });

  test.each<[string, (otherName: string) => Act]>([
    [
      'a change whose condition does not hold',
      () => changeOf<Thing>({ id: 'there', set: { size: 2 }, when: { size: is(9) } }),
    ],
    ['a check that does not hold', () => checkOf<Thing>({ id: 'there', when: { size: absent } })],
    ['a put of what is there', () => put('there')],
    ['a put of what is there, elsewhere', (otherName) => put('there', otherName)],
    ['a removal of what must exist', () => ({ kind: 'remove', id: 'gone', mustExist: true })],
    [
      'a removal of what must exist, elsewhere',
      (otherName) => ({ kind: 'remove', id: 'gone', table: otherName, mustExist: true }),
    ],
  ])('is not done at all for %s, and names it', async (_, act) => {
    const { table, other, otherName, items, otherItems } = open();
    await there('there');
    await other.change<Thing>({ id: 'there', set: { size: 1 } });
    const hindrance = await table.transact({
      first: put('first'),
      culprit: act(otherName),
      last: changeOf<Thing>({ id: 'last', set: { size: 1 } }),
      elsewhere: put('elsewhere', otherName),
    });
    expect(hindrance).toEqual(new Set(['culprit']));
    expect([await items(), await otherItems()]).toEqual([[{ id: 'there', size: 1 }], [{ id: 'there', size: 1 }]]);
  });

  test('names all acts that stand in its way', async () => {
    await there('there');
    const hindrance = await open().table.transact({
      free: put('free'),
      put: put('there'),
      remove: { kind: 'remove', id: 'gone', mustExist: true },
    });
    expect(hindrance).toEqual(new Set(['put', 'remove']));
  });

  test('does not take two acts on one item, but takes the same key in two tables', async () => {
    const { table, otherName, items, otherItems } = open();
    await expect(
      table.transact({ one: put('x'), two: checkOf<Thing>({ id: 'x', when: { size: absent } }) }),
    ).rejects.toThrow('one item');
    expect(await items()).toEqual([]);
    expect(await table.transact({ one: put('x'), two: put('x', otherName) })).toBeUndefined();
    expect([await items(), await otherItems()]).toEqual([[{ id: 'x', size: 1 }], [{ id: 'x', size: 1 }]]);
  });

  test('takes a hundred acts, and no more', async () => {
    const acts = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`act ${index}`, put(`x${index}`)]));
    await expect(open().table.transact(acts(101))).rejects.toThrow('100');
    expect(await open().items()).toEqual([]);
    expect(await open().table.transact(acts(100))).toBeUndefined();
    expect(await open().items()).toHaveLength(100);
  });
});

describeTables('the list of what is open', (open) => {
  const put = async (id: string, parts: Item) => open().table.change<Thing>({ id, set: parts });
  const ids = async (...range: Parameters<OpenTables['table']['listOpen']>) =>
    (await open().table.listOpen(...range)).map(({ id }) => id);

  test('is in the order of its keys, one list for each kind', async () => {
    await put('3', { open: 'job', openKey: 'c' });
    await put('1', { open: 'job', openKey: 'a' });
    await put('2', { open: 'job', openKey: 'b' });
    await put('9', { open: 'runner', openKey: 'a' });
    expect(await ids('job')).toEqual(['1', '2', '3']);
    expect(await ids('runner')).toEqual(['9']);
    expect(await ids('nothing')).toEqual([]);
  });

  test('has both ends of a range, and so many of it', async () => {
    for (const key of ['a', 'b', 'c', 'd', `d${last}`, 'e']) await put(key, { open: 'job', openKey: key, size: 1 });
    expect(await ids('job', { from: 'b', to: 'd' })).toEqual(['b', 'c', 'd']);
    expect(await ids('job', { from: 'b', to: 'd', limit: 2 })).toEqual(['b', 'c']);
    expect(await ids('job', { from: 'b', to: 'd', limit: 9 })).toEqual(['b', 'c', 'd']);
    expect(await ids('job', { from: 'b\u0000', to: `d${last}` })).toEqual(['c', 'd', `d${last}`]);
    expect(await ids('job', { from: 'x', to: 'y' })).toEqual([]);
  });

  test('gives the whole item, and follows its changes', async () => {
    await put('1', { open: 'job', openKey: 'a', size: 1, tags: ['x'] });
    expect(await open().table.listOpen('job')).toEqual([{ id: '1', open: 'job', openKey: 'a', size: 1, tags: ['x'] }]);
    await put('1', { open: 'blocked' });
    expect([await ids('job'), await ids('blocked')]).toEqual([[], ['1']]);
    await open().table.change<Thing>({ id: '1', remove: ['open', 'openKey'] });
    expect(await ids('blocked')).toEqual([]);
  });

  test('does not have what lacks a place in it', async () => {
    await put('1', { open: 'job' });
    await put('2', { openKey: 'a' });
    expect(await ids('job')).toEqual([]);
  });
});

describe('the table in memory', () => {
  const dynamo = describedDynamo();

  const value = fc.constantFrom<unknown>(1, 2, 3, 'a', 'b');
  const simple: fc.Arbitrary<Test> = fc.oneof(
    fc.constantFrom(absent, present),
    fc.tuple(fc.constantFrom(is, below, above), value).map(([make, bound]) => make(bound)),
  );
  const condition = fc.dictionary(
    fc.constantFrom('a', 'b', 'n'),
    fc.oneof(simple, simple.map(absentOr), fc.array(simple, { minLength: 1, maxLength: 2 })),
    { maxKeys: 2 },
  );
  const id = fc.constantFrom('x', 'y', 'z');
  /** Each attribute is changed in one way only, or DynamoDB refuses; `n` is always a number. */
  const change = fc
    .record({
      id,
      set: fc.dictionary(fc.constantFrom('a', 'open', 'openKey'), fc.constantFrom('a', 'b'), { maxKeys: 3 }),
      setOnce: fc.dictionary(fc.constantFrom('b'), value, { maxKeys: 1 }),
      add: fc.dictionary(fc.constantFrom('n'), fc.integer({ min: -2, max: 2 }), { maxKeys: 1 }),
      remove: fc.subarray(['a', 'b', 'n', 'open', 'openKey']),
      when: condition,
    })
    .map(({ remove, ...parts }) => ({
      ...parts,
      remove: remove.filter((name) => !(name in parts.set || name in parts.setOnce || name in parts.add)),
    })) as fc.Arbitrary<Change<Item>>;
  const act = (elsewhere: string): fc.Arbitrary<Act> =>
    fc.oneof(
      // An update that changes nothing has no place in a transaction.
      change.map((one): Act => changeOf<Item>({ ...one, add: { n: 1 }, remove: [] })),
      fc
        .tuple(id, condition)
        .filter(([, when]) => Object.keys(when).length > 0)
        .map(([checked, when]): Act => checkOf<Item>({ id: checked, when })),
      fc.tuple(id, fc.boolean()).map(([made, here]): Act => ({
        kind: 'put',
        item: { id: made, n: 1 },
        ...(!here && { table: elsewhere }),
      })),
      fc.tuple(id, fc.boolean(), fc.boolean()).map(([gone, here, mustExist]): Act => ({
        kind: 'remove',
        id: gone,
        mustExist,
        ...(!here && { table: elsewhere }),
      })),
    );
  type Step = { readonly what: string; readonly run: (tables: OpenTables) => Promise<unknown> };
  const step: fc.Arbitrary<Step> = fc.oneof(
    change.map((one) => ({
      what: `change ${JSON.stringify(one)}`,
      run: async ({ table }: OpenTables) => table.change<Item>(one),
    })),
    id.map((gone) => ({ what: `remove ${gone}`, run: async ({ table }: OpenTables) => table.remove(gone) })),
    fc.array(act('elsewhere'), { minLength: 1, maxLength: 3 }).map((acts) => ({
      what: `transact ${JSON.stringify(acts)}`,
      run: async ({ table, otherName }: OpenTables) => {
        const named = acts.map((one, index) => {
          const there = 'table' in one ? { ...one, table: otherName } : one;
          return [`act ${index}`, there] as const;
        });
        return table.transact(Object.fromEntries(named)).catch(() => 'refused');
      },
    })),
    fc.tuple(fc.constantFrom('a', 'b'), fc.constantFrom('a', 'b')).map(([kind, to]) => ({
      what: `list ${kind} to ${to}`,
      run: async ({ table }: OpenTables) => byId(await table.listOpen(kind, { from: 'a', to })),
    })),
  );

  test('answers whatever is asked of it as the one in DynamoDB does', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
        const [fake, real] = [memoryTables(), await dynamo().createTables()];
        for (const { what, run } of steps) {
          expect({ what, answer: (await run(fake)) ?? null }).toEqual({ what, answer: (await run(real)) ?? null });
        }
        expect(byId(await fake.items())).toEqual(byId(await real.items()));
        expect(byId(await fake.otherItems())).toEqual(byId(await real.otherItems()));
      }),
      { numRuns: 30 },
    );
  }, 60_000);
});

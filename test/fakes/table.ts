import type { Test } from '../../functions/aws/ledger/condition.ts';
import { mostActs, type Act, type Change, type Item, type Table } from '../../functions/aws/ledger/table.ts';

type Attributes = Record<string, unknown>;
type AnyChange = Change<Attributes>;

export type FakeTable = Table & {
  /** By key: what it holds, for a test to look at and to set up. */
  readonly items: Map<string, Item>;
};

/**
 * A DynamoDB table in memory: each operation is one step that nothing can come between. It knows conditions and changes, and no rule
 * of ours. Held against the real one by the suite in `test/aws/ledger`.
 *
 * @param others tables that a transaction may name, by name
 */
export function fakeTable(others: Readonly<Record<string, Map<string, Item>>> = {}): FakeTable {
  const items = new Map<string, Item>();

  function hinders(act: Act): boolean {
    switch (act.kind) {
      case 'put':
        return tableOf(act).has(String(act.item['id']));
      case 'remove':
        return act.mustExist === true && !tableOf(act).has(act.id);
      case 'change':
      case 'check':
        return !holds(items.get(act.change.id), act.change.when);
    }
  }
  function perform(act: Act): void {
    switch (act.kind) {
      case 'put':
        tableOf(act).set(String(act.item['id']), withoutUndefined(act.item));
        break;
      case 'remove':
        tableOf(act).delete(act.id);
        break;
      case 'change':
        items.set(act.change.id, applied(items.get(act.change.id), act.change));
        break;
      case 'check':
        break;
    }
  }
  const tableOf = ({ table }: { readonly table?: string }): Map<string, Item> => {
    if (table === undefined) return items;
    const other = others[table];
    if (other === undefined) throw new Error(`a fake table must be given the table ${table}`);
    return other;
  };

  return {
    items,
    read: async (id) => items.get(id),
    change: async <R>(change: Change<R>) => {
      const wanted = change as unknown as AnyChange;
      const before = items.get(wanted.id);
      if (!holds(before, wanted.when)) return { done: false, item: before };
      const item = applied(before, wanted);
      items.set(wanted.id, item);
      return { done: true, item };
    },
    remove: async (id) => items.delete(id),
    transact: async (acts) => {
      const keys = Object.values(acts).map((act) => keyOf(act));
      if (keys.length > mostActs) throw new Error(`a transaction must not have more than ${mostActs} acts`);
      if (new Set(keys).size < keys.length) throw new Error('a transaction must not have two acts on one item');
      const failed = Object.entries(acts).filter(([, act]) => hinders(act));
      if (failed.length > 0) return new Set(failed.map(([name]) => name));
      for (const act of Object.values(acts)) perform(act);
      return undefined;
    },
    listOpen: async (open, range) =>
      [...items.values()]
        .filter((item) => item['open'] === open && item['openKey'] !== undefined)
        .filter(({ openKey }) => range === undefined || (range.from <= String(openKey) && String(openKey) <= range.to))
        .toSorted((a, b) => (String(a['openKey']) < String(b['openKey']) ? -1 : 1))
        .slice(0, range?.limit),
  };
}

function keyOf(act: Act): string {
  switch (act.kind) {
    case 'put':
      return `${act.table} ${String(act.item['id'])}`;
    case 'remove':
      return `${act.table} ${act.id}`;
    case 'change':
    case 'check':
      return `undefined ${act.change.id}`;
  }
}

function holds(item: Item | undefined, when: AnyChange['when'] = {}): boolean {
  return Object.entries(when).every(([name, tests]) =>
    [tests ?? []].flat().every((test) => passes(item?.[name], test)),
  );
}

function passes(value: unknown, test: Test): boolean {
  switch (test.kind) {
    case 'absent':
      return value === undefined;
    case 'present':
      return value !== undefined;
    case 'is':
      return value === test.value;
    case 'below':
      return typeof value === typeof test.value && (value as number) < (test.value as number);
    case 'above':
      return typeof value === typeof test.value && (value as number) > (test.value as number);
    case 'absent-or':
      return value === undefined || passes(value, test.test);
  }
}

function applied(before: Item | undefined, { id, set = {}, setOnce = {}, remove = [], add = {} }: AnyChange): Item {
  const item: Attributes = { id, ...withoutUndefined(setOnce), ...before, ...withoutUndefined(set) };
  for (const [name, amount] of Object.entries(add)) item[name] = Number(item[name] ?? 0) + Number(amount);
  for (const name of remove) delete item[name];
  return item;
}

function withoutUndefined(item: Item): Attributes {
  return Object.fromEntries(Object.entries(item).filter(([, value]) => value !== undefined));
}

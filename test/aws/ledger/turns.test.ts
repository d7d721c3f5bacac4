import { describe, expect, test } from '@jest/globals';
import { launchPace, longestTurnMs, registrationPace } from '../../../functions/contracts/with-infra/limits.ts';
import { hour, minute, second } from '../../fakes/clock.ts';
import {
  callsOf,
  describedDynamo,
  describeLedgers,
  ledgerOver,
  memoryTables,
  together,
  type OpenLedger,
} from './ledgers.ts';

const numbers = (turns: readonly (number | undefined)[]) =>
  turns.filter((turn) => turn !== undefined).toSorted((a, b) => a - b);

describeLedgers('the pace', (open) => {
  const take = async (pace: { readonly intervalMs: number; readonly burst: number }, turns = 1, horizonMs = hour) =>
    open().takeTurns({ key: 'p', ...pace }, turns, horizonMs);
  const takeOne = async (...asked: Parameters<typeof take>) => Number((await take(...asked))[0]);

  test('gives fifty who come at once a turn of their own each, spaced evenly', async () => {
    const now = open().clock.now();
    const turns = await together(50, async () => takeOne({ intervalMs: 50, burst: 1 }));
    expect(numbers(turns)).toEqual(Array.from({ length: 50 }, (_, index) => now + index * 50));
  });

  test('gives those who ask in groups a turn of their own each, too', async () => {
    const now = open().clock.now();
    const turns = await together(6, async (index) => take({ intervalMs: 50, burst: 1 }, index + 1));
    expect(turns.map((group) => group.length)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(numbers(turns.flat())).toEqual(Array.from({ length: 21 }, (_, index) => now + index * 50));
  });

  test('lets a burst through at once after a pause, and what follows one by one', async () => {
    const now = open().clock.now();
    const turns: number[] = [];
    for (let time = 0; time < 6; time += 1) turns.push(await takeOne({ intervalMs: 100, burst: 4 }));
    expect(turns.map((turn) => turn - now)).toEqual([0, 0, 0, 0, 100, 200]);
  });

  test('gives a group that comes after a pause its burst, and the rest one by one', async () => {
    const now = open().clock.now();
    const turns = await take({ intervalMs: 100, burst: 4 }, 6);
    expect(turns.map((turn) => Number(turn) - now)).toEqual([0, 0, 0, 0, 100, 200]);
  });

  test('never lets more through in a while than its rate and one burst', async () => {
    const turns: number[] = [];
    for (let time = 0; time < 40; time += 1) {
      open().clock.turn((time * 37) % 90);
      turns.push(...numbers(await take({ intervalMs: 100, burst: 3 }, 1 + (time % 3))));
    }
    expect(turns).toHaveLength(79);
    for (const from of turns) {
      const within = turns.filter((turn) => turn >= from && turn < from + 1000).length;
      expect(within).toBeLessThanOrEqual(13);
    }
  });

  test('gives back what was left unused, up to a burst', async () => {
    const pace = { intervalMs: 100, burst: 2 };
    await take(pace, 4);
    open().clock.turn(hour);
    const now = open().clock.now();
    const turns = [await takeOne(pace), await takeOne(pace), await takeOne(pace)];
    expect(turns.map((turn) => turn - now)).toEqual([0, 0, 100]);
  });

  test('gives no turn that is too far off, and none is lost by asking', async () => {
    const pace = { intervalMs: minute, burst: 2 };
    const now = open().clock.now();
    const turns = await together(20, async () => (await take(pace, 1, 3 * minute))[0]);
    expect(numbers(turns).map((turn) => (turn - now) / minute)).toEqual([0, 0, 1, 2, 3]);
    open().clock.turn(minute);
    expect(await take(pace, 1, 3 * minute)).toEqual([now + 4 * minute]);
    expect(await take(pace, 1, 3 * minute)).toEqual([undefined]);
  });

  test('gives a group the turns that are near enough, and none to its others', async () => {
    const pace = { intervalMs: minute, burst: 2 };
    const now = open().clock.now();
    const inMinutes = async (turns: number) =>
      (await take(pace, turns, 3 * minute)).map((turn) => turn && (turn - now) / minute);
    expect(await inMinutes(3)).toEqual([0, 0, 1]);
    expect(await inMinutes(4)).toEqual([2, 3, undefined, undefined]);
    expect(await inMinutes(2)).toEqual([undefined, undefined]);
    open().clock.turn(minute);
    expect(await inMinutes(2)).toEqual([4, undefined]);
  });

  test('gives a group on an idle pace no turn beyond the horizon either', async () => {
    const now = open().clock.now();
    const turns = await take({ intervalMs: minute, burst: 2 }, 8, 3 * minute);
    expect(turns.map((turn) => turn && (turn - now) / minute)).toEqual([
      0,
      0,
      1,
      2,
      3,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('begins anew in the very moment in which its last turn is used up', async () => {
    const pace = { intervalMs: 100, burst: 1 };
    await take(pace);
    open().clock.turn(100);
    expect(await takeOne(pace)).toBe(open().clock.now());
  });

  test('is kept for each key alone', async () => {
    const now = open().clock.now();
    for (const key of ['registrations#acme', 'registrations#beta']) {
      expect(await open().takeTurns({ key, intervalMs: 600, burst: 1 }, 1, hour)).toEqual([now]);
    }
  });
});

describeLedgers('the turn of a launch', (open) => {
  const burst = launchPace.burst;
  /** When the turn after all that were given out would begin. */
  const nextFree = async (key: string) => Number((await open().table.read(`pace#${key}`))?.['nextFree'] ?? 0);
  const fill = async (scope: string, ahead: number) =>
    open().table.change<{ nextFree: number }>({
      id: `pace#registrations#${scope}`,
      set: { nextFree: open().clock.now() + ahead },
    });
  const share = registrationPace.burst * registrationPace.intervalMs;

  test('is now while both paces have a burst, and then follows RunTask', async () => {
    const now = open().clock.now();
    const turns = await together(burst + 2, async () => open().takeTurn('acme'));
    expect(numbers(turns).map((turn) => turn - now)).toEqual([...Array.from({ length: burst }, () => 0), 50, 100]);
  });

  test('of one scope comes after those of another at RunTask, not at its own registrations', async () => {
    const now = open().clock.now();
    await together(burst, async () => open().takeTurn('acme'));
    expect(await open().takeTurn('beta')).toBe(now + 50);
    expect(await nextFree('registrations#beta')).toBe(now + registrationPace.intervalMs);
  });

  test('is counted from when it is given out until it comes', async () => {
    expect(await open().countTurns()).toBe(0);
    await together(burst, async () => open().takeTurn('acme'));
    expect(await open().countTurns()).toBe(0);
    await together(3, async () => open().takeTurn('beta'));
    expect(await open().countTurns()).toBe(3);
    open().clock.turn(2 * launchPace.intervalMs);
    expect(await open().countTurns()).toBe(1);
    open().clock.turn(minute);
    expect(await open().countTurns()).toBe(0);
  });

  test('is the later of the two', async () => {
    await fill('acme', share + minute);
    expect(Number(await open().takeTurn('acme')) - open().clock.now()).toBe(minute + registrationPace.intervalMs);
  });

  test('is none when the registrations of its scope are given out for minutes', async () => {
    await fill('acme', share + longestTurnMs);
    expect(await open().takeTurn('acme')).toBeUndefined();
    expect(await open().takeTurn('beta')).toBe(open().clock.now());
  });

  test('is none when RunTask is given out for minutes', async () => {
    await open().table.change<{ nextFree: number }>({
      id: 'pace#run-task',
      set: { nextFree: open().clock.now() + burst * launchPace.intervalMs + longestTurnMs },
    });
    expect(await open().takeTurn('acme')).toBeUndefined();
  });

  test('of a scope over its share does not use up a turn of RunTask that it cannot take', async () => {
    await fill('acme', share + longestTurnMs);
    await open().takeTurn('acme');
    const before = await nextFree('run-task');
    const turns = await together(40, async () => open().takeTurn('acme'));
    expect(numbers(turns)).toEqual([]);
    expect(await nextFree('run-task')).toBe(before);
    expect(await open().takeTurn('beta')).toBe(open().clock.now());
  });

  test('of a scope over its share uses up as many turns of RunTask as it may register', async () => {
    await fill('acme', share + longestTurnMs - 2 * registrationPace.intervalMs);
    expect(await open().takeTurn('acme')).toBeDefined();
    const before = await nextFree('run-task');
    const turns = await together(5, async () => open().takeTurn('acme'));
    expect(numbers(turns)).toHaveLength(1);
    expect(await nextFree('run-task')).toBe(before + launchPace.intervalMs);
  });

  test('of a scope that may register again uses both paces again', async () => {
    await fill('acme', share + longestTurnMs);
    await open().takeTurn('acme');
    open().clock.turn(longestTurnMs + second);
    expect(await open().takeTurn('acme')).toBe(open().clock.now());
  });
});

describe('the turns of one function instance', () => {
  const dynamo = describedDynamo();

  test('are reserved for all that ask together, by one update of each pace', async () => {
    const ledger = ledgerOver(await dynamo().createTables());
    const calls = callsOf(dynamo(), 'UpdateItem');
    const now = ledger.clock.now();
    const scopes = ['acme', 'beta', 'acme', 'acme'];
    const turns = await Promise.all(scopes.map(async (scope) => ledger.takeTurn(scope)));
    expect(turns).toEqual([now, now, now, now]);
    const keys = calls.map(({ input }) => (input['Key'] as { id: { S: string } }).id.S);
    // Launches of two scopes meet at RunTask, which the second finds busy: one try more.
    expect(new Set(keys)).toEqual(new Set(['pace#run-task', 'pace#registrations#acme', 'pace#registrations#beta']));
    expect(keys.filter((key) => key !== 'pace#run-task')).toHaveLength(2);
    expect(keys.length).toBeLessThanOrEqual(5);
  });

  test('keep to the horizon though another instance has taken most of them meanwhile', async () => {
    const tables = await dynamo().createTables();
    const [here, there] = [ledgerOver(tables), ledgerOver(tables)];
    const now = here.clock.now();
    const take = async (ledger: OpenLedger, turns: number) =>
      (await ledger.takeTurns({ key: 'p', intervalMs: minute, burst: 1 }, turns, 5 * minute)).map(
        (turn) => turn && (turn - now) / minute,
      );
    expect(await take(here, 1)).toEqual([0]);
    expect(await take(there, 3)).toEqual([1, 2, 3]);
    expect(await take(here, 4)).toEqual([4, 5, undefined, undefined]);
  });

  test('are never those of another instance', async () => {
    const tables = await dynamo().createTables();
    const instances = await together(5, async () => ledgerOver(tables));
    const now = instances[0]!.clock.now();
    const askTen = async (ledger: OpenLedger) => together(10, async () => ledger.takeTurn('acme'));
    const turns = (await Promise.all(instances.map(async (ledger) => askTen(ledger)))).flat();
    const expected = Array.from({ length: 50 }, (_, index) => Math.max(0, (index + 1 - launchPace.burst) * 50));
    expect(numbers(turns).map((turn) => turn - now)).toEqual(expected);
  });

  // A promise that fails before anybody waits for it ends the whole process, and every launch that is under way in it.
  test('fail at once when one of them cannot be had, while the other is still on its way', async () => {
    const tables = memoryTables();
    const change: typeof tables.table.change = async ({ id }) => {
      if (id === 'pace#registrations#acme') throw new Error('no answer');
      return new Promise(() => {});
    };
    const ledger = ledgerOver({ ...tables, table: { ...tables.table, change } });
    await expect(ledger.takeTurn('acme')).rejects.toThrow('no answer');
  });
});

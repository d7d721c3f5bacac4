import { describe, expect, test } from '@jest/globals';
import type { DeliveryRecord } from '../../functions/contracts/with-github/delivery-record.ts';
import { redeliverWebhooks } from '../../functions/redeliver/redeliver-webhooks.ts';
import { hour, minute } from '../fakes/clock.ts';
import { aGitHubError } from '../fakes/github.ts';
import { fakeWorld, type FakeWorld, type WorldOptions } from '../fakes/world.ts';

let lastId = 3_804_004_623_172_239_366n;

/** A fleet that was deployed ten minutes ago. */
async function begin(options: WorldOptions = {}): Promise<FakeWorld> {
  const world = fakeWorld(options);
  await redeliverWebhooks(world.ports);
  world.clock.turn(10 * minute);
  return world;
}
/** Enters a delivery into GitHub's list, as it happens now. */
function deliver(world: FakeWorld, guid: string, parts: Partial<DeliveryRecord> = {}): DeliveryRecord {
  lastId += 1_000_003n;
  const { statusCode = 503 } = parts;
  const delivery = {
    id: String(lastId),
    guid,
    event: 'workflow_job',
    deliveredAt: world.clock.now(),
    ok: statusCode < 300,
    statusCode,
    ...parts,
  };
  world.github.deliveries.push(delivery);
  return delivery;
}
const calls = (world: FakeWorld) => world.github.calls.filter((call) => call.startsWith('redeliver'));
/** Passes time in steps of five minutes, with a pass at each; what is asked for again fails again at once. */
async function pass(
  world: FakeWorld,
  passes: number,
  fails: (guid: string) => boolean = () => false,
): Promise<string[]> {
  const all: string[] = [];
  for (let count = 0; count < passes; count += 1) {
    const { redelivered } = await redeliverWebhooks(world.ports);
    for (const { delivery, tries } of redelivered) {
      all.push(`${delivery} ${tries}`);
      if (fails(delivery)) deliver(world, delivery);
      else deliver(world, delivery, { statusCode: 202 });
    }
    world.clock.turn(5 * minute);
  }
  return all;
}

describe('a first pass', () => {
  test('begins now: what failed before the fleet was deployed was never its own', async () => {
    const world = fakeWorld();
    deliver(world, 'before');
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 0, complete: true });
    expect(world.github.calls).toEqual([]);
    world.clock.turn(5 * minute);
    expect(await pass(world, 3)).toEqual([]);
  });
});

describe('a delivery that failed', () => {
  test('is asked for again by the id GitHub listed it with, to the last digit', async () => {
    const world = await begin();
    const { id } = deliver(world, 'a');
    world.clock.turn(minute);
    const { redelivered } = await redeliverWebhooks(world.ports);
    expect(redelivered).toEqual([{ delivery: 'a', tries: 2 }]);
    expect(world.github.redelivered).toEqual([id]);
    expect(BigInt(id) > 2n ** 53n).toBe(true);
  });

  test('is done with as soon as one delivery of its GUID went well', async () => {
    const world = await begin();
    deliver(world, 'a');
    deliver(world, 'a', { statusCode: 202 });
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 0 });
  });

  test('is asked for once when its redelivery goes well', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(minute);
    expect(await pass(world, 5)).toEqual(['a 2']);
    expect((await world.ledger.readCursor())?.failed).toEqual([]);
  });

  test("again and again is asked for three times, counted from GitHub's own list", async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(minute);
    const passes: number[] = [];
    for (let count = 0; count < 40; count += 1) {
      if ((await pass(world, 1, () => true)).length > 0) passes.push(count);
    }
    // At the next pass, then five and ten minutes after each failure.
    expect(passes).toEqual([0, 1, 3]);
    expect(calls(world)).toHaveLength(3);
    expect((await world.ledger.readCursor())?.failed).toMatchObject([{ guid: 'a', tries: 4 }]);
  });

  test('is given up with the reason once it is a day old', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(minute);
    await pass(world, 40, () => true);
    world.clock.turn(24 * hour);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({
      forgotten: [{ delivery: 'a', note: 'it is older than a day, and so is its job' }],
      pending: 0,
    });
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ forgotten: [] });
  });

  test('is not asked for within the minute it failed in', async () => {
    const world = await begin();
    deliver(world, 'a');
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 1 });
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [{ delivery: 'a' }] });
  });

  test('is counted once, though the passes overlap', async () => {
    const world = await begin();
    deliver(world, 'a');
    for (let count = 0; count < 4; count += 1) {
      await redeliverWebhooks({ ...world.ports, redeliver: async () => Promise.resolve() });
      world.clock.turn(minute);
    }
    expect((await world.ledger.readCursor())?.failed).toMatchObject([{ guid: 'a', tries: 1 }]);
  });

  test('and that the list showed late is found all the same', async () => {
    const world = await begin();
    const late = world.clock.now() - 4 * minute;
    await redeliverWebhooks(world.ports);
    deliver(world, 'late', { deliveredAt: late });
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [{ delivery: 'late' }] });
  });

  test('of another event is left alone: nothing here asks for it', async () => {
    const world = await begin();
    deliver(world, 'a', { event: 'installation' });
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 0 });
  });
});

describe('a delivery that we could not read', () => {
  test.each([400, 415])('is never asked for again, as it would be the same: %d', async (statusCode) => {
    const world = await begin();
    deliver(world, 'a', { statusCode });
    world.clock.turn(minute);
    expect(await pass(world, 30)).toEqual([]);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ pending: 1, failures: [] });
  });
});

describe('a delivery that we refused for its signature', () => {
  test('is left alone while the secret is the same', async () => {
    const world = await begin();
    deliver(world, 'a', { statusCode: 401 });
    world.clock.turn(hour);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 1 });
  });

  test('is asked for again once the secret was changed after it', async () => {
    const world = await begin();
    deliver(world, 'a', { statusCode: 401 });
    const ports = { ...world.ports, secretChangedAt: async () => Promise.resolve(world.clock.now() - minute) };
    world.clock.turn(hour);
    expect(await redeliverWebhooks(ports)).toMatchObject({ redelivered: [{ delivery: 'a' }] });
  });

  test('is all that makes a pass look at the secret', async () => {
    const world = await begin();
    deliver(world, 'a');
    const ports = {
      ...world.ports,
      secretChangedAt: async () => Promise.reject(new Error('it must not be asked for')),
    };
    await expect(redeliverWebhooks(ports)).resolves.toBeDefined();
  });
});

describe('a pass', () => {
  test('asks for fifty at most; the others wait for the next', async () => {
    const world = await begin();
    for (let count = 0; count < 120; count += 1) deliver(world, `guid-${count}`);
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ pending: 70 });
    expect(world.github.redelivered).toHaveLength(50);
  });

  test('reaches every one of them in the end', async () => {
    const world = await begin();
    for (let count = 0; count < 120; count += 1) deliver(world, `guid-${count}`);
    world.clock.turn(minute);
    const asked = await pass(world, 4);
    expect(new Set(asked).size).toBe(120);
    expect(asked).toHaveLength(120);
  });

  test('that GitHub does not take a redelivery from says so, and tries again in the next', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(1);
    deliver(world, 'b');
    world.clock.turn(minute);
    world.github.failNext('redeliver', aGitHubError('refused', { status: 422 }));
    const { redelivered, failures } = await redeliverWebhooks(world.ports);
    expect(redelivered).toEqual([{ delivery: 'b', tries: 2 }]);
    expect(failures).toEqual(['a: GET /somewhere: refused']);
    world.clock.turn(minute);
    expect((await redeliverWebhooks(world.ports)).redelivered).toContainEqual({ delivery: 'a', tries: 2 });
  });

  test.each([
    ['refused', 50],
    ['unavailable', 1],
    ['rate-limited', 1],
    ['suspended', 1],
    ['not-installed', 1],
  ] as const)('makes only so many calls when GitHub takes none of them: %s, %d', async (kind, most) => {
    const world = await begin();
    for (let count = 0; count < 300; count += 1) deliver(world, `guid-${count}`);
    world.clock.turn(minute);
    world.github.failNext('redeliver', aGitHubError(kind), 300);
    const { redelivered, failures, pending } = await redeliverWebhooks(world.ports);
    expect(calls(world)).toHaveLength(most);
    expect({ redelivered, failed: failures.length, pending }).toEqual({ redelivered: [], failed: most, pending: 300 });
  });

  test('that GitHub stopped answering in the middle of keeps what it has asked for and what it has not', async () => {
    const world = await begin();
    for (const guid of ['a', 'b', 'c']) {
      deliver(world, guid);
      world.clock.turn(1);
    }
    world.clock.turn(minute);
    let asked = 0;
    const verdict = await redeliverWebhooks({
      ...world.ports,
      redeliver: async () => {
        asked += 1;
        if (asked === 2) throw aGitHubError('rate-limited');
        return Promise.resolve();
      },
    });
    expect(asked).toBe(2);
    expect(verdict.redelivered).toEqual([{ delivery: 'a', tries: 2 }]);
    expect((await world.ledger.readCursor())?.failed.map(({ guid }) => guid)).toEqual(['a', 'b', 'c']);
  });

  test('begins no call after twenty seconds: the function has thirty', async () => {
    const world = await begin();
    for (let count = 0; count < 10; count += 1) deliver(world, `guid-${count}`);
    world.clock.turn(minute);
    const slow = {
      ...world.ports,
      redeliver: async (id: string) => {
        world.clock.turn(5000);
        return world.ports.redeliver(id);
      },
    };
    expect(await redeliverWebhooks(slow)).toMatchObject({ pending: 5, failures: [] });
    expect(world.github.redelivered).toHaveLength(5);
  });

  test('reads no further page of the list after fourteen seconds, and eighty at most', async () => {
    const world = await begin();
    let mayAsk: (pages: number) => boolean = () => true;
    await redeliverWebhooks({
      ...world.ports,
      listDeliveries: async (_since, ask) => {
        mayAsk = ask;
        return Promise.resolve({ deliveries: [], complete: true });
      },
    });
    expect([mayAsk(79), mayAsk(80)]).toEqual([true, false]);
    world.clock.turn(13_999);
    expect(mayAsk(1)).toBe(true);
    world.clock.turn(1);
    expect(mayAsk(1)).toBe(false);
  });

  test('forgets what GitHub no longer knows, and says so', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(1);
    deliver(world, 'b');
    world.clock.turn(minute);
    world.github.failNext('redeliver', aGitHubError('refused', { status: 404 }));
    expect(await redeliverWebhooks(world.ports)).toMatchObject({
      forgotten: [{ delivery: 'a', note: 'GitHub knows it no more' }],
      redelivered: [{ delivery: 'b', tries: 2 }],
      failures: [],
    });
    expect((await world.ledger.readCursor())?.failed).toMatchObject([{ guid: 'b' }]);
  });

  test('throws what is not of GitHub, and writes nothing', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(minute);
    const cursor = await world.ledger.readCursor();
    const broken = { ...world.ports, redeliver: async () => Promise.reject(new Error('we have a bug')) };
    await expect(redeliverWebhooks(broken)).rejects.toThrow('we have a bug');
    expect(await world.ledger.readCursor()).toEqual(cursor);
  });

  test('that crashed before it wrote its cursor asks again for no more than it had', async () => {
    const world = await begin();
    deliver(world, 'a');
    world.clock.turn(minute);
    const ports = { ...world.ports, writeCursor: async () => Promise.reject(new Error('crash')) };
    await expect(redeliverWebhooks(ports)).rejects.toThrow('crash');
    deliver(world, 'a', { statusCode: 202 });
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ redelivered: [], pending: 0 });
  });

  test('that could not see all of the list says so and moves on: from the same place no pass would get further', async () => {
    const world = await begin();
    const cut = { ...world.ports, listDeliveries: async () => Promise.resolve({ deliveries: [], complete: false }) };
    expect(await redeliverWebhooks(cut)).toMatchObject({ complete: false, redelivered: [] });
    expect((await world.ledger.readCursor())?.scannedTo).toBe(world.clock.iso());
    world.clock.turn(3 * hour);
    deliver(world, 'next');
    world.clock.turn(minute);
    expect(await redeliverWebhooks(world.ports)).toMatchObject({ complete: true, redelivered: [{ delivery: 'next' }] });
  });

  test('says when more has failed than a record holds, and keeps what was tried least and is oldest', async () => {
    const world = await begin();
    for (let count = 0; count < 1005; count += 1) {
      deliver(world, `guid-${count}`);
      world.clock.turn(1);
    }
    const none = { ...world.ports, redeliver: async () => Promise.resolve() };
    expect(await redeliverWebhooks(none)).toMatchObject({ complete: false });
    const { failed = [] } = (await world.ledger.readCursor()) ?? {};
    expect(failed).toHaveLength(1000);
    expect(failed.map(({ guid }) => guid)).not.toContain('guid-1004');
  });

  test('that could not see all of the list acts on what it saw', async () => {
    const world = await begin();
    const seen = deliver(world, 'seen');
    world.clock.turn(minute);
    const cut = {
      ...world.ports,
      listDeliveries: async () => Promise.resolve({ deliveries: [seen], complete: false }),
    };
    expect(await redeliverWebhooks(cut)).toMatchObject({ complete: false, redelivered: [{ delivery: 'seen' }] });
  });

  test('fails when the list cannot be had, and changes nothing', async () => {
    const world = await begin();
    const cursor = await world.ledger.readCursor();
    world.github.failNext('listDeliveries', aGitHubError('unavailable'));
    await expect(redeliverWebhooks(world.ports)).rejects.toMatchObject({ kind: 'unavailable' });
    expect(await world.ledger.readCursor()).toEqual(cursor);
  });

  test('forgets none of an outage that failed more than a record can hold', async () => {
    const world = await begin();
    for (let count = 0; count < 1500; count += 1) deliver(world, `guid-${count}`);
    world.clock.turn(minute);
    expect(new Set(await pass(world, 60)).size).toBe(1500);
  });

  test('catches up after a day of not being able to', async () => {
    const world = await begin();
    world.clock.turn(48 * hour);
    deliver(world, 'today');
    world.clock.turn(minute);
    const asked: number[] = [];
    await redeliverWebhooks({
      ...world.ports,
      listDeliveries: async (since, mayAsk) => {
        asked.push(since);
        return world.ports.listDeliveries(since, mayAsk);
      },
    });
    // Older ones would be forgotten unseen; each page of them is a call.
    expect(world.clock.now() - (asked[0] ?? 0)).toBeLessThanOrEqual(25 * hour);
  });
});

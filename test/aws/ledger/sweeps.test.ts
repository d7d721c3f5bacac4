import { expect, test } from '@jest/globals';
import { aJob } from '../../fakes/builders.ts';
import { after, hour, minute, second } from '../../fakes/clock.ts';
import { describeLedgers } from './ledgers.ts';

const { repository } = aJob();

describeLedgers('the repositories seen lately', (open) => {
  test('are remembered with when they had a job, in the order of their names', async () => {
    const ledger = open();
    await ledger.noteRepository(repository);
    await ledger.noteRepository({ ...repository, id: '2', fullName: 'Acme/api' });
    expect(await ledger.listRepositories()).toEqual([
      { ...repository, id: '2', fullName: 'Acme/api', seenAt: after(0) },
      { ...repository, seenAt: after(0) },
    ]);
  });

  test('are written every ten minutes at most', async () => {
    const ledger = open();
    await ledger.noteRepository(repository);
    ledger.clock.turn(10 * minute - second);
    await ledger.noteRepository(repository);
    expect(await ledger.listRepositories()).toMatchObject([{ seenAt: after(0) }]);
    ledger.clock.turn(second);
    await ledger.noteRepository(repository);
    expect(await ledger.listRepositories()).toMatchObject([{ seenAt: after(10 * minute) }]);
  });

  test('keep when they were asked, past their next job', async () => {
    const ledger = open();
    await ledger.noteRepository(repository);
    ledger.clock.turn(minute);
    await ledger.noteAsked(repository.id);
    ledger.clock.turn(hour);
    await ledger.noteRepository({ ...repository, fullName: 'acme/renamed' });
    expect(await ledger.listRepositories()).toEqual([
      { ...repository, fullName: 'acme/renamed', seenAt: after(hour + minute), askedAt: after(minute) },
    ]);
  });

  test('are not made by asking one that nobody knows', async () => {
    await open().noteAsked('9');
    expect(await open().listRepositories()).toEqual([]);
  });
});

describeLedgers('the memory of the sweeps', (open) => {
  test('keeps the cursor of deliveries as it was written last', async () => {
    const ledger = open();
    expect(await ledger.readCursor()).toBeUndefined();
    await ledger.writeCursor({ begunAt: after(0), scannedTo: after(0), failed: [] });
    const failed = [
      {
        guid: 'g',
        deliveryId: '98765432109876543210',
        firstAt: after(0),
        lastAt: after(1),
        tries: 2,
        asked: 1,
        statusCode: 503,
      },
    ];
    await ledger.writeCursor({ begunAt: after(0), scannedTo: after(minute), failed });
    expect(await ledger.readCursor()).toEqual({ begunAt: after(0), scannedTo: after(minute), failed });
  });

  test('says when a stranger was first seen', async () => {
    const ledger = open();
    const now = ledger.clock.now();
    expect(await ledger.noteStranger('task#x')).toBe(now);
    ledger.clock.turn(10 * minute);
    expect(await ledger.noteStranger('task#x')).toBe(now);
    expect(await ledger.noteStranger('task#y')).toBe(now + 10 * minute);
  });

  test('begins anew with a stranger that was forgotten', async () => {
    const ledger = open();
    await ledger.noteStranger('task#x');
    ledger.clock.turn(minute);
    await ledger.forgetStranger('task#x');
    await ledger.forgetStranger('task#unheard-of');
    expect(await ledger.noteStranger('task#x')).toBe(ledger.clock.now());
    expect(await ledger.noteStranger('task#unheard-of')).toBe(ledger.clock.now());
  });

  test("remembers which owners' repositories were noted", async () => {
    const ledger = open();
    expect(await ledger.readSeeded('acme')).toBe(false);
    await ledger.writeSeeded('acme');
    expect([await ledger.readSeeded('acme'), await ledger.readSeeded('beta')]).toEqual([true, false]);
  });

  test('forgets a stranger that was not seen for an hour', async () => {
    const ledger = open();
    await ledger.noteStranger('task#x');
    ledger.clock.turn(50 * minute);
    await ledger.noteStranger('task#x');
    ledger.clock.turn(50 * minute);
    expect(await ledger.noteStranger('task#x')).toBe(Date.parse(after(0)));
    ledger.clock.turn(hour + second);
    expect(await ledger.noteStranger('task#x')).toBe(ledger.clock.now());
  });
});

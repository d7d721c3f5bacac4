import { expect, test } from '@jest/globals';
import { changeBreaker, changeCapacity } from '../../../functions/fleet/change-records.ts';
import { afterBadStart, afterGoodStart } from '../../../functions/fleet/waits/breaker.ts';
import { afterRefusal } from '../../../functions/fleet/waits/capacity.ts';
import { after, minute } from '../../fakes/clock.ts';
import { describeLedgers, together } from './ledgers.ts';

const key = { profile: 'small', scope: 'acme' };
const room = { profile: 'small', provider: 'FARGATE' };

describeLedgers('the breaker of a profile in a scope', (open) => {
  test('is shut where nothing was ever written', async () => {
    expect(await open().readBreaker(key)).toEqual({ revision: 0, failures: 0 });
  });

  test('is written when it is as it was read, and its revision grows', async () => {
    const ledger = open();
    const until = after(minute);
    expect(await ledger.changeBreaker(key, { revision: 0, failures: 3, until, probe: 'r' })).toBe(true);
    expect(await ledger.readBreaker(key)).toEqual({ revision: 1, failures: 3, until, probe: 'r' });
    expect(await ledger.changeBreaker(key, { revision: 1, failures: 0, until: undefined, probe: undefined })).toBe(
      true,
    );
    expect(await ledger.readBreaker(key)).toEqual({ revision: 2, failures: 0 });
  });

  test.each([0, 1, 3])('is not written by somebody who read revision %i when it is at 2', async (revision) => {
    const ledger = open();
    await ledger.changeBreaker(key, { revision: 0, failures: 1 });
    await ledger.changeBreaker(key, { revision: 1, failures: 2 });
    expect(await ledger.changeBreaker(key, { revision, failures: 9 })).toBe(false);
    expect(await ledger.readBreaker(key)).toEqual({ revision: 2, failures: 2 });
  });

  test('is not written by somebody who read it before the ledger was wiped', async () => {
    expect(await open().changeBreaker(key, { revision: 1, failures: 2 })).toBe(false);
    expect(await open().items()).toEqual([]);
  });

  test('is written by one of ten who read the same', async () => {
    const written = await together(10, async (failures) => open().changeBreaker(key, { revision: 0, failures }));
    expect(written.filter(Boolean)).toHaveLength(1);
    expect(await open().readBreaker(key)).toEqual({ revision: 1, failures: written.indexOf(true) });
  });

  test('is that of no other profile and no other scope', async () => {
    await open().changeBreaker(key, { revision: 0, failures: 3 });
    expect(await open().readBreaker({ ...key, scope: 'beta' })).toMatchObject({ failures: 0 });
    expect(await open().readBreaker({ ...key, profile: 'large' })).toMatchObject({ failures: 0 });
  });

  test('counts failed starts that come together', async () => {
    const ledger = open();
    await together(3, async (index) =>
      changeBreaker(
        key,
        (record) => afterBadStart(record, { runnerId: `r${index}`, createdAt: after(0) }, ledger.clock.now()),
        ledger,
      ),
    );
    expect(await ledger.readBreaker(key)).toEqual({
      revision: 3,
      failures: 3,
      openedAt: after(0),
      until: after(minute),
    });
    await changeBreaker(key, afterGoodStart, ledger);
    expect(await ledger.readBreaker(key)).toEqual({ revision: 4, failures: 0 });
  });

  test('is not written by a rule that changes nothing', async () => {
    await changeBreaker(key, afterGoodStart, open());
    expect(await open().items()).toEqual([]);
  });

  test('does not touch the count of leases', async () => {
    await open().changeBreaker(key, { revision: 0, failures: 3 });
    expect(await open().readProfile('small')).toEqual({ leases: 0 });
  });
});

describeLedgers('the room of a profile on a provider', (open) => {
  test('is written when it is as it was read, and only then', async () => {
    const ledger = open();
    const refused = { reason: 'quota', note: 'vCPU', refusedAt: after(0), until: after(minute), failures: 0 } as const;
    expect(await ledger.changeCapacity(room, { revision: 0, ...refused })).toBe(true);
    expect(await ledger.changeCapacity(room, { revision: 0, failures: 5 })).toBe(false);
    expect(await ledger.readCapacity(room)).toEqual({ revision: 1, ...refused });
    const free = {
      revision: 1,
      failures: 0,
      reason: undefined,
      note: undefined,
      refusedAt: undefined,
      until: undefined,
    };
    expect(await ledger.changeCapacity(room, free)).toBe(true);
    expect(await ledger.readCapacity(room)).toEqual({ revision: 2, failures: 0, reason: undefined });
  });

  test('is that of no other provider', async () => {
    const ledger = open();
    const no = { reason: 'no-capacity', note: 'full' } as const;
    await changeCapacity(room, (record) => afterRefusal(record, no, ledger.clock.now()), ledger);
    expect(await ledger.readCapacity(room)).toMatchObject({ ...no, until: after(minute) });
    expect(await ledger.readCapacity({ ...room, provider: 'FARGATE_SPOT' })).toEqual({ revision: 0, failures: 0 });
  });
});

describeLedgers('the hold of a scope', (open) => {
  test('lasts until it says, and only one that lasts longer replaces it', async () => {
    const ledger = open();
    expect(await ledger.readScope('acme')).toEqual({ scope: 'acme' });
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, note: 'suspended' });
    await ledger.holdScope('acme', { until: ledger.clock.now() + 2 * minute, note: 'not installed' });
    expect(await ledger.readScope('acme')).toEqual({
      scope: 'acme',
      holdUntil: after(2 * minute),
      holdReason: 'not installed',
    });
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, note: 'shorter' });
    expect(await ledger.readScope('acme')).toMatchObject({ holdReason: 'not installed' });
    expect(await ledger.readScope('beta')).toEqual({ scope: 'beta' });
  });

  test('ends at once when GitHub answers again, and what else is known of the scope stays', async () => {
    const ledger = open();
    await ledger.noteTokenRefused('acme');
    await ledger.holdScope('acme', { until: ledger.clock.now() + minute, note: 'suspended' });
    await ledger.endHold('acme');
    expect(await ledger.readScope('acme')).toEqual({ scope: 'acme', tokenRefusedAt: after(0) });
  });

  test('that is none is not ended, and nothing is written', async () => {
    await open().endHold('acme');
    expect(await open().items()).toEqual([]);
  });
});

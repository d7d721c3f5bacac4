import { describe, expect, test } from '@jest/globals';
import { changeBreaker, changeCapacity } from '../../functions/fleet/change-records.ts';
import { afterBadStart, afterGoodStart } from '../../functions/fleet/waits/breaker.ts';
import { afterLostTask } from '../../functions/fleet/waits/capacity.ts';
import { aRunner } from '../fakes/builders.ts';
import { recordCalls } from '../fakes/calls.ts';
import { fakeWorld } from '../fakes/world.ts';

const breaker = { profile: 'small', scope: 'acme' };
const room = { profile: 'small', provider: 'FARGATE_SPOT' };

describe('a rule with a state', () => {
  test('is applied to the record of its profile and scope, and to no other', async () => {
    const { ledger } = fakeWorld();
    await changeBreaker(breaker, (record) => afterBadStart(record, aRunner(), 0), ledger);
    expect(await ledger.readBreaker(breaker)).toEqual({ revision: 1, failures: 1 });
    expect(await ledger.readBreaker({ ...breaker, scope: 'octo/toy' })).toEqual({ revision: 0, failures: 0 });
    expect(await ledger.readBreaker({ ...breaker, profile: 'large' })).toEqual({ revision: 0, failures: 0 });
  });

  test('is applied to the record of its profile and provider, and to no other', async () => {
    const { ledger } = fakeWorld();
    await changeCapacity(room, (record) => afterLostTask(record, { note: 'n', certain: false }, 0), ledger);
    expect(await ledger.readCapacity(room)).toEqual({ revision: 1, failures: 1 });
    expect(await ledger.readCapacity({ ...room, provider: 'FARGATE' })).toEqual({ revision: 0, failures: 0 });
  });

  test('counts each of several that come at the same time', async () => {
    const { ledger } = fakeWorld();
    await Promise.all([
      ...[1, 2].map(async (n) =>
        changeBreaker(breaker, (record) => afterBadStart(record, aRunner({ launch: n }), 0), ledger),
      ),
      ...[1, 2].map(async () =>
        changeCapacity(room, (record) => afterLostTask(record, { note: 'n', certain: false }, 0), ledger),
      ),
    ]);
    expect(await ledger.readBreaker(breaker)).toMatchObject({ failures: 2 });
    expect(await ledger.readCapacity(room)).toMatchObject({ failures: 2 });
  });

  test('that changes nothing costs one read', async () => {
    const { ports, calls } = recordCalls(fakeWorld().ports);
    await changeBreaker(breaker, afterGoodStart, ports);
    expect(calls.names).toEqual(['readBreaker']);
  });

  test('gives up loudly when the record is changed by others each time', async () => {
    const { ledger } = fakeWorld();
    let tries = 0;
    const overtaken = async (): Promise<boolean> => {
      tries += 1;
      return false;
    };
    const failing = { ...ledger, changeBreaker: overtaken, changeCapacity: overtaken };
    await expect(changeBreaker(breaker, (record) => record, failing)).rejects.toThrow(
      'the breaker of small in acme was changed by others 10 times while it was written',
    );
    await expect(changeCapacity(room, (record) => record, failing)).rejects.toThrow(
      'the room of small on FARGATE_SPOT was changed by others 10 times while it was written',
    );
    expect(tries).toBe(20);
  });
});

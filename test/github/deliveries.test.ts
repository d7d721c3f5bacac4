import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { githubDeliveries, type GitHubDeliveries } from '../../functions/github/deliveries.ts';
import { errorOf, startApp, type AppOnAcme } from './start-app.ts';

const minute = 60_000;
let acme: AppOnAcme;
let github: GitHubDeliveries;

beforeEach(async () => {
  acme = await startApp();
  github = githubDeliveries(acme.app);
});
afterEach(async () => {
  await acme.stop();
});

const deliver = async (count = 1) => {
  for (let index = 0; index < count; index += 1) acme.github.queueJob({ repo: 'acme/app', labels: ['small'] });
  await acme.github.deliveriesSettled();
};
const list = async (since = 0, mostPages = 80) => github.listDeliveries(since, (pages) => pages < mostPages);

describe('the list of deliveries', () => {
  test('tells what became of each, newest first, with ids that no number can hold', async () => {
    await deliver();
    acme.receiver.status = 503;
    await deliver();
    const { deliveries, complete } = await list();
    expect(complete).toBe(true);
    expect(deliveries.map(({ event, ok, statusCode }) => ({ event, ok, statusCode }))).toEqual([
      { event: 'workflow_job', ok: false, statusCode: 503 },
      { event: 'workflow_job', ok: true, statusCode: 202 },
    ]);
    expect(deliveries.map(({ id }) => id)).toEqual(acme.github.deliveries.map(({ id }) => id).toReversed());
    expect(deliveries.every(({ id }) => BigInt(id) > 2n ** 53n)).toBe(true);
    expect(deliveries[0]?.guid).toBe(acme.github.deliveries[1]?.guid);
    expect(Math.abs((deliveries[0]?.deliveredAt ?? 0) - acme.clock.now())).toBeLessThan(minute);
  });

  test('counts one without an answer as failed', async () => {
    acme.github.behave({ deliver: () => 'fail' });
    await deliver();
    expect((await list()).deliveries).toMatchObject([{ ok: false, statusCode: 0 }]);
  });

  test('is read no further back than asked for', async () => {
    await deliver(150);
    acme.clock.advance(10 * minute);
    await deliver(120);
    const asked = acme.asked.length;
    const { deliveries, complete } = await list(acme.clock.now() - 5 * minute);
    expect(deliveries).toHaveLength(120);
    expect(complete).toBe(true);
    // octokit sets its clock by the first refusal; the clock here was turned.
    const pages = acme.asked.slice(asked).filter(({ status }) => status !== 401);
    expect(pages).toHaveLength(2);
  });

  test('is cut where no more may be asked: it says so, and gives the newest', async () => {
    await deliver(250);
    const { deliveries, complete } = await list(0, 2);
    expect(deliveries).toHaveLength(200);
    expect(deliveries[0]?.id).toBe(acme.github.deliveries.at(-1)?.id);
    expect(complete).toBe(false);
  });

  test('is empty when nothing was delivered', async () => {
    expect(await list()).toEqual({ deliveries: [], complete: true });
  });
});

describe('a redelivery', () => {
  test('is asked for by the whole id, and comes with the same GUID', async () => {
    acme.receiver.status = 500;
    await deliver();
    const [{ id, guid } = { id: '', guid: '' }] = (await list()).deliveries;
    acme.receiver.status = 202;
    await github.redeliver(id);
    await acme.github.deliveriesSettled();
    expect(acme.receiver.posted).toHaveLength(2);
    expect((await list()).deliveries.map((delivery) => [delivery.guid, delivery.ok])).toEqual([
      [guid, true],
      [guid, false],
    ]);
  });

  test('of what GitHub no longer knows is refused', async () => {
    expect(await errorOf(github.redeliver('3804004623172239999'))).toMatchObject({ kind: 'refused', status: 404 });
  });
});

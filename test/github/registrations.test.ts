import { beforeEach, describe, expect, test } from '@jest/globals';
import { registrationReader } from '../../functions/github/registrations.ts';
import { fakeClaims } from '../fakes/claims.ts';
import { fakeClock, minute, type FakeClock } from '../fakes/clock.ts';
import { aGitHubError, fakeGitHub, type FakeGitHub } from '../fakes/github.ts';
import type { FakeClaims } from '../fakes/claims.ts';

let clock: FakeClock;
let github: FakeGitHub;
let store: FakeClaims;

beforeEach(() => {
  clock = fakeClock();
  github = fakeGitHub(clock.now);
  store = fakeClaims(clock.now);
});

/** Another function instance: it shares the store and nothing else. */
const newReader = () => registrationReader({ github, store, now: clock.now });

describe('a registration', () => {
  test('is minted once for a burst of callers', async () => {
    const read = newReader();
    const tokens = await Promise.all(Array.from({ length: 1000 }, async () => (await read('acme')).token));
    expect(new Set(tokens)).toEqual(new Set(['AAAA-token-1']));
    expect(github.mints).toEqual(['acme']);
  });

  test('is shared by all function instances', async () => {
    await newReader()('acme');
    expect((await newReader()('acme')).token).toBe('AAAA-token-1');
    expect(github.mints).toHaveLength(1);
  });

  test('carries what GitHub wants as a runner, by architecture', async () => {
    expect((await newReader()('acme')).releases).toMatchObject({ x64: { version: '2.330.0' }, arm64: {} });
  });

  test('is another in another scope', async () => {
    const read = newReader();
    expect((await read('acme')).token).not.toBe((await read('octo/tools')).token);
    expect(github.mints).toEqual(['acme', 'octo/tools']);
  });

  test('is kept until 25 minutes before its token expires, then renewed once for a burst', async () => {
    const read = newReader();
    await read('acme');
    clock.turn(35 * minute - 1);
    expect((await read('acme')).token).toBe('AAAA-token-1');
    clock.turn(1);
    const tokens = await Promise.all(Array.from({ length: 50 }, async () => (await read('acme')).token));
    expect(new Set(tokens)).toEqual(new Set(['AAAA-token-2']));
    expect((await newReader()('acme')).token).toBe('AAAA-token-2');
  });

  test('that another instance has renewed is taken from the store', async () => {
    const read = newReader();
    await read('acme');
    clock.turn(35 * minute);
    await newReader()('acme');
    expect((await read('acme')).token).toBe('AAAA-token-2');
    expect(github.mints).toHaveLength(2);
  });

  test('that cannot be had fails every caller of the burst, and is asked for again by the next', async () => {
    const read = newReader();
    github.failNext('mintToken', aGitHubError('rate-limited'));
    const burst = await Promise.allSettled([read('acme'), read('acme'), read('acme')]);
    expect(burst.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect((await read('acme')).token).toBe('AAAA-token-1');
  });

  test('that cannot be renewed fails the callers while the old one is too short, and not for ever', async () => {
    const read = newReader();
    await read('acme');
    clock.turn(40 * minute);
    github.failNext('mintToken', aGitHubError('unavailable'));
    await expect(read('acme')).rejects.toMatchObject({ kind: 'unavailable' });
    expect((await read('acme')).token).toBe('AAAA-token-2');
  });

  test('does without the wanted version when GitHub does not tell it, or with the one told last', async () => {
    github.failNext('listReleases', aGitHubError('unavailable'));
    expect(await newReader()('acme')).toMatchObject({ token: 'AAAA-token-1', releases: {} });
    clock.turn(40 * minute);
    await newReader()('acme');
    clock.turn(40 * minute);
    github.failNext('listReleases', aGitHubError('unavailable'));
    expect(await newReader()('acme')).toMatchObject({
      token: 'AAAA-token-3',
      releases: { x64: { version: '2.330.0' } },
    });
  });

  test('that GitHub refused is minted anew, once for all', async () => {
    const read = newReader();
    await read('acme');
    clock.turn(minute);
    const refusedAt = clock.now();
    const tokens = await Promise.all([1, 2, 3].map(async () => (await read('acme', refusedAt)).token));
    expect(new Set(tokens)).toEqual(new Set(['AAAA-token-2']));
    expect((await newReader()('acme', refusedAt)).token).toBe('AAAA-token-2');
    expect(github.mints).toHaveLength(2);
  });
});

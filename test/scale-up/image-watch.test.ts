import { describe, expect, test } from '@jest/globals';
import type { Arch } from '../../functions/contracts/with-infra/runner-image.ts';
import { imageWatch } from '../../functions/scale-up/image-watch.ts';
import { fakeClock, hour, second } from '../fakes/clock.ts';

const x64 = { arch: 'x64' } as const;
const arm64 = { arch: 'arm64' } as const;

/** A repository whose images a test puts there, and how often it was looked into. */
function aWatch() {
  const clock = fakeClock();
  const images = new Set<Arch>();
  const looks: Arch[] = [];
  const state = { fails: false };
  const hasImage = imageWatch(
    {
      findImage: async (arch) => {
        looks.push(arch);
        if (state.fails) throw new Error('ECR is down');
        return images.has(arch) ? {} : undefined;
      },
    },
    clock.now,
  );
  return { clock, images, looks, state, hasImage };
}

describe('an image', () => {
  test('that is there is looked for once', async () => {
    const { images, looks, clock, hasImage } = aWatch();
    images.add('x64');
    for (let n = 0; n < 3; n += 1) {
      expect(await hasImage(x64)).toBe(true);
      clock.turn(hour);
    }
    expect(looks).toEqual(['x64']);
  });

  test('that is missing is looked for again every 20 seconds, whoever asks in between', async () => {
    const { images, looks, clock, hasImage } = aWatch();
    expect([await hasImage(x64), await hasImage(x64)]).toEqual([false, false]);
    images.add('x64');
    clock.turn(20 * second - 1);
    expect(await hasImage(x64)).toBe(false);
    expect(looks).toHaveLength(1);
    clock.turn(1);
    expect(await hasImage(x64)).toBe(true);
    expect(looks).toHaveLength(2);
  });

  test('is another for each architecture', async () => {
    const { images, looks, clock, hasImage } = aWatch();
    images.add('arm64');
    expect([await hasImage(x64), await hasImage(arm64)]).toEqual([false, true]);
    clock.turn(20 * second);
    expect([await hasImage(x64), await hasImage(arm64)]).toEqual([false, true]);
    expect(looks).toEqual(['x64', 'arm64', 'x64']);
  });

  test('that nobody can tell of holds no launch back, and is looked for again 20 seconds later', async () => {
    const { images, looks, clock, state, hasImage } = aWatch();
    state.fails = true;
    expect(await hasImage(x64)).toBe(true);
    state.fails = false;
    clock.turn(19 * second);
    expect(await hasImage(x64)).toBe(true);
    clock.turn(second);
    expect(await hasImage(x64)).toBe(false);
    clock.turn(20 * second);
    images.add('x64');
    expect(await hasImage(x64)).toBe(true);
    expect(looks).toHaveLength(3);
  });

  test('of a profile that brings its own is not looked for', async () => {
    const { looks, hasImage } = aWatch();
    expect(await hasImage({ ...x64, image: 'public.ecr.aws/acme/runner:1' })).toBe(true);
    expect(await imageWatch(undefined, () => 0)(x64)).toBe(true);
    expect(looks).toEqual([]);
  });
});

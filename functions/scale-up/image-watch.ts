import type { Profile } from '../contracts/profile.ts';
import type { Arch } from '../contracts/runner-image.ts';

/** How soon a missing image is looked for again. */
const lookAgainAfterMs = 20_000;

/**
 * Is there an image to start a runner from? One that was seen stays: builds only move its tag. When nobody can say, the launch goes
 * on, as a task without an image fails by itself.
 *
 * @param images undefined where every profile brings an image of its own
 */
export function imageWatch(
  images: { readonly findImage: (arch: Arch) => Promise<unknown> } | undefined,
  now: () => number,
): (profile: Pick<Profile, 'arch' | 'image'>) => Promise<boolean> {
  const seen = new Set<Arch>();
  const missedAt = new Map<Arch, number>();

  return async ({ arch, image }) => {
    if (images === undefined || image !== undefined || seen.has(arch)) return true;
    if (now() - (missedAt.get(arch) ?? -Infinity) < lookAgainAfterMs) return false;
    const found = await images.findImage(arch).then(
      (one) => one !== undefined,
      () => undefined,
    );
    if (found === true) seen.add(arch);
    if (found === false) missedAt.set(arch, now());
    return found !== false;
  };
}

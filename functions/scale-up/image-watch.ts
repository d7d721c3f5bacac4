import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Arch } from '../contracts/with-infra/runner-image.ts';

/** How soon is looked again for an image that was missing, or that nobody could tell of: ECR may take seconds to say nothing. */
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
  const looks = new Map<Arch, { readonly at: number; readonly goOn: boolean }>();

  return async ({ arch, image }) => {
    if (images === undefined || image !== undefined || seen.has(arch)) return true;
    const last = looks.get(arch);
    if (last !== undefined && now() - last.at < lookAgainAfterMs) return last.goOn;
    const found = await images.findImage(arch).then(
      (one) => one !== undefined,
      () => undefined,
    );
    if (found === true) seen.add(arch);
    const goOn = found !== false;
    looks.set(arch, { at: now(), goOn });
    return goOn;
  };
}

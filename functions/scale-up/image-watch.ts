import type { Profile } from '../contracts/with-infra/profile.ts';
import type { Arch } from '../contracts/with-infra/runner-image.ts';

/** When ECR had no image, or did not answer, wait this long before asking again: ECR may take seconds not to answer. */
const lookAgainAfterMs = 20_000;

/**
 * Is there an image to start a runner from? An image that was seen stays, as builds only move its tag. When ECR does not answer, the
 * launch goes on: a task without an image fails by itself.
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
      (it) => it !== undefined,
      () => undefined,
    );
    if (found === true) seen.add(arch);
    const goOn = found !== false;
    looks.set(arch, { at: now(), goOn });
    return goOn;
  };
}

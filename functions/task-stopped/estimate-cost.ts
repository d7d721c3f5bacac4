import type { Profile } from '../contracts/with-infra/profile.ts';
import { isFargate, isSpot } from '../contracts/with-infra/providers.ts';

/**
 * Dollars an hour in us-east-1, as of 2026-11: https://aws.amazon.com/fargate/pricing/. Other regions differ by up to a third;
 * no function may ask AWS for prices just to draw a line on a dashboard.
 */
const prices = {
  x64: { vcpu: 0.04048, gib: 0.004445 },
  arm64: { vcpu: 0.03238, gib: 0.00356 },
  /** Each GiB of disk above what comes with a task. */
  diskGiB: 0.000111,
  publicAddress: 0.005,
};
const freeDiskGiB = 20;
/** What Spot costs changes by the day: AWS says up to 70 percent less. */
const spotFactor = 0.3;
const leastSeconds = 60;

export type Billed = {
  readonly profile: Pick<Profile, 'arch' | 'cpu' | 'memoryGiB' | 'diskGiB' | 'docker'>;
  /** From the image pull to the end; undefined when the task never came so far. */
  readonly seconds: number | undefined;
  readonly provider: string | undefined;
  readonly hasPublicAddress: boolean;
};

/**
 * What a task cost, in dollars: an estimate by list prices, before any discount.
 *
 * @returns undefined for one on Managed Instances: which instance it was, and how long that stood idle, it does not know
 */
export function estimateCost({ profile, seconds, provider, hasPublicAddress }: Billed): number | undefined {
  if (provider === undefined ? profile.docker : !isFargate(provider)) return undefined;
  if (seconds === undefined) return 0;
  const { vcpu, gib } = prices[profile.arch];
  const machine = profile.cpu * vcpu + profile.memoryGiB * gib;
  const anHour =
    machine * (provider !== undefined && isSpot(provider) ? spotFactor : 1) +
    Math.max(profile.diskGiB - freeDiskGiB, 0) * prices.diskGiB +
    (hasPublicAddress ? prices.publicAddress : 0);
  return (Math.max(seconds, leastSeconds) / 3600) * anHour;
}

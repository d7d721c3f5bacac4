import type { Profile } from './profile.ts';

/** The ECS capacity providers of a profile's tasks, by name. */
export type Providers = { readonly onDemand: string; readonly spot: string };

const fargate = { onDemand: 'FARGATE', spot: 'FARGATE_SPOT' } as const satisfies Providers;

/**
 * Fargate's are AWS's own. Of a profile with Docker each is made for it alone, and no other stack of the region has its name: names of
 * stacks and profiles have no underscore. ECS takes none that begins with `aws`, `ecs` or `fargate`.
 */
export function providersOf(stack: string, { name, docker }: Pick<Profile, 'name' | 'docker'>): Providers {
  if (!docker) return fargate;
  return { onDemand: `docker_${stack}_${name}_on-demand`, spot: `docker_${stack}_${name}_spot` };
}

/** Which of the two networks, kinds of sizes and prices are meant: Fargate's, or those of Managed Instances. */
export function isFargate(provider: string): boolean {
  return provider === fargate.onDemand || provider === fargate.spot;
}

export function isSpot(provider: string): boolean {
  return provider === fargate.spot || provider.endsWith('_spot');
}

/** How a metric calls it: a closed list, whatever the profiles are called. */
export function capacityOf(provider: string): string {
  if (isFargate(provider)) return provider;
  return isSpot(provider) ? 'MANAGED_INSTANCES_SPOT' : 'MANAGED_INSTANCES';
}

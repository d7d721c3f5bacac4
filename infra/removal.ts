import { RemovalPolicy } from 'aws-cdk-lib/core';
import type { Fleet, Keepsake } from './define-fleet.ts';

/** Everything goes with its stack, but for what the operator chose to keep. */
export function removalOf({ keepOnDestroy }: Pick<Fleet, 'keepOnDestroy'>, what: Keepsake): RemovalPolicy {
  return keepOnDestroy.includes(what) ? RemovalPolicy.RETAIN : RemovalPolicy.DESTROY;
}

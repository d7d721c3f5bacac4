import type { Profile } from '../with-infra/profile.ts';

/** Names a pool: profile, scope and runner group. Runners of one pool can stand in for each other. */
export function poolOf(profile: Profile, scope: string): string {
  return `${profile.name}@${scope}${profile.runnerGroup === undefined ? '' : `+${profile.runnerGroup}`}`;
}

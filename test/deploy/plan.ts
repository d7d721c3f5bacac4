import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { Fleet } from '../../infra/define-fleet.ts';
import { fargateCpus, fargateMemory } from '../../infra/fleet-config/fargate-sizes.ts';

/** What one deployment is made from; it reaches the CDK app by the environment. */
export type Plan = {
  /** The file of the operator's config. */
  readonly config: string;
  readonly githubUrl: string;
  /** The second deployment differs from the first in what operators change most. */
  readonly changed: boolean;
};

const variable = 'DEPLOY_PLAN';

export function writePlan(plan: Plan): Record<string, string> {
  return { [variable]: JSON.stringify(plan) };
}

export function readPlan(environment: Readonly<Record<string, string | undefined>>): Plan {
  return JSON.parse(environment[variable] ?? '') as Plan;
}

/** The label that every profile has after the change, and none before. */
export const addedLabel = 'added-by-the-change';

/** Seconds a runner without a job stays. A config must not say so little; a test cannot wait for more. */
const idleSeconds = 10;

export function emulateFleet(fleet: Fleet, { githubUrl }: Pick<Plan, 'githubUrl'>): Fleet {
  return withProfiles(
    { ...fleet, choices: { ...fleet.choices, github: { ...fleet.choices.github, url: githubUrl } } },
    (profile) => ({ ...profile, idleMinutes: idleSeconds / 60 }),
  );
}

export function changeFleet(fleet: Fleet): Fleet {
  return withProfiles(fleet, (profile) => ({
    ...profile,
    labels: [...profile.labels, addedLabel],
    maxRunners: profile.maxRunners + 1,
    memoryGiB: nextMemory(profile),
  }));
}

function withProfiles(fleet: Fleet, change: (profile: Profile) => Profile): Fleet {
  return { ...fleet, choices: { ...fleet.choices, profiles: fleet.choices.profiles.map(change) } };
}

/** The next size Fargate has for these vCPU, or the one before the largest. */
function nextMemory({ cpu, memoryGiB }: Profile): number {
  const legal = fargateCpus.find((size) => size === cpu);
  const sizes = legal === undefined ? [] : fargateMemory(legal);
  const at = sizes.indexOf(memoryGiB);
  return sizes[at + 1] ?? sizes[at - 1] ?? memoryGiB;
}

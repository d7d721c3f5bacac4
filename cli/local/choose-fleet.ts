import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { LocalFleetOptions } from '../../test/emulators/local-fleet.ts';
import type { GitHubEmulator } from '../../test/emulators/github/server.ts';

const usual: Profile = {
  name: 'small',
  labels: ['fargate-small'],
  arch: 'x64',
  cpu: 2,
  memoryGiB: 8,
  diskGiB: 20,
  capacity: 'on-demand',
  maxRunners: 6,
  // Six seconds: a runner that got no job ends within the show.
  idleMinutes: 0.1,
  maxHours: 6,
  catchAll: false,
  publicRepositories: false,
  repositories: { allow: [], deny: [] },
  warm: [],
  docker: false,
};

const owners = ['acme', 'globex', 'octo'] as const;

/** The warm window of the show closes while the clock is being turned. */
const warmMinutes = 9;

/** What an operator of the show's fleet has written down. */
export function chooseFleet(now: number, jobs: number | undefined): LocalFleetOptions['choices'] {
  // As many at once as two cores can boot without everything waiting for everything.
  const plain: Profile[] = [{ ...usual, maxRunners: 40 }];
  return { fleet: 'ci', owners, profiles: jobs === undefined ? workingDayProfiles(now) : plain };
}

function workingDayProfiles(now: number): Profile[] {
  return [
    usual,
    {
      ...usual,
      name: 'large',
      labels: ['fargate-large'],
      arch: 'arm64',
      cpu: 8,
      memoryGiB: 32,
      capacity: 'spot-preferred',
      maxRunners: 4,
      warm: [
        {
          scope: 'globex',
          count: 1,
          days: ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'],
          from: timeOfDay(now),
          to: timeOfDay(now + warmMinutes * 60_000),
          timezone: 'UTC',
        },
      ],
    },
  ];
}

/** The profile a job's labels name, for a reader's eye alone: the fleet decides for itself. */
export function profileNamed(profiles: readonly Profile[], labels: readonly string[]): string {
  return profiles.find((profile) => profile.labels.some((label) => labels.includes(label)))?.name ?? '';
}

/** Two orgs and a person, each with the App installed. */
export function settle(github: GitHubEmulator): void {
  for (const login of owners) {
    github.addAccount({ login, type: login === 'octo' ? 'User' : 'Organization' });
  }
  for (const repository of ['acme/shop', 'acme/site', 'globex/api', 'globex/data', 'globex/docs', 'octo/tools']) {
    github.addRepository(repository, { private: true });
  }
  for (const login of owners) github.install(login);
}

function timeOfDay(at: number): string {
  return new Date(at).toISOString().slice(11, 16);
}

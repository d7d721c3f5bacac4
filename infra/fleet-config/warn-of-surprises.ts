import type { Choices } from '../../functions/contracts/with-infra/settings.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { DockerChoices } from './read-docker.ts';
import type { NetworkChoices } from './read-network.ts';

type Surprising = { readonly choices: Choices; readonly network: NetworkChoices; readonly docker?: DockerChoices };

/** What is legal, and yet not what most people would expect. */
export function warnOfSurprises({ choices, network, docker }: Surprising): string[] {
  const { profiles } = choices;
  const pairs = profiles.flatMap((one, index) => profiles.slice(index + 1).map((other) => [one, other] as const));
  return [
    ...pairs.flatMap(([one, other]) => warnOfStealing(one, other)),
    ...profiles.filter((profile) => profile.catchAll).flatMap((profile) => warnOfCatchAll(profile, profiles)),
    ...(network.kind === 'private' && network.natGateways === 0 ? warnOfNoInternet(choices) : []),
    ...(docker === undefined ? [] : warnOfDocker(profiles, docker)),
  ];
}

/** It is asked for with one word, and is another kind of machine. */
function warnOfDocker(profiles: readonly Profile[], { network }: DockerChoices): string[] {
  const withDocker = profiles.filter((profile) => profile.docker);
  const names = withDocker.map(({ name }) => name).join(', ');
  return [
    `jobs of profile ${names} can become root of the machine they run on (docker): a privileged container is beside them, no Fargate micro-VM is around them, and the job that comes next may get the same machine, with its secrets and a registration token (docs/docker.md)`,
    ...withDocker
      .filter((profile) => profile.publicRepositories)
      .map(
        ({ name }) =>
          `profile ${name} serves public repositories with docker: a stranger's pull request can take a machine over and stay for the jobs that come next; do not do this where any job of the profile has a secret`,
      ),
    ...(network.kind === 'private'
      ? [
          `profile ${names} needs ${network.natGateways === 1 ? 'a NAT gateway' : `${network.natGateways} NAT gateways`}, which costs while nothing runs: about $${36 * network.natGateways} a month, and $0.045 a GB`,
        ]
      : []),
    'nothing of docker was ever tried in an AWS account: docs/docker.md lists what is not proved',
  ];
}

/** GitHub gives a job to any idle runner that has its labels, whatever the runner was started for. */
function warnOfStealing(one: Profile, other: Profile): string[] {
  const shared = one.labels.filter((label) => other.labels.includes(label));
  if (shared.length === 0) return [];
  const labels = shared.join(', ');
  const coversOther = shared.length === other.labels.length;
  const coversOne = shared.length === one.labels.length;
  if (coversOne && coversOther) {
    return [
      `profiles ${one.name} and ${other.name} have the same labels (${labels}): their runners take each other's jobs`,
    ];
  }
  if (coversOther)
    return [`runners of profile ${one.name} can take every job meant for profile ${other.name} (${labels})`];
  if (coversOne)
    return [`runners of profile ${other.name} can take every job meant for profile ${one.name} (${labels})`];
  return [
    `runners of profiles ${one.name} and ${other.name} can take each other's jobs when a job asks for no more than ${labels}`,
  ];
}

function warnOfCatchAll(profile: Profile, profiles: Choices['profiles']): string[] {
  const others = profiles.filter((other) => other !== profile).map((other) => other.name);
  return [
    ...(others.length > 0
      ? [
          `runners of ${others.join(', ')} can take the jobs without labels that profile ${profile.name} catches (catchAll)`,
        ]
      : []),
    ...(profile.publicRepositories
      ? [
          `profile ${profile.name} serves any self-hosted job (catchAll) of public repositories: a stranger's pull request can start runners`,
        ]
      : []),
  ];
}

/** The functions are in no VPC: they need no NAT gateway, and no route that a VPC has is theirs. */
function warnOfNoInternet({ github, profiles }: Choices): string[] {
  const isInEcr = /^\d{12}\.dkr\.ecr\.[^/]+\.amazonaws\.com/;
  return [
    `without a NAT gateway runners reach ${github.url} only by a route that you add to their VPC; the functions still ask it over the internet`,
    ...profiles
      .filter(({ image }) => image !== undefined && !isInEcr.test(image))
      .map(
        ({ name, image }) =>
          `without a NAT gateway profile ${name} gets ${image} only by a route that you add: the endpoints lead to ECR alone`,
      ),
  ];
}

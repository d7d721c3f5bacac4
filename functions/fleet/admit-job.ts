import { matchesGlob } from 'node:path/posix';
import { ownerOf, type Job } from '../contracts/between-rooms/job.ts';
import { runnerLabels, type Profile } from '../contracts/with-infra/profile.ts';

export type Admission =
  { readonly kind: 'admitted'; readonly profile: Profile } | { readonly kind: 'not-ours'; readonly note: string };

/** Labels that say where and on what a runner runs, not which runner is meant. */
const impliedLabels = new Set(['self-hosted', 'linux', 'windows', 'macos', 'x64', 'arm64', 'arm']);

const mostListed = 20;
const longestListed = 100;

/**
 * Which profile serves a job: one that has every label the job asks for. Of several, the one with the fewest labels
 * beyond those, then the first written: the closest fit leaves the special runners to the jobs that need them.
 */
export function admitJob(
  job: Job,
  fleet: { readonly owners: readonly string[]; readonly profiles: readonly Profile[] },
): Admission {
  const owner = ownerOf(job.repository);
  if (!fleet.owners.includes(owner)) return { kind: 'not-ours', note: `owner ${owner} is not one of this fleet's` };

  const asked = [...new Set(job.labels.map((label) => label.toLowerCase()))];
  const fitting = fleet.profiles.filter((profile) => fits(profile, asked));
  if (fitting.length === 0) return { kind: 'not-ours', note: `no profile has the labels ${listed(asked)}` };

  const open = fitting.filter((profile) => profile.publicRepositories || job.repository.private);
  if (open.length === 0) {
    return { kind: 'not-ours', note: `${job.repository.fullName} is public and ${named(fitting)} refuses that` };
  }

  const allowing = open.filter((profile) => allows(profile, job.repository.fullName.toLowerCase()));
  if (allowing.length === 0) {
    return { kind: 'not-ours', note: `${named(open)} does not allow ${job.repository.fullName}` };
  }

  // Every fitting profile has all the labels asked for, so fewest labels means fewest beyond them. Ties keep their order.
  const [profile] = allowing.toSorted((a, b) => a.labels.length - b.labels.length);
  return profile === undefined ? { kind: 'not-ours', note: 'no profile is left' } : { kind: 'admitted', profile };
}

function fits(profile: Profile, asked: readonly string[]): boolean {
  const offered = runnerLabels(profile);
  if (!asked.every((label) => offered.includes(label))) return false;
  return profile.catchAll || asked.some((label) => !impliedLabels.has(label));
}

function allows(profile: Profile, repository: string): boolean {
  const { allow, deny } = profile.repositories;
  const matches = (glob: string): boolean => matchesGlob(visible(repository), visible(glob.toLowerCase()));
  return !deny.some(matches) && (allow.length === 0 || allow.some(matches));
}

/** To a glob a name that begins with a dot is hidden, as in a folder; `acme/*` must mean `acme/.github` too. */
function visible(path: string): string {
  return path.replaceAll('/.', '/\u2024');
}

/** A workflow may ask for any number of labels of any length: this goes into a log line and an answer. */
function listed(labels: readonly string[]): string {
  const shown = JSON.stringify(labels.slice(0, mostListed).map((label) => label.slice(0, longestListed)));
  return labels.length > mostListed ? `${shown} and ${labels.length - mostListed} more` : shown;
}

function named(profiles: readonly Profile[]): string {
  return profiles.map(({ name }) => `profile ${name}`).join(', ');
}

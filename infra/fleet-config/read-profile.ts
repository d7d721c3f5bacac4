import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { fargateCpus, fargateMemory } from './fargate-sizes.ts';
import { instanceCpus, instanceMemory } from './instance-sizes.ts';
import { readImageReference } from './read-image.ts';
import { readWarmWindows } from './read-warm-window.ts';
import type { WarmConfig } from './read-warm-window.ts';
import { describeComplaint, readSection, show } from './section.ts';
import type { Section } from './section.ts';

/** What jobs with these labels get. */
export type ProfileConfig = {
  /** The labels a workflow asks for, besides `self-hosted`, `linux` and the architecture, which are implied. */
  readonly labels: readonly string[];
  /** vCPU: 0.25, 0.5, 1, 2, 4, 8 or 16; with `docker` 2, 4, 8, 16, 32, 48, 64 or 96. @default 2 */
  readonly cpu?: number;
  /**
   * GiB; what is legal depends on `cpu`, with `docker` from 2 to 7 for each vCPU.
   * @default twice the smallest for this cpu, 8 for 2 vCPU; with `docker` 3 for each vCPU
   */
  readonly memoryGiB?: number;
  /** From 20 (included in the price) to 200; with `docker` from 40 to 1000. @default 20, with `docker` 80 */
  readonly diskGiB?: number;
  /** @default 'x64' */
  readonly arch?: 'x64' | 'arm64';
  /** @default 'on-demand' */
  readonly capacity?: 'on-demand' | 'spot' | 'spot-preferred';
  /** How many runners may live at once, from 0 (paused) to 5000. @default 10 */
  readonly maxRunners?: number;
  /** A runner without a job ends after so long, from 1 to 360. @default 5 */
  readonly idleMinutes?: number;
  /** A task is stopped after so long, whatever it does: above 0, up to 120. @default 6 */
  readonly maxHours?: number;
  /** GitHub's runner group, by name. @default the scope's default group */
  readonly runnerGroup?: string;
  /** Also serve jobs that ask for no label but `self-hosted`. @default false */
  readonly catchAll?: boolean;
  /** Serve jobs of public repositories, where a stranger's pull request can run code. @default false */
  readonly publicRepositories?: boolean;
  /** Globs over `owner/name`; `deny` wins. @default all repositories of the owners */
  readonly repositories?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  /** Runners that wait for jobs, in windows of the week. @default none */
  readonly warm?: readonly WarmConfig[];
  /** An image with `/usr/local/bin/start-runner.sh` in it. @default the image built by this stack */
  readonly image?: string;
  /** Variables every job of this profile sees. Not for secrets. @default none */
  readonly environment?: Readonly<Record<string, string>>;
  /** ARN of a role whose permissions every job of this profile has. @default one that can only fetch the task's claim */
  readonly taskRole?: string;
  /**
   * Jobs may use Docker: `docker build`, `container:`, `services:`. Their tasks run on ECS Managed Instances, where a job can become root
   * of the machine under it: docs/docker.md. @default false
   */
  readonly docker?: boolean;
};

/** The half of a profile that only the stack needs to know. */
export type TaskChoices = {
  readonly environment: Readonly<Record<string, string>>;
  readonly taskRole: string | undefined;
};

export type CheckedProfile = { readonly profile: Profile; readonly task: TaskChoices };

const options = [
  'labels',
  'cpu',
  'memoryGiB',
  'diskGiB',
  'arch',
  'capacity',
  'maxRunners',
  'idleMinutes',
  'maxHours',
  'runnerGroup',
  'catchAll',
  'publicRepositories',
  'repositories',
  'warm',
  'image',
  'environment',
  'taskRole',
  'docker',
];

/** Every self-hosted runner has some of these from GitHub; a profile that lists one would promise another machine. */
const impliedLabels = new Set(['self-hosted', 'linux', 'windows', 'macos', 'x64', 'x86', 'arm64', 'arm']);

type Surroundings = { readonly owners: readonly string[]; readonly complaints: string[] };

export function readProfile(name: string, value: unknown, { owners, complaints }: Surroundings): CheckedProfile {
  const section = readSection(value, `profiles.${name}`, options, complaints);
  const maxRunners = section.number('maxRunners', { from: 0, to: 5000, whole: true, fallback: 10 });
  const catchAll = section.flag('catchAll', false);
  const runnerGroup = readOptionalText(section, 'runnerGroup', 'the name of a runner group', /^\S(.{0,98}\S)?$/);
  const image = readImageReference(section);
  const docker = section.flag('docker', false);
  const profile: Profile = {
    name,
    labels: readLabels(section, catchAll),
    arch: section.oneOf('arch', ['x64', 'arm64'], 'x64', {
      alsoKnownAs: { amd64: 'x64', x86: 'x64', x86_64: 'x64', aarch64: 'arm64', arm: 'arm64', graviton: 'arm64' },
    }),
    ...(docker ? readInstanceSize(section) : readSize(section)),
    capacity: section.oneOf('capacity', ['on-demand', 'spot', 'spot-preferred'], 'on-demand', {
      alsoKnownAs: { fargate: 'on-demand', fargate_spot: 'spot' },
    }),
    maxRunners,
    idleMinutes: section.number('idleMinutes', { from: 1, to: 360, whole: false, fallback: 5 }),
    maxHours: readMaxHours(section),
    ...(runnerGroup !== undefined && { runnerGroup }),
    catchAll,
    publicRepositories: section.flag('publicRepositories', false),
    repositories: readRepositories(section),
    warm: readWarmWindows(section, { owners, maxRunners }),
    ...(image !== undefined && { image }),
    docker,
  };
  return {
    profile,
    task: {
      environment: readEnvironment(section),
      taskRole: readOptionalText(
        section,
        'taskRole',
        'the ARN of a role',
        /^arn:[\w-]+:iam::\d{12}:role\/[\w+=,.@/-]+$/,
      ),
    },
  };
}

type Size = Pick<Profile, 'cpu' | 'memoryGiB' | 'diskGiB'>;

function readSize(section: Section): Size {
  const cpu = section.oneOf('cpu', fargateCpus, 2);
  const legal = fargateMemory(cpu);
  const memoryGiB = section.oneOf('memoryGiB', legal, (legal[0] ?? 0) * 2, { why: ` for ${cpu} vCPU` });
  const diskGiB = section.number('diskGiB', { from: 20, to: 200, whole: true, fallback: 20 });
  return { cpu, memoryGiB, diskGiB };
}

/** Of a task that has an EC2 instance to itself. Its disk is the instance's: images, containers and checkouts are on it. */
function readInstanceSize(section: Section): Size {
  const cpu = section.oneOf('cpu', instanceCpus, 2, { why: ' with docker (vCPU of EC2 instances)' });
  const { from, to, usual } = instanceMemory(cpu);
  const why = ` for ${cpu} vCPU with docker`;
  const memoryGiB = section.number('memoryGiB', { from, to, whole: true, fallback: usual, why });
  const diskGiB = section.number('diskGiB', { from: 40, to: 1000, whole: true, fallback: 80, why: ' with docker' });
  return { cpu, memoryGiB, diskGiB };
}

function readMaxHours(section: Section): number {
  const came = section.raw('maxHours') ?? 6;
  if (typeof came === 'number' && came > 0 && came <= 120) return came;
  section.complain(
    'maxHours',
    'must be a number above 0, up to 120',
    typeof came === 'number' && came > 120 ? 120 : undefined,
  );
  return 6;
}

function readLabels(section: Section, catchAll: boolean): string[] {
  const came = section.list('labels', { must: 'labels, such as ["fargate-small"]', most: 50 });
  const none = section.raw('labels') === undefined || (Array.isArray(section.raw('labels')) && came.length === 0);
  if (none && !catchAll)
    section.complain('labels', 'must name at least one label (only a profile with catchAll: true may do without)');

  const labels = new Set<string>();
  for (const [index, label] of came.entries()) {
    const where = `${section.at('labels')}[${index}]`;
    const text = typeof label === 'string' ? label.toLowerCase() : '';
    if (typeof label !== 'string' || !/^[^\s,]{1,256}$/.test(label)) {
      const nearest = typeof label === 'string' ? label.trim().replaceAll(/[\s,]+/g, '-') : '';
      const must = 'must be a label of 1 to 256 characters without commas or white space';
      section.complaints.push(
        describeComplaint(where, must, label, nearest === '' ? undefined : nearest.slice(0, 256)),
      );
    } else if (impliedLabels.has(text)) {
      section.complaints.push(
        `${describeComplaint(where, 'must not be a label that is implied', label)}; leave it out`,
      );
    } else if (labels.has(text)) {
      section.complaints.push(
        `${describeComplaint(where, 'must not be there twice (upper and lower case are the same)', label)}; leave it out`,
      );
    }
    labels.add(text);
  }
  return [...labels];
}

function readRepositories(section: Section): Profile['repositories'] {
  const repositories = section.section('repositories', ['allow', 'deny']);
  const readGlobs = (key: 'allow' | 'deny'): string[] =>
    repositories.list(key, { must: 'globs over owner/name, such as ["acme/*"]', most: 500 }).map((glob, index) => {
      if (typeof glob === 'string' && /^[\w.*-]+\/[\w.*-]+$/.test(glob)) return glob;
      const nearest = typeof glob === 'string' && /^[\w.*-]+$/.test(glob) ? `*/${glob}` : undefined;
      section.complaints.push(
        describeComplaint(
          `${repositories.at(key)}[${index}]`,
          'must be a glob over owner/name, such as acme/*',
          glob,
          nearest,
        ),
      );
      return '';
    });
  return { allow: readGlobs('allow'), deny: readGlobs('deny') };
}

/** Names that belong to the task itself: with one of these a profile could break, or impersonate, the supervisor. */
const ownNames =
  /^(CLAIM_ID|CLAIMS_TABLE|AWS_.*|ECS_.*|ACTIONS_RUNNER_INPUT_.*|JOB_ENVIRONMENT_NAMES|TASK_ROLE_FOR_JOBS|DOCKER_EXTERNALS|RUNNER_(HOME|UID|ALLOW_RUNASROOT)|[A-Z]+_SECONDS|RESTARTS)$/i;

/**
 * What bash, the loader and libc obey before the first line of start-runner.sh, which then finds by PATH what hands its
 * environment on: SHELLOPTS=noexec ends a runner in silence, and a PATH without `env` leaves it no claim. HOME is
 * nothing to any of them.
 */
const namesBeforeUs = /^(PATH|ENV|BASH(OPTS|_.*)?|SHELLOPTS|LD_.*|GLIBC_TUNABLES|IFS|PS4|PROMPT_COMMAND)$/;

/**
 * Characters, names and values together. Each is three bytes at most, and ECS takes 64 KiB as a task definition: room is
 * left for what JSON puts around more than a hundred variables.
 * https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
 */
const mostEnvironment = 20_000;

function readEnvironment(section: Section): Record<string, string> {
  const came = section.raw('environment') ?? {};
  if (typeof came !== 'object' || came === null || Array.isArray(came)) {
    section.complain('environment', 'must be an object of names and texts');
    return {};
  }
  const environment: Record<string, string> = {};
  for (const [name, value] of Object.entries(came)) {
    const where = `${section.at('environment')}.${name}`;
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,127}$/.test(name)) {
      section.complaints.push(
        `${where} must have a name of letters, digits and underscores, got ${show(name)}; the nearest is ${show(name.replaceAll(/^(?=\d)|\W/g, '_'))}`,
      );
    } else if (ownNames.test(name) || namesBeforeUs.test(name)) {
      section.complaints.push(`${where} must not be set: names like it belong to the task itself`);
    }
    if (typeof value !== 'string') {
      const nearest = typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
      section.complaints.push(describeComplaint(where, 'must be text', value, nearest));
    } else environment[name] = value;
  }
  const size = Object.entries(environment).flat().join('').length;
  if (size > mostEnvironment) {
    section.complaints.push(
      `${section.at('environment')} must have at most ${mostEnvironment} characters, names and values together (a task definition has 64 KiB), got ${size}`,
    );
  }
  return environment;
}

function readOptionalText(section: Section, key: string, must: string, pattern: RegExp): string | undefined {
  if (section.raw(key) === undefined) return undefined;
  return section.text(key, { must, pattern, nearest: (value) => value.trim() });
}

import type { Choices } from '../functions/contracts/with-infra/settings.ts';
import { nearestNumber, nearestWord } from './fleet-config/nearest.ts';
import { readDistinct } from './fleet-config/read-distinct.ts';
import { readDocker } from './fleet-config/read-docker.ts';
import type { DockerChoices, DockerConfig } from './fleet-config/read-docker.ts';
import { readNetwork } from './fleet-config/read-network.ts';
import type { NetworkChoices, NetworkConfig } from './fleet-config/read-network.ts';
import { readProfile } from './fleet-config/read-profile.ts';
import type { ProfileConfig, TaskChoices } from './fleet-config/read-profile.ts';
import { readRunnerImage } from './fleet-config/read-runner-image.ts';
import type { RunnerImageChoices, RunnerImageConfig } from './fleet-config/read-runner-image.ts';
import { describeComplaint, readSection } from './fleet-config/section.ts';
import type { Section } from './fleet-config/section.ts';
import { warnOfSurprises } from './fleet-config/warn-of-surprises.ts';

export type FleetConfig = {
  /** Begins the name of the stack and of every runner. A lower-case letter, then up to 15 letters, digits, hyphens. */
  readonly name: string;
  readonly github: {
    /** `https://github.com`, a GHES host, or `https://SUB.ghe.com`. @default 'https://github.com' */
    readonly url?: string;
    /** Orgs and personal accounts whose jobs are served. Nobody else's are. */
    readonly owners: readonly string[];
  };
  /** Of several profiles that serve a job equally well, the first written wins. At most 30. */
  readonly profiles: Readonly<Record<string, ProfileConfig>>;
  /** Where runners live. @default a VPC of the fleet's own, public subnets, an address for each task */
  readonly network?: NetworkConfig;
  /** What the profiles with `docker: true` have in common. @default see there */
  readonly docker?: DockerConfig;
  /** What is in the image that this stack builds. @default see there */
  readonly runnerImage?: RunnerImageConfig;
  /** How long CloudWatch keeps the logs of functions and tasks. @default 30 */
  readonly logRetentionDays?: number;
  /** The ARN of an SNS topic of the stack's region that every alarm tells. Without it alarms only show. */
  readonly alarmTopic?: string;
  /** Backups of the ledger: a new table can be made of any second of the last 35 days. @default false */
  readonly pointInTimeRecovery?: boolean;
  /** What outlives the stack. @default nothing */
  readonly keepOnDestroy?: readonly Keepsake[];
  /** The ARN of the customer managed KMS key that encrypts the three secrets. @default the account's `alias/aws/ssm` */
  readonly parametersKey?: string;
};

/** `ledger`: the table. `logs`: all log groups. `images`: the repository of the runner image. */
export type Keepsake = 'ledger' | 'logs' | 'images';

/** A config that was checked: what the functions carry, and what only the stack needs. */
export type Fleet = {
  readonly choices: Choices;
  /** By profile name; every profile has one. */
  readonly tasks: Readonly<Record<string, TaskChoices>>;
  readonly network: NetworkChoices;
  /** Undefined when no profile has Docker. */
  readonly docker?: DockerChoices;
  readonly runnerImage: RunnerImageChoices;
  readonly logRetentionDays: number;
  readonly alarmTopic?: string;
  readonly pointInTimeRecovery: boolean;
  readonly keepOnDestroy: readonly Keepsake[];
  /** The functions that read a secret must be let decrypt with it. */
  readonly parametersKey?: string;
  /** Sentences for whoever deploys; nothing in them stops a deployment. */
  readonly warnings: readonly string[];
};

/** Its message is for the operator: a line for each thing that is wrong. */
export class WrongConfig extends Error {
  override readonly name = 'WrongConfig';
}

/** The days CloudWatch Logs knows: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html */
const retentionDays = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
] as const;

const keepsakes: readonly Keepsake[] = ['ledger', 'logs', 'images'];

/** What an operator may write at the top. */
const options = [
  'name',
  'github',
  'profiles',
  'network',
  'docker',
  'runnerImage',
  'logRetentionDays',
  'alarmTopic',
  'pointInTimeRecovery',
  'keepOnDestroy',
  'parametersKey',
];

/**
 * Each adds up to 9 resources, most of them alarms, and CloudFormation takes 500 in a stack: 30 make about 400. To the
 * 4 KB of every function's environment each adds about 35 characters, its name and its revision.
 */
const mostProfiles = 30;
/** Each adds two more, its capacity providers. */
const mostDockerProfiles = 20;

const unusedDocker = 'docker says where profiles with docker: true live, and there is none: nothing of it is made';
const unusedImage =
  'runnerImage says what the image of the stack has in it, and every profile brings its own: it is not built';

/** @throws WrongConfig telling everything that is wrong at once */
export function defineFleet(config: FleetConfig): Fleet {
  const complaints: string[] = [];
  const root = readSection(config, '', options, complaints);
  const name = root.text('name', {
    must: 'a lower-case letter, then up to 15 lower-case letters, digits or hyphens',
    pattern: /^[a-z][a-z0-9-]{0,15}$/,
    nearest: (value) =>
      value
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-')
        .replace(/^[^a-z]+/, '')
        .slice(0, 16)
        .replace(/-$/, ''),
  });
  const github = root.section('github', ['url', 'owners']);
  const owners = readOwners(github);
  const url = readUrl(github);
  const profiles = readProfiles(root, owners, complaints);
  const alarmTopic = readAlarmTopic(root);
  const parametersKey = readParametersKey(root);
  // Read in any case: what is wrong in it is told before somebody needs it.
  const docker = readDocker(root, url);
  const hasDocker = profiles.some(({ profile }) => profile.docker);
  const fleet = {
    choices: {
      version: 1,
      fleet: name,
      github: { url, owners },
      profiles: profiles.map(({ profile }) => profile),
    },
    tasks: Object.fromEntries(profiles.map(({ profile, task }) => [profile.name, task])),
    network: readNetwork(root, url),
    ...(hasDocker && { docker }),
    runnerImage: readRunnerImage(root),
    logRetentionDays: readLogRetention(root),
    ...(alarmTopic !== undefined && { alarmTopic }),
    pointInTimeRecovery: root.flag('pointInTimeRecovery', false),
    keepOnDestroy: readKeepsakes(root),
    ...(parametersKey !== undefined && { parametersKey }),
  } as const;
  if (complaints.length > 0) {
    const count = complaints.length === 1 ? 'One thing is' : `${complaints.length} things are`;
    throw new WrongConfig([`${count} wrong in the fleet's config:`, ...complaints].join('\n  '));
  }
  const unused = [
    ...(root.raw('docker') !== undefined && !hasDocker ? [unusedDocker] : []),
    ...(root.raw('runnerImage') !== undefined && profiles.every(({ profile }) => profile.image !== undefined)
      ? [unusedImage]
      : []),
  ];
  return { ...fleet, warnings: [...warnOfSurprises(fleet), ...unused] };
}

function readProfiles(
  root: Section,
  owners: readonly string[],
  complaints: string[],
): ReturnType<typeof readProfile>[] {
  const came = root.raw('profiles');
  if (typeof came !== 'object' || came === null || Array.isArray(came)) {
    root.complain('profiles', 'must be an object of profiles by name');
    return [];
  }
  const entries = Object.entries(came);
  if (entries.length === 0 || entries.length > mostProfiles) {
    complaints.push(`profiles must be from 1 to ${mostProfiles}, got ${entries.length}`);
  }
  const seen = new Map<string, string>();
  const profiles = entries.map(([name, value]) => {
    const where = `profiles.${name}`;
    const twin = seen.get(name.toLowerCase());
    seen.set(name.toLowerCase(), name);
    if (twin !== undefined) {
      complaints.push(`${where} must differ from profiles.${twin} in more than upper and lower case`);
    } else if (!/^[A-Za-z][A-Za-z0-9-]{0,23}$/.test(name)) {
      complaints.push(
        describeComplaint(where, 'must be named by a letter, then up to 23 letters, digits or hyphens', name),
      );
    }
    return readProfile(name, value, { owners, complaints });
  });
  refuseForeignRoles(profiles, complaints);
  const withDocker = profiles.filter(({ profile }) => profile.docker).length;
  if (withDocker > mostDockerProfiles) {
    complaints.push(
      `profiles must have docker: true in at most ${mostDockerProfiles} (CloudFormation takes 500 resources), got ${withDocker}`,
    );
  }
  return profiles;
}

/** RunTask takes roles of its own account only. Which that is, synth may not know: so the first one says it. */
function refuseForeignRoles(profiles: readonly ReturnType<typeof readProfile>[], complaints: string[]): void {
  const roles = profiles.flatMap(({ profile: { name }, task: { taskRole } }) => {
    const account = taskRole?.split(':')[4];
    return account === undefined ? [] : [{ where: `profiles.${name}.taskRole`, taskRole, account }];
  });
  const [first] = roles;
  for (const { where, taskRole, account } of roles) {
    if (first === undefined || account === first.account) continue;
    const must = `must be a role of account ${first.account}, as ${first.where} is (tasks take roles of one account, the stack's)`;
    complaints.push(describeComplaint(where, must, taskRole));
  }
}

function readOwners(github: Section): string[] {
  const came = github.list('owners', { must: 'orgs and personal accounts, such as ["acme"]', most: 100 });
  const none = github.raw('owners') === undefined || (Array.isArray(github.raw('owners')) && came.length === 0);
  if (none) github.complain('owners', 'must name at least one org or personal account');

  const owners = new Set<string>();
  for (const [index, owner] of came.entries()) {
    const where = `${github.at('owners')}[${index}]`;
    // Underscores only occur in accounts that an enterprise manages (`mona_acme`).
    const pattern = /^[A-Za-z0-9](?:[A-Za-z0-9_]|-(?=[A-Za-z0-9])){0,38}$/;
    if (typeof owner !== 'string' || !pattern.test(owner)) {
      const guess =
        typeof owner === 'string'
          ? owner
              .replace(/^(?:https?:\/\/[^/]+\/|@)/, '')
              .split('/', 1)[0]
              ?.trim()
          : undefined;
      const nearest = guess !== undefined && pattern.test(guess) ? guess.toLowerCase() : undefined;
      github.complaints.push(
        describeComplaint(where, 'must be the name of an org or a personal account', owner, nearest),
      );
      continue;
    }
    if (owners.has(owner.toLowerCase())) {
      github.complaints.push(
        `${describeComplaint(where, 'must not be there twice (upper and lower case are the same)', owner)}; leave it out`,
      );
    }
    owners.add(owner.toLowerCase());
  }
  return [...owners];
}

/** Plain http would show registration tokens to the network; on this machine there is none to show them to. */
function readUrl(github: Section): string {
  const came = github.raw('url') ?? 'https://github.com';
  const url = typeof came === 'string' && URL.canParse(came) ? new URL(came) : undefined;
  const local = url !== undefined && ['127.0.0.1', 'localhost'].includes(url.hostname);
  const bare = url !== undefined && url.pathname === '/' && url.search + url.hash + url.username + url.password === '';
  const own = url !== undefined && !['api.github.com', 'www.github.com'].includes(url.hostname);
  if (bare && own && (url.protocol === 'https:' || (local && url.protocol === 'http:'))) return url.origin;
  const nearest = nearestUrl(came);
  github.complain(
    'url',
    'must be https://github.com, https://SUB.ghe.com or the https address of a GHES host',
    nearest,
  );
  // What else depends on the address is held against the one that was most likely meant.
  return nearest ?? 'https://github.com';
}

function nearestUrl(came: unknown): string | undefined {
  if (typeof came !== 'string') return undefined;
  const full = came.includes('://') ? came : `https://${came}`;
  if (!URL.canParse(full)) return undefined;
  const { hostname, host } = new URL(full);
  const nearest = hostname.endsWith('.github.com') ? 'https://github.com' : `https://${host}`;
  return URL.canParse(nearest) ? nearest : undefined;
}

function readLogRetention(root: Section): number {
  const came = root.raw('logRetentionDays') ?? 30;
  const match = retentionDays.find((days) => days === came);
  if (match !== undefined) return match;
  const nearest = typeof came === 'number' ? nearestNumber(came, retentionDays) : undefined;
  root.complain(
    'logRetentionDays',
    'must be a number of days CloudWatch knows (1, 3, 5, 7, 14, 30, 60, 90, ... 3653)',
    nearest,
  );
  return 30;
}

/** The topic is the operator's: who is called, and how, is not for a fleet to know. */
function readAlarmTopic(root: Section): string | undefined {
  if (root.raw('alarmTopic') === undefined) return undefined;
  return root.text('alarmTopic', {
    must: 'the ARN of a standard SNS topic, such as arn:aws:sns:eu-central-1:111122223333:ops',
    pattern: /^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}$/,
  });
}

function readKeepsakes(root: Section): Keepsake[] {
  const kept = readDistinct(root, 'keepOnDestroy', {
    must: 'what outlives the stack, such as ["ledger", "logs"]',
    each: `one of ${keepsakes.join(', ')}`,
    pattern: new RegExp(`^(?:${keepsakes.join('|')})$`),
    most: keepsakes.length,
    nearest: (text) => nearestWord(text, keepsakes),
  });
  return keepsakes.filter((keepsake) => kept.includes(keepsake));
}

/** A permission names a key by its id: an alias in a policy allows nothing. */
function readParametersKey(root: Section): string | undefined {
  if (root.raw('parametersKey') === undefined) return undefined;
  return root.text('parametersKey', {
    must: 'the ARN of a KMS key, such as arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab',
    pattern:
      /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/(?:mrk-[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/,
    nearest: (value) => value.trim(),
  });
}

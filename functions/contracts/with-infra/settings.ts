import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { profileSchema } from './profile.ts';
import { providersOf, type Providers } from './providers.ts';

const text = v.pipe(v.string(), v.minLength(1));
const list = v.pipe(
  v.string(),
  v.transform((value) => value.split(',').filter((item) => item !== '')),
);

/** The choices an operator makes in `infra/config.ts`. They ship inside each function's bundle. */
const choicesSchema = v.strictObject({
  version: v.literal(1),
  fleet: text,
  github: v.strictObject({
    /** `https://github.com`, a GHES host, or `https://SUB.ghe.com`; no trailing slash. */
    url: v.pipe(v.string(), v.url()),
    /** Lower case. A delivery from another owner starts nothing. */
    owners: v.pipe(v.array(text), v.minLength(1)),
  }),
  /** In the order the operator wrote them: of equally good profiles the first wins. */
  profiles: v.pipe(v.array(profileSchema), v.minLength(1)),
});
export type Choices = v.InferOutput<typeof choicesSchema>;

/** The images that the stack builds itself. */
const imagesSchema = v.strictObject({
  /** The name of the ECR repository. */
  repository: text,
  /** Hash of the files they are built from. */
  source: text,
  /** The CodeBuild project of each architecture that a profile needs. */
  projects: v.strictObject({ x64: v.optional(text), arm64: v.optional(text) }),
});
type Images = v.InferOutput<typeof imagesSchema>;

/** The names that exist only once the stack is deployed. They come to a function by its environment. */
const namesSchema = v.object({
  LEDGER_TABLE: text,
  CLAIMS_TABLE: text,
  JOBS_QUEUE_URL: text,
  EVENTS_QUEUE_URL: text,
  CLUSTER: text,
  /** JSON: profile name -> revision of its task family. Whole names of many profiles would not fit into the 4 KB of an environment. */
  TASK_REVISIONS: v.pipe(v.string(), v.parseJson(), v.record(text, text)),
  SUBNETS: list,
  SECURITY_GROUPS: list,
  ASSIGN_PUBLIC_IP: v.picklist(['ENABLED', 'DISABLED']),
  /** Of profiles with Docker; absent when there is none. */
  DOCKER_SUBNETS: v.optional(list),
  DOCKER_SECURITY_GROUPS: v.optional(list),
  /** account/region/stack: what makes this fleet's runner names its own. */
  FLEET_ID: text,
  APP_ID_PARAMETER: text,
  APP_KEY_PARAMETER: text,
  WEBHOOK_SECRET_PARAMETER: text,
  /** JSON; absent when every profile brings an image of its own. */
  RUNNER_IMAGES: v.optional(v.pipe(v.string(), v.parseJson(), imagesSchema)),
});
type Names = v.InferOutput<typeof namesSchema>;

/** What every function knows about its fleet. Holds names of secrets, never a secret. */
export type Settings = {
  readonly fleet: string;
  /** Begins the name of every runner of this fleet and of no other. */
  readonly prefix: string;
  readonly github: { readonly url: string; readonly apiUrl: string; readonly owners: readonly string[] };
  readonly profiles: Choices['profiles'];
  readonly tables: { readonly ledger: string; readonly claims: string };
  readonly queues: { readonly jobs: string; readonly events: string };
  readonly tasks: {
    readonly cluster: string;
    /** By profile name, as `family:revision`. */
    readonly definitions: Readonly<Record<string, string>>;
    /** By profile name. */
    readonly providers: Readonly<Record<string, Providers>>;
    readonly subnets: readonly string[];
    readonly securityGroups: readonly string[];
    readonly assignPublicIp: Names['ASSIGN_PUBLIC_IP'];
    /** Where tasks with Docker live; undefined when no profile has it. Managed Instances know no public address. */
    readonly docker: { readonly subnets: readonly string[]; readonly securityGroups: readonly string[] } | undefined;
  };
  readonly parameters: { readonly appId: string; readonly appKey: string; readonly webhookSecret: string };
  readonly images: Images | undefined;
};

/** The part of the settings that decisions ask for. */
export type Fleet = Pick<Settings, 'prefix' | 'profiles'> & { readonly owners: readonly string[] };

export function fleetOf({ prefix, github, profiles }: Settings): Fleet {
  return { prefix, owners: github.owners, profiles };
}

/** @returns the task definition of a profile. @throws Error when the profile has none */
export function definitionOf({ tasks }: Settings): (profile: string) => string {
  return (profile) => {
    const definition = tasks.definitions[profile];
    if (definition === undefined) throw new Error(`profile ${profile} must have a task definition, and it has none`);
    return definition;
  };
}

/** @returns the capacity providers of a profile. @throws Error when the profile has none */
export function providersIn({ tasks }: Settings): (profile: string) => Providers {
  return (profile) => {
    const providers = tasks.providers[profile];
    if (providers === undefined) throw new Error(`profile ${profile} must have capacity providers, and it has none`);
    return providers;
  };
}

/** The variable that a bundle carries its choices in: esbuild replaces `process.env.FLEET_CHOICES` with the text. */
export const choicesVariable = 'FLEET_CHOICES';

export function encodeChoices(choices: Choices): string {
  return JSON.stringify(v.parse(choicesSchema, choices));
}

export type NamesToEncode = Pick<Settings, 'tables' | 'queues' | 'parameters'> & {
  /** account/region/stack */
  readonly fleetId: string;
  readonly tasks: Pick<Settings['tasks'], 'cluster' | 'subnets' | 'securityGroups' | 'assignPublicIp'> & {
    /** Of each profile's task family, see {@link taskFamily}. */
    readonly revisions: Readonly<Record<string, string>>;
    readonly docker?: Settings['tasks']['docker'];
  };
  readonly images?: Images | undefined;
};

type RequiredName = Exclude<keyof Names, 'RUNNER_IMAGES' | 'DOCKER_SUBNETS' | 'DOCKER_SECURITY_GROUPS'>;

/** Values may be deploy-time tokens, so they are joined and never looked into. */
export function encodeNames(names: NamesToEncode): Record<RequiredName, string> {
  const { docker } = names.tasks;
  const environment = {
    LEDGER_TABLE: names.tables.ledger,
    CLAIMS_TABLE: names.tables.claims,
    JOBS_QUEUE_URL: names.queues.jobs,
    EVENTS_QUEUE_URL: names.queues.events,
    CLUSTER: names.tasks.cluster,
    TASK_REVISIONS: JSON.stringify(names.tasks.revisions),
    SUBNETS: names.tasks.subnets.join(','),
    SECURITY_GROUPS: names.tasks.securityGroups.join(','),
    ASSIGN_PUBLIC_IP: names.tasks.assignPublicIp,
    FLEET_ID: names.fleetId,
    APP_ID_PARAMETER: names.parameters.appId,
    APP_KEY_PARAMETER: names.parameters.appKey,
    WEBHOOK_SECRET_PARAMETER: names.parameters.webhookSecret,
  };
  return {
    ...environment,
    ...(docker !== undefined && {
      DOCKER_SUBNETS: docker.subnets.join(','),
      DOCKER_SECURITY_GROUPS: docker.securityGroups.join(','),
    }),
    ...(names.images !== undefined && { RUNNER_IMAGES: JSON.stringify(names.images) }),
  };
}

/**
 * @param choices the text a bundle carries (see {@link choicesVariable})
 * @throws Error naming every setting that is missing or wrong
 */
export function decodeSettings(choices: string | undefined, env: Record<string, string | undefined>): Settings {
  const chosen = v.safeParse(v.pipe(v.string(), v.parseJson(), choicesSchema), choices);
  const named = v.safeParse(namesSchema, env);
  if (!chosen.success || !named.success) {
    const issues = [...(chosen.issues ?? []), ...(named.issues ?? [])];
    throw new Error(
      `This function's settings are wrong: ${issues.map((issue) => `${v.getDotPath(issue) ?? 'settings'}: ${issue.message}`).join('; ')}`,
    );
  }
  const { fleet, github, profiles } = chosen.output;
  const names = named.output;
  const stack = names.FLEET_ID.split('/')[2] ?? '';
  const { DOCKER_SUBNETS: dockerSubnets, DOCKER_SECURITY_GROUPS: dockerSecurityGroups = [] } = names;
  return {
    fleet,
    prefix: runnerPrefix(fleet, names.FLEET_ID),
    github: { url: github.url, apiUrl: apiUrl(github.url), owners: github.owners },
    profiles,
    tables: { ledger: names.LEDGER_TABLE, claims: names.CLAIMS_TABLE },
    queues: { jobs: names.JOBS_QUEUE_URL, events: names.EVENTS_QUEUE_URL },
    tasks: {
      cluster: names.CLUSTER,
      definitions: Object.fromEntries(
        Object.entries(names.TASK_REVISIONS).map(([profile, revision]) => [
          profile,
          `${taskFamily(stack, profile)}:${revision}`,
        ]),
      ),
      providers: Object.fromEntries(profiles.map((profile) => [profile.name, providersOf(stack, profile)])),
      subnets: names.SUBNETS,
      securityGroups: names.SECURITY_GROUPS,
      assignPublicIp: names.ASSIGN_PUBLIC_IP,
      docker: dockerSubnets && { subnets: dockerSubnets, securityGroups: dockerSecurityGroups },
    },
    parameters: {
      appId: names.APP_ID_PARAMETER,
      appKey: names.APP_KEY_PARAMETER,
      webhookSecret: names.WEBHOOK_SECRET_PARAMETER,
    },
    images: names.RUNNER_IMAGES,
  };
}

/** Two stacks never touch each other's runners: their names differ by account, region or stack. */
function runnerPrefix(fleet: string, fleetId: string): string {
  return `${fleet}-${createHash('sha256').update(fleetId).digest('hex').slice(0, 6)}`;
}

/** The family of a profile's task definitions: no other stack of the region has it, as no name has an underscore. */
export function taskFamily(stack: string, profile: string): string {
  return `${stack}_${profile}`;
}

/** https://docs.github.com/en/rest/using-the-rest-api/getting-started-with-the-rest-api */
function apiUrl(url: string): string {
  const { protocol, host, origin } = new URL(url);
  if (host === 'github.com') return 'https://api.github.com';
  if (host.endsWith('.ghe.com')) return `${protocol}//api.${host}`;
  return `${origin}/api/v3`;
}

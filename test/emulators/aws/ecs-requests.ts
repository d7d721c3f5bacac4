import { AwsError } from './aws-json.ts';

/** A RunTask call that ECS would take, as far as the call alone tells. */
export type RunTaskRequest = {
  readonly cluster: string;
  readonly taskDefinition: string;
  readonly count: number;
  readonly provider: string;
  readonly startedBy: string | undefined;
  readonly group: string | undefined;
  readonly clientToken: string | undefined;
  readonly subnet: string;
  readonly tags: readonly Tag[];
  readonly propagateTags: boolean;
  readonly overrides: TaskOverrides;
};
export type Tag = { readonly key: string; readonly value: string };
type TaskOverrides = {
  readonly cpu?: string;
  readonly memory?: string;
  readonly containerOverrides?: readonly ContainerOverride[];
  readonly ephemeralStorage?: { readonly sizeInGiB: number };
};
export type ContainerOverride = {
  readonly name?: string;
  readonly command?: readonly string[];
  readonly environment?: readonly { readonly name: string; readonly value: string }[];
};

type Input = Readonly<Record<string, unknown>>;
type ProviderNames = { readonly fargate: readonly string[]; readonly managedInstances: readonly string[] };
type StrategyItem = { readonly capacityProvider: string; readonly weight?: number; readonly base?: number };

const overridesLimit = 8192;

/**
 * Refuses what ECS refuses, in its words where they are known.
 * @throws AwsError InvalidParameterException
 */
export function parseRunTask(
  input: Input,
  { providers, defaultStrategy }: { providers: ProviderNames; defaultStrategy: readonly StrategyItem[] },
): RunTaskRequest {
  const count = input['count'] ?? 1;
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 1 || count > 10) {
    throw invalid(`Tasks count must be a whole number from 1 to 10, got ${JSON.stringify(count)}`);
  }
  const overrides = (input['overrides'] ?? {}) as TaskOverrides;
  if (JSON.stringify(overrides).length > overridesLimit) {
    throw invalid(`Container Overrides length must be at most ${overridesLimit}`);
  }
  if (input['propagateTags'] === 'SERVICE') {
    throw invalid('Invalid value for propagateTags: SERVICE is not supported by RunTask');
  }
  const provider = providerOf(input, [...providers.fargate, ...providers.managedInstances], defaultStrategy);
  return {
    cluster: String(input['cluster'] ?? 'default'),
    taskDefinition: text(input, 'taskDefinition') ?? '',
    count,
    provider,
    startedBy: matching(
      input,
      'startedBy',
      /^[A-Za-z0-9\-_/]{0,128}$/,
      '128 letters, numbers, hyphens, slashes, underscores',
    ),
    group: text(input, 'group'),
    clientToken: matching(input, 'clientToken', /^[!-~]{1,64}$/, '64 ASCII characters from 33 to 126'),
    subnet: subnetOf(input, providers.fargate.includes(provider)),
    tags: tagsOf(input['tags']),
    propagateTags: input['propagateTags'] === 'TASK_DEFINITION',
    overrides,
  };
}

function providerOf(input: Input, providers: readonly string[], defaultStrategy: readonly StrategyItem[]): string {
  const launchType = text(input, 'launchType');
  const given = input['capacityProviderStrategy'] as readonly StrategyItem[] | undefined;
  if (launchType !== undefined && given !== undefined && given.length > 0) {
    throw invalid(
      'Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again.',
    );
  }
  if (launchType === 'FARGATE') return 'FARGATE';
  const strategy = given !== undefined && given.length > 0 ? given : defaultStrategy;
  if (launchType !== undefined || strategy.length === 0) {
    throw invalid('No Container Instances were found in your cluster.');
  }
  if (strategy.length > 20)
    throw invalid('A capacity provider strategy can contain a maximum of 20 capacity providers.');
  const unknown = strategy.find(({ capacityProvider }) => !providers.includes(capacityProvider));
  if (unknown !== undefined) {
    throw invalid(
      `The specified capacity provider '${unknown.capacityProvider}' was not found. Specify a valid name or ARN and try again.`,
    );
  }
  if (strategy.filter(({ base = 0 }) => base > 0).length > 1) {
    throw invalid('Only one capacity provider in a capacity provider strategy can have a base defined.');
  }
  // How ECS shares one task out over several weights is not documented; the heaviest has the best claim.
  const [heaviest] = strategy.toSorted((a, b) => (b.base ?? 0) - (a.base ?? 0) || (b.weight ?? 0) - (a.weight ?? 0));
  if (heaviest === undefined || ((heaviest.weight ?? 0) === 0 && (heaviest.base ?? 0) === 0)) {
    throw invalid('At least one capacity provider must have a weight greater than zero.');
  }
  return heaviest.capacityProvider;
}

function subnetOf(input: Input, onFargate: boolean): string {
  const network = input['networkConfiguration'] as { awsvpcConfiguration?: Record<string, unknown> } | undefined;
  const vpc = network?.awsvpcConfiguration;
  if (vpc === undefined) {
    throw invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.");
  }
  const subnets = (vpc['subnets'] ?? []) as readonly string[];
  const securityGroups = (vpc['securityGroups'] ?? []) as readonly string[];
  const [first] = subnets;
  if (first === undefined) throw invalid('subnets can not be empty.');
  if (subnets.length > 16) throw invalid(`subnets can have at most 16 items, got ${subnets.length}`);
  if (securityGroups.length > 5) throw invalid(`securityGroups can have at most 5 items, got ${securityGroups.length}`);
  if (!['ENABLED', 'DISABLED'].includes(String(vpc['assignPublicIp'] ?? 'DISABLED'))) {
    throw invalid(`assignPublicIp must be ENABLED or DISABLED, got ${String(vpc['assignPublicIp'])}`);
  }
  if (vpc['assignPublicIp'] === 'ENABLED' && !onFargate) {
    throw invalid('Assign public IP is not supported for this launch type.');
  }
  return first;
}

function tagsOf(given: unknown): readonly Tag[] {
  const tags = (given ?? []) as readonly Partial<Tag>[];
  if (tags.length > 50) throw invalid(`Tags can have at most 50 items, got ${tags.length}`);
  const keys = new Set<string>();
  return tags.map(({ key = '', value = '' }) => {
    if (key === '' || key.length > 128) throw invalid(`A tag key must have 1 to 128 characters, got ${key.length}`);
    if (value.length > 256) throw invalid(`A tag value must have at most 256 characters, got ${value.length}`);
    if (/^aws:/i.test(key)) throw invalid(`A tag key must not begin with aws:, got ${key}`);
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(`${key}${value}`)) throw invalid(`Invalid characters in tag ${key}`);
    if (keys.has(key)) throw invalid(`Duplicate tag key ${key}`);
    keys.add(key);
    return { key, value };
  });
}

function text(input: Input, name: string): string | undefined {
  const value = input[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function matching(input: Input, name: string, pattern: RegExp, allowed: string): string | undefined {
  const value = text(input, name);
  if (value !== undefined && !pattern.test(value)) {
    throw invalid(`${name} must be at most ${allowed}, got ${JSON.stringify(value)}`);
  }
  return value;
}

export function invalid(message: string): AwsError {
  return new AwsError('InvalidParameterException', message);
}

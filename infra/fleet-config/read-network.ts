import { readDistinct } from './read-distinct.ts';
import { andList } from './section.ts';
import type { Section } from './section.ts';

/** Where runners live. What each kind reaches, and what it costs, is in docs/network.md. */
export type NetworkConfig =
  | {
      /** A VPC of the fleet's own, public subnets, an address for each task. @default 'public' */
      readonly kind?: 'public';
      /** The addresses of the fleet's own VPC, `10.x.0.0/16` to `/22`. @default '10.0.0.0/16' */
      readonly cidr?: string;
    }
  | {
      /** A VPC of the fleet's own, private subnets in two zones. */
      readonly kind: 'private';
      /** The addresses of the fleet's own VPC, `10.x.0.0/16` to `/22`. @default '10.0.0.0/16' */
      readonly cidr?: string;
      /** One for both zones, or one in each. 0 is for a GHES that is reached by peering, and wants `endpoints`. @default 1 */
      readonly natGateways?: 0 | 1 | 2;
      /** Interface endpoints for ECR and CloudWatch Logs. @default false */
      readonly endpoints?: boolean;
    }
  | {
      /** A VPC that is there already. Nothing in it is looked up or changed. */
      readonly kind: 'existing';
      readonly vpcId: string;
      /** From 1 to 16, all of this VPC. */
      readonly subnetIds: readonly string[];
      /** Up to 5. @default one that is made in this VPC: no way in, any way out */
      readonly securityGroupIds?: readonly string[];
      /** What a public subnet needs, and a private one cannot use. @default false */
      readonly assignPublicIp?: boolean;
    };

/** Where tasks with Docker live: as above, but never in public subnets, as Managed Instances give a task no public address. */
export type DockerNetworkConfig =
  | (Omit<Extract<NetworkConfig, { readonly kind: 'private' }>, 'kind' | 'natGateways' | 'cidr'> & {
      /** @default 'private' */
      readonly kind?: 'private';
      /** @default '10.1.0.0/16' */
      readonly cidr?: string;
      /** One for both zones, or one in each. @default 1 */
      readonly natGateways?: 1 | 2;
    })
  | Omit<Extract<NetworkConfig, { readonly kind: 'existing' }>, 'assignPublicIp'>;

export type NetworkChoices =
  | { readonly kind: 'public'; readonly cidr: string }
  | { readonly kind: 'private'; readonly cidr: string; readonly natGateways: number; readonly endpoints: boolean }
  | {
      readonly kind: 'existing';
      readonly vpcId: string;
      readonly subnetIds: readonly string[];
      /** None: one is to be made. */
      readonly securityGroupIds: readonly string[];
      readonly assignPublicIp: boolean;
    };

type Kind = NetworkChoices['kind'];

const kinds: readonly Kind[] = ['public', 'private', 'existing'];
const optionsOf: Readonly<Record<Kind, readonly string[]>> = {
  public: ['cidr'],
  private: ['cidr', 'natGateways', 'endpoints'],
  existing: ['vpcId', 'subnetIds', 'securityGroupIds', 'assignPublicIp'],
};

type Rules = {
  /** What may be asked for; the first is the default. */
  readonly kinds: readonly Kind[];
  readonly optionsOf: Readonly<Record<Kind, readonly string[]>>;
  readonly cidr: string;
  readonly leastNatGateways: number;
};

const forRunners: Rules = { kinds, optionsOf, cidr: '10.0.0.0/16', leastNatGateways: 0 };
const forDocker: Rules = {
  kinds: ['private', 'existing'],
  optionsOf: { ...optionsOf, public: [], existing: optionsOf.existing.filter((option) => option !== 'assignPublicIp') },
  // Not that of the other runners, so that a network of the operator's can have routes to both.
  cidr: '10.1.0.0/16',
  // Without one an instance does not even reach ECS.
  leastNatGateways: 1,
};

/** @param github the origin runners must reach */
export function readNetwork(root: Section, github: string): NetworkChoices {
  return readByRules(root, github, forRunners);
}

/** @param github the origin runners must reach */
export function readDockerNetwork(docker: Section, github: string): NetworkChoices {
  return readByRules(docker, github, forDocker);
}

function readByRules(parent: Section, github: string, rules: Rules): NetworkChoices {
  const everyOption = [...new Set(Object.values(rules.optionsOf).flat())];
  const network = parent.section('network', ['kind', ...everyOption]);
  const kind = readKind(network, rules);
  for (const option of everyOption.filter((name) => !rules.optionsOf[kind].includes(name))) {
    if (network.raw(option) === undefined) continue;
    const owners = rules.kinds.filter((other) => rules.optionsOf[other].includes(option)).map((other) => `"${other}"`);
    network.complaints.push(`${network.at(option)} is no option of kind "${kind}", only of ${andList(owners)}`);
  }
  switch (kind) {
    case 'public':
      return { kind, cidr: readCidr(network, rules) };
    case 'private': {
      const endpoints = network.flag('endpoints', false);
      const natGateways = readNatGateways(network, { github, least: rules.leastNatGateways });
      return { kind, cidr: readCidr(network, rules), natGateways, endpoints };
    }
    case 'existing':
      return {
        kind,
        vpcId: network.text('vpcId', {
          must: 'the id of a VPC, such as vpc-0a1b2c3d4e5f67890',
          pattern: idPattern('vpc'),
          nearest: (text) => nearestId('vpc', text),
        }),
        subnetIds: readSubnetIds(network),
        securityGroupIds: readIds(network, 'securityGroupIds', { prefix: 'sg', word: 'security group', most: 5 }),
        assignPublicIp: rules.optionsOf.existing.includes('assignPublicIp') && network.flag('assignPublicIp', false),
      };
  }
}

function readKind(network: Section, { kinds: legal, optionsOf: has }: Rules): Kind {
  const [usual = 'public'] = legal;
  const kind = network.oneOf('kind', legal, usual, {
    alsoKnownAs: { nat: 'private', isolated: 'private', vpc: 'existing', imported: 'existing' },
  });
  if (kind === (network.raw('kind') ?? usual)) return kind;
  // So that what else is there is held against what it was most likely meant for.
  return legal.findLast((other) => has[other].some((option) => network.raw(option) !== undefined)) ?? kind;
}

function readNatGateways(
  network: Section,
  { github, least }: { readonly github: string; readonly least: number },
): number {
  const count = network.number('natGateways', {
    from: least,
    to: 2,
    whole: true,
    fallback: 1,
    why: ' (one in each of two zones)',
  });
  if (count > 0) return count;
  if (isOnTheInternet(github)) {
    network.complain('natGateways', `must be 1 or 2 for ${github}, which is reached over the internet alone`, 1);
  } else if ((network.raw('endpoints') ?? false) === false) {
    network.complain('natGateways', 'must be 1 or 2 unless endpoints is true: nothing else brings the image', 1);
  }
  return count;
}

function isOnTheInternet(github: string): boolean {
  const { hostname } = new URL(github);
  return hostname === 'github.com' || hostname.endsWith('.ghe.com');
}

/** RunTask takes no more than 16: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AwsVpcConfiguration.html */
function readSubnetIds(network: Section): string[] {
  const came = network.raw('subnetIds');
  if (came === undefined || (Array.isArray(came) && came.length === 0)) {
    network.complain('subnetIds', 'must name at least one subnet');
    return [];
  }
  return readIds(network, 'subnetIds', { prefix: 'subnet', word: 'subnet', most: 16 });
}

type Ids = { readonly prefix: string; readonly word: string; readonly most: number };

function readIds(network: Section, key: string, { prefix, word, most }: Ids): string[] {
  const example = `${prefix}-0a1b2c3d4e5f67890`;
  return readDistinct(network, key, {
    must: `ids of ${word}s, such as ["${example}"]`,
    each: `the id of a ${word}, such as ${example}`,
    pattern: idPattern(prefix),
    most,
    nearest: (text) => nearestId(prefix, text),
  });
}

/** Ids of before 2018 are short. */
function idPattern(prefix: string): RegExp {
  return new RegExp(`^${prefix}-(?:[0-9a-f]{17}|[0-9a-f]{8})$`);
}

/** The end of an ARN, or an id with something around it. */
function nearestId(prefix: string, text: string): string | undefined {
  return new RegExp(`${prefix}-[0-9a-f]+`).exec(text.toLowerCase())?.[0];
}

/** Two subnets share it, and every runner takes an address: a /22 holds a thousand, or five hundred beside NAT gateways. */
function readCidr(network: Section, { cidr: fallback }: Rules): string {
  const must = 'a private range such as 10.0.0.0/16, from /16 to /22';
  const cidr = network.text('cidr', {
    must,
    pattern: /^(10\.\d{1,3}|172\.(1[6-9]|2\d|3[01])|192\.168)\.\d{1,3}\.\d{1,3}\/(1[6-9]|2[0-2])$/,
    fallback,
    nearest: (value) => value.replace(/\/(\d+)$/, (_, size: string) => `/${Math.min(Math.max(Number(size), 16), 22)}`),
  });
  const [address = '', size] = cidr.split('/');
  const bytes = address.split('.').map(Number);
  const bits = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  const block = 2 ** (32 - Number(size));
  if (bytes.some((byte) => byte > 255)) network.complain('cidr', `must be ${must}`);
  else if (bits % block !== 0) {
    const start = bits - (bits % block);
    const nearest = [24, 16, 8, 0].map((shift) => Math.floor(start / 2 ** shift) % 256).join('.');
    network.complain('cidr', `must begin where a /${size} begins`, `${nearest}/${size}`);
  }
  return cidr;
}

import { afterAll, describe, expect, test } from '@jest/globals';
import { Template } from 'aws-cdk-lib/assertions';
import { Stack, type App } from 'aws-cdk-lib/core';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { defineFleet } from '../../infra/define-fleet.ts';
import type { FleetConfig } from '../../infra/define-fleet.ts';
import { Network } from '../../infra/network.ts';
import { newApp } from './new-app.ts';
import { synthFleet } from './synth-fleet.ts';

const fleet: FleetConfig = {
  name: 'ci',
  // No kind of network is refused to a host of one's own.
  github: { url: 'https://ghes.acme.com', owners: ['acme'] },
  profiles: { small: { labels: ['fargate-small'] } },
};
const existing = {
  kind: 'existing',
  vpcId: 'vpc-0a1b2c3d4e5f67890',
  subnetIds: ['subnet-11111111', 'subnet-22222222'],
} as const;
const offline = { kind: 'private', natGateways: 0, endpoints: true } as const;
const everyKind: readonly NonNullable<FleetConfig['network']>[] = [
  { kind: 'public' },
  { kind: 'private' },
  { kind: 'private', natGateways: 2, endpoints: true },
  offline,
  existing,
];

type Resource = { readonly Type: string; readonly Properties: Record<string, unknown> };

type Made = {
  readonly app: App;
  readonly network: Network;
  readonly template: Template;
  resolve: (value: unknown) => unknown;
};

afterAll(() => CloudAssembly.cleanupTemporaryDirectories());

function make(network: FleetConfig['network']): Made {
  const app = newApp();
  const stack = new Stack(app, 'github-runners-ci');
  const made = new Network(stack, 'Network', defineFleet({ ...fleet, ...(network && { network }) }).network);
  return {
    app,
    network: made,
    template: Template.fromStack(stack),
    resolve: (value) => stack.resolve(value) as unknown,
  };
}

function resourcesOf({ template }: Made, type: string): [string, Record<string, unknown>][] {
  const found = template.findResources(type) as Record<string, Resource>;
  return Object.entries(found).map(([id, { Properties }]) => [id, Properties]);
}

/** Where a subnet sends what has no better way, by the type of the target. */
function defaultRoutesOf(made: Made, subnet: unknown): unknown[] {
  const tables = resourcesOf(made, 'AWS::EC2::SubnetRouteTableAssociation')
    .filter(([, association]) => same(association['SubnetId'], subnet))
    .map(([, association]) => association['RouteTableId']);
  return resourcesOf(made, 'AWS::EC2::Route')
    .filter(([, route]) => tables.some((table) => same(table, route['RouteTableId'])))
    .filter(([, route]) => route['DestinationCidrBlock'] === '0.0.0.0/0')
    .map(([, { NatGatewayId: nat, GatewayId: gateway }]) => (nat === undefined ? { gateway } : { nat }));
}

function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function subnetsOf({ network, resolve }: Made): unknown[] {
  return network.subnets.map((subnet) => resolve(subnet));
}

function twice<T>(one: T): [T, T] {
  return [one, one];
}

function ranges(made: Made): Record<string, unknown> {
  return Object.fromEntries(
    resourcesOf(made, 'AWS::EC2::Subnet')
      .filter(([id]) => id.includes('Runners'))
      .map(([id, { CidrBlock }]) => [id, CidrBlock]),
  );
}

describe('every kind of network', () => {
  test.each(everyKind)('needs no look-up and warns of nothing: %j', (network) => {
    const assembly = make(network).app.synth();
    expect(assembly.manifest.missing).toBeUndefined();
    expect(assembly.stacks.flatMap(({ messages }) => messages)).toEqual([]);
  });

  test.each(everyKind)('lets nobody connect to a runner, and a runner to anybody, over IPv4: %j', (network) => {
    const made = make(network);
    const [group] = resourcesOf(made, 'AWS::EC2::SecurityGroup').filter(([id]) => id.includes('Runner'));
    const ingress = resourcesOf(made, 'AWS::EC2::SecurityGroupIngress');
    const [id, properties] = group ?? [];
    expect(made.network.securityGroups.map((one) => made.resolve(one))).toEqual([{ 'Fn::GetAtt': [id, 'GroupId'] }]);
    expect(properties).not.toHaveProperty('SecurityGroupIngress');
    expect(properties?.['SecurityGroupEgress']).toEqual([
      expect.objectContaining({ IpProtocol: '-1', CidrIp: '0.0.0.0/0' }),
    ]);
    expect(ingress.filter(([, rule]) => same(rule['GroupId'], { 'Fn::GetAtt': [id, 'GroupId'] }))).toEqual([]);
    made.template.resourceCountIs('AWS::EC2::VPCCidrBlock', 0);
  });

  test.each(everyKind.filter(({ kind }) => kind !== 'existing'))(
    'that is made has the gateways of DynamoDB and S3 in every route table: %j',
    (network) => {
      const made = make(network);
      const tables = resourcesOf(made, 'AWS::EC2::RouteTable').map(([id]) => id);
      const gateways = resourcesOf(made, 'AWS::EC2::VPCEndpoint').filter(
        ([, endpoint]) => endpoint['VpcEndpointType'] === 'Gateway',
      );
      expect(gateways.map(([, { ServiceName }]) => JSON.stringify(ServiceName))).toEqual([
        expect.stringContaining('.dynamodb'),
        expect.stringContaining('.s3'),
      ]);
      for (const [, { RouteTableIds }] of gateways) {
        expect((RouteTableIds as { Ref: string }[]).map(({ Ref }) => Ref).toSorted()).toEqual(tables.toSorted());
      }
    },
  );

  test.each(everyKind)('that is made gives no address to what does not ask: %j', (network) => {
    for (const [, subnet] of resourcesOf(make(network), 'AWS::EC2::Subnet')) {
      expect(subnet['MapPublicIpOnLaunch']).toBe(false);
    }
  });
});

describe('a public network', () => {
  test('is what a fleet has that asks for nothing', () => {
    expect(make(undefined).template.toJSON()).toEqual(make({ kind: 'public' }).template.toJSON());
  });

  test('costs nothing while nothing runs', () => {
    const made = make({ kind: 'public' });
    made.template.resourceCountIs('AWS::EC2::NatGateway', 0);
    made.template.resourceCountIs('AWS::EC2::EIP', 0);
    made.template.allResourcesProperties('AWS::EC2::VPCEndpoint', { VpcEndpointType: 'Gateway' });
  });

  test('has an address for each task, and a way to the internet from both subnets', () => {
    const made = make({ kind: 'public' });
    const [[gateway] = []] = resourcesOf(made, 'AWS::EC2::InternetGateway');
    expect(made.network.assignPublicIp).toBe('ENABLED');
    expect(subnetsOf(made)).toHaveLength(2);
    expect(subnetsOf(made).map((subnet) => defaultRoutesOf(made, subnet))).toEqual(
      twice([{ gateway: { Ref: gateway } }]),
    );
  });

  test('has the addresses it was given', () => {
    make({ cidr: '10.7.0.0/20' }).template.hasResourceProperties('AWS::EC2::VPC', { CidrBlock: '10.7.0.0/20' });
  });
});

describe('a private network', () => {
  test('has no public address on a task, and one NAT gateway for both zones', () => {
    const made = make({ kind: 'private' });
    const [[nat] = []] = resourcesOf(made, 'AWS::EC2::NatGateway');
    made.template.resourceCountIs('AWS::EC2::NatGateway', 1);
    made.template.resourceCountIs('AWS::EC2::EIP', 1);
    expect(made.network.assignPublicIp).toBe('DISABLED');
    expect(subnetsOf(made)).toHaveLength(2);
    expect(subnetsOf(made).map((subnet) => defaultRoutesOf(made, subnet))).toEqual(twice([{ nat: { Ref: nat } }]));
  });

  test('has a NAT gateway in each zone when it is asked for two, and every subnet has its own', () => {
    const made = make({ kind: 'private', natGateways: 2 });
    const gateways = resourcesOf(made, 'AWS::EC2::NatGateway').map(([id]) => id);
    expect(subnetsOf(made).flatMap((subnet) => defaultRoutesOf(made, subnet))).toEqual(
      gateways.map((gateway) => ({ nat: { Ref: gateway } })),
    );
  });

  test('has no endpoint that is paid unless it is asked for', () => {
    make({ kind: 'private' }).template.allResourcesProperties('AWS::EC2::VPCEndpoint', { VpcEndpointType: 'Gateway' });
  });

  test.each([offline, { kind: 'private', natGateways: 1, endpoints: true } as const])(
    'has endpoints for what starts a task, in both zones, under the names AWS has for them: %j',
    (network) => {
      const made = make(network);
      const endpoints = resourcesOf(made, 'AWS::EC2::VPCEndpoint')
        .map(([, endpoint]) => endpoint)
        .filter((endpoint) => endpoint['VpcEndpointType'] === 'Interface');
      expect(endpoints.map(({ ServiceName }) => JSON.stringify(ServiceName))).toEqual([
        expect.stringContaining('.ecr.api'),
        expect.stringContaining('.ecr.dkr'),
        expect.stringContaining('.logs'),
      ]);
      for (const endpoint of endpoints) {
        expect(endpoint['PrivateDnsEnabled']).toBe(true);
        expect(endpoint['SubnetIds']).toEqual(subnetsOf(made));
      }
    },
  );

  test('lets HTTPS from runners into its endpoints, nothing else, and nothing out of them', () => {
    const made = make({ kind: 'private', endpoints: true });
    const groups = Object.fromEntries(resourcesOf(made, 'AWS::EC2::SecurityGroup'));
    const [group = ''] = Object.keys(groups).filter((id) => id.includes('Endpoint'));
    const guards = resourcesOf(made, 'AWS::EC2::VPCEndpoint').flatMap(
      ([, endpoint]) => endpoint['SecurityGroupIds'] ?? [],
    );
    const only = { 'Fn::GetAtt': [group, 'GroupId'] };
    expect(guards).toEqual([only, only, only]);
    expect(groups[group]).not.toHaveProperty('SecurityGroupIngress');
    expect(groups[group]?.['SecurityGroupEgress']).toEqual([
      expect.objectContaining({ CidrIp: '255.255.255.255/32', Description: 'Disallow all traffic' }),
    ]);
    expect(resourcesOf(made, 'AWS::EC2::SecurityGroupIngress').map(([, rule]) => rule)).toEqual([
      {
        Description: 'HTTPS from runners',
        GroupId: { 'Fn::GetAtt': [group, 'GroupId'] },
        IpProtocol: 'tcp',
        FromPort: 443,
        ToPort: 443,
        SourceSecurityGroupId: made.resolve(made.network.securityGroups[0]),
      },
    ]);
  });

  test('has no way to the internet without a NAT gateway', () => {
    const made = make(offline);
    made.template.resourceCountIs('AWS::EC2::InternetGateway', 0);
    made.template.resourceCountIs('AWS::EC2::Route', 0);
    expect(made.network.assignPublicIp).toBe('DISABLED');
  });

  test('keeps the subnets of its runners when NAT gateways come or go', () => {
    const [none, one, two] = ([0, 1, 2] as const).map((natGateways) => ranges(make({ ...offline, natGateways })));
    expect(Object.values(none ?? {})).toEqual(['10.0.64.0/18', '10.0.128.0/18']);
    expect(one).toEqual(none);
    expect(two).toEqual(none);
  });

  test('is a VPC beside a public one, as subnets of the same addresses cannot take turns', () => {
    const [[before] = []] = resourcesOf(make({ kind: 'public' }), 'AWS::EC2::VPC');
    const [[after] = []] = resourcesOf(make({ kind: 'private' }), 'AWS::EC2::VPC');
    expect(before).not.toBe(after);
  });
});

describe('an existing network', () => {
  test('is left as it is: a security group is all that is made in it', () => {
    const made = make(existing);
    expect(Object.values(made.template.toJSON()['Resources'] as Record<string, Resource>)).toEqual([
      expect.objectContaining({ Type: 'AWS::EC2::SecurityGroup' }),
    ]);
    made.template.hasResourceProperties('AWS::EC2::SecurityGroup', { VpcId: existing.vpcId });
  });

  test('is left without even that when security groups are named', () => {
    const made = make({ ...existing, securityGroupIds: ['sg-11111111', 'sg-22222222'] });
    expect(made.template.toJSON()).not.toHaveProperty('Resources');
    expect(made.network.securityGroups).toEqual(['sg-11111111', 'sg-22222222']);
  });

  test('gives a task a public address only where it is asked to', () => {
    expect(make(existing).network.assignPublicIp).toBe('DISABLED');
    expect(make({ ...existing, assignPublicIp: true }).network.assignPublicIp).toBe('ENABLED');
  });
});

describe('a function', () => {
  const environmentOf = (changed: Partial<FleetConfig>): Record<string, unknown> => {
    const [lambda] = Object.values(synthFleet(changed).findResources('AWS::Lambda::Function')) as [Resource];
    return (lambda.Properties['Environment'] as { Variables: Record<string, unknown> }).Variables;
  };

  test('is told the subnets, groups and addresses of an existing network', () => {
    const securityGroupIds = ['sg-11111111', 'sg-22222222'];
    expect(environmentOf({ network: { ...existing, securityGroupIds } })).toMatchObject({
      SUBNETS: 'subnet-11111111,subnet-22222222',
      SECURITY_GROUPS: 'sg-11111111,sg-22222222',
      ASSIGN_PUBLIC_IP: 'DISABLED',
    });
  });

  test('is told to ask for no address in a private one', () => {
    expect(environmentOf({ network: { kind: 'private' } })).toMatchObject({ ASSIGN_PUBLIC_IP: 'DISABLED' });
  });
});

import { describe, expect, test } from '@jest/globals';
import type { Template } from 'aws-cdk-lib/assertions';
import { synthFleet } from './synth-fleet.ts';

type Resource = {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly DependsOn?: string | readonly string[];
  readonly DeletionPolicy?: string;
  readonly UpdateReplacePolicy?: string;
};

function resourcesOf(template: Template): Map<string, Resource> {
  return new Map(Object.entries((template.toJSON() as { Resources: Record<string, Resource> }).Resources));
}

/** What CloudFormation makes before a resource, and deletes after it. */
function neededBy(id: string, resources: Map<string, Resource>, seen = new Set<string>()): Set<string> {
  const { DependsOn = [], Properties = {} } = resources.get(id) ?? { Type: '' };
  const named = [...JSON.stringify(Properties).matchAll(/"(?:Ref|Fn::GetAtt)":(?:\[)?"([^"]+)"/g)].map(
    ([, one]) => one,
  );
  const subs = [...JSON.stringify(Properties).matchAll(/\$\{([A-Za-z0-9]+)/g)].map(([, one]) => one);
  for (const other of [DependsOn, named, subs].flat()) {
    if (other === undefined || seen.has(other) || !resources.has(other)) continue;
    seen.add(other);
    neededBy(other, resources, seen);
  }
  return seen;
}

const resources = resourcesOf(
  synthFleet({
    profiles: {
      small: { labels: ['small'] },
      builds: { labels: ['docker'], docker: true, capacity: 'spot-preferred' },
    },
  }),
);
const idsOf = (...types: string[]): string[] =>
  [...resources].flatMap(([id, { Type }]) => (types.includes(Type) ? [id] : []));
const [tasks = ''] = idsOf('Custom::RunnerTasks');

describe('a stack that is deleted', () => {
  test.each(
    idsOf(
      'AWS::Lambda::EventSourceMapping',
      'AWS::Scheduler::Schedule',
      'AWS::Events::Rule',
      'AWS::ApiGatewayV2::Route',
    ),
  )('first loses what starts tasks and serves them: %s', (id) => {
    expect(neededBy(id, resources)).toContain(tasks);
  });

  test('stops its tasks then, when nothing starts them any more', () => {
    const functions = idsOf('AWS::Lambda::Function').filter((id) => !id.startsWith('EndFleet'));
    expect(functions.filter((id) => !neededBy(id, resources).has(tasks))).toEqual([]);
  });

  test.each(
    idsOf(
      'AWS::ECS::Cluster',
      'AWS::ECS::CapacityProvider',
      'AWS::IAM::InstanceProfile',
      'AWS::EC2::NatGateway',
      'AWS::EC2::Subnet',
      'AWS::EC2::SecurityGroup',
      'AWS::EC2::Route',
      'AWS::EC2::InternetGateway',
      'AWS::ECS::TaskDefinition',
      'AWS::DynamoDB::Table',
    ),
  )('loses last what tasks live in, and end with: %s', (id) => {
    expect(neededBy(tasks, resources)).toContain(id);
  });

  test.each(idsOf('AWS::ECS::CapacityProvider'))(
    'loses what starts and ends instances before the cluster, and the roles and the network of instances after it: %s',
    (id) => {
      const needed = [...neededBy(id, resources)].map((other) => resources.get(other)?.Type);
      expect(needed).toEqual(
        expect.arrayContaining([
          'AWS::ECS::Cluster',
          'AWS::IAM::InstanceProfile',
          'AWS::IAM::Role',
          'AWS::EC2::Subnet',
          'AWS::EC2::SecurityGroup',
        ]),
      );
    },
  );

  test('gives instances the time to end, the most that Lambda gives', () => {
    const [id = ''] = idsOf('Custom::RunnerTasks');
    expect(resources.get(id)?.Properties).toMatchObject({ ServiceTimeout: '960' });
    const endFleet = idsOf('AWS::Lambda::Function').find((one) => one.startsWith('EndFleet')) ?? '';
    expect(resources.get(endFleet)?.Properties).toMatchObject({ Timeout: 900 });
  });

  test('leaves nothing', () => {
    const kept = [...resources].filter(([, { DeletionPolicy }]) => DeletionPolicy?.startsWith('Retain') === true);
    expect(kept).toEqual([]);
    for (const id of idsOf('AWS::ECR::Repository')) {
      expect(resources.get(id)?.Properties).toMatchObject({ EmptyOnDelete: true });
    }
  });

  test('says of all that holds data what becomes of it', () => {
    const ids = idsOf('AWS::DynamoDB::Table', 'AWS::Logs::LogGroup', 'AWS::ECR::Repository', 'AWS::SQS::Queue');
    for (const id of ids) {
      expect([id, resources.get(id)?.DeletionPolicy, resources.get(id)?.UpdateReplacePolicy]).toEqual([
        id,
        'Delete',
        'Delete',
      ]);
    }
  });

  test('leaves what the config says to keep, and no more', () => {
    const kept = resourcesOf(synthFleet({ keepOnDestroy: ['ledger', 'logs', 'images'] }));
    const groups = [...kept.values()].filter(({ Type }) => Type === 'AWS::Logs::LogGroup');
    const types = [...kept.values()].flatMap(({ Type, DeletionPolicy }) =>
      DeletionPolicy?.startsWith('Retain') === true ? [Type] : [],
    );
    expect(new Set(types)).toEqual(new Set(['AWS::DynamoDB::Table', 'AWS::Logs::LogGroup', 'AWS::ECR::Repository']));
    expect(types.filter((type) => type === 'AWS::DynamoDB::Table')).toHaveLength(1);
    expect(types.filter((type) => type === 'AWS::Logs::LogGroup')).toHaveLength(groups.length);
  });
});

describe('two fleets of one account', () => {
  // What has no name of ours gets one from CloudFormation, with the stack's name and a random part in it.
  const names =
    /^(Alarm|Bucket|Cluster|Dashboard|Function|Group|LogGroup|Project|Queue|Repository|Role|Schedule|Table|Topic)Name$|^Family$/;
  // A capacity provider's is just Name, and must not begin so.
  const namedProviders = idsOf('AWS::ECS::CapacityProvider').map((id) =>
    String(resources.get(id)?.Properties?.['Name']),
  );

  test.each(namedProviders)('have other names: capacity provider %s', (name) => {
    expect(name).toMatch(/^docker_github-runners-ci_/);
  });

  const named = [...resources].flatMap(([id, { Properties = {} }]) =>
    Object.entries(Properties).flatMap(([key, value]) =>
      names.test(key) && typeof value === 'string' ? [{ id, key, value }] : [],
    ),
  );

  test.each(named)('have other names: $key of $id', ({ value }) => {
    expect(value).toMatch(/^github-runners-ci[_-]/);
  });
});

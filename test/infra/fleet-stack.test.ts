import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Match, Template } from 'aws-cdk-lib/assertions';
import type { App } from 'aws-cdk-lib/core';
import { decodeSettings, encodeChoices } from '../../functions/contracts/with-infra/settings.ts';
import { defineFleet } from '../../infra/define-fleet.ts';
import type { Fleet, FleetConfig } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { functionNames } from '../../infra/function-bundle.ts';
import { newApp, stubBundles } from './new-app.ts';

const config: FleetConfig = {
  name: 'ci',
  github: { owners: ['acme'] },
  profiles: {
    small: { labels: ['fargate-small'] },
    large: {
      labels: ['fargate-large'],
      cpu: 8,
      memoryGiB: 32,
      diskGiB: 60,
      arch: 'arm64',
      environment: { CACHE: 'on' },
    },
  },
};

type Statement = {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: unknown;
};
type Resource = { readonly Type: string; readonly Properties: Record<string, unknown> };

let stub: ReturnType<typeof stubBundles>;
let stack: FleetStack;
let template: Template;

function deploy(changed: Partial<FleetConfig> = {}, forced: Partial<Fleet> = {}): FleetStack {
  const fleet = { ...defineFleet({ ...config, ...changed }), ...forced };
  return new FleetStack(newApp(), `github-runners-${fleet.choices.fleet}`, { fleet, bundles: stub.bundles });
}

beforeAll(() => {
  stub = stubBundles();
  stack = deploy();
  template = Template.fromStack(stack);
});
afterAll(() => stub.remove());

function resourcesOf(type: string, from = template): Resource[] {
  return Object.values(from.findResources(type) as Record<string, Resource>);
}

/** What a role's policies allow, by the beginning of the role's logical id. */
function statementsOf(role: string, from = template): Statement[] {
  return resourcesOf('AWS::IAM::Policy', from)
    .filter(({ Properties }) => JSON.stringify(Properties['Roles']).includes(`"${role}`))
    .flatMap(({ Properties }) => (Properties['PolicyDocument'] as { Statement: Statement[] }).Statement);
}

function allStatements(): Statement[] {
  return resourcesOf('AWS::IAM::Policy').flatMap(
    ({ Properties }) => (Properties['PolicyDocument'] as { Statement: Statement[] }).Statement,
  );
}

function actionsOf(statement: Statement): readonly string[] {
  return typeof statement.Action === 'string' ? [statement.Action] : statement.Action;
}

/** The environment of a function as it might be deployed. */
function deployedEnvironment(from: Template): Record<string, string> {
  const [{ Properties }] = resourcesOf('AWS::Lambda::Function', from) as [Resource];
  const { Variables } = Properties['Environment'] as { Variables: Record<string, unknown> };
  return Object.fromEntries(Object.entries(Variables).map(([name, value]) => [name, resolve(value)]));
}

/** Names at least as long as those AWS makes up. */
function resolve(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref: ref, ...call } = value as Record<string, unknown>;
  if (Array.isArray(call['Fn::Join'])) return (call['Fn::Join'][1] as unknown[]).map((part) => resolve(part)).join('');
  if ('Fn::Select' in call) return '99999';
  const madeUp = String(ref ?? 'arn').padEnd(80, 'x');
  return madeUp.startsWith('Queues') ? `https://sqs.ap-southeast-2.amazonaws.com/123456789012/${madeUp}` : madeUp;
}

function rolesThatMay(action: string): string[] {
  const roles = ['Webhook', 'ScaleUp', 'TrackJobs', 'TaskStopped', 'Replenish', 'ScaleDown', 'Redeliver'];
  return roles.filter((role) => statementsOf(`${role}Role`).some((statement) => actionsOf(statement).includes(action)));
}

function taskDefinitions(from = template): Record<string, unknown>[] {
  return resourcesOf('AWS::ECS::TaskDefinition', from).map(({ Properties }) => Properties);
}

function containers(from = template): Record<string, unknown>[] {
  return taskDefinitions(from).flatMap((definition) => definition['ContainerDefinitions'] as Record<string, unknown>[]);
}

describe('the stack', () => {
  test('needs no account, region, credentials or look-up', () => {
    const names = Object.keys(process.env).filter((name) => /^(AWS|CDK)_/.test(name));
    const kept = names.map((name) => [name, process.env[name]] as const);
    for (const name of names) delete process.env[name];
    const { manifest } = (deploy().node.root as App).synth();
    for (const [name, value] of kept) process.env[name] = value;
    expect(manifest.missing).toBeUndefined();
    expect(manifest.artifacts?.['github-runners-ci']?.environment).toBe('aws://unknown-account/unknown-region');
  });

  test('tells where GitHub posts and what its parameters are called, and holds no secret', () => {
    expect(template.findOutputs('*')).toEqual({
      WebhookUrl: expect.objectContaining({ Value: expect.anything() }),
      DashboardUrl: expect.objectContaining({ Value: expect.anything() }),
      RunsOn: expect.objectContaining({
        Value: 'small: runs-on: [self-hosted, fargate-small]\nlarge: runs-on: [self-hosted, fargate-large]',
      }),
      AppIdParameter: expect.objectContaining({ Value: '/github-runners/ci/app-id' }),
      AppKeyParameter: expect.objectContaining({ Value: '/github-runners/ci/app-key' }),
      WebhookSecretParameter: expect.objectContaining({ Value: '/github-runners/ci/webhook-secret' }),
    });
    template.resourceCountIs('AWS::SSM::Parameter', 0);
  });

  test('passes on what is legal but surprising', () => {
    const surprising = deploy({ profiles: { one: { labels: ['a'] }, other: { labels: ['a'] } } });
    const warnings = surprising.node.metadata.filter(({ type }) => type === 'aws:cdk:warning');
    expect(warnings.map(({ data }): unknown => data)).toEqual([
      expect.stringMatching(/^profiles one and other have the same labels/),
    ]);
  });
});

describe('a function', () => {
  test('runs on arm64 and the Node the tests run on, for 30 seconds, and logs JSON', () => {
    const functions = resourcesOf('AWS::Lambda::Function').filter(
      ({ Properties }) => !String(Properties['Description']).includes('when the stack is deleted'),
    );
    expect(functions).toHaveLength(functionNames.length - 1);
    for (const { Properties } of functions) {
      expect(Properties).toMatchObject({
        Runtime: `nodejs${process.versions.node.split('.')[0]}.x`,
        Architectures: ['arm64'],
        Timeout: 30,
        Handler: 'index.handler',
        LoggingConfig: { LogFormat: 'JSON', LogGroup: expect.anything() },
      });
    }
  });

  test('gets an environment it can read its settings from', () => {
    const { choices } = defineFleet(config);
    const settings = decodeSettings(encodeChoices(choices), deployedEnvironment(template));
    expect(Object.keys(settings.tasks.definitions)).toEqual(['small', 'large']);
    expect(settings.tasks.subnets).toHaveLength(2);
    expect(settings.parameters.appKey).toBe('/github-runners/ci/app-key');
  });

  test('gets an environment of less than 4 KB, even with 30 profiles in the largest networks', () => {
    const profiles = Object.fromEntries(
      Array.from({ length: 30 }, (_, index) => [
        `p${index}`.padEnd(24, 'x'),
        { labels: [`label-${index}`], arch: index === 0 ? ('arm64' as const) : ('x64' as const) },
      ]),
    );
    const id = (kind: string) => (_: unknown, index: number) => `${kind}-${String(index).padStart(17, '0')}`;
    const network = {
      kind: 'existing',
      vpcId: 'vpc-00000000000000000',
      subnetIds: Array.from({ length: 16 }, id('subnet')),
      securityGroupIds: Array.from({ length: 5 }, id('sg')),
    } as const;
    const docker = { ...profiles, p29xxxxxxxxxxxxxxxxxxxxx: { labels: ['docker'], docker: true } };
    const largest = { name: 'a'.repeat(16), profiles: docker, network, docker: { network } };
    const environment = deployedEnvironment(Template.fromStack(deploy(largest, { warnings: [] })));
    expect(environment['DOCKER_SUBNETS']).toContain('subnet-00000000000000015');
    expect(Object.entries(environment).flat().join('').length).toBeLessThan(4096);
  });

  test('keeps no log for ever', () => {
    const groups = resourcesOf('AWS::Logs::LogGroup');
    // Of each function, of the API, of tasks, and of the build of each architecture.
    expect(groups).toHaveLength(functionNames.length + 1 + 1 + 2);
    for (const { Properties } of groups) expect(Properties['RetentionInDays']).toBe(30);
  });

  test('has a role of its own, with nothing but what its room allows', () => {
    const roles = resourcesOf('AWS::IAM::Role');
    for (const { Properties } of roles) expect(Properties).not.toHaveProperty('ManagedPolicyArns');
    // Of each function, of each schedule, of tasks two, and of the build of each architecture.
    expect(roles).toHaveLength(functionNames.length + 4 + 2 + 2);
  });
});

describe('permissions', () => {
  test('name their resources, where AWS lets them', () => {
    const wild = allStatements().filter(({ Resource: resource }) => JSON.stringify(resource) === '"*"');
    expect(wild.flatMap((statement) => actionsOf(statement)).toSorted()).toEqual([
      // To pull as the execution role, and to push as the build of each architecture.
      'ecr:GetAuthorizationToken',
      'ecr:GetAuthorizationToken',
      'ecr:GetAuthorizationToken',
      // To sweep, to end the fleet, and to find the task of a launch whose answer was lost.
      'ecs:ListTasks',
      'ecs:ListTasks',
      'ecs:ListTasks',
    ]);
  });

  test('name their actions; nobody may scan a table', () => {
    const actions = allStatements().flatMap((statement) => actionsOf(statement));
    expect(actions.filter((action) => action.includes('*') || action === 'dynamodb:Scan')).toEqual([]);
    expect(rolesThatMay('dynamodb:PutItem')).toEqual(['ScaleUp']);
  });

  test('let a task and its job do one thing: fetch a claim', () => {
    expect(statementsOf('RunnersTaskRole')).toEqual([
      {
        Sid: 'FetchOneClaim',
        Effect: 'Allow',
        Action: 'dynamodb:DeleteItem',
        Resource: { 'Fn::GetAtt': [expect.stringMatching(/^TablesClaims/), 'Arn'] },
        Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': ['claim#*'] } },
      },
    ]);
  });

  test('let scale-up run the tasks of this fleet, in this cluster, with the two roles they have', () => {
    const statements = statementsOf('ScaleUpRole');
    const inCluster = { ArnEquals: { 'ecs:cluster': { 'Fn::GetAtt': [expect.any(String), 'Arn'] } } };
    const runTask = statements.find(({ Action }) => Action === 'ecs:RunTask');
    expect(runTask?.Condition).toEqual(inCluster);
    expect(JSON.stringify(runTask?.Resource).match(/task-definition[^"]*/g)).toEqual([
      'task-definition/github-runners-ci_large:*',
      'task-definition/github-runners-ci_small:*',
    ]);
    expect(statements.find(({ Action }) => Action === 'iam:PassRole')).toEqual({
      Sid: 'GiveTheTaskItsRoles',
      Effect: 'Allow',
      Action: 'iam:PassRole',
      Resource: [
        { 'Fn::GetAtt': [expect.stringMatching(/^RunnersExecutionRole/), 'Arn'] },
        { 'Fn::GetAtt': [expect.stringMatching(/^RunnersTaskRole/), 'Arn'] },
      ],
      Condition: { StringEquals: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' } },
    });
  });

  test('let only scale-up start a task, and three rooms stop one', () => {
    expect(rolesThatMay('ecs:StopTask')).toEqual(['ScaleUp', 'TrackJobs', 'ScaleDown']);
    expect(rolesThatMay('ecs:RunTask')).toEqual(['ScaleUp']);
    expect(rolesThatMay('iam:PassRole')).toEqual(['ScaleUp']);
  });

  test('keep the App key from the function that strangers can reach', () => {
    const parameters = JSON.stringify(statementsOf('WebhookRole'));
    expect(parameters).toContain('parameter/github-runners/ci/webhook-secret');
    expect(parameters).not.toContain('app-key');
  });
});

describe('queues', () => {
  test('hide a message for six times as long as a function may run, and keep it for four days', () => {
    const work = resourcesOf('AWS::SQS::Queue').filter(({ Properties }) => 'RedrivePolicy' in Properties);
    expect(work).toHaveLength(3);
    for (const { Properties } of work) {
      expect(Properties).toMatchObject({
        VisibilityTimeout: 180,
        MessageRetentionPeriod: 345_600,
        SqsManagedSseEnabled: true,
        RedrivePolicy: { maxReceiveCount: 10 },
      });
    }
  });

  test('keep dead letters for longer than they may already be old', () => {
    const dead = resourcesOf('AWS::SQS::Queue').filter(({ Properties }) => !('RedrivePolicy' in Properties));
    expect(dead).toHaveLength(3);
    for (const { Properties } of dead) expect(Properties['MessageRetentionPeriod']).toBe(1_209_600);
  });

  test('refuse what does not come over TLS', () => {
    const policies = resourcesOf('AWS::SQS::QueuePolicy').map(({ Properties }) => JSON.stringify(Properties));
    expect(policies).toHaveLength(6);
    for (const policy of policies) expect(policy).toContain('{"Bool":{"aws:SecureTransport":"false"}},"Effect":"Deny"');
  });

  test('are read so many messages at once, only stops are gathered for a second, and messages fail one by one', () => {
    const mappings = resourcesOf('AWS::Lambda::EventSourceMapping').map(({ Properties }) => Properties);
    for (const mapping of mappings) {
      expect(mapping).toMatchObject({ FunctionResponseTypes: ['ReportBatchItemFailures'] });
    }
    const shapes = mappings.map(({ BatchSize, MaximumBatchingWindowInSeconds: window, ScalingConfig }) => ({
      BatchSize,
      window,
      ScalingConfig,
    }));
    expect(shapes).toEqual([
      { BatchSize: 10, window: undefined, ScalingConfig: { MaximumConcurrency: 10 } },
      { BatchSize: 10, window: undefined, ScalingConfig: { MaximumConcurrency: 10 } },
      { BatchSize: 40, window: 1, ScalingConfig: { MaximumConcurrency: 5 } },
    ]);
  });

  test('may get a launch back from the function that read it', () => {
    const allowed = resourcesOf('AWS::Lambda::Function').filter(
      ({ Properties }) => Properties['RecursiveLoop'] === 'Allow',
    );
    expect(allowed.map(({ Properties }) => Properties['Description'])).toEqual([
      expect.stringContaining('runs the task'),
    ]);
  });
});

describe('tables', () => {
  test('are paid by use, encrypted, and forget by themselves', () => {
    const tables = resourcesOf('AWS::DynamoDB::Table');
    expect(tables).toHaveLength(2);
    for (const { Properties } of tables) {
      expect(Properties).toMatchObject({
        BillingMode: 'PAY_PER_REQUEST',
        SSESpecification: { SSEEnabled: true },
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      });
    }
  });

  test('find what is open, oldest first', () => {
    template.hasResourceProperties('AWS::DynamoDB::Table', {
      GlobalSecondaryIndexes: [
        {
          IndexName: 'Open',
          KeySchema: [
            { AttributeName: 'open', KeyType: 'HASH' },
            { AttributeName: 'openKey', KeyType: 'RANGE' },
          ],
          Projection: { ProjectionType: 'ALL' },
        },
      ],
    });
  });
});

describe('a task', () => {
  test('has the size, architecture and disk of its profile', () => {
    expect(taskDefinitions()).toEqual([
      expect.objectContaining({
        Family: 'github-runners-ci_small',
        Cpu: '2048',
        Memory: '8192',
        RuntimePlatform: { CpuArchitecture: 'X86_64', OperatingSystemFamily: 'LINUX' },
      }),
      expect.objectContaining({
        Family: 'github-runners-ci_large',
        Cpu: '8192',
        Memory: '32768',
        EphemeralStorage: { SizeInGiB: 60 },
        RuntimePlatform: { CpuArchitecture: 'ARM64', OperatingSystemFamily: 'LINUX' },
      }),
    ]);
    // Twenty come with every task; Fargate refuses to be asked for them.
    expect(taskDefinitions()[0]).not.toHaveProperty('EphemeralStorage');
  });

  test('has start-runner.sh as PID 1, two minutes to end, no port and no privilege', () => {
    for (const container of containers()) {
      expect(container).toMatchObject({
        Name: 'runner',
        EntryPoint: ['/usr/local/bin/start-runner.sh'],
        StopTimeout: 120,
        User: 'root',
      });
      expect(container).not.toHaveProperty('PortMappings');
      expect(container).not.toHaveProperty('Privileged');
      expect(container).not.toHaveProperty('Secrets');
    }
  });

  test('is told the table of claims, and what its profile adds', () => {
    const claims = { Name: 'CLAIMS_TABLE', Value: { Ref: expect.stringMatching(/^TablesClaims/) } };
    expect(containers().map((container) => container['Environment'])).toEqual([
      [claims],
      expect.arrayContaining([
        claims,
        { Name: 'CACHE', Value: 'on' },
        { Name: 'JOB_ENVIRONMENT_NAMES', Value: 'CACHE' },
      ]),
    ]);
  });

  test('has the role its profile brings, which may fetch the claim too', () => {
    const taskRole = 'arn:aws:iam::123456789012:role/deployer';
    const own = Template.fromStack(deploy({ profiles: { small: { labels: ['small'], taskRole } } }));
    expect(taskDefinitions(own)[0]?.['TaskRoleArn']).toBe(taskRole);
    expect(JSON.stringify(taskDefinitions(own)[0])).toContain('"Name":"TASK_ROLE_FOR_JOBS"');
    expect(JSON.stringify(taskDefinitions())).not.toContain('TASK_ROLE_FOR_JOBS');
    expect(statementsOf('deployer', own).map(({ Sid }) => Sid)).toEqual(['FetchOneClaim']);
    expect(statementsOf('ScaleUpRole', own).find(({ Action }) => Action === 'iam:PassRole')?.Resource).toContain(
      taskRole,
    );
  });

  test.each([
    'ghcr.io/acme/runner:1',
    '123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/runner:1',
    `123456789012.dkr.ecr.eu-central-1.amazonaws.com/acme/runner@sha256:${'0'.repeat(64)}`,
  ])('may be made from an image of the operator: %s', (image) => {
    const own = Template.fromStack(deploy({ profiles: { small: { labels: ['small'], image } } }));
    const made = JSON.stringify(containers(own)[0]?.['Image']);
    expect(made).toContain(image.slice(image.lastIndexOf('/') + 1));
    const pulls = JSON.stringify(statementsOf('RunnersExecutionRole', own));
    expect(pulls.includes(':ecr:eu-central-1:123456789012:repository/acme/runner')).toBe(image.includes('.dkr.ecr.'));
  });
});

describe('the cluster', () => {
  test('offers Fargate, on demand and Spot', () => {
    template.hasResourceProperties('AWS::ECS::Cluster', { CapacityProviders: ['FARGATE', 'FARGATE_SPOT'] });
  });

  test('sends its stopped tasks to a queue, tries again, and keeps beside the dead letters of that queue what could not be sent', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: {
        source: ['aws.ecs'],
        'detail-type': ['ECS Task State Change'],
        detail: { clusterArn: [Match.anyValue()], lastStatus: ['STOPPED'] },
      },
    });
    const [{ Properties }] = resourcesOf('AWS::Events::Rule') as [Resource];
    const ids = Object.keys(template.findResources('AWS::SQS::Queue'));
    const arnOf = (name: string) => ({ 'Fn::GetAtt': [ids.find((id) => id.slice(0, -8) === name), 'Arn'] });
    const deadLetters = arnOf('QueuesStopsDeadLetters');
    expect(Properties['Targets']).toEqual([
      {
        Id: 'Target0',
        Arn: arnOf('QueuesStops'),
        RetryPolicy: { MaximumRetryAttempts: 10, MaximumEventAgeInSeconds: 3600 },
        DeadLetterConfig: { Arn: deadLetters },
      },
    ]);
    template.hasResourceProperties('AWS::SQS::Queue', {
      RedrivePolicy: { deadLetterTargetArn: deadLetters, maxReceiveCount: 10 },
    });
  });
});

describe('the network', () => {
  test('lets runners out and nobody in, and costs nothing while nothing runs', () => {
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
    template.resourceCountIs('AWS::EC2::EIP', 0);
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
    for (const { Properties } of resourcesOf('AWS::EC2::SecurityGroup')) {
      expect(Properties).not.toHaveProperty('SecurityGroupIngress');
    }
    for (const { Properties } of resourcesOf('AWS::EC2::VPCEndpoint')) {
      expect(Properties['VpcEndpointType']).toBe('Gateway');
    }
  });
});

describe('the schedules', () => {
  test('replenish and scale-down every minute, redeliver every five, build-image every ten, and never run one again', () => {
    const schedules = resourcesOf('AWS::Scheduler::Schedule').map(({ Properties }) => Properties);
    expect(schedules.map((schedule) => schedule['ScheduleExpression'])).toEqual([
      'rate(1 minute)',
      'rate(1 minute)',
      'rate(5 minutes)',
      'rate(10 minutes)',
    ]);
    for (const schedule of schedules) {
      expect(schedule['Target']).toMatchObject({ RetryPolicy: { MaximumRetryAttempts: 0 } });
    }
    const retries = resourcesOf('AWS::Lambda::EventInvokeConfig').map(
      ({ Properties }) => Properties['MaximumRetryAttempts'],
    );
    expect(retries).toEqual([0, 0, 0, 0, 0]);
  });
});

describe('the webhook', () => {
  test('takes POST /webhook and nothing else, so many times a second', () => {
    expect(resourcesOf('AWS::ApiGatewayV2::Route').map(({ Properties }) => Properties['RouteKey'])).toEqual([
      'POST /webhook',
    ]);
    template.hasResourceProperties('AWS::ApiGatewayV2::Integration', { PayloadFormatVersion: '2.0' });
    template.hasResourceProperties('AWS::ApiGatewayV2::Stage', {
      DefaultRouteSettings: { ThrottlingRateLimit: 500, ThrottlingBurstLimit: 2000 },
    });
  });

  test('keeps an access log without a header or a body', () => {
    const [{ Properties }] = resourcesOf('AWS::ApiGatewayV2::Stage') as [Resource];
    const { Format } = Properties['AccessLogSettings'] as { Format: string };
    expect(Format).toContain('$context.status');
    expect(Format).not.toMatch(/body|header|authori[sz]/i);
  });
});

import { describe, expect, test } from '@jest/globals';
import { Match } from 'aws-cdk-lib/assertions';
import { decodeSettings, encodeChoices } from '../../functions/contracts/settings.ts';
import { defineFleet } from '../../infra/define-fleet.ts';
import { synthFleet } from './synth-fleet.ts';

const arm64 = { labels: ['graviton'], arch: 'arm64' } as const;
const own = { labels: ['own'], image: 'ghcr.io/acme/runner:1' } as const;

describe('the runner image', () => {
  test('is built by a project for each architecture that a profile needs, one build at a time', () => {
    const builds = (profiles: Parameters<typeof synthFleet>[0]) =>
      Object.values(synthFleet(profiles).findResources('AWS::CodeBuild::Project')).map((found): unknown => {
        const { Properties } = found as { Properties: { Environment: { Type: string }; ConcurrentBuildLimit: number } };
        expect(Properties.ConcurrentBuildLimit).toBe(1);
        return Properties.Environment.Type;
      });
    expect(builds({ profiles: { one: { labels: ['one'] }, two: { labels: ['two'] } } })).toEqual(['LINUX_CONTAINER']);
    expect(builds({ profiles: { one: { labels: ['one'] }, arm64 } })).toEqual(['LINUX_CONTAINER', 'ARM_CONTAINER']);
    expect(builds({ profiles: { arm64, own } })).toEqual(['ARM_CONTAINER']);
  });

  test('needs nothing to be built where every profile brings its own', () => {
    const template = synthFleet({ profiles: { own } });
    template.resourceCountIs('AWS::CodeBuild::Project', 0);
    template.resourceCountIs('Custom::RunnerImage', 0);
    expect(JSON.stringify(template.toJSON())).not.toContain('RUNNER_IMAGES');
    expect(JSON.stringify(template.findResources('AWS::IAM::Policy'))).not.toContain('ecr:DescribeImages');
  });

  test('is scanned when it is pushed, and its forerunners are thrown away', () => {
    synthFleet().hasResourceProperties('AWS::ECR::Repository', {
      ImageScanningConfiguration: { ScanOnPush: true },
      LifecyclePolicy: { LifecyclePolicyText: Match.stringLikeRegexp('"tagStatus":"untagged"') },
    });
  });

  test('is looked at with each deployment that changed its files, and every hour', () => {
    const template = synthFleet();
    template.hasResourceProperties('Custom::RunnerImage', { source: Match.stringLikeRegexp('^[0-9a-f]{16}$') });
    template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(1 hour)' });
  });

  test('is built by a role that can push it, and pull, and read its source: nothing else', () => {
    const policies = Object.values(synthFleet().findResources('AWS::IAM::Policy')) as {
      Properties: { Roles: unknown; PolicyDocument: { Statement: { Sid: string; Resource: unknown }[] } };
    }[];
    const ofBuild = policies.filter(({ Properties }) =>
      JSON.stringify(Properties.Roles).includes('RunnerImagex64Role'),
    );
    const statements = ofBuild.flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
    expect(statements.map(({ Sid }) => Sid)).toEqual([
      'WriteItsLog',
      'ReadItsSource',
      'LogIntoTheRegistry',
      'PushImages',
    ]);
    expect(JSON.stringify(statements.find(({ Sid }) => Sid === 'PushImages')?.Resource)).toContain(
      'RunnerImageRepository',
    );
  });

  test('is known to the functions by its repository, its source and its projects', () => {
    const profiles = { one: { labels: ['one'] }, arm64 };
    const [lambda] = Object.values(synthFleet({ profiles }).findResources('AWS::Lambda::Function')) as {
      Properties: { Environment: { Variables: Record<string, unknown> } };
    }[];
    const variables = Object.entries(lambda?.Properties.Environment.Variables ?? {});
    const env = Object.fromEntries(variables.map(([name, value]) => [name, resolve(value)]));
    const { choices } = defineFleet({ name: 'ci', github: { owners: ['acme'] }, profiles });
    expect(decodeSettings(encodeChoices(choices), env).images).toEqual({
      repository: expect.stringMatching(/^RunnerImageRepository/),
      source: expect.stringMatching(/^[0-9a-f]{16}$/),
      projects: { x64: expect.stringMatching(/^RunnerImagex64/), arm64: expect.stringMatching(/^RunnerImagearm64/) },
    });
  });
});

/** A deploy-time value, with the logical id of a resource for its name. */
function resolve(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref: ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  return join === undefined ? (ref ?? '1') : join[1].map((part) => resolve(part)).join('');
}

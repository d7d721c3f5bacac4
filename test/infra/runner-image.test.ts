import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { Match } from 'aws-cdk-lib/assertions';
import { imageTag } from '../../functions/contracts/with-infra/runner-image.ts';
import { decodeSettings, encodeChoices } from '../../functions/contracts/with-infra/settings.ts';
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

  test('is scanned when it is pushed', () => {
    synthFleet().hasResourceProperties('AWS::ECR::Repository', { ImageScanningConfiguration: { ScanOnPush: true } });
  });

  test('is looked at with each deployment that changed its files, and every ten minutes', () => {
    const template = synthFleet();
    template.hasResourceProperties('Custom::RunnerImage', { source: Match.stringLikeRegexp('^[0-9a-f]{16}$') });
    template.hasResourceProperties('AWS::Scheduler::Schedule', { ScheduleExpression: 'rate(10 minutes)' });
  });

  test('is built with what the config says, and anew when that changes, as when its files do', () => {
    const builtWith = (runnerImage?: { sudo?: boolean; buildTools?: boolean }) => {
      const template = synthFleet({ ...(runnerImage && { runnerImage }) });
      const only = (type: string): unknown => Object.values(template.findResources(type))[0];
      const project = only('AWS::CodeBuild::Project') as {
        Properties: { Environment: { EnvironmentVariables: { Name: string; Value: unknown }[] } };
      };
      const { source } = (only('Custom::RunnerImage') as { Properties: { source: string } }).Properties;
      const variables = project.Properties.Environment.EnvironmentVariables;
      const value = (name: string) => variables.find(({ Name }) => Name === name)?.Value;
      return { sudo: value('SUDO'), tools: value('BUILD_TOOLS'), source };
    };
    const usual = builtWith();
    expect(usual).toMatchObject({ sudo: 'yes', tools: 'no' });
    expect(builtWith({ sudo: true, buildTools: false })).toEqual(usual);
    const others = [
      builtWith({ sudo: false }),
      builtWith({ buildTools: true }),
      builtWith({ sudo: false, buildTools: true }),
    ];
    expect(others).toMatchObject([
      { sudo: 'no', tools: 'no' },
      { sudo: 'yes', tools: 'yes' },
      { sudo: 'no', tools: 'yes' },
    ]);
    expect(new Set([usual, ...others].map(({ source }) => source)).size).toBe(4);
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

  test('is built by a role that CodeBuild takes for this account alone', () => {
    synthFleet().hasResourceProperties('AWS::IAM::Role', {
      AssumeRolePolicyDocument: {
        Statement: [
          {
            Action: 'sts:AssumeRole',
            Effect: 'Allow',
            Principal: { Service: 'codebuild.amazonaws.com' },
            Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
          },
        ],
      },
    });
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

describe('what the repository throws away, after decision 0014', () => {
  const rules = rulesOf({ x64: { labels: ['one'] }, arm64 });
  const find = (tags: readonly string[]) => rules.find((rule) => matches(rule, tags))?.selection;
  const script = readFileSync(new URL('../../runner-image/build-image.sh', import.meta.url), 'utf8');
  const [, written = ''] = /^build_tag=(.+)$/m.exec(script) ?? [];

  test.each(['x64', 'arm64'] as const)('counts no build for %s that was cut off: it goes after a day', (arch) => {
    const tag = written.replace('$ARCH', arch).replace(/\$\{.+\}/, '7');
    expect(tag).toBe(`build-${arch}-7`);
    const matching = rules.filter((rule) => matches(rule, [tag]));
    expect(matching.map(({ selection }) => selection)).toEqual([
      expect.objectContaining({ countType: 'sinceImagePushed', countUnit: 'days', countNumber: 1 }),
    ]);
  });

  test.each(['x64', 'arm64'] as const)('is nothing that has the tag tasks name alone, %s', (arch) => {
    expect(find([imageTag(arch)])).toBeUndefined();
  });

  test.each([
    ['by the version of its runner', ['x64-2.335.0']],
    ['by its files', ['x64-source-0123456789abcdef']],
    ['for arm64 by the version of its runner', ['arm64-2.335.0']],
    ['for arm64 by its files', ['arm64-source-0123456789abcdef']],
  ])('is not one of the newest 20 images that are known %s', (_, tags) => {
    expect(find(tags)).toMatchObject({ countType: 'imageCountMoreThan', countNumber: 20 });
  });

  test('is not the image in use, even when the tag of its build could not be deleted', () => {
    const inUse = ['build-x64-7', 'x64', 'x64-2.336.0', 'x64-source-0123456789abcdef'];
    expect(find(inUse)).toMatchObject({ countType: 'imageCountMoreThan', countNumber: 20 });
  });

  test('does not mix the architectures', () => {
    const [x64, other] = [find(['x64-2.335.0']), find(['arm64-2.335.0'])];
    expect(x64).not.toEqual(other);
  });

  test('is nothing untagged that the longest job can still load from, after a day in use', () => {
    const profileOf = (maxHours: number) => () =>
      defineFleet({ name: 'ci', github: { owners: ['acme'] }, profiles: { one: { labels: ['one'], maxHours } } });
    const longest = 120;
    expect(profileOf(longest)).not.toThrow();
    expect(profileOf(longest + 1)).toThrow('maxHours must be a number above 0, up to 120');
    const { countType, countUnit, countNumber } = find([]) ?? {};
    expect({ countType, countUnit }).toEqual({ countType: 'sinceImagePushed', countUnit: 'days' });
    expect((countNumber ?? 0) * 24).toBeGreaterThan(longest + 24);
  });
});

describe('an image of the operator', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const host = '111122223333.dkr.ecr.eu-central-1.amazonaws.com';

  test.each([
    `${host}/acme/runner:1`,
    `${host}/acme/runner`,
    `${host}/acme/runner@${digest}`,
    `${host}/acme/runner:1@${digest}`,
    '111122223333.dkr.ecr-fips.eu-central-1.amazonaws.com/acme/runner:1',
    '111122223333.dkr-ecr.eu-central-1.on.aws/acme/runner:1',
    '111122223333.dkr-ecr.eu-central-1.on.aws/acme/runner',
  ])('in ECR may be pulled, and is named as it was written: %s', (image) => {
    const { images, pulls } = profilesOf(image);
    expect(images).toEqual([image]);
    expect(pulls).toEqual([
      {
        Effect: 'Allow',
        Action: ['ecr:BatchCheckLayerAvailability', 'ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer'],
        Resource: {
          'Fn::Join': [
            '',
            ['arn:', { Ref: 'AWS::Partition' }, ':ecr:eu-central-1:111122223333:repository/acme/runner'],
          ],
        },
      },
      { Effect: 'Allow', Action: 'ecr:GetAuthorizationToken', Resource: '*' },
    ]);
  });

  test.each(['ghcr.io/acme/runner:1', 'public.ecr.aws/acme/runner:1', `ghcr.io/${host}/acme/runner`])(
    'elsewhere needs no permission: %s',
    (image) => {
      expect(profilesOf(image)).toEqual({ images: [image], pulls: [] });
    },
  );

  test('may be that of several profiles, under another tag', () => {
    const { images, pulls } = profilesOf(`${host}/acme/runner:1`, `${host}/acme/runner:2`);
    expect(images).toEqual([`${host}/acme/runner:1`, `${host}/acme/runner:2`]);
    expect(pulls).toHaveLength(2);
  });
});

type Rule = {
  readonly rulePriority: number;
  readonly selection: {
    readonly tagStatus: string;
    readonly tagPrefixList?: readonly string[];
    readonly tagPatternList?: readonly string[];
    readonly countType: string;
    readonly countUnit?: string;
    readonly countNumber: number;
  };
};

/** In the order in which ECR takes them. */
function rulesOf(profiles: Parameters<typeof defineFleet>[0]['profiles']): Rule[] {
  const [repository] = Object.values(synthFleet({ profiles }).findResources('AWS::ECR::Repository')) as {
    Properties: { LifecyclePolicy: { LifecyclePolicyText: string } };
  }[];
  const { rules } = JSON.parse(repository?.Properties.LifecyclePolicy.LifecyclePolicyText ?? '') as { rules: Rule[] };
  return rules.toSorted((a, b) => a.rulePriority - b.rulePriority);
}

/** As ECR has it: an image must have a tag for each pattern. Only the first rule that matches may expire it. */
function matches({ selection }: Rule, tags: readonly string[]): boolean {
  const patterns = [...(selection.tagPatternList ?? []), ...(selection.tagPrefixList ?? []).map((text) => `${text}*`)];
  if (selection.tagStatus === 'untagged') return tags.length === 0;
  return patterns
    .map((pattern) => new RegExp(`^${pattern.replaceAll('.', String.raw`\.`).replaceAll('*', '.*')}$`))
    .every((pattern) => tags.some((tag) => pattern.test(tag)));
}

/** The images that tasks start from when operators bring these, and what the execution role may do in ECR for it. */
function profilesOf(...brought: readonly string[]) {
  const template = synthFleet({
    profiles: Object.fromEntries(brought.map((image, at) => [`own${at}`, { labels: [`own${at}`], image }])),
  });
  const definitions = Object.values(template.findResources('AWS::ECS::TaskDefinition')) as {
    Properties: { ContainerDefinitions: { Image: unknown }[] };
  }[];
  const policies = Object.values(template.findResources('AWS::IAM::Policy')) as {
    Properties: { Roles: unknown; PolicyDocument: { Statement: { Action: string | string[] }[] } };
  }[];
  const statements = policies
    .filter(({ Properties }) => JSON.stringify(Properties.Roles).includes('RunnersExecutionRole'))
    .flatMap(({ Properties }) => Properties.PolicyDocument.Statement);
  return {
    images: definitions.flatMap(({ Properties }) => Properties.ContainerDefinitions.map(({ Image }) => Image)),
    pulls: statements.filter(({ Action }) => JSON.stringify(Action).includes('ecr:')),
  };
}

/** A deploy-time value, with the logical id of a resource for its name. */
function resolve(value: unknown): string {
  if (typeof value === 'string') return value;
  const { Ref: ref, 'Fn::Join': join } = value as { Ref?: string; 'Fn::Join'?: [string, unknown[]] };
  return join === undefined ? (ref ?? '1') : join[1].map((part) => resolve(part)).join('');
}

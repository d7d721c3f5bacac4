import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CodeBuildClient, StartBuildCommand } from '@aws-sdk/client-codebuild';
import { DescribeImagesCommand, ECRClient } from '@aws-sdk/client-ecr';
import { TurnableClock } from '../clock.ts';
import type { AwsCall } from './aws-call.ts';
import { Images, type ImagesOptions } from './images.ts';

const told = { ARCH: 'x64', RUNNER_VERSION: '2.336.0', SOURCE_HASH: 'abc' };
const tags = ['x64', 'x64-2.336.0', 'x64-source-abc'];
const ends: (() => unknown)[] = [];
let clock: TurnableClock;
let calls: AwsCall[];

beforeEach(() => {
  clock = new TurnableClock();
  calls = [];
});
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
  clock.stop();
});

const start = async (options: Partial<ImagesOptions> = {}) => {
  const images = await Images.start({ clock, onCall: (call) => calls.push(call), ...options });
  const ecr = new ECRClient({ endpoint: images.url, maxAttempts: 1 });
  const codeBuild = new CodeBuildClient({ endpoint: images.url, maxAttempts: 1 });
  ends.push(async () => images.stop(), ecr.destroy.bind(ecr), codeBuild.destroy.bind(codeBuild));
  const describeTag = async (imageTag: string, repositoryName = 'runners') =>
    (await ecr.send(new DescribeImagesCommand({ repositoryName, imageIds: [{ imageTag }] }))).imageDetails?.[0];
  const build = async (parts: Partial<StartBuildCommand['input']> = {}, variables: Record<string, string> = told) =>
    codeBuild.send(
      new StartBuildCommand({
        projectName: 'build-x64',
        environmentVariablesOverride: Object.entries(variables).map(([name, value]) => ({ name, value })),
        ...parts,
      }),
    );
  return { images, describeTag, build };
};

describe('an image', () => {
  test('has its digest, its time and all its tags, by whichever it is asked for', async () => {
    const { images, describeTag } = await start();
    images.put(tags, Date.parse('2026-11-20T09:00:00.500Z'));
    for (const tag of tags) {
      const image = await describeTag(tag);
      expect(image?.imageTags?.toSorted()).toEqual(tags);
      expect(image?.imageDigest).toMatch(/^sha256:[0-9a-f]{64}$/);
      expect(image?.imagePushedAt).toEqual(new Date('2026-11-20T09:00:00.500Z'));
    }
  });

  test('loses a tag to the next one that has it', async () => {
    const { images } = await start();
    images.put(tags);
    images.put(['x64', 'x64-2.337.0']);
    expect(images.tags()).toEqual([
      ['x64-2.336.0', 'x64-source-abc'],
      ['x64', 'x64-2.337.0'],
    ]);
  });

  test('that is not there is another error than a repository that is not', async () => {
    const { describeTag } = await start();
    await expect(describeTag('x64')).rejects.toMatchObject({ name: 'ImageNotFoundException' });
    await expect(describeTag('x64', 'gone')).rejects.toMatchObject({ name: 'RepositoryNotFoundException' });
  });
});

describe('a build', () => {
  test('that succeeds puts an image with the three tags, and one that fails none', async () => {
    const { images, build } = await start();
    expect((await build()).build).toMatchObject({ buildNumber: 1, buildStatus: 'IN_PROGRESS' });
    images.endBuild('FAILED');
    expect(images.tags()).toEqual([]);
    expect((await build()).build).toMatchObject({ buildNumber: 2 });
    expect(images.endBuild()).toMatchObject({ number: 2, status: 'SUCCEEDED', variables: told });
    expect(images.tags()).toEqual([tags]);
  });

  test('that is not told all it must know fails', async () => {
    const { images, build } = await start();
    await build({}, { ARCH: 'x64' });
    expect(images.endBuild()).toMatchObject({ status: 'FAILED' });
    expect(images.tags()).toEqual([]);
  });

  test('ends by itself after so much of the clock, if it is to', async () => {
    const { images, build } = await start({ buildMs: 600_000 });
    await build();
    clock.advance(500_000);
    expect(images.running).toHaveLength(1);
    clock.advance(100_000);
    expect(images.running).toEqual([]);
    expect(images.tags()).toEqual([tags]);
  });

  test('is refused beside another of its project, or beyond what the account may run', async () => {
    const { images, build } = await start();
    await build();
    await expect(build()).rejects.toMatchObject({ name: 'AccountLimitExceededException' });
    await build({ projectName: 'build-arm64' });
    for (let ended = 0; ended < 2; ended += 1) images.endBuild('FAILED');
    images.accountLimit = 0;
    await expect(build()).rejects.toMatchObject({
      name: 'AccountLimitExceededException',
      message: 'Cannot have more than 0 builds in queue for the account',
    });
  });

  test('with the token of another is that one, or refused if it is to be otherwise', async () => {
    const { images, build } = await start();
    const first = await build({ idempotencyToken: 'a' });
    const again = await build({ idempotencyToken: 'a' });
    expect(again.build?.id).toBe(first.build?.id);
    expect(images.builds).toHaveLength(1);
    await expect(build({ idempotencyToken: 'a' }, {})).rejects.toMatchObject({ name: 'InvalidInputException' });
  });

  test('of a project that is not there is refused', async () => {
    const { build } = await start();
    await expect(build({ projectName: 'gone' })).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
  });
});

test('each call is told with the service whose permission it needs', async () => {
  const { images, describeTag, build } = await start();
  images.put(['x64']);
  await describeTag('x64');
  await build();
  expect(calls.map(({ service, operation }) => `${service}:${operation}`)).toEqual([
    'ecr:DescribeImages',
    'codebuild:StartBuild',
  ]);
});

import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { Images } from '../emulators/aws/images.ts';
import type { LambdaFunction } from '../emulators/aws/lambda.ts';
import { Parameters } from '../emulators/aws/parameters.ts';
import { usualBehaviour } from '../emulators/github/behaviour.ts';
import { startAcme } from '../emulators/github/start-acme.ts';
import { bundleRooms } from '../fakes/bundled-room.ts';
import { hour, minute } from '../fakes/clock.ts';
import { CloudFormation } from '../fakes/cloud-formation.ts';

const version = '2.336.0';
let acme: Awaited<ReturnType<typeof startAcme>>;
let parameters: Parameters;
let rooms: Awaited<ReturnType<typeof bundleRooms>>;
let images: Images;
let cloudFormation: CloudFormation;
let room: LambdaFunction;
let logs: string[];

const surroundings = () => ({
  clock: acme.clock,
  names: { images: { repository: 'runners', source: 'abc', projects: { x64: 'build-x64' } } },
  environment: {
    AWS_ENDPOINT_URL_SSM: parameters.url,
    AWS_ENDPOINT_URL_ECR: images.url,
    AWS_ENDPOINT_URL_CODEBUILD: images.url,
  },
});

beforeAll(async () => {
  acme = await startAcme();
  parameters = await Parameters.start({ clock: acme.clock });
  parameters.put('/app-id', acme.github.app.id);
  parameters.put('/app-key', acme.github.app.privateKey);
  images = await Images.start({ clock: acme.clock });
  cloudFormation = await CloudFormation.start();
  rooms = await bundleRooms({ githubUrl: acme.github.url });
  ({ room, logs } = rooms.start('build-image', surroundings()));
});
afterAll(async () => {
  await room.stop();
  await rooms.remove();
  await Promise.all([images.stop(), cloudFormation.stop(), parameters.stop()]);
  await acme.stop();
});
beforeEach(() => {
  images.clear();
  images.accountLimit = 20;
  cloudFormation.answers.length = 0;
  logs.length = 0;
});

const schedule = { source: 'aws.scheduler' };

describe('every ten minutes', () => {
  test('an image that could be better is looked at, and built in the first minutes of an hour', async () => {
    const build = async () => {
      images.put(['x64', `x64-${version}`, 'x64-source-before'], acme.clock.now());
      expect(await room.invoke(schedule)).toMatchObject({ ok: true });
      return images.builds.length;
    };
    acme.clock.advance(hour - (acme.clock.now() % hour) + 30 * minute);
    expect(await build()).toBe(0);
    acme.clock.advance(31 * minute);
    expect(await build()).toBe(1);
  });

  test('a missing image is built with the runner that GitHub wants here, and then kept', async () => {
    expect(await room.invoke(schedule)).toMatchObject({ ok: true });
    expect(images.endBuild()).toMatchObject({
      project: 'build-x64',
      variables: { ARCH: 'x64', RUNNER_VERSION: version, SOURCE_HASH: 'abc' },
    });
    expect(await room.invoke(schedule)).toMatchObject({ ok: true });
    expect(images.builds).toHaveLength(1);
    expect(images.tags()).toEqual([['x64', `x64-${version}`, 'x64-source-abc']]);
  });

  test('its age is a metric', async () => {
    images.put(['x64', `x64-${version}`, 'x64-source-abc'], acme.clock.now() - 5 * hour);
    await room.invoke(schedule);
    const metrics = logs.filter((line) => line.includes('ImageAgeHours')).map((line) => JSON.parse(line) as object);
    expect(metrics).toMatchObject([{ Fleet: 'ci', ImageAgeHours: expect.closeTo(5, 0) as unknown }]);
  });

  test('what could not be done fails the run, with a sentence, and tells no deployment', async () => {
    images.failNext('DescribeImages', { type: 'AccessDeniedException', message: 'may not look' });
    expect(await room.invoke(schedule)).toMatchObject({ ok: false, error: { errorMessage: 'x64: may not look' } });
    expect(cloudFormation.answers).toEqual([]);
  });

  test('a build that is due and cannot be told its runner fails the run', async () => {
    const { runnerDownloads } = usualBehaviour;
    acme.github.behave({ runnerDownloads: runnerDownloads.filter(({ architecture }) => architecture !== 'x64') });
    const run = await room.invoke(schedule);
    acme.github.behave({ runnerDownloads });
    expect(run).toMatchObject({
      ok: false,
      error: { errorMessage: 'x64: there is no image yet, but GitHub does not say which runner to build with' },
    });
  });
});

describe('a deployment', () => {
  test.each(['Create', 'Update'] as const)(
    '(%s) starts what is due, and is told once that it may go on',
    async (type) => {
      expect(await room.invoke(cloudFormation.ask(type))).toMatchObject({ ok: true });
      expect(images.running).toMatchObject([{ project: 'build-x64' }]);
      expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
    },
  );

  test.each<[string, () => void]>([
    ['ECR refuses', () => images.failNext('DescribeImages', { type: 'RepositoryNotFoundException' })],
    ['CodeBuild refuses', () => images.failNext('StartBuild', { type: 'AccessDeniedException' })],
    ['the account may run no build', () => void (images.accountLimit = 0)],
  ])('goes on though %s: the next hour tries again', async (_, arrange) => {
    arrange();
    expect(await room.invoke(cloudFormation.ask('Create'))).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
    expect(images.builds).toEqual([]);
  });

  test('is told that it may go on though ECR hangs, as long as there is time to tell', async () => {
    const { room: hasty } = rooms.start('build-image', { ...surroundings(), timeoutSeconds: 17 });
    images.service.beforeCall = async () => new Promise(() => undefined);
    const run = await hasty.invoke(cloudFormation.ask('Create'));
    images.service.beforeCall = undefined;
    await hasty.stop();
    expect(run).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
  });

  test('that deletes the fleet builds nothing, asks for nothing, and is told so', async () => {
    expect(await room.invoke(cloudFormation.ask('Delete'))).toMatchObject({ ok: true });
    expect(cloudFormation.told).toMatchObject([{ Status: 'SUCCESS' }]);
    expect([...images.service.calls]).toEqual([]);
  });
});

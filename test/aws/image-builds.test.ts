import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CodeBuildClient } from '@aws-sdk/client-codebuild';
import { imageBuilds } from '../../functions/aws/image-builds.ts';
import { clientOptions } from '../../functions/aws/requests.ts';
import { Images } from '../emulators/aws/images.ts';
import { TurnableClock } from '../emulators/clock.ts';

const variables = { ARCH: 'x64', RUNNER_VERSION: '2.336.0', SOURCE_HASH: '0' };
const clock = new TurnableClock();
let images: Images;
let client: CodeBuildClient;

beforeEach(async () => {
  images = await Images.start({ clock });
  client = new CodeBuildClient({ ...clientOptions, endpoint: images.url });
});
afterEach(async () => {
  client.destroy();
  await images.stop();
});
afterAll(() => clock.stop());

const start = async (arch: 'x64' | 'arm64' = 'x64', projects = { x64: 'build-x64', arm64: 'build-arm64' }) =>
  imageBuilds(projects, client).startBuild(arch, variables);

describe('starting a build', () => {
  test('starts the project of its architecture, and tells it what to build', async () => {
    expect(await start()).toBe('started');
    expect(images.builds).toMatchObject([{ project: 'build-x64', variables, status: 'IN_PROGRESS' }]);
  });

  test('while one of the same image runs is no error: it is busy', async () => {
    await start();
    expect(await start()).toBe('busy');
    expect(await start('arm64')).toBe('started');
    images.endBuild();
    expect(await start()).toBe('started');
  });

  test('in an account that may run none fails: no hour will make it better', async () => {
    images.accountLimit = 0;
    await expect(start()).rejects.toMatchObject({ name: 'AccountLimitExceededException' });
  });

  test('of a project that is gone, or without permission, fails', async () => {
    await expect(start('x64', { x64: 'gone', arm64: 'gone' })).rejects.toMatchObject({
      name: 'ResourceNotFoundException',
    });
    images.failNext('StartBuild', { type: 'AccessDeniedException' });
    await expect(start()).rejects.toMatchObject({ name: 'AccessDeniedException' });
    expect(images.builds).toEqual([]);
  });

  test('whose answer was lost is started once', async () => {
    images.failNext('StartBuild', { type: 'InternalFailure', status: 500, after: true });
    await start();
    expect(images.builds).toHaveLength(1);
  });
});

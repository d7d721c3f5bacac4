import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ECRClient } from '@aws-sdk/client-ecr';
import { clientOptions } from '../../functions/aws/requests.ts';
import { runnerImages } from '../../functions/aws/runner-images.ts';
import { Images } from '../emulators/aws/images.ts';
import { TurnableClock } from '../emulators/clock.ts';

const pushedAt = Date.parse('2026-11-20T09:00:00Z');
const clock = new TurnableClock();
let images: Images;
let client: ECRClient;

beforeEach(async () => {
  images = await Images.start({ clock });
  client = new ECRClient({ ...clientOptions, endpoint: images.url });
});
afterEach(async () => {
  client.destroy();
  await images.stop();
});
afterAll(() => clock.stop());

const find = async (arch: 'x64' | 'arm64', repository = 'runners') => runnerImages(repository, client).findImage(arch);

describe('the image that tasks start from', () => {
  test('is told by its tags, with the time it was pushed', async () => {
    images.put(['x64-2.336.0', 'x64-source-0123456789abcdef', 'x64'], pushedAt);
    expect(await find('x64')).toEqual({ pushedAt, version: '2.336.0', source: '0123456789abcdef' });
  });

  test('is the one that has the tag now, not one that had it', async () => {
    images.put(['x64-2.335.0', 'x64-source-0', 'x64'], pushedAt - 1000);
    images.put(['x64-2.336.0', 'x64-source-1', 'x64'], pushedAt);
    expect(await find('x64')).toEqual({ pushedAt, version: '2.336.0', source: '1' });
  });

  test('is another for each architecture', async () => {
    images.put(['arm64-2.336.0', 'arm64-source-1', 'arm64'], pushedAt);
    expect(await find('x64')).toBeUndefined();
    expect(await find('arm64')).toEqual({ pushedAt, version: '2.336.0', source: '1' });
  });

  test('is none as long as none was built, though a build may have pushed one that proved unfit', async () => {
    expect(await find('x64')).toBeUndefined();
    images.put(['x64-build-1'], pushedAt);
    expect(await find('x64')).toBeUndefined();
  });

  test('is not known to be there or not when there is no repository, or ECR does not answer', async () => {
    await expect(find('x64', 'gone')).rejects.toMatchObject({ name: 'RepositoryNotFoundException' });
    images.failNext('DescribeImages', { type: 'AccessDeniedException' });
    await expect(find('x64')).rejects.toMatchObject({ name: 'AccessDeniedException' });
  });
});

import { describe, expect, test } from '@jest/globals';
import { buildImages, type ImagePorts } from '../../functions/build-image/build-images.ts';
import type { Arch, RunnerImage } from '../../functions/contracts/with-infra/runner-image.ts';
import { fakeClock, hour } from '../fakes/clock.ts';
import { aRelease } from '../fakes/github.ts';

const releases = { x64: aRelease('x64'), arm64: aRelease('arm64'), arm: aRelease('arm') };
const clock = fakeClock();
const anImage = (parts: Partial<RunnerImage> = {}): RunnerImage => ({
  pushedAt: clock.now() - 2 * hour,
  version: releases.x64.version,
  source: 'abc',
  ...parts,
});

/** A fleet that needs images for both architectures and has them, unless told otherwise. */
function aPass({
  images = { x64: anImage(), arm64: anImage() },
  ...parts
}: Partial<ImagePorts> & { images?: object } = {}) {
  const started: Parameters<ImagePorts['startBuild']>[] = [];
  const ports: ImagePorts = {
    now: clock.now,
    architectures: ['x64', 'arm64'],
    source: 'abc',
    findImage: async (arch) => (images as Partial<Record<Arch, RunnerImage>>)[arch],
    findReleases: async () => releases,
    startBuild: async (...asked) => {
      started.push(asked);
      return 'started';
    },
    ...parts,
  };
  return { started, pass: buildImages(true, ports) };
}

describe('a pass', () => {
  test('keeps good images, and says how old they are', async () => {
    const { pass, started } = aPass();
    const kept = { kind: 'keep', note: 'the image is good: runner 2.330.0', version: '2.330.0', ageHours: 2 };
    expect(await pass).toEqual({
      verdicts: [
        { ...kept, arch: 'x64' },
        { ...kept, arch: 'arm64' },
      ],
      failures: [],
    });
    expect(started).toEqual([]);
  });

  test('starts the builds that are due, each with the runner of its architecture', async () => {
    const { pass, started } = aPass({ images: { x64: anImage({ source: 'old' }) } });
    expect((await pass).verdicts).toEqual([
      {
        kind: 'started',
        arch: 'x64',
        note: 'the files it is built from changed',
        version: '2.330.0',
        ageHours: 2,
      },
      { kind: 'started', arch: 'arm64', note: 'there is no image yet' },
    ]);
    expect(started).toEqual([
      ['x64', expect.objectContaining({ ARCH: 'x64', RUNNER_SHA256: releases.x64.sha256, SOURCE_HASH: 'abc' })],
      ['arm64', expect.objectContaining({ ARCH: 'arm64', RUNNER_SHA256: releases.arm64.sha256, SOURCE_HASH: 'abc' })],
    ]);
  });

  test('looks after those architectures alone that the fleet needs', async () => {
    const { pass, started } = aPass({ images: {}, architectures: ['arm64'] });
    expect((await pass).verdicts).toMatchObject([{ arch: 'arm64' }]);
    expect(started.map(([arch]) => arch)).toEqual(['arm64']);
  });

  test('that finds a build running says so, and is no failure', async () => {
    const { pass } = aPass({ images: {}, startBuild: async () => 'busy' });
    expect(await pass).toMatchObject({ verdicts: [{ kind: 'busy' }, { kind: 'busy' }], failures: [] });
  });

  test('that does not hear which runner GitHub wants keeps what is good, is stuck where a build is due, and fails', async () => {
    const { pass, started } = aPass({
      images: { x64: anImage() },
      findReleases: async () => Promise.reject(new Error('GitHub is down')),
    });
    expect(await pass).toMatchObject({
      verdicts: [
        { kind: 'keep', arch: 'x64' },
        {
          kind: 'stuck',
          arch: 'arm64',
          note: 'there is no image yet, but GitHub does not say which runner to build with',
        },
      ],
      failures: ['no runner release: GitHub is down'],
    });
    expect(started).toEqual([]);
  });

  test('is stuck where GitHub has no runner for an architecture', async () => {
    const { pass, started } = aPass({ images: {}, findReleases: async () => ({ x64: releases.x64 }) });
    expect((await pass).verdicts).toMatchObject([
      { kind: 'started', arch: 'x64' },
      { kind: 'stuck', arch: 'arm64' },
    ]);
    expect(started).toHaveLength(1);
  });

  test.each<[string, Partial<ImagePorts>]>([
    ['be looked at', { findImage: async (arch) => (arch === 'x64' ? Promise.reject(new Error('no ECR')) : undefined) }],
    [
      'be built',
      {
        findImage: async () => undefined,
        startBuild: async (arch) => (arch === 'x64' ? Promise.reject(new Error('no ECR')) : 'started'),
      },
    ],
  ])('goes on with the next architecture when one cannot %s, and fails with a sentence', async (_, ports) => {
    const { pass } = aPass(ports);
    expect(await pass).toMatchObject({ verdicts: [{ kind: 'started', arch: 'arm64' }], failures: ['x64: no ECR'] });
  });
});

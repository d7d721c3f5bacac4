import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decideBuild, type BuildView } from '../../functions/build-image/decide-build.ts';
import { hour, minute } from '../fakes/clock.ts';
import { aRelease } from '../fakes/github.ts';

const now = Date.parse('2026-11-21T09:00:00Z');
const release = { ...aRelease('x64'), version: '2.336.0' };
const image = { pushedAt: now - hour, version: '2.336.0', source: 'abc' };
const good: BuildView = { image, release, source: 'abc', now, mayReplace: true };

describe('an image is built', () => {
  test.each<[string, Partial<BuildView>]>([
    ['there is no image yet', { image: undefined }],
    ['the files it is built from changed', { source: 'def' }],
    ['the files it is built from changed', { image: { ...image, source: undefined } }],
    ['runner 2.335.0 is no longer the one GitHub wants: 2.336.0', { image: { ...image, version: '2.335.0' } }],
    ['runner 2.337.0 is no longer the one GitHub wants: 2.336.0', { image: { ...image, version: '2.337.0' } }],
    [
      'runner of unknown version is no longer the one GitHub wants: 2.336.0',
      { image: { ...image, version: undefined } },
    ],
    ['it is 24 hours old', { image: { ...image, pushedAt: now - 24 * hour } }],
    ['it is 100 hours old', { image: { ...image, pushedAt: now - 100.9 * hour } }],
  ])('because %s', (note, view) => {
    expect(decideBuild({ ...good, ...view })).toEqual({ kind: 'build', release, note });
  });
});

describe('an image that could be better', () => {
  const old = { ...good, source: 'def', mayReplace: false };

  test('waits for the hour, where nobody deployed it', () => {
    expect(decideBuild(old)).toEqual({
      kind: 'keep',
      note: 'the files it is built from changed: it is built at the hour',
    });
  });

  test('does not wait when there is none yet', () => {
    expect(decideBuild({ ...old, image: undefined })).toMatchObject({ kind: 'build' });
  });
});

describe('an image is kept', () => {
  test.each<[string, Partial<BuildView>]>([
    ['while nothing speaks against it', {}],
    ['to the last minute of its day', { image: { ...image, pushedAt: now - 24 * hour + minute } }],
    ['when the clocks of AWS and the function differ', { image: { ...image, pushedAt: now + minute } }],
    ['when GitHub does not say which runner it wants', { release: undefined }],
  ])('%s', (_, view) => {
    expect(decideBuild({ ...good, ...view })).toEqual({
      kind: 'keep',
      note: 'the image is good: runner 2.336.0',
    });
  });
});

test('an image of unknown version is kept with those words while GitHub says nothing', () => {
  const view = { ...good, image: { ...image, version: undefined }, release: undefined };
  expect(decideBuild(view)).toEqual({ kind: 'keep', note: 'the image is good: runner of unknown version' });
});

describe('a build is stuck', () => {
  test.each<[string, Partial<BuildView>]>([
    ['there is no image yet', { image: undefined }],
    ['the files it is built from changed', { source: 'def' }],
    ['it is 24 hours old', { image: { ...image, pushedAt: now - 24 * hour } }],
  ])('when %s, and GitHub does not say which runner to build with', (note, view) => {
    expect(decideBuild({ ...good, ...view, release: undefined })).toEqual({
      kind: 'stuck',
      note: `${note}, but GitHub does not say which runner to build with`,
    });
  });
});

test('what was just built as it should be is kept: no build follows from a build', () => {
  const version = fc.constantFrom('2.335.0', '2.336.0', '2.337.0');
  const source = fc.constantFrom('abc', 'def');
  const age = fc.integer({ min: -60, max: 200 }).map((hours) => now - hours * hour);
  const anImage = fc.record({ pushedAt: age, version: fc.option(version, { nil: undefined }), source });
  fc.assert(
    fc.property(
      fc.option(anImage, { nil: undefined }),
      version.map((one) => ({ ...release, version: one })),
      source,
      (before, wanted, files) => {
        const decision = decideBuild({ image: before, release: wanted, source: files, now, mayReplace: true });
        expect(decision.kind).not.toBe('stuck');
        const built = { pushedAt: now, version: wanted.version, source: files };
        const left = decision.kind === 'build' ? built : before;
        expect(decideBuild({ image: left, release: wanted, source: files, now, mayReplace: true })).toMatchObject({
          kind: 'keep',
        });
      },
    ),
  );
});

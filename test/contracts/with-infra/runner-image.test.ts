import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { buildVariables, describeImage, imageTag } from '../../../functions/contracts/with-infra/runner-image.ts';

const release = {
  version: '2.336.0',
  url: 'https://github.com/actions/runner/releases/download/v2.336.0/actions-runner-linux-x64-2.336.0.tar.gz',
  sha256: 'a'.repeat(64),
};
const arches = ['x64', 'arm64'] as const;
const script = readFileSync(new URL('../../../runner-image/build-image.sh', import.meta.url), 'utf8');
/** What CodeBuild's own project tells every build; see infra/runner-image.ts. */
const toldByTheProject = ['REPOSITORY_URI', 'SUDO', 'BUILD_TOOLS'];

/** The tags that the script moves to an image that it was told to build so, the last one last. */
function tagsOf(variables: Readonly<Record<string, string>>): string[] {
  const [, list = ''] = /^for tag in (.+); do$/m.exec(script) ?? [];
  return [...list.matchAll(/"(.+?)"/g)].map(([, template = '']) =>
    template.replaceAll(/\$([A-Z_]+)/g, (_, name: string) => variables[name] ?? '?'),
  );
}

describe('a build', () => {
  test('is told every variable that build-image.sh demands, and none that it does not read', () => {
    const demanded = [...script.matchAll(/^ +must ([A-Z0-9_]+) /gm)].map(([, name = '']) => name);
    const told = Object.keys(buildVariables({ arch: 'x64', release, source: '0' }));
    expect(demanded.length).toBeGreaterThan(0);
    expect([...told, ...toldByTheProject].toSorted()).toEqual(demanded.toSorted());
  });

  test('is told which runner to take, and where from', () => {
    expect(buildVariables({ arch: 'arm64', release, source: '0123456789abcdef' })).toEqual({
      ARCH: 'arm64',
      RUNNER_VERSION: '2.336.0',
      RUNNER_URL: release.url,
      RUNNER_SHA256: release.sha256,
      SOURCE_HASH: '0123456789abcdef',
    });
  });

  test.each(arches)('for %s leaves tags by which its image is known, the one that tasks name last', (arch) => {
    const tags = tagsOf(buildVariables({ arch, release, source: '0123456789abcdef' }));
    expect(tags.at(-1)).toBe(imageTag(arch));
    expect(describeImage(arch, tags, 5)).toEqual({ pushedAt: 5, version: '2.336.0', source: '0123456789abcdef' });
  });
});

describe('an image', () => {
  test.each([
    ['with all its tags', ['x64', 'x64-2.336.0', 'x64-source-abc'], '2.336.0', 'abc'],
    ['in any order', ['x64-source-abc', 'x64-2.336.0', 'x64'], '2.336.0', 'abc'],
    ['whose version has moved on', ['x64', 'x64-source-abc'], undefined, 'abc'],
    ['whose source has moved on', ['x64', 'x64-2.336.0'], '2.336.0', undefined],
    ['that somebody pushed by hand', ['x64'], undefined, undefined],
    ['that is being built as well', ['x64-build-12', 'x64', 'x64-2.336.0', 'x64-source-a'], '2.336.0', 'a'],
    ['of a release that is none of the runner', ['x64-2.336', 'x64-2.336.0-rc1', 'x64'], undefined, undefined],
    ['with tags of somebody else', ['abc-1.2.3', 'v64-1.2.3', 'x64'], undefined, undefined],
    ['without a tag', [], undefined, undefined],
    ['of the other architecture', ['arm64', 'arm64-2.336.0', 'arm64-source-abc'], undefined, undefined],
  ])('%s tells what it can', (_, tags, version, source) => {
    expect(describeImage('x64', tags, 5)).toEqual({ pushedAt: 5, version, source });
  });

  test('tells the same whatever the order of its tags, and whatever a source is called', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...arches),
        fc.stringMatching(/^\d{1,3}\.\d{1,3}\.\d{1,3}$/),
        fc.stringMatching(/^[A-Za-z0-9._-]{1,100}$/),
        fc.array(fc.double({ noNaN: true }), { minLength: 3, maxLength: 3 }),
        (arch, version, source, order) => {
          const tags = tagsOf(buildVariables({ arch, release: { ...release, version }, source }));
          const shuffled = tags.toSorted((a, b) => (order[tags.indexOf(a)] ?? 0) - (order[tags.indexOf(b)] ?? 0));
          expect(describeImage(arch, shuffled, 0)).toEqual({ pushedAt: 0, version, source });
        },
      ),
    );
  });
});

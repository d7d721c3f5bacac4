import { describe, expect, test } from '@jest/globals';
import { findReleases, type ReleasePorts } from '../../functions/build-image/find-releases.ts';
import { MissingSecretError } from '../../functions/contracts/with-github/errors.ts';
import { aGitHubError, aRelease } from '../fakes/github.ts';

const releasesOf = (version: string) => ({ x64: { ...aRelease('x64'), version } });
const publicOnes = releasesOf('2.337.0');

/** What the owners answer, in turn, and who was asked. */
function find(answers: Readonly<Record<string, ReturnType<typeof releasesOf> | object | Error>>) {
  const asked: string[] = [];
  const ports: ReleasePorts = {
    owners: Object.keys(answers),
    listReleases: async (scope) => {
      asked.push(scope);
      const answer = answers[scope];
      if (answer instanceof Error) throw answer;
      return answer as ReturnType<typeof releasesOf>;
    },
    findPublicReleases: async () => {
      asked.push('the public');
      return publicOnes;
    },
  };
  return { asked, found: findReleases(ports) };
}

describe('the runner to build with', () => {
  test('is the one that GitHub wants where the runners work, and nobody else is asked', async () => {
    const { found, asked } = find({ acme: releasesOf('2.330.0'), globex: releasesOf('2.331.0') });
    expect(await found).toEqual(releasesOf('2.330.0'));
    expect(asked).toEqual(['acme']);
  });

  test.each([
    ['is a personal account, which has no such list', aGitHubError('refused', { status: 404 })],
    ['has not installed the App', aGitHubError('not-installed')],
    ['has no release for Linux', {}],
  ])('is that of the next owner when the first %s', async (_, answer) => {
    const { found, asked } = find({ octo: answer, acme: releasesOf('2.330.0') });
    expect(await found).toEqual(releasesOf('2.330.0'));
    expect(asked).toEqual(['octo', 'acme']);
  });

  test('is the newest public one before the App is there', async () => {
    const { found, asked } = find({ acme: new MissingSecretError('there is no App key'), globex: {} });
    expect(await found).toEqual(publicOnes);
    expect(asked).toEqual(['acme', 'globex', 'the public']);
  });

  test.each([
    ['the App key cannot be read', new MissingSecretError('the parameter /app-key must hold an RSA private key')],
    ['the certificate of GitHub is not trusted', aGitHubError('refused')],
  ])('is the newest public one when %s: waiting would not help', async (_, failure) => {
    expect(await find({ acme: failure }).found).toEqual(publicOnes);
  });

  test.each([
    ['GitHub is down', aGitHubError('unavailable')],
    ['its rate limit is used up', aGitHubError('rate-limited')],
    ['AWS does not tell the App key', new Error('socket hang up')],
  ])(
    'is not taken from anybody else while %s: it would be another, and back again an hour later',
    async (_, failure) => {
      const { found, asked } = find({ acme: failure, globex: releasesOf('2.331.0') });
      await expect(found).rejects.toBe(failure);
      expect(asked).toEqual(['acme']);
    },
  );

  test('is not known when the public one cannot be asked for either', async () => {
    const ports: ReleasePorts = {
      owners: ['acme'],
      listReleases: async () => Promise.reject(aGitHubError('not-installed')),
      findPublicReleases: async () => Promise.reject(aGitHubError('unavailable')),
    };
    await expect(findReleases(ports)).rejects.toThrow('unavailable');
  });
});

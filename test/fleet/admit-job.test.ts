import { describe, expect, test } from '@jest/globals';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { admitJob } from '../../functions/fleet/admit-job.ts';
import { aJob, aProfile, type JobParts } from '../fakes/builders.ts';

const small = aProfile({ name: 'small', labels: ['small'] });
const gpu = aProfile({ name: 'gpu', labels: ['gpu', 'small'] });
const arm = aProfile({ name: 'arm', labels: ['small'], arch: 'arm64' });
const any = aProfile({ name: 'any', labels: ['any'], catchAll: true });

/** @returns the profile's name, or why there is none */
function admit(job: JobParts, profiles: readonly Profile[], owners: readonly string[] = ['acme']): string {
  const admission = admitJob(aJob(job), { owners, profiles });
  return admission.kind === 'admitted' ? admission.profile.name : admission.note;
}

describe('a job', () => {
  test.each<[string, readonly string[], string]>([
    ['by a label', ['small'], 'small'],
    ['whatever the case', ['Self-Hosted', 'LINUX', 'X64', 'Small'], 'small'],
    ['by several labels', ['gpu', 'small'], 'gpu'],
    ['by the one label only the larger has', ['gpu'], 'gpu'],
    ['by the closest fit, though another was written first', ['small'], 'small'],
    ['by its architecture', ['small', 'arm64'], 'arm'],
    ['by its architecture, in whatever case', ['ARM64', 'small'], 'arm'],
    ['with a label told twice', ['small', 'SMALL'], 'small'],
  ])('is served %s', (_, labels, profile) => {
    expect(admit({ labels: [...labels] }, [gpu, small, arm])).toBe(profile);
  });

  test.each<[string, readonly string[]]>([
    ['of a label nobody has', ['large']],
    ['of a label beyond the profile', ['small', 'large']],
    ['of labels that no one profile has together', ['gpu', 'arm64']],
    ['of another operating system', ['small', 'windows']],
    ['of another operating system alone', ['macos']],
    ['of a GitHub-hosted runner', ['ubuntu-latest']],
    ['of no label', []],
    ['of any self-hosted runner', ['self-hosted']],
    ['of implied labels alone', ['self-hosted', 'linux', 'x64']],
  ])('is not ours when it asks for a runner %s', (_, labels) => {
    expect(admit({ labels: [...labels] }, [gpu, small, arm])).toBe(
      `no profile has the labels ${JSON.stringify(labels)}`,
    );
  });

  test('that asks for too much is not ours in few words', () => {
    const labels = Array.from({ length: 5000 }, (_, index) => `${index}${'x'.repeat(500)}`);
    const note = admit({ labels }, [small]);
    expect(note).toMatch(/^no profile has the labels \["0x+",.*"19x+"\] and 4980 more$/);
    expect(note.length).toBeLessThan(20 * 104 + 60);
  });

  test.each([[[]], [['self-hosted']], [['linux']], [['self-hosted', 'Linux', 'X64']], [['any']]])(
    'of the labels %j is served by a profile that catches all',
    (labels) => {
      expect(admit({ labels }, [small, any])).toBe('any');
    },
  );

  test.each([[['arm64']], [['windows']], [['self-hosted', 'macos']], [['small', 'gpu']]])(
    'of the labels %j is not served by a profile that catches all, for it lacks them',
    (labels) => {
      expect(admit({ labels }, [any])).toMatch(/^no profile has the labels/);
    },
  );

  test('of two profiles that fit as well gets the one written first', () => {
    const [first, second] = [aProfile({ name: 'first' }), aProfile({ name: 'second' })];
    expect(admit({}, [first, second])).toBe('first');
    expect(admit({}, [second, first])).toBe('second');
  });

  test.each(['acme/web', 'Acme/Web', 'ACME/x'])('of an owner in the list is ours: %s', (fullName) => {
    expect(admit({ labels: ['small'], repository: { fullName } }, [small])).toBe('small');
  });

  test('of another owner starts nothing', () => {
    expect(admit({ labels: ['small'], repository: { fullName: 'evil/acme' } }, [small])).toBe(
      "owner evil is not one of this fleet's",
    );
  });

  test('of a public repository is refused unless the profile says otherwise', () => {
    const job = { labels: ['small'], repository: { private: false } };
    expect(admit(job, [small])).toBe('acme/web is public and profile small refuses that');
    expect(admit(job, [{ ...small, publicRepositories: true }])).toBe('small');
    expect(admit(job, [small, { ...gpu, publicRepositories: true }])).toBe('gpu');
  });
});

describe('the repositories of a profile', () => {
  const served = (fullName: string, allow: string[], deny: string[] = []): boolean =>
    admit({ labels: ['small'], repository: { fullName } }, [{ ...small, repositories: { allow, deny } }]) === 'small';

  test.each([
    ['acme/web', [], true],
    ['acme/web', ['acme/web'], true],
    ['acme/web', ['acme/*'], true],
    ['acme/web', ['*/web'], true],
    ['acme/web-api', ['acme/web-*'], true],
    ['Acme/Web', ['aCME/wEB'], true],
    ['acme/web', ['acme/api'], false],
    ['acme/web2', ['acme/web'], false],
    ['acme/my-web', ['acme/web'], false],
    ['acme/web', ['*'], false],
    ['acme/.github', ['acme/.github'], true],
    ['acme/.github', ['acme/*'], true],
  ])('admit %s when they allow %j: %s', (fullName, allow, isServed) => {
    expect(served(fullName, allow)).toBe(isServed);
  });

  test.each([
    ['acme/web', [], ['acme/web'], false],
    ['acme/web', [], ['acme/*'], false],
    ['Acme/Web', [], ['ACME/WEB'], false],
    ['acme/web', ['acme/web'], ['acme/*'], false],
    ['acme/web', ['acme/*'], ['acme/api'], true],
    ['acme/.github', [], ['acme/*'], false],
    ['acme/.github-private', [], ['*/*'], false],
  ])('admit %s when they allow %j and deny %j: %s', (fullName, allow, deny, isServed) => {
    expect(served(fullName, allow, deny)).toBe(isServed);
  });

  test('say who does not allow it, and leave the job to another profile that does', () => {
    const closed = { ...small, repositories: { allow: ['acme/api'], deny: [] } };
    expect(admit({ labels: ['small'] }, [closed])).toBe('profile small does not allow acme/web');
    expect(admit({ labels: ['small'] }, [closed, gpu])).toBe('gpu');
  });
});

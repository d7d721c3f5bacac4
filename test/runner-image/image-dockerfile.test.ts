import { describe, expect, test } from '@jest/globals';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const source = join(import.meta.dirname, '../../runner-image');
const text = (name: string) => readFileSync(join(source, name), 'utf8');

/** Every instruction on one line, without comments. */
const instructions = text('Dockerfile')
  .replaceAll(/^\s*#.*\n/gm, '')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter((line) => line !== '');
const of = (name: string) => instructions.filter((line) => line.startsWith(`${name} `));

describe('the Dockerfile', () => {
  test('needs nothing from Docker Hub, which counts who asks', () => {
    expect(of('FROM')).toEqual([
      'FROM ${BASE_IMAGE} AS base',
      'FROM base AS download',
      'FROM base AS tools',
      'FROM base',
    ]);
    expect(of('ARG')[0]).toMatch(/^ARG BASE_IMAGE=public\.ecr\.aws\//);
    expect(text('Dockerfile')).not.toMatch(/^# *syntax=/im);
  });

  test('unpacks the runner after its checksum', () => {
    const [download = ''] = of('RUN').filter((line) => line.includes('RUNNER_URL'));
    expect(download).toMatch(
      /^RUN curl --fail .*&& echo "\$\{RUNNER_SHA256\} {2}.*sha256sum --check --strict && .*tar /,
    );
  });

  test('takes the arguments that build-image.sh gives', () => {
    const given = [...text('build-image.sh').matchAll(/--build-arg "(\w+)=/g)].map(([, name = '']) => `ARG ${name}`);
    expect(given).toHaveLength(3);
    expect(of('ARG')).toEqual(expect.arrayContaining(given));
  });

  test('copies what the build is given', () => {
    const copied = of('COPY').filter((line) => !line.includes('--from='));
    expect(copied).toEqual(['COPY --chmod=755 start-runner.sh /usr/local/bin/start-runner.sh']);
    expect(existsSync(join(source, 'start-runner.sh'))).toBe(true);
    expect(text('.dockerignore').trim().split('\n')).toEqual(['*', '!start-runner.sh']);
  });

  test('has the user and the home that start-runner.sh expects', () => {
    const [, uid] = /RUNNER_UID\]-(\d+)/.exec(text('start-runner.sh')) ?? [];
    const [, home] = /RUNNER_HOME\]-([^}]+)/.exec(text('start-runner.sh')) ?? [];
    expect(of('RUN')[0]).toContain(`useradd --uid ${uid} `);
    expect(of('COPY')).toContain(`COPY --from=download --chown=${uid}:${uid} /runner ${home}`);
  });

  test('starts start-runner.sh as root and without a shell, which would keep a SIGTERM for itself', () => {
    expect(of('ENTRYPOINT')).toEqual(['ENTRYPOINT ["/usr/local/bin/start-runner.sh"]']);
    expect([...of('USER'), ...of('CMD'), ...of('HEALTHCHECK')]).toEqual([]);
  });
});

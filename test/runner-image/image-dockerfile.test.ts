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

  test('downloads nothing but by fetch-release.sh, which checks it', () => {
    expect(of('ADD')).toEqual([]);
    expect(instructions.filter((line) => /\b(curl|wget) -/.test(line))).toEqual([]);
    const downloads = of('RUN').filter((line) => line.includes('fetch-release.sh'));
    expect(downloads.map((line) => /fetch-release\.sh (\S+) .*&& (?:tar|mkdir.*tar|unzip) /.exec(line)?.[1])).toEqual([
      'actions/runner',
      'actions/runner-container-hooks',
    ]);
  });

  test('takes the arguments that build-image.sh gives', () => {
    const given = [...text('build-image.sh').matchAll(/--build-arg "(\w+)=/g)].map(([, name = '']) => name);
    const taken = of('ARG').map((line) => /^ARG (\w+)/.exec(line)?.[1]);
    expect(given).toHaveLength(7);
    expect(taken).toEqual(expect.arrayContaining(given));
  });

  test('copies what the build is given', () => {
    const copied = of('COPY').filter((line) => !line.includes('--from='));
    const files = copied.map((line) => line.split(' ').at(-2) ?? '');
    expect(files).toEqual(['fetch-release.sh', 'hooks/run-drop-ins.sh', 'hooks/run-drop-ins.sh', 'start-runner.sh']);
    for (const file of files) expect(existsSync(join(source, file))).toBe(true);
    const given = text('.dockerignore').trim().split('\n');
    expect(given).toEqual(['*', '!start-runner.sh', '!fetch-release.sh', '!hooks']);
  });

  test('gives both hooks to the runner, under the names it takes', () => {
    const [environment = ''] = of('ENV');
    for (const [variable, file] of [
      ['ACTIONS_RUNNER_HOOK_JOB_STARTED', '/opt/runner-hooks/job-started.sh'],
      ['ACTIONS_RUNNER_HOOK_JOB_COMPLETED', '/opt/runner-hooks/job-completed.sh'],
    ]) {
      expect(environment).toContain(`${variable}=${file}`);
      expect(of('COPY').some((line) => line.endsWith(` ${file}`))).toBe(true);
    }
  });

  test('says what it is by OCI labels', () => {
    const [labels = ''] = of('LABEL');
    expect(labels).toContain('org.opencontainers.image.version="${RUNNER_VERSION}"');
    expect(labels).toContain('org.opencontainers.image.created="${BUILD_DATE}"');
    expect(labels).toContain('org.opencontainers.image.revision="${REVISION}"');
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

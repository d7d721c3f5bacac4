import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { calledPrograms } from '../../cli/image-check/decide-fitness.ts';
import { readStartScript } from '../../cli/image-check/start-script.ts';
import { codeSpans, tableRows } from './markdown-tables.ts';

const page = 'runner-image.md';
const source = join(import.meta.dirname, '../../runner-image');
const text = readFileSync(join(import.meta.dirname, '../../docs', page), 'utf8');

/** The examples of a language, in the order of the page. */
function examples(language: string): string[] {
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, of]) => of === language)
    .map(([, , example = '']) => example);
}

describe('the page on the runner image', () => {
  test('names each argument of the Dockerfile with its default', () => {
    const dockerfile = readFileSync(join(source, 'Dockerfile'), 'utf8');
    const declared = [...dockerfile.matchAll(/^ARG (\w+)(?:=(\S+))?$/gm)].map(([, name, value = 'none']) => [
      name,
      value,
    ]);
    const written = tableRows(page, 'Build arguments').map((row) => [
      codeSpans(row['argument'] ?? '')[0],
      codeSpans(row['default'] ?? '')[0] ?? row['default'],
    ]);
    expect(written.map(String).toSorted()).toEqual([...new Set(declared.map(String))].toSorted());
  });

  test('names the variables that reach a job, no more and no fewer', () => {
    const written = tableRows(page, 'What a job finds in its environment').flatMap((row) =>
      codeSpans(row['variables'] ?? ''),
    );
    expect(written.toSorted()).toEqual(readStartScript().jobVariables.toSorted());
  });

  test('names the programs that are called', () => {
    const contract = tableRows(page, 'An image of your own').flatMap((row) => codeSpans(row['what'] ?? ''));
    expect(contract).toEqual(expect.arrayContaining(Object.values(calledPrograms).join(' ').split(' ')));
  });

  test('agrees with the smoke test of our own image on what start-runner.sh calls', () => {
    const smokeTest = readFileSync(join(source, 'smoke-test.sh'), 'utf8');
    const [, tried = ''] = /find its commands' \\\n {2}has_commands (.+)/.exec(smokeTest) ?? [];
    expect(tried).toBe(calledPrograms['start-runner.sh']);
  });

  test('copies what the build of an image may copy', () => {
    const [ours = '', theirs = ''] = examples('dockerfile');
    const copied = [...theirs.matchAll(/^COPY --chmod=755 (\S+) /gm)].map(([, path = '']) => path);
    expect(copied).toHaveLength(3);
    const context = readFileSync(join(source, '.dockerignore'), 'utf8').split('\n');
    for (const path of copied) {
      expect(existsSync(join(source, path))).toBe(true);
      expect(context).toContain(`!${path.split('/')[0]}`);
    }
    expect(ours).toMatch(/^FROM runner-image$/m);
  });

  test.each([
    ['acme/app', 0, 'drop-in 10-refuse\n'],
    ['evil/app', 1, 'drop-in 10-refuse\n::error::jobs of evil/app do not run here\n'],
  ])('shows a drop-in that judges %s', (repository, code, said) => {
    const directory = mkdtempSync(join(tmpdir(), 'drop-in-'));
    try {
      const hook = join(directory, 'job-started.sh');
      cpSync(join(source, 'hooks/run-drop-ins.sh'), hook);
      mkdirSync(join(directory, 'job-started.d'));
      writeFileSync(join(directory, 'job-started.d/10-refuse'), examples('bash')[0] ?? '', { mode: 0o755 });
      const ended = spawnSync('bash', ['-e', hook], {
        encoding: 'utf8',
        env: { ...process.env, GITHUB_REPOSITORY: repository },
      });
      expect(ended).toMatchObject({ status: code, stdout: expect.stringMatching(new RegExp(`^${said}`)) });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

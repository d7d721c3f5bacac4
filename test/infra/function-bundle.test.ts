import { spawnSync } from 'node:child_process';
import { hash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { encodeNames } from '../../functions/contracts/with-infra/settings.ts';
import fleet from '../../infra/config.ts';
import { bundleFunctions, functionNames } from '../../infra/function-bundle.ts';

const names = encodeNames({
  fleetId: '123456789012/us-east-1/github-runners-ci',
  tables: { ledger: 'ledger', claims: 'claims' },
  queues: { jobs: 'https://queue/jobs', events: 'https://queue/events' },
  tasks: {
    cluster: 'runners',
    revisions: { small: '1', large: '1' },
    subnets: ['subnet-1'],
    securityGroups: ['sg-1'],
    assignPublicIp: 'ENABLED',
  },
  parameters: { appId: '/app-id', appKey: '/app-key', webhookSecret: '/webhook-secret' },
  images: { repository: 'runners', source: '0', projects: { x64: 'build-x64' } },
});

function hashesOf(place: string): string[] {
  return functionNames.map((name) => hash('sha256', readFileSync(join(place, name, 'index.js'))));
}

describe('a bundle', () => {
  let directory: string;
  let directories: ReturnType<typeof bundleFunctions>;

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'bundles-'));
    directories = bundleFunctions(fleet.choices, directory);
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test.each(functionNames)('of %s is one file that needs nothing beside it but what the stack tells', (name) => {
    const file = join(directories[name], 'index.js');
    // As Lambda starts it: no node_modules in reach, no variable but ours and the runtime's.
    const { stdout, stderr } = spawnSync(process.execPath, ['-p', 'typeof require(process.argv[1]).handler', file], {
      cwd: directory,
      encoding: 'utf8',
      env: { ...names, AWS_REGION: 'us-east-1' },
    });
    expect({ handler: stdout.trim(), stderr }).toEqual({ handler: 'function', stderr: '' });
  });

  test.each(functionNames)('of %s is small, as loading it is most of a cold start', (name) => {
    const file = join(directories[name], 'index.js');
    expect(statSync(file).size).toBeLessThan(1_000_000);
    expect(existsSync(`${file}.map`)).toBe(false);
  });

  test('is the same every time, so that a second deployment changes nothing', () => {
    const again = mkdtempSync(join(tmpdir(), 'bundles-'));
    bundleFunctions(fleet.choices, again);
    expect(hashesOf(again)).toEqual(hashesOf(directory));
    rmSync(again, { recursive: true, force: true });
  });
});

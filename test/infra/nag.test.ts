import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { App } from 'aws-cdk-lib/core';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { defineFleet } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { inEachFunction } from '../../infra/function-bundle.ts';
import { acknowledged, type Acknowledgement } from './nag-acknowledged.ts';

const { context } = JSON.parse(readFileSync('cdk.json', 'utf8')) as { context: Record<string, unknown> };

type Finding = { readonly rule: string; readonly path: string };

let code: string;
let findings: readonly Finding[];
beforeAll(() => {
  code = mkdtempSync(join(tmpdir(), 'stub-bundle-'));
  writeFileSync(join(code, 'index.js'), 'exports.handler = async () => {};');
  const fleet = defineFleet({
    name: 'ci',
    github: { owners: ['acme'] },
    profiles: { small: { labels: ['fargate-small'] }, large: { labels: ['fargate-large'], arch: 'arm64' } },
  });
  const app = new App({ context, builtinCloudFormationValidation: false });
  const stack = new FleetStack(app, 'fleet', { fleet, bundles: inEachFunction(() => code) });
  findings = [new AwsSolutionsChecks(app), new ServerlessChecks(app)].flatMap((pack) =>
    pack.validateScope(stack).violations.flatMap(({ ruleName, violatingResources }) =>
      violatingResources.map(({ constructPath = '' }) => ({
        rule: ruleName,
        path: constructPath.replace(/^fleet\//, '').replace(/\/Resource$/, ''),
      })),
    ),
  );
});
afterAll(() => {
  rmSync(code, { recursive: true, force: true });
  CloudAssembly.cleanupTemporaryDirectories();
});

describe('cdk-nag', () => {
  test('finds nothing that is not left so for a written reason', () => {
    const open = findings.filter((finding) => !acknowledged.some((one) => covers(one, finding)));
    expect(open.map(({ rule, path }) => `${rule} at ${path}`)).toEqual([]);
  });

  test('finds still what is left so', () => {
    const each = acknowledged.flatMap((one) => one.at.map((path) => ({ ...one, at: [path] })));
    expect(each.filter((one) => !findings.some((finding) => covers(one, finding)))).toEqual([]);
  });

  test('looks: the rules it is asked for exist and apply', () => {
    expect(findings.length).toBeGreaterThan(10);
  });
});

function covers({ rule, at }: Acknowledgement, finding: Finding): boolean {
  return matches(rule, finding.rule) && at.some((path) => matches(path, finding.path));
}

/** `*` stands for any text. */
function matches(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern.replaceAll(/[^\w*]/g, '\\$&').replaceAll('*', '.*')}$`).test(text);
}

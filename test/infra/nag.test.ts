import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { defineFleet } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { acknowledged, type Acknowledgement } from './nag-acknowledged.ts';
import { newApp, stubBundles } from './new-app.ts';

type Finding = { readonly rule: string; readonly path: string };

let stub: ReturnType<typeof stubBundles>;
let findings: readonly Finding[];
beforeAll(() => {
  stub = stubBundles();
  const fleet = defineFleet({
    name: 'ci',
    github: { owners: ['acme'] },
    profiles: {
      small: { labels: ['fargate-small'] },
      large: { labels: ['fargate-large'], arch: 'arm64' },
      docker: { labels: ['docker'], docker: true },
    },
  });
  const app = newApp();
  const stack = new FleetStack(app, 'fleet', { fleet: { ...fleet, warnings: [] }, bundles: stub.bundles });
  findings = [new AwsSolutionsChecks(app), new ServerlessChecks(app)].flatMap((pack) =>
    pack.validateScope(stack).violations.flatMap(({ ruleName, violatingResources }) =>
      violatingResources.map(({ constructPath = '' }) => ({
        rule: ruleName,
        path: constructPath.replace(/^fleet\//, '').replace(/\/Resource$/, ''),
      })),
    ),
  );
});
afterAll(() => stub.remove());

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

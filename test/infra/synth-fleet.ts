import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { App } from 'aws-cdk-lib/core';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { defineFleet } from '../../infra/define-fleet.ts';
import type { FleetConfig } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { inEachFunction } from '../../infra/function-bundle.ts';

const { context } = JSON.parse(readFileSync('cdk.json', 'utf8')) as { context: Record<string, unknown> };
const config: FleetConfig = {
  name: 'ci',
  github: { owners: ['acme'] },
  profiles: { small: { labels: ['fargate-small'] }, large: { labels: ['fargate-large'] } },
};

/** The template of a fleet of two profiles, `small` and `large`, with functions that do nothing. */
export function synthFleet(changed: Partial<FleetConfig> = {}): Template {
  const code = mkdtempSync(join(tmpdir(), 'stub-bundle-'));
  writeFileSync(join(code, 'index.js'), 'exports.handler = async () => {};');
  const bundles = inEachFunction(() => code);
  const app = new App({ context, builtinCloudFormationValidation: false });
  const fleet = defineFleet({ ...config, ...changed });
  try {
    return Template.fromStack(new FleetStack(app, 'github-runners-ci', { fleet, bundles }));
  } finally {
    rmSync(code, { recursive: true, force: true });
    CloudAssembly.cleanupTemporaryDirectories();
  }
}

export type AlarmProperties = {
  readonly AlarmName: string;
  readonly AlarmDescription: string;
  readonly AlarmActions?: readonly unknown[];
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions?: readonly { readonly Name: string; readonly Value: unknown }[];
  readonly Statistic?: string;
  readonly Period: number;
  readonly Threshold: number;
  readonly ComparisonOperator: string;
  readonly EvaluationPeriods: number;
  readonly DatapointsToAlarm?: number;
  readonly TreatMissingData?: string;
};

/** By name, without the name of the stack. */
export function alarmsOf(template: Template): ReadonlyMap<string, AlarmProperties> {
  const found = Object.values(template.findResources('AWS::CloudWatch::Alarm')) as { Properties: AlarmProperties }[];
  return new Map(found.map(({ Properties }) => [Properties.AlarmName.replace(/^github-runners-ci-/, ''), Properties]));
}

import { Template } from 'aws-cdk-lib/assertions';
import { defineFleet } from '../../infra/define-fleet.ts';
import type { FleetConfig } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { newApp, stubBundles } from './new-app.ts';

const config: FleetConfig = {
  name: 'ci',
  github: { owners: ['acme'] },
  profiles: { small: { labels: ['fargate-small'] }, large: { labels: ['fargate-large'] } },
};

/** The template of a fleet of two profiles, `small` and `large`, with functions that do nothing. */
export function synthFleet(changed: Partial<FleetConfig> = {}): Template {
  const { bundles, remove } = stubBundles();
  // CDK prints warnings; that they get to it is another test's business.
  const fleet = { ...defineFleet({ ...config, ...changed }), warnings: [] };
  try {
    return Template.fromStack(new FleetStack(newApp(), 'github-runners-ci', { fleet, bundles }));
  } finally {
    remove();
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

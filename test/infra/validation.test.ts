import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { App } from 'aws-cdk-lib/core';
import fleet from '../../infra/config.ts';
import { defineFleet, type Fleet } from '../../infra/define-fleet.ts';
import { FleetStack } from '../../infra/fleet-stack.ts';
import { newApp, stubBundles } from './new-app.ts';

const github = { owners: ['acme'] };

const fleets: readonly [string, Fleet][] = [
  ['that is shipped', fleet],
  [
    'with everything',
    defineFleet({
      name: 'all',
      github,
      profiles: {
        small: { labels: ['small'], cpu: 0.25, memoryGiB: 0.5, capacity: 'spot' },
        large: {
          labels: ['large'],
          arch: 'arm64',
          cpu: 16,
          memoryGiB: 120,
          diskGiB: 200,
          environment: { CACHE: 'on' },
        },
        own: { labels: ['own'], image: 'ghcr.io/acme/runner:1', taskRole: 'arn:aws:iam::123456789012:role/deployer' },
        docker: {
          labels: ['docker'],
          docker: true,
          cpu: 96,
          memoryGiB: 672,
          diskGiB: 1000,
          capacity: 'spot-preferred',
        },
        builds: { labels: ['builds'], docker: true, arch: 'arm64' },
      },
      docker: { network: { natGateways: 2, endpoints: true }, image: 'ghcr.io/acme/dind:1' },
      runnerImage: { sudo: false, buildTools: true },
      network: { kind: 'private', natGateways: 2, endpoints: true },
      logRetentionDays: 365,
      alarmTopic: 'arn:aws:sns:eu-central-1:111122223333:ops',
      pointInTimeRecovery: true,
      keepOnDestroy: ['ledger', 'logs', 'images'],
      parametersKey: 'arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-0000-0000-000000000000',
    }),
  ],
];

describe("the template, by CDK's rules for CloudFormation", () => {
  let stub: ReturnType<typeof stubBundles>;
  beforeEach(() => {
    stub = stubBundles();
  });
  afterEach(() => stub.remove());

  function findings(one: Fleet): unknown[] {
    const app = newApp({ builtinCloudFormationValidation: true });
    // Warnings for the operator come in the same report.
    const quiet = { ...one, warnings: [] };
    const { node } = new FleetStack(app, 'github-runners', { fleet: quiet, bundles: stub.bundles });
    const { directory } = (node.root as App).synth();
    const report = readFileSync(join(directory, 'validation-report.json'), 'utf8');
    return (JSON.parse(report) as { pluginReports: unknown[] }).pluginReports;
  }

  test.each(fleets)('of the fleet %s is without fault', (_, one) => {
    expect(findings(one)).toEqual([]);
  });

  test('would not be with a size that Fargate does not have', () => {
    const profiles = fleet.choices.profiles.map((profile) => ({ ...profile, memoryGiB: 1000 }));
    expect(() => findings({ ...fleet, choices: { ...fleet.choices, profiles } })).toThrow(/[Vv]alidation/);
  });
});

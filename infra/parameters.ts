import { Arn, ArnFormat, Stack } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import type { Settings } from '../functions/contracts/with-infra/settings.ts';

type ParametersProps = {
  readonly fleet: string;
  /** The ARN of a customer managed key. @default the account's `alias/aws/ssm`, which needs no permission */
  readonly key: string | undefined;
};

/**
 * The names of the fleet's secrets. CloudFormation cannot make a SecureString, and a stack that never sees a secret cannot show it:
 * whoever sets the fleet up writes them.
 */
export class Parameters extends Construct {
  readonly names: Settings['parameters'];
  /** Whoever reads a secret needs `kms:Decrypt` on it. */
  readonly key: string | undefined;

  constructor(scope: Construct, id: string, { fleet, key }: ParametersProps) {
    super(scope, id);
    this.key = key;
    this.names = {
      appId: `/github-runners/${fleet}/app-id`,
      appKey: `/github-runners/${fleet}/app-key`,
      webhookSecret: `/github-runners/${fleet}/webhook-secret`,
    };
  }

  arnOf(name: keyof Settings['parameters']): string {
    const resourceName = this.names[name].slice(1);
    return Arn.format(
      { service: 'ssm', resource: 'parameter', resourceName, arnFormat: ArnFormat.SLASH_RESOURCE_NAME },
      Stack.of(this),
    );
  }
}

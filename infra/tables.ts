import { RemovalPolicy } from 'aws-cdk-lib/core';
import { AttributeType, BillingMode, ProjectionType, Table, TableEncryption } from 'aws-cdk-lib/aws-dynamodb';
import type { TableProps } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';
import { openIndex, timeToLiveAttribute } from '../functions/contracts/with-infra/table-shape.ts';
import type { Fleet } from './define-fleet.ts';
import { removalOf } from './removal.ts';

/** Both are about `ledger` alone. */
type TablesProps = Pick<Fleet, 'pointInTimeRecovery' | 'keepOnDestroy'>;

const common: TableProps = {
  partitionKey: { name: 'id', type: AttributeType.STRING },
  billingMode: BillingMode.PAY_PER_REQUEST,
  encryption: TableEncryption.AWS_MANAGED,
  timeToLiveAttribute,
  // A backup of `claims` would hold registration tokens for longer than the table itself does; that of `ledger` is the operator's choice.
  pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: false },
  // The ledger is a cache of what GitHub and ECS know, and a claim lives for minutes: both come back by themselves.
  removalPolicy: RemovalPolicy.DESTROY,
};

/** Two tables, so that a permission says what it is for: `ledger` for the functions, `claims` for secrets on their way to tasks. */
export class Tables extends Construct {
  readonly ledger: Table;
  readonly claims: Table;

  constructor(scope: Construct, id: string, { pointInTimeRecovery, keepOnDestroy }: TablesProps) {
    super(scope, id);
    this.ledger = new Table(this, 'Ledger', {
      ...common,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: pointInTimeRecovery },
      removalPolicy: removalOf({ keepOnDestroy }, 'ledger'),
    });
    this.ledger.addGlobalSecondaryIndex({
      indexName: openIndex.indexName,
      partitionKey: { name: openIndex.partitionKey, type: AttributeType.STRING },
      sortKey: { name: openIndex.sortKey, type: AttributeType.STRING },
      projectionType: ProjectionType.ALL,
    });
    this.claims = new Table(this, 'Claims', common);
  }

  get openIndexArn(): string {
    return `${this.ledger.tableArn}/index/${openIndex.indexName}`;
  }
}

import { Duration } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import { allowAppKey, allowReading } from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Asks GitHub again for deliveries that failed. GitHub never does so by itself. */
export class Redeliver extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    const { tables } = surroundings;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'redeliver',
      description: 'Asks GitHub again for deliveries that failed',
    });
    this.function.runEvery(Duration.minutes(5));

    allowAppKey(this.function, surroundings);
    // Deliveries we refused for their signature are worth another try only once the secret changed.
    allowReading(this.function, 'SeeWhenTheSecretChanged', ['webhookSecret'], surroundings);
    // How far the last pass came.
    this.function.allow({
      why: 'KeepItsPlace',
      actions: ['dynamodb:GetItem', 'dynamodb:UpdateItem'],
      resources: [tables.ledger.tableArn],
    });
  }
}

import { Duration } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import { allowAppKey, allowFindingOpenRecords, allowLaunchMessages, allowLedger } from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Compares what waits with what runs, pool by pool, and asks for what is missing. */
export class Replenish extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'replenish',
      description:
        'Asks for the runners that are missing: for waiting jobs, for warm pools, for jobs GitHub never announced',
    });
    this.function.runEvery(Duration.minutes(1));

    allowLedger(this.function, surroundings);
    allowFindingOpenRecords(this.function, surroundings);
    allowLaunchMessages(this.function, surroundings);
    // Which jobs does GitHub know that we do not? They are told on as if GitHub had announced them.
    allowAppKey(this.function, surroundings);
    this.function.allow({
      why: 'TellWhatWasNeverAnnounced',
      actions: ['sqs:SendMessage'],
      resources: [surroundings.queues.events.queueArn],
    });
  }
}

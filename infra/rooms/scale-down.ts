import { Duration } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import {
  allowAppKey,
  allowFindingOpenRecords,
  allowLedger,
  allowLookingAtTasks,
  allowRevokingClaims,
  allowStoppingTasks,
} from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Reaps runners that are idle, offline, lost or too old. */
export class ScaleDown extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'scale-down',
      description: 'Reaps idle, offline, lost and over-age runners',
    });
    this.function.runEvery(Duration.minutes(1));

    allowLedger(this.function, surroundings);
    allowFindingOpenRecords(this.function, surroundings);
    // A registration is looked at and deleted as the App.
    allowAppKey(this.function, surroundings);
    allowLookingAtTasks(this.function, surroundings);
    allowStoppingTasks(this.function, surroundings);
    // A job was cancelled while its task still boots: without a claim the task can never take another one's.
    allowRevokingClaims(this.function, surroundings);
  }
}

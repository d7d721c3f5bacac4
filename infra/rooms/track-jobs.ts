import { Construct } from 'constructs';
import {
  allowFindingOpenRecords,
  allowLaunchMessages,
  allowLedger,
  allowRevokingClaims,
  allowStoppingTasks,
} from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Writes down what GitHub says of jobs and their runners. */
export class TrackJobs extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'track-jobs',
      description: 'Moves a job forward when GitHub says it started or ended',
    });
    this.function.readFrom(surroundings.queues.events, { batchSize: 10, maxConcurrency: 10 });

    allowLedger(this.function, surroundings);
    // A runner that took another pool's job is made up for at once.
    allowFindingOpenRecords(this.function, surroundings);
    allowLaunchMessages(this.function, surroundings);
    // A job was cancelled while its task still boots: without a claim the task can never take another one's, and may go.
    allowRevokingClaims(this.function, surroundings);
    allowStoppingTasks(this.function, surroundings);
  }
}

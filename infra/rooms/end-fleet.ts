import { CustomResource, Duration } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import { endDockerFleetSeconds, endFleetSeconds } from '../../functions/contracts/with-infra/queue-limits.ts';
import { allowLookingAtTasks, allowStoppingTasks } from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/**
 * Stops the tasks when the stack is deleted. Whatever could start or serve one must depend on this construct, so that it is
 * deleted before; whatever a task lives in this construct must depend on, so that it is deleted after.
 */
export class EndFleet extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    const { cluster, fleet } = surroundings;
    const seconds = fleet.docker === undefined ? endFleetSeconds : endDockerFleetSeconds;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'end-fleet',
      description: 'Stops the tasks when the stack is deleted',
      timeout: Duration.seconds(seconds),
      // CloudFormation was told that it failed, and asks anew when somebody deletes the stack again.
      retryAttempts: 0,
    });
    allowLookingAtTasks(this.function, surroundings);
    allowStoppingTasks(this.function, surroundings);
    // ECS ends them as the role of the cluster's capacity providers, which must not go before.
    if (fleet.docker !== undefined) {
      this.function.allow({
        why: 'SeeInstancesEnd',
        actions: ['ecs:ListContainerInstances'],
        resources: [cluster.cluster.clusterArn],
      });
    }

    new CustomResource(this, 'Tasks', {
      serviceToken: this.function.functionArn,
      serviceTimeout: Duration.seconds(seconds + 60),
      resourceType: 'Custom::RunnerTasks',
    });
  }
}

import { CustomResource, Duration } from 'aws-cdk-lib/core';
import { Construct } from 'constructs';
import { allowAppKey, allowLookingAtImages } from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

/** Starts the builds of the runner image that are due: none yet, other files, another runner, a day old. */
export class BuildImage extends Construct {
  readonly function: RoomFunction;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    const { image } = surroundings;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'build-image',
      description: 'Starts the builds of the runner image that are due',
    });
    this.function.runEvery(Duration.minutes(10));
    allowLookingAtImages(this.function, surroundings);
    this.function.allow({
      why: 'StartBuilds',
      actions: ['codebuild:StartBuild'],
      resources: image.projects.map(({ project }) => project.projectArn),
    });
    // Which runner does GitHub want?
    allowAppKey(this.function, surroundings);

    // And at once when it is deployed with other files than before. It does not wait for the builds.
    const deployed = new CustomResource(this, 'Deployed', {
      serviceToken: this.function.functionArn,
      // Its call may have to wait for the account's other functions.
      serviceTimeout: Duration.minutes(15),
      resourceType: 'Custom::RunnerImage',
      properties: { ...image.names },
    });
    deployed.node.addDependency(image);
  }
}

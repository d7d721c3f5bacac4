import { Annotations, CfnOutput, Stack } from 'aws-cdk-lib/core';
import type { Construct } from 'constructs';
import { encodeNames } from '../functions/contracts/with-infra/settings.ts';
import { Alarms } from './alarms.ts';
import { Dashboard } from './dashboard.ts';
import type { Fleet } from './define-fleet.ts';
import type { FunctionName } from './function-bundle.ts';
import { Network } from './network.ts';
import { Parameters } from './parameters.ts';
import { Queues } from './queues.ts';
import { BuildImage } from './rooms/build-image.ts';
import { EndFleet } from './rooms/end-fleet.ts';
import { Redeliver } from './rooms/redeliver.ts';
import { Replenish } from './rooms/replenish.ts';
import { ScaleDown } from './rooms/scale-down.ts';
import { ScaleUp } from './rooms/scale-up.ts';
import { TaskStopped } from './rooms/task-stopped.ts';
import { TrackJobs } from './rooms/track-jobs.ts';
import { Webhook } from './rooms/webhook.ts';
import { RunnerCluster } from './runner-cluster.ts';
import { RunnerImage } from './runner-image.ts';
import { Tables } from './tables.ts';

type FleetStackProps = {
  readonly fleet: Fleet;
  /** The directory of each function's code, as bundleFunctions makes them. */
  readonly bundles: Readonly<Record<FunctionName, string>>;
};

/** All of one fleet. Nothing in it needs an account or a region to be synthesised. */
export class FleetStack extends Stack {
  constructor(scope: Construct, id: string, { fleet, bundles }: FleetStackProps) {
    super(scope, id, {
      description: `GitHub Actions runners on Fargate, one task per job: fleet ${fleet.choices.fleet}`,
    });
    const { choices } = fleet;

    const network = new Network(this, 'Network', fleet.network);
    const dockerNetwork = fleet.docker && new Network(this, 'DockerNetwork', fleet.docker.network);
    const tables = new Tables(this, 'Tables', fleet);
    const queues = new Queues(this, 'Queues');
    const parameters = new Parameters(this, 'Parameters', { fleet: choices.fleet, key: fleet.parametersKey });
    const image = new RunnerImage(this, 'RunnerImage', fleet);
    const cluster = new RunnerCluster(this, 'Runners', {
      fleet,
      vpc: network.vpc,
      dockerNetwork,
      image,
      claims: tables.claims,
    });

    const environment = encodeNames({
      fleetId: `${this.account}/${this.region}/${this.stackName}`,
      tables: { ledger: tables.ledger.tableName, claims: tables.claims.tableName },
      queues: { jobs: queues.jobs.queueUrl, events: queues.events.queueUrl },
      tasks: {
        cluster: cluster.cluster.clusterArn,
        revisions: cluster.taskRevisions,
        subnets: network.subnets,
        securityGroups: network.securityGroups,
        assignPublicIp: network.assignPublicIp,
        docker: dockerNetwork,
      },
      parameters: parameters.names,
      images: image.names,
    });

    const surroundings = { bundles, environment, fleet, tables, queues, cluster, parameters, image };
    const webhook = new Webhook(this, 'Webhook', surroundings);
    const rooms = {
      webhook,
      'scale-up': new ScaleUp(this, 'ScaleUp', surroundings),
      'track-jobs': new TrackJobs(this, 'TrackJobs', surroundings),
      'task-stopped': new TaskStopped(this, 'TaskStopped', surroundings),
      replenish: new Replenish(this, 'Replenish', surroundings),
      'scale-down': new ScaleDown(this, 'ScaleDown', surroundings),
      redeliver: new Redeliver(this, 'Redeliver', surroundings),
      ...(image.names !== undefined && { 'build-image': new BuildImage(this, 'BuildImage', surroundings) }),
    };
    // Deleted in this order: what starts tasks, the tasks, what they live in.
    const end = new EndFleet(this, 'EndFleet', surroundings);
    end.node.addDependency(network, ...(dockerNetwork ? [dockerNetwork] : []), cluster, tables);
    for (const room of Object.values(rooms)) room.node.addDependency(end);

    const { alarms } = new Alarms(this, 'Alarms', { fleet, queues, rooms, image });
    const dashboard = new Dashboard(this, 'Dashboard', { fleet, queues, rooms, image, alarms });

    new CfnOutput(this, 'WebhookUrl', { value: webhook.url, description: "The GitHub App's webhook URL" });
    new CfnOutput(this, 'AppIdParameter', { value: parameters.names.appId, description: "Holds the GitHub App's id" });
    new CfnOutput(this, 'AppKeyParameter', {
      value: parameters.names.appKey,
      description: "Holds the GitHub App's private key",
    });
    new CfnOutput(this, 'WebhookSecretParameter', {
      value: parameters.names.webhookSecret,
      description: 'Holds the webhook secret; during a rotation two of them, one a line',
    });

    new CfnOutput(this, 'RunsOn', {
      value: choices.profiles
        .map(({ name, labels }) => `${name}: runs-on: [${['self-hosted', ...labels].join(', ')}]`)
        .join('\n'),
      description: 'What a workflow writes to get a runner, by profile',
    });
    new CfnOutput(this, 'DashboardUrl', { value: dashboard.url, description: 'Are jobs waiting, and why' });

    for (const [index, warning] of fleet.warnings.entries()) {
      Annotations.of(this).addWarningV2(`github-runners:config-${index}`, warning);
    }
  }
}

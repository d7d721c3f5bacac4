import { Stack } from 'aws-cdk-lib/core';
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway';
import { HttpApi, HttpMethod, HttpStage, LogGroupLogDestination } from 'aws-cdk-lib/aws-apigatewayv2';
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { removalOf } from '../removal.ts';
import { allowReading } from './permissions.ts';
import { RoomFunction } from './room-function.ts';
import type { Surroundings } from './room-function.ts';

const path = '/webhook';

/** Takes GitHub's deliveries, and answers within a second whether they will be looked after. */
export class Webhook extends Construct {
  readonly function: RoomFunction;
  /** Where GitHub posts. */
  readonly url: string;

  constructor(scope: Construct, id: string, surroundings: Surroundings) {
    super(scope, id);
    const { queues, fleet } = surroundings;
    this.function = new RoomFunction(this, 'Function', {
      ...surroundings,
      room: 'webhook',
      description: 'Verifies a delivery, matches a profile, puts it on a queue',
    });
    allowReading(this.function, 'VerifySignatures', ['webhookSecret'], surroundings);
    this.function.allow({
      why: 'PassDeliveriesOn',
      actions: ['sqs:SendMessage'],
      resources: [queues.jobs.queueArn, queues.events.queueArn],
    });

    const api = new HttpApi(this, 'Api', {
      apiName: Stack.of(this).stackName,
      createDefaultStage: false,
      description: 'Where GitHub posts deliveries',
    });
    api.addRoutes({
      path,
      methods: [HttpMethod.POST],
      integration: new HttpLambdaIntegration('Function', this.function),
    });
    new HttpStage(this, 'Stage', {
      httpApi: api,
      stageName: '$default',
      autoDeploy: true,
      // A thousand jobs at once are some thousand deliveries; beyond, it is somebody else's, and must not cost.
      throttle: { rateLimit: 500, burstLimit: 2000 },
      accessLogSettings: {
        destination: new LogGroupLogDestination(
          new LogGroup(this, 'AccessLog', {
            retention: fleet.logRetentionDays,
            removalPolicy: removalOf(fleet, 'logs'),
          }),
        ),
        format: accessLogFormat,
      },
    });
    this.url = `${api.apiEndpoint}${path}`;
  }
}

/** Who, when, how it went: never a header or a body. */
const accessLogFormat = AccessLogFormat.custom(
  JSON.stringify({
    time: '$context.requestTime',
    requestId: '$context.requestId',
    ip: '$context.identity.sourceIp',
    userAgent: '$context.identity.userAgent',
    route: '$context.routeKey',
    status: '$context.status',
    integrationStatus: '$context.integrationStatus',
    integrationError: '$context.integrationErrorMessage',
    milliseconds: '$context.responseLatency',
    bytes: '$context.responseLength',
  }),
);

import { Duration, Stack } from 'aws-cdk-lib/core';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { PolicyStatementProps } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function, LoggingFormat, Runtime } from 'aws-cdk-lib/aws-lambda';
import type { FunctionOptions } from 'aws-cdk-lib/aws-lambda';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { CfnSchedule, ScheduleExpression } from 'aws-cdk-lib/aws-scheduler';
import type { Queue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { functionSeconds } from '../../functions/contracts/with-infra/queue-limits.ts';
import type { Fleet } from '../define-fleet.ts';
import type { FunctionName } from '../function-bundle.ts';
import type { Parameters } from '../parameters.ts';
import type { Queues } from '../queues.ts';
import { removalOf } from '../removal.ts';
import type { RunnerCluster } from '../runner-cluster.ts';
import type { RunnerImage } from '../runner-image.ts';
import type { Tables } from '../tables.ts';

/** What the stack puts around every room. */
export type Surroundings = {
  /** The directory of each function's code. */
  readonly bundles: Readonly<Record<FunctionName, string>>;
  /** The settings that exist only once the stack is deployed. */
  readonly environment: Readonly<Record<string, string>>;
  readonly fleet: Fleet;
  readonly tables: Tables;
  readonly queues: Queues;
  readonly cluster: RunnerCluster;
  readonly parameters: Parameters;
  readonly image: RunnerImage;
};

type RoomFunctionProps = Pick<Surroundings, 'bundles' | 'environment' | 'fleet'> &
  Pick<FunctionOptions, 'description' | 'recursiveLoop' | 'retryAttempts' | 'timeout'> & {
    readonly room: FunctionName;
  };

/** A permission with its reason as name, so that the synthesised policy can be read. */
type Permission = { readonly why: string } & Required<Pick<PolicyStatementProps, 'actions' | 'resources'>> &
  Pick<PolicyStatementProps, 'conditions'>;

/** The function of a room: it may write its own log, and what the room allows it besides. */
export class RoomFunction extends Function {
  constructor(scope: Construct, id: string, { room, bundles, fleet, ...options }: RoomFunctionProps) {
    const logGroup = new LogGroup(scope, 'Log', {
      retention: fleet.logRetentionDays,
      removalPolicy: removalOf(fleet, 'logs'),
    });
    // A role of our own: the one CDK makes may write to every log of the account.
    const role = new Role(scope, 'Role', { assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
    super(scope, id, {
      // Every outside call of a function ends long before, so that it is the function that says what went wrong.
      timeout: Duration.seconds(functionSeconds),
      ...options,
      code: Code.fromAsset(bundles[room]),
      handler: 'index.handler',
      runtime: Runtime.NODEJS_24_X,
      architecture: Architecture.ARM_64,
      // Memory buys CPU, and a start is CPU.
      memorySize: 512,
      loggingFormat: LoggingFormat.JSON,
      logGroup,
      role,
    });
    this.allow({
      why: 'WriteItsLog',
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    });
  }

  allow({ why, ...statement }: Permission): void {
    this.addToRolePolicy(new PolicyStatement({ sid: why, ...statement }));
  }

  /** The queue hides, counts and keeps what fails, message by message; the function never waits for a fuller batch. */
  readFrom(
    queue: Queue,
    {
      batchSize,
      maxConcurrency,
      maxBatchingWindow,
    }: {
      readonly batchSize: number;
      readonly maxConcurrency: number;
      /** How long a batch is gathered. @default not at all */
      readonly maxBatchingWindow?: Duration;
    },
  ): void {
    this.addEventSourceMapping('Messages', {
      eventSourceArn: queue.queueArn,
      batchSize,
      maxConcurrency,
      maxBatchingWindow,
      reportBatchItemFailures: true,
    });
    this.allow({
      why: 'ReceiveItsMessages',
      actions: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
      resources: [queue.queueArn],
    });
  }

  /** What one run could not do the next one does: nothing is run again. */
  runEvery(interval: Duration): void {
    // A role of our own: CDK's may also invoke every version there ever was.
    const role = new Role(this, 'ScheduleRole', {
      assumedBy: new ServicePrincipal('scheduler.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    });
    role.addToPolicy(
      new PolicyStatement({
        sid: 'RunOnSchedule',
        actions: ['lambda:InvokeFunction'],
        resources: [this.functionArn],
      }),
    );
    new CfnSchedule(this, 'Schedule', {
      scheduleExpression: ScheduleExpression.rate(interval).expressionString,
      flexibleTimeWindow: { mode: 'OFF' },
      target: {
        arn: this.functionArn,
        roleArn: role.roleArn,
        retryPolicy: { maximumRetryAttempts: 0, maximumEventAgeInSeconds: 60 },
      },
    });
    this.configureAsyncInvoke({ retryAttempts: 0, maxEventAge: interval });
  }
}

import { Duration, Stack } from 'aws-cdk-lib/core';
import { Alarm, ComparisonOperator, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { CreateAlarmOptions, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Topic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import { waitReasonNames, waitReasons } from '../functions/contracts/with-infra/reasons.ts';
import type { Fleet } from './define-fleet.ts';
import { fleetMetric } from './fleet-metric.ts';
import type { FunctionName } from './function-bundle.ts';
import type { Queues } from './queues.ts';
import type { RoomFunction } from './rooms/room-function.ts';
import type { RunnerImage } from './runner-image.ts';

type Room = { readonly function: RoomFunction };
/** `end-fleet` is not among them: whoever deletes the stack watches it. */
type Rooms = Readonly<Record<Exclude<FunctionName, 'build-image' | 'end-fleet'>, Room>> & {
  /** Where images are built. */
  readonly 'build-image'?: Room;
};

export type Watched = {
  readonly fleet: Fleet;
  readonly queues: Queues;
  readonly rooms: Rooms;
  readonly image: RunnerImage;
};

/** Each has a row in docs/operations.md, which says the same and what to do. */
const rings = {
  OldestRunnable: 'a job that could run has waited for more than 300 seconds, or nobody looked, for three minutes',
  BreakerOpen: 'the breaker of a profile is open in a scope',
  DeadLetters: 'a dead-letter queue is not empty',
  LaunchFailures: 'a launch failed for a reason that time alone does not cure',
  DeliveriesNotTaken: 'a delivery could not be taken',
  FunctionErrors:
    'a function failed; a sweep in three of four spans of five minutes, build-image in two of three hours',
  LaunchErrors: 'a launch threw, in three of six spans of five minutes',
  SweepFailures: 'acts of a sweep failed, in three of four spans of five minutes',
  QueueAge: 'the oldest message is more than 900 seconds old, for three minutes',
  DeliveriesPending: 'more than 50 failed deliveries wait, in three of four spans of five minutes',
  GitHubRateLow: "less than 20 percent of an org's rate limit is left",
  JobsHeld: 'a job is parked: it gets no more runners for now',
  ImageBuildFailed: 'a build of the runner image failed; the image before it stays in use',
  RunnerImageOld: 'the runner image is more than 72 hours old, or nobody could tell for three hours',
  WebhookThrottled: 'Lambda had no room for a delivery',
} as const;
type AlarmKind = keyof typeof rings;

type Rule = {
  readonly kind: AlarmKind;
  /** The profile, queue or function it is about. */
  readonly about?: string;
  readonly metric: Metric;
} & Pick<CreateAlarmOptions, 'threshold' | 'comparisonOperator' | 'treatMissingData' | 'datapointsToAlarm'> &
  Partial<Pick<CreateAlarmOptions, 'evaluationPeriods'>>;

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
const isAbove = ComparisonOperator.GREATER_THAN_THRESHOLD;
/** One bad run of a sweep is made good by the next. Three of four, as a span may hold no run of what runs every five minutes. */
const lasting = { datapointsToAlarm: 3, evaluationPeriods: 4 } as const;
const sweeps: readonly FunctionName[] = ['replenish', 'scale-down', 'redeliver'];
/** Launches that failed for another reason are tried again until AWS has room, or AWS or GitHub answers. */
const lastingLaunchFailures = [...waitReasonNames.filter((reason) => waitReasons[reason].rings), 'given-up'];

/** What calls a person. Without a topic an alarm still shows on the dashboard, and calls nobody. */
export class Alarms extends Construct {
  /** What matters most first. */
  readonly alarms: readonly Alarm[];

  constructor(scope: Construct, id: string, watched: Watched) {
    super(scope, id);
    const { alarmTopic } = watched.fleet;
    const action = alarmTopic === undefined ? undefined : new SnsAction(Topic.fromTopicArn(this, 'Topic', alarmTopic));
    const profiles = watched.fleet.choices.profiles.map(({ name }) => name);
    const rules = [
      ...profiles.map((profile) => oldestRunnable(watched, profile)),
      ...rulesOfQueues(watched),
      ...rulesOfFunctions(watched),
      ...rulesOfGitHub(watched),
      ...profiles.flatMap((profile) => rulesOfProfile(watched, profile)),
      ...rulesOfImage(watched),
    ];
    this.alarms = rules.map((rule) => this.#define(rule));
    if (action !== undefined) for (const alarm of this.alarms) alarm.addAlarmAction(action);
  }

  #define({ kind, about, metric, ...rule }: Rule): Alarm {
    const name = about === undefined ? kind : `${kind}-${about}`;
    return new Alarm(this, name, {
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...rule,
      metric,
      alarmName: `${Stack.of(this).stackName}-${name}`,
      alarmDescription: `${rings[kind]}. What to do: docs/operations.md, Alarms`,
    });
  }
}

/** It catches every bug, known or not. Replenish tells it every minute, so silence is a failure too. */
function oldestRunnable({ fleet }: Watched, profile: string): Rule {
  return {
    kind: 'OldestRunnable',
    about: profile,
    metric: fleetMetric(
      fleet,
      'OldestRunnableSeconds',
      { Profile: profile },
      { statistic: Stats.MAXIMUM, period: minute },
    ),
    threshold: 300,
    comparisonOperator: isAbove,
    evaluationPeriods: 3,
    treatMissingData: TreatMissingData.BREACHING,
  };
}

function rulesOfProfile({ fleet }: Watched, profile: string): Rule[] {
  const dimensions = { Profile: profile };
  return [
    {
      kind: 'BreakerOpen',
      about: profile,
      metric: fleetMetric(fleet, 'BreakersOpen', dimensions, { statistic: Stats.MAXIMUM, period: minute }),
      threshold: 1,
    },
    {
      kind: 'JobsHeld',
      about: profile,
      metric: fleetMetric(fleet, 'JobsHeld', dimensions, { statistic: Stats.SUM, period: fiveMinutes }),
      threshold: 1,
    },
    ...lastingLaunchFailures.map((Reason): Rule => ({
      kind: 'LaunchFailures',
      about: `${profile}-${Reason}`,
      metric: fleetMetric(
        fleet,
        'LaunchFailures',
        { ...dimensions, Reason },
        { statistic: Stats.SUM, period: fiveMinutes },
      ),
      threshold: 1,
    })),
  ];
}

function rulesOfQueues({ queues }: Watched): Rule[] {
  return [
    ...queues.deadLetters.map((queue): Rule => ({
      kind: 'DeadLetters',
      about: queue.node.id,
      metric: queue.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, period: fiveMinutes }),
      threshold: 1,
    })),
    ...queues.work.map((queue): Rule => ({
      kind: 'QueueAge',
      about: queue.node.id,
      metric: queue.metricApproximateAgeOfOldestMessage({ statistic: Stats.MAXIMUM, period: minute }),
      threshold: 900,
      comparisonOperator: isAbove,
      evaluationPeriods: 3,
    })),
  ];
}

function rulesOfFunctions({ fleet, rooms }: Watched): Rule[] {
  const failed = { statistic: Stats.SUM, period: fiveMinutes };
  return [
    ...Object.entries(rooms).map(([name, room]): Rule => ({
      kind: 'FunctionErrors',
      about: name,
      metric: room.function.metricErrors(name === 'build-image' ? { ...failed, period: Duration.hours(1) } : failed),
      threshold: 1,
      ...(sweeps.some((sweep) => sweep === name) && lasting),
      ...(name === 'build-image' && { datapointsToAlarm: 2, evaluationPeriods: 3 }),
    })),
    ...['replenish', 'scale-down'].map((Reason): Rule => ({
      kind: 'SweepFailures',
      about: Reason,
      metric: fleetMetric(fleet, 'SweepFailures', { Reason }, failed),
      threshold: 1,
      ...lasting,
    })),
    {
      // GitHub gets a 503 that the function knows nothing of.
      kind: 'WebhookThrottled',
      metric: rooms.webhook.function.metricThrottles(failed),
      threshold: 1,
    },
    {
      // A message that fails is tried again: Lambda does not count it as an error of the function.
      kind: 'LaunchErrors',
      metric: fleetMetric(fleet, 'LaunchFailures', { Reason: 'error' }, failed),
      threshold: 1,
      datapointsToAlarm: 3,
      evaluationPeriods: 6,
    },
  ];
}

function rulesOfGitHub({ fleet }: Watched): Rule[] {
  return [
    ...['not-taken', 'refused-503'].map((Reason): Rule => ({
      // The webhook answers 503 instead of failing, so that its own errors stay at zero.
      kind: 'DeliveriesNotTaken',
      about: Reason,
      metric: fleetMetric(fleet, 'Deliveries', { Reason }, { statistic: Stats.SUM, period: fiveMinutes }),
      threshold: 1,
    })),
    {
      // One pass asks for fifty again.
      kind: 'DeliveriesPending',
      metric: fleetMetric(fleet, 'DeliveriesPending', {}, { statistic: Stats.MAXIMUM, period: fiveMinutes }),
      threshold: 50,
      comparisonOperator: isAbove,
      ...lasting,
    },
    {
      // Below it the sweeps leave the rest to minting tokens. Nothing is told of personal accounts.
      kind: 'GitHubRateLow',
      metric: fleetMetric(fleet, 'GitHubRateLeftPercent', {}, { statistic: Stats.MINIMUM, period: fiveMinutes }),
      threshold: 20,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
    },
  ];
}

function rulesOfImage({ fleet, image }: Watched): Rule[] {
  return [
    ...image.projects.map(({ arch, project }): Rule => ({
      kind: 'ImageBuildFailed',
      about: arch,
      metric: project.metricFailedBuilds({ statistic: Stats.SUM, period: fiveMinutes }),
      threshold: 1,
    })),
    ...(image.projects.length === 0
      ? []
      : [
          {
            // It is made anew every day. Silence is a failure too: no first image, or nobody who looks.
            kind: 'RunnerImageOld',
            metric: fleetMetric(fleet, 'ImageAgeHours', {}, { statistic: Stats.MAXIMUM, period: Duration.hours(1) }),
            threshold: 72,
            comparisonOperator: isAbove,
            evaluationPeriods: 3,
            treatMissingData: TreatMissingData.BREACHING,
          } as const,
        ]),
  ];
}

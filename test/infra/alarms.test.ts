import { describe, expect, test } from '@jest/globals';
import { functionNames } from '../../infra/function-bundle.ts';
import { alarmsOf, synthFleet } from './synth-fleet.ts';
import type { AlarmProperties } from './synth-fleet.ts';

const template = synthFleet();
const alarms = alarmsOf(template);

/** `MAX of 3 x 60s > 300`, and what silence means. */
function ruleOf(alarm: AlarmProperties | undefined): string {
  if (alarm === undefined) return 'no alarm';
  const signs: Record<string, string> = {
    GreaterThanThreshold: '>',
    GreaterThanOrEqualToThreshold: '>=',
    LessThanThreshold: '<',
  };
  const points = alarm.DatapointsToAlarm ?? alarm.EvaluationPeriods;
  const { MetricName, Statistic, Period, Threshold } = alarm;
  return `${Statistic} ${MetricName} ${signs[alarm.ComparisonOperator]} ${Threshold} in ${points} of ${alarm.EvaluationPeriods} x ${Period}s, silence ${alarm.TreatMissingData}`;
}

describe('an alarm', () => {
  test.each([
    ['OldestRunnable-small', 'Maximum OldestRunnableSeconds > 300 in 3 of 3 x 60s, silence breaching'],
    ['BreakerOpen-small', 'Maximum BreakersOpen >= 1 in 1 of 1 x 60s, silence notBreaching'],
    ['JobsHeld-large', 'Sum JobsHeld >= 1 in 1 of 1 x 300s, silence notBreaching'],
    ['LaunchFailures-large-quota', 'Sum LaunchFailures >= 1 in 1 of 1 x 300s, silence notBreaching'],
    ['LaunchErrors', 'Sum LaunchFailures >= 1 in 3 of 6 x 300s, silence notBreaching'],
    [
      'DeadLetters-JobsDeadLetters',
      'Maximum ApproximateNumberOfMessagesVisible >= 1 in 1 of 1 x 300s, silence notBreaching',
    ],
    [
      'DeadLetters-EventsDeadLetters',
      'Maximum ApproximateNumberOfMessagesVisible >= 1 in 1 of 1 x 300s, silence notBreaching',
    ],
    [
      'DeadLetters-StopsDeadLetters',
      'Maximum ApproximateNumberOfMessagesVisible >= 1 in 1 of 1 x 300s, silence notBreaching',
    ],
    ['QueueAge-Jobs', 'Maximum ApproximateAgeOfOldestMessage > 900 in 3 of 3 x 60s, silence notBreaching'],
    ['QueueAge-Events', 'Maximum ApproximateAgeOfOldestMessage > 900 in 3 of 3 x 60s, silence notBreaching'],
    ['QueueAge-Stops', 'Maximum ApproximateAgeOfOldestMessage > 900 in 3 of 3 x 60s, silence notBreaching'],
    ['FunctionErrors-webhook', 'Sum Errors >= 1 in 1 of 1 x 300s, silence notBreaching'],
    ['FunctionErrors-redeliver', 'Sum Errors >= 1 in 3 of 4 x 300s, silence notBreaching'],
    ['SweepFailures-scale-down', 'Sum SweepFailures >= 1 in 3 of 4 x 300s, silence notBreaching'],
    ['DeliveriesNotTaken-not-taken', 'Sum Deliveries >= 1 in 1 of 1 x 300s, silence notBreaching'],
    ['DeliveriesPending', 'Maximum DeliveriesPending > 50 in 3 of 4 x 300s, silence notBreaching'],
    ['GitHubRateLow', 'Minimum GitHubRateLeftPercent < 20 in 1 of 1 x 300s, silence notBreaching'],
  ])('%s rings at: %s', (name, rule) => {
    expect(ruleOf(alarms.get(name))).toBe(rule);
  });

  test('watches each profile, each queue and each function', () => {
    const numbers: Record<string, number> = {};
    for (const name of alarms.keys()) {
      const kind = name.split('-', 1)[0] ?? '';
      numbers[kind] = (numbers[kind] ?? 0) + 1;
    }
    expect(numbers).toMatchObject({
      OldestRunnable: 2,
      BreakerOpen: 2,
      JobsHeld: 2,
      LaunchFailures: 8,
      DeadLetters: 3,
      QueueAge: 3,
      // What end-fleet cannot do CloudFormation tells.
      FunctionErrors: functionNames.length - 1,
      SweepFailures: 2,
    });
  });

  test('rings for the launch failures that time alone does not cure, and for no others', () => {
    const reasons = [...alarms.keys()].flatMap((name) => /^LaunchFailures-small-(.+)$/.exec(name)?.[1] ?? []);
    expect(reasons.toSorted()).toEqual(['given-up', 'launch-refused', 'quota', 'scope-held']);
  });

  test('calls nobody without a topic, and the topic of the config with one', () => {
    expect([...alarms.values()].filter(({ AlarmActions }) => AlarmActions !== undefined)).toEqual([]);
    const alarmTopic = 'arn:aws:sns:eu-central-1:111122223333:ops';
    const called = alarmsOf(synthFleet({ alarmTopic }));
    expect(called.size).toBe(alarms.size);
    for (const { AlarmActions } of called.values()) expect(AlarmActions).toEqual([alarmTopic]);
  });
});

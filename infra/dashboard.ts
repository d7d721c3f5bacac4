import { Duration, Stack } from 'aws-cdk-lib/core';
import {
  AlarmStatusWidget,
  Dashboard as CloudWatchDashboard,
  GraphWidget,
  MathExpression,
  SearchExpression,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import type { Alarm, GraphWidgetProps, IMetric } from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import { metricNamespace } from '../functions/contracts/with-infra/metrics.ts';
import type { MetricName } from '../functions/contracts/with-infra/metrics.ts';
import { endings, waitReasonNames } from '../functions/contracts/with-infra/reasons.ts';
import type { Watched } from './alarms.ts';
import type { Fleet } from './define-fleet.ts';
import { fleetMetric } from './fleet-metric.ts';

type DashboardProps = Watched & { readonly alarms: readonly Alarm[] };

const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
/** A status widget shows so many. */
const mostAlarmsShown = 100;

/** The first row answers "are jobs waiting, and why"; each row below it, what to look at next. */
export class Dashboard extends Construct {
  readonly url: string;

  constructor(scope: Construct, id: string, props: DashboardProps) {
    super(scope, id);
    const { stackName, region } = Stack.of(this);
    const dashboard = new CloudWatchDashboard(this, 'Dashboard', {
      // Dashboards are the account's, whatever the region.
      dashboardName: `${stackName}-${region}`,
      defaultInterval: Duration.hours(12),
      widgets: [
        areJobsWaiting(props),
        howLongTheyWait(props),
        whatRuns(props),
        howRunnersStart(props),
        whatItCosts(props),
        howThingsEnd(props),
        whatGitHubSays(props),
        howFunctionsFare(props),
        whatIsQueued(props),
        [whereToLook(stackName)],
      ],
    });
    this.url = `https://console.aws.amazon.com/cloudwatch/home?region=${region}#dashboards/dashboard/${dashboard.dashboardName}`;
  }
}

function areJobsWaiting({ fleet, alarms }: DashboardProps): [GraphWidget, GraphWidget, AlarmStatusWidget] {
  return [
    graph('Jobs waiting, by reason', byReason(fleet, 'JobsWaiting', waitReasonNames, Stats.MAXIMUM, minute), {
      stacked: true,
    }),
    graph('Oldest job that could run (seconds)', byProfile({ fleet }, 'OldestRunnableSeconds', Stats.MAXIMUM, minute), {
      leftAnnotations: [{ value: 300, label: 'alarm' }],
    }),
    new AlarmStatusWidget({ title: 'Alarms', alarms: alarms.slice(0, mostAlarmsShown), width: 8, height: 6 }),
  ];
}

function howLongTheyWait(props: DashboardProps): GraphWidget[] {
  return [50, 95, 99].map((percentile) =>
    graph(
      `Seconds from queued to started, p${percentile}`,
      byProfile(props, 'SecondsFromQueuedToStarted', Stats.percentile(percentile)),
    ),
  );
}

function whatRuns(props: DashboardProps): GraphWidget[] {
  return [
    graph('Runners live', byProfile(props, 'RunnersLive', Stats.MAXIMUM, minute), { stacked: true }),
    graph('Runners busy', byProfile(props, 'RunnersBusy', Stats.MAXIMUM, minute), { stacked: true }),
    graph('Runners idle or starting', byProfile(props, 'RunnersIdle', Stats.MAXIMUM, minute), { stacked: true }),
  ];
}

function howRunnersStart(props: DashboardProps): GraphWidget[] {
  const median = Stats.percentile(50);
  return [
    graph('Queued to launched (seconds, p50)', byProfile(props, 'SecondsFromQueuedToLaunched', median), { width: 6 }),
    graph('Provisioning (seconds, p50)', byProfile(props, 'ProvisioningSeconds', median), { width: 6 }),
    graph('Image pull (seconds, p50)', byProfile(props, 'PullSeconds', median), { width: 6 }),
    graph('Boot (seconds, p50)', byProfile(props, 'BootSeconds', median), { width: 6 }),
  ];
}

function whatItCosts(props: DashboardProps): GraphWidget[] {
  const { fleet, image } = props;
  const narrow = { width: 6 };
  const age = fleetMetric(fleet, 'ImageAgeHours', {}, { statistic: Stats.MAXIMUM, period: Duration.hours(1) });
  return [
    graph('Cost of tasks (dollars an hour, estimate)', byProfile(props, 'CostDollars', Stats.SUM, Duration.hours(1)), {
      stacked: true,
      ...narrow,
    }),
    graph('Cost of tasks (dollars a day, estimate)', byProfile(props, 'CostDollars', Stats.SUM, Duration.days(1)), {
      stacked: true,
      // Or the graph would ask for the dashboard's own.
      period: Duration.days(1),
      ...narrow,
    }),
    graph('Runner image: age (hours)', [age], { leftAnnotations: [{ value: 72, label: 'alarm' }], ...narrow }),
    graph(
      'Runner image: builds',
      image.projects.flatMap(({ arch, project }) => [
        project.metricSucceededBuilds({ label: `${arch} succeeded` }),
        project.metricFailedBuilds({ label: `${arch} failed` }),
      ]),
      narrow,
    ),
  ];
}

function howThingsEnd({ fleet }: DashboardProps): GraphWidget[] {
  const threw = fleetMetric(
    fleet,
    'LaunchFailures',
    { Reason: 'error' },
    { statistic: Stats.SUM, period: fiveMinutes, label: 'error' },
  );
  return [
    graph('Runners ended, by ending', byReason(fleet, 'RunnersEnded', endings, Stats.SUM, fiveMinutes), {
      stacked: true,
    }),
    graph('Launch failures, by reason', [found(fleet, 'LaunchFailures', ['Profile', 'Reason']), threw]),
    graph('Reaped, by kind', [found(fleet, 'Reaped', ['Profile', 'Reason'])]),
  ];
}

function whatGitHubSays({ fleet }: DashboardProps): GraphWidget[] {
  const sum = { statistic: Stats.SUM, period: fiveMinutes };
  return [
    graph('Deliveries, by verdict', [found(fleet, 'Deliveries', ['Reason'])], { stacked: true }),
    graph('Deliveries made up for', [
      fleetMetric(fleet, 'Redelivered', {}, { ...sum, label: 'redelivered' }),
      fleetMetric(fleet, 'DeliveriesPending', {}, { ...sum, statistic: Stats.MAXIMUM, label: 'pending' }),
      fleetMetric(fleet, 'JobsFound', {}, { ...sum, label: 'never delivered' }),
    ]),
    graph(
      'GitHub rate limit left (percent)',
      [
        fleetMetric(
          fleet,
          'GitHubRateLeftPercent',
          {},
          { statistic: Stats.MINIMUM, period: fiveMinutes, label: 'least' },
        ),
      ],
      { leftYAxis: { min: 0, max: 100 }, leftAnnotations: [{ value: 20, label: 'alarm' }] },
    ),
  ];
}

function howFunctionsFare({ fleet, rooms: watched }: DashboardProps): GraphWidget[] {
  const rooms = Object.entries(watched).map(([name, room]) => [name, room.function] as const);
  const sum = { statistic: Stats.SUM, period: fiveMinutes };
  return [
    graph(
      'Function errors',
      rooms.map(([label, room]) => room.metricErrors({ ...sum, label })),
      { width: 6 },
    ),
    graph(
      'Function throttles',
      rooms.map(([label, room]) => room.metricThrottles({ ...sum, label })),
      { width: 6 },
    ),
    graph(
      'Function duration (p95)',
      rooms.map(([label, room]) => room.metricDuration({ ...sum, statistic: Stats.percentile(95), label })),
      { width: 6 },
    ),
    graph('Acts of sweeps that failed', [found(fleet, 'SweepFailures', ['Reason'])], { width: 6 }),
  ];
}

function whatIsQueued({ queues }: DashboardProps): GraphWidget[] {
  const most = { statistic: Stats.MAXIMUM, period: minute };
  return [
    graph(
      'Messages',
      queues.work.map((queue) => queue.metricApproximateNumberOfMessagesVisible({ ...most, label: queue.node.id })),
    ),
    graph(
      'Oldest message (seconds)',
      queues.work.map((queue) => queue.metricApproximateAgeOfOldestMessage({ ...most, label: queue.node.id })),
    ),
    graph(
      'Dead letters',
      queues.deadLetters.map((queue) =>
        queue.metricApproximateNumberOfMessagesVisible({ ...most, label: queue.node.id }),
      ),
    ),
  ];
}

function whereToLook(stackName: string): TextWidget {
  return new TextWidget({
    width: 24,
    height: 2,
    markdown: [
      `[Alarms of this fleet](#alarmsV2:?search=${stackName}) · [Logs of this fleet](#logsV2:log-groups$3FlogGroupNameFilter$3D${stackName})`,
      'What each number, reason and alarm means, and what to do: `docs/operations.md` in the repository this was deployed from.',
    ].join('\n\n'),
  });
}

function graph(title: string, left: IMetric[], props: GraphWidgetProps = {}): GraphWidget {
  return new GraphWidget({ title, left, width: 8, height: 6, leftYAxis: { min: 0 }, ...props });
}

function byProfile(
  { fleet }: Pick<Watched, 'fleet'>,
  name: MetricName,
  statistic: string,
  period = fiveMinutes,
): IMetric[] {
  return fleet.choices.profiles.map(({ name: Profile }) =>
    fleetMetric(fleet, name, { Profile }, { statistic, period, label: Profile }),
  );
}

/** One line a reason, summed over the profiles: a line for each profile too would be up to 400. */
function byReason(
  fleet: Fleet,
  name: MetricName,
  reasons: readonly string[],
  statistic: string,
  period: Duration,
): IMetric[] {
  return reasons.map(
    (reason) =>
      new MathExpression({
        expression: `SUM(${search(fleet, name, ['Profile', 'Reason'], statistic, period, ` Reason="${reason}"`)})`,
        label: reason,
        period,
      }),
  );
}

/** Every series of a metric, whatever its reasons are. */
function found(fleet: Fleet, name: MetricName, dimensions: readonly ('Profile' | 'Reason')[]): IMetric {
  return new SearchExpression({
    expression: search(fleet, name, dimensions, Stats.SUM, fiveMinutes),
    label: dimensions.map((dimension) => `\${PROP('Dim.${dimension}')}`).join(' '),
    period: fiveMinutes,
  });
}

/** https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/search-expression-syntax.html */
function search(
  { choices }: Fleet,
  name: MetricName,
  dimensions: readonly string[],
  statistic: string,
  period: Duration,
  filter = '',
): string {
  const schema = [metricNamespace, 'Fleet', ...dimensions].join(',');
  return `SEARCH('{${schema}} Fleet="${choices.fleet}" MetricName="${name}"${filter}', '${statistic}', ${period.toSeconds()})`;
}

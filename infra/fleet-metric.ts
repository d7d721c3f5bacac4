import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { metricNamespace } from '../functions/contracts/with-infra/metrics.ts';
import type { Dimensions, MetricName } from '../functions/contracts/with-infra/metrics.ts';
import type { Fleet } from './define-fleet.ts';

/** A metric of the fleet's own. One that nobody writes has no name here. */
export function fleetMetric(
  { choices }: Pick<Fleet, 'choices'>,
  metricName: MetricName,
  dimensionsMap: Dimensions,
  options: Required<Pick<MetricOptions, 'statistic' | 'period'>> & Pick<MetricOptions, 'label'>,
): Metric {
  return new Metric({
    namespace: metricNamespace,
    metricName,
    dimensionsMap: { Fleet: choices.fleet, ...dimensionsMap },
    ...options,
  });
}

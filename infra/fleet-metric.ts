import { Metric } from 'aws-cdk-lib/aws-cloudwatch';
import type { MetricOptions } from 'aws-cdk-lib/aws-cloudwatch';
import { metricNamespace } from '../functions/contracts/metrics.ts';
import type { Dimensions, MetricName } from '../functions/contracts/metrics.ts';

/** A metric of our own. One that nobody writes has no name here. */
export function fleetMetric(
  metricName: MetricName,
  dimensionsMap: Dimensions,
  options: Required<Pick<MetricOptions, 'statistic' | 'period'>> & Pick<MetricOptions, 'label'>,
): Metric {
  return new Metric({ namespace: metricNamespace, metricName, dimensionsMap: { ...dimensionsMap }, ...options });
}

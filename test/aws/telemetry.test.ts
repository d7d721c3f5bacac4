import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { telemetry } from '../../functions/aws/telemetry.ts';
import { metricUnits } from '../../functions/contracts/with-infra/metrics.ts';
import { GitHubError } from '../../functions/contracts/with-github/errors.ts';
import { errorOf, startApp } from '../github/start-app.ts';

let written: string;

beforeEach(() => {
  written = '';
  // Lambda takes both to the log.
  for (const stream of [process.stdout, process.stderr]) {
    jest.spyOn(stream, 'write').mockImplementation((chunk) => {
      written += String(chunk);
      return true;
    });
  }
});
afterEach(() => {
  jest.restoreAllMocks();
});

const lines = () =>
  written
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

type Metric = { readonly name: string; readonly value: unknown; readonly dimensions: Record<string, string> };

/**
 * Reads a line as CloudWatch does, and says what is wrong with it.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
function readMetrics(root: Record<string, unknown>): Metric[] {
  const { Timestamp, CloudWatchMetrics } = root['_aws'] as { Timestamp: unknown; CloudWatchMetrics: unknown };
  must(Number.isInteger(Timestamp) && Math.abs(Number(Timestamp) - Date.now()) < 60_000, 'Timestamp is now, in ms');
  must(Array.isArray(CloudWatchMetrics) && CloudWatchMetrics.length > 0, 'there is a directive');
  return (CloudWatchMetrics as Record<string, unknown>[]).flatMap(({ Namespace, Dimensions, Metrics }) => {
    must(typeof Namespace === 'string' && /^[^:].{0,254}$/.test(Namespace), 'Namespace is a name');
    must(Array.isArray(Dimensions) && Dimensions.length === 1, 'there is one set of dimensions');
    const [set] = Dimensions as string[][];
    must(Array.isArray(set) && set.length <= 30, 'a set has 30 dimensions at most');
    const dimensions = Object.fromEntries(
      (set ?? []).map((name) => {
        const value = root[name];
        must(typeof value === 'string' && value.length >= 1 && value.length <= 1024, `${name} is a text`);
        return [name, String(value)];
      }),
    );
    must(Array.isArray(Metrics) && Metrics.length >= 1 && Metrics.length <= 100, 'there are 1 to 100 metrics');
    return (Metrics as { Name: string; Unit: string }[]).map(({ Name, Unit }) => {
      must(['Seconds', 'Count', 'Percent', 'None'].includes(Unit), `${Unit} is a unit`);
      const value = root[Name];
      const values = Array.isArray(value) ? (value as unknown[]) : [value];
      must(values.length >= 1 && values.length <= 100, `${Name} has 1 to 100 values`);
      must(
        values.every((one) => typeof one === 'number' && Number.isFinite(one)),
        `${Name} is a number`,
      );
      return { name: Name, value, dimensions };
    });
  });
}
function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the specification asks that ${what}`);
}
const metrics = () => lines().flatMap((line) => readMetrics(line));

describe('a metric', () => {
  test('is written as the embedded metric format wants it', () => {
    const { count, measure, flush } = telemetry('webhook', 'ci');
    count('Deliveries', { Reason: 'launch' });
    measure('PullSeconds', 12.5, { Profile: 'small' });
    count('RunnersEnded', { Profile: 'small', Reason: 'idle' }, 3);
    count('JobsFound');
    flush();
    expect(metrics()).toEqual([
      { name: 'Deliveries', value: 1, dimensions: { Fleet: 'ci', Reason: 'launch' } },
      { name: 'PullSeconds', value: 12.5, dimensions: { Fleet: 'ci', Profile: 'small' } },
      { name: 'RunnersEnded', value: 3, dimensions: { Fleet: 'ci', Profile: 'small', Reason: 'idle' } },
      { name: 'JobsFound', value: 1, dimensions: { Fleet: 'ci' } },
    ]);
  });

  test.each(Object.entries(metricUnits))('named %s has the unit %s', (name, unit) => {
    const { measure, flush } = telemetry('webhook', 'ci');
    measure(name as keyof typeof metricUnits, 1);
    flush();
    expect(metrics()).toHaveLength(1);
    expect(JSON.stringify(lines()[0])).toContain(`{"Name":"${name}","Unit":"${unit}"}`);
  });

  test('with many values is written once, a hundred at a time', () => {
    const { measure, flush } = telemetry('webhook', 'ci');
    for (let value = 0; value < 250; value += 1) measure('PullSeconds', value, { Profile: 'small' });
    flush();
    expect(metrics().map(({ value }) => (value as number[]).length)).toEqual([100, 100, 50]);
    expect(metrics().flatMap(({ value }) => value)).toEqual(Array.from({ length: 250 }, (_, value) => value));
  });

  test('of one set of dimensions is not mixed with another', () => {
    const { count, flush } = telemetry('webhook', 'ci');
    count('Launches', { Profile: 'a' });
    count('Launches', { Profile: 'b' });
    count('Launches', { Profile: 'a' });
    flush();
    expect(metrics().map(({ value, dimensions }) => [dimensions['Profile'], value])).toEqual([
      ['a', [1, 1]],
      ['b', 1],
    ]);
  });

  test('of one fleet is not mixed with that of another in the same account', () => {
    const fleets = ['ci', 'nightly'].map((fleet) => telemetry('webhook', fleet));
    for (const { count } of fleets) count('JobsFound');
    for (const { flush } of fleets) flush();
    expect(metrics().map(({ dimensions }) => dimensions)).toEqual([{ Fleet: 'ci' }, { Fleet: 'nightly' }]);
  });

  test('without a value is not written, and one without a profile has no such dimension', () => {
    const { count, measure, flush } = telemetry('webhook', 'ci');
    measure('PullSeconds', undefined, { Profile: 'small' });
    measure('PullSeconds', Number.NaN);
    count('Reaped', { Profile: undefined, Reason: 'lose' });
    flush();
    expect(metrics()).toEqual([{ name: 'Reaped', value: 1, dimensions: { Fleet: 'ci', Reason: 'lose' } }]);
  });

  test('that is no finite number is not written: the line would be refused with all its values', () => {
    const { measure, flush } = telemetry('webhook', 'ci');
    measure('GitHubRateLeftPercent', Number.POSITIVE_INFINITY);
    measure('GitHubRateLeftPercent', 50);
    flush();
    expect(metrics()).toEqual([{ name: 'GitHubRateLeftPercent', value: 50, dimensions: { Fleet: 'ci' } }]);
  });

  test('of seconds is never below zero: two clocks may differ', () => {
    const { measure, flush } = telemetry('webhook', 'ci');
    measure('SecondsFromQueuedToStarted', -2);
    measure('SecondsFromQueuedToLaunched', -30);
    measure('SecondsFromQueuedToLaunched', 1.5);
    measure('CostDollars', -1);
    flush();
    expect(metrics().map(({ name, value }) => [name, value])).toEqual([
      ['SecondsFromQueuedToStarted', 0],
      ['SecondsFromQueuedToLaunched', [0, 1.5]],
      ['CostDollars', -1],
    ]);
  });

  test('is written once, however often it is flushed', () => {
    const { count, flush } = telemetry('webhook', 'ci');
    flush();
    count('JobsFound');
    flush();
    flush();
    expect(metrics()).toHaveLength(1);
  });
});

describe('a log line', () => {
  test('says room, level and decision, with what it is about', () => {
    telemetry('scale-up', 'ci').log('warn', 'launch: wait', { job: '5', reason: 'profile is full' });
    expect(lines()).toMatchObject([
      { level: 'WARN', service: 'scale-up', message: 'launch: wait', job: '5', reason: 'profile is full' },
    ]);
    expect(lines()).toHaveLength(1);
  });

  test('tells an error with its cause, in one line', () => {
    const cause = new Error('socket hang up');
    const error = new GitHubError('unavailable', 'POST /orgs/acme: no answer', { cause });
    telemetry('scale-up', 'ci').log('error', 'launch: failed', { error });
    expect(lines()).toHaveLength(1);
    expect(written).toContain('POST /orgs/acme: no answer');
    expect(written).toContain('socket hang up');
  });

  test('and the metrics of a decision are told together, or the metrics without a line', () => {
    const { tell, flush } = telemetry('replenish', 'ci');
    const measures = [
      { name: 'RunnersLive', value: 3, dimensions: { Profile: 'small' } },
      { name: 'PullSeconds', value: undefined, dimensions: {} },
    ] as const;
    tell({ level: 'warn', line: 'replenish: profile', about: { live: 3 }, measures });
    tell({ level: 'warn', line: undefined, about: { live: 3 }, measures });
    expect(lines()).toMatchObject([{ level: 'WARN', message: 'replenish: profile', live: 3 }]);
    flush();
    expect(
      lines()
        .slice(1)
        .flatMap((line) => readMetrics(line)),
    ).toEqual([{ name: 'RunnersLive', value: [3, 3], dimensions: { Fleet: 'ci', Profile: 'small' } }]);
  });

  test('of a call that GitHub refused carries no token, no key and no body', async () => {
    const acme = await startApp();
    try {
      const { rest } = await acme.app.inScope('acme');
      const seen: string[] = [];
      acme.github.behave({
        failRequests: ({ authorization }) => {
          seen.push(authorization.split(' ')[1] ?? '');
          return { status: 422, body: { message: 'Validation Failed', token: 'AAAA-secret' } };
        },
      });
      const error = await errorOf(rest.actions.createRegistrationTokenForOrg({ org: 'acme' }));
      telemetry('scale-up', 'ci').log('error', 'launch: failed', { error });
      expect(written).toContain('Validation Failed');
      expect(seen.length).toBeGreaterThan(0);
      for (const secret of [...seen, 'AAAA-secret', acme.secrets.appKey.slice(100, 150)]) {
        expect(written).not.toContain(secret);
      }
    } finally {
      await acme.stop();
    }
  });
});

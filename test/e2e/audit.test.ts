import { beforeAll, describe, expect, jest, test } from '@jest/globals';
import { metricUnits } from '../../functions/contracts/with-infra/metrics.ts';
import { endings } from '../../functions/contracts/with-infra/reasons.ts';
import { DeployedTemplate } from '../infra/deployed-template.ts';
import {
  emittedSeries,
  isEmitted,
  seriesText,
  shownSeries,
  watchedSeries,
  widgetsOf,
  type Series,
} from '../infra/metric-series.ts';
import { grantsOf, isAllowed, rolesOf, shortName, type Grant } from '../infra/permissions.ts';
import { synthFleet } from '../infra/synth-fleet.ts';
import { Authorizations, type FleetRequest } from './authorizations.ts';
import { playEverything, type Played } from './every-call.ts';
import { neverCalled } from './never-called.ts';

jest.setTimeout(600_000);

// The profile of every scenario.
const template = synthFleet({ profiles: { small: { labels: ['fargate-small'] } } });
const deployed = new DeployedTemplate(template);
const roles = rolesOf(deployed);

let played: readonly Played[];
beforeAll(async () => {
  played = await playEverything();
}, 600_000);

describe('the permissions', () => {
  let requests: readonly FleetRequest[];
  beforeAll(() => {
    requests = requestsOf(played);
  });

  test('are enough: whatever a function or a task asked of AWS, its role allows', async () => {
    const refused: string[] = [];
    for (const request of requests) {
      const statements = roles.filter(({ caller }) => caller === request.caller).flatMap((role) => role.statements);
      if (!(await isAllowed(request, statements))) refused.push(textOf(request));
    }
    expect(refused).toEqual([]);
  });

  test('are no more than enough: what a role allows was asked for, or is listed with its reason', async () => {
    const { never } = await sortGrants(requests);
    expect(
      never.filter((grant) => !neverCalled.some((one) => covers(one, grant))).map((grant) => nameOf(grant)),
    ).toEqual([]);
  });

  test('are not excused when they are used, or gone', async () => {
    const { used, never } = await sortGrants(requests);
    const each = neverCalled.flatMap((one) => one.actions.map((action) => ({ ...one, actions: [action] })));
    expect(used.filter((grant) => each.some((one) => covers(one, grant))).map((grant) => nameOf(grant))).toEqual([]);
    expect(each.filter((one) => !never.some((grant) => covers(one, grant)))).toEqual([]);
  });
});

describe('the metrics', () => {
  let emitted: readonly Series[];
  beforeAll(() => {
    emitted = emittedSeries(played.flatMap(({ lines }) => lines));
  });

  test('are all emitted', () => {
    const names = new Set(emitted.map(({ name }) => name));
    expect([...names].toSorted()).toEqual(Object.keys(metricUnits).toSorted());
  });

  test('that alarms watch are emitted, each with the very dimensions', () => {
    const silent = [...watchedSeries(template)].filter(([, series]) => !isEmitted(series, emitted));
    expect(silent.map(([alarm, series]) => `${alarm}: ${seriesText(series)}`)).toEqual([]);
  });

  test('that the dashboard shows are emitted', () => {
    const silent = shownSeries(widgetsOf(template)).filter((series) => !isEmitted(anyEnding(series), emitted));
    expect(silent.map((series) => seriesText(series))).toEqual([]);
  });
});

/** Each of the same kind once. */
function requestsOf(fleets: readonly Played[]): FleetRequest[] {
  const all = fleets.flatMap(({ calls, environment }) => {
    const authorizations = new Authorizations(deployed, environment);
    return calls.flatMap((call) => authorizations.of(call));
  });
  return [...new Map(all.map((request) => [textOf(request), request])).values()];
}

/** Not every way to end is played. What names one is right as long as it is one of the list. */
function anyEnding(series: Series): Series {
  const { Reason } = series.dimensions;
  if (series.name !== 'RunnersEnded' || !endings.some((ending) => ending === Reason)) return series;
  return { ...series, dimensions: { ...series.dimensions, Reason: undefined } };
}

/** A grant is used if it, alone, allows something that was asked. */
async function sortGrants(requests: readonly FleetRequest[]): Promise<{ used: Grant[]; never: Grant[] }> {
  const used: Grant[] = [];
  const never: Grant[] = [];
  for (const role of roles) {
    for (const grant of grantsOf(role)) {
      const alike = requests.filter(({ caller, action }) => caller === role.caller && action === grant.action);
      ((await isUsed(grant, alike)) ? used : never).push(grant);
    }
  }
  return { used, never };
}

async function isUsed({ action, resource, conditions }: Grant, alike: readonly FleetRequest[]): Promise<boolean> {
  for (const request of alike) {
    if (await isAllowed(request, [{ actions: [action], resources: [resource], conditions }])) return true;
  }
  return false;
}

function covers({ roles: name, actions, resource }: (typeof neverCalled)[number], grant: Grant): boolean {
  return (
    matches(name, grant.role.name) && actions.includes(grant.action) && matches(resource, shortName(grant.resource))
  );
}

function matches(pattern: string, text: string): boolean {
  return new RegExp(`^${pattern.replaceAll(/[^\w*]/g, '\\$&').replaceAll('*', '.*')}$`).test(text);
}

function nameOf({ role, action, resource }: Grant): string {
  return `${role.name} ${action} ${shortName(resource)}`;
}

/** Equal for what differs only in the id of a task, a job, a claim. */
function textOf({ caller, action, resource, context }: FleetRequest): string {
  const keys = JSON.stringify(context).replaceAll(/#[^"]*/g, '#*');
  return `${caller} ${action} ${shortName(resource).replace(/[0-9a-f]{32}$/, '*')} ${keys}`;
}

import { describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { endings, waitReasonNames, waitReasons, type Ending } from '../../functions/contracts/with-infra/reasons.ts';
import type { StoppedTask } from '../../functions/contracts/with-tasks/stopped-task.ts';
import { decideEnding, decideLoss, type EndingDecision } from '../../functions/fleet/decide-ending.ts';
import { aLaunchedRunner, aStoppedTask } from '../fakes/builders.ts';
import { beginning } from '../fakes/clock.ts';
import { codeSpans, tableRows } from './markdown-tables.ts';

const runner = aLaunchedRunner();
const exits = (code: number, parts: Partial<StoppedTask> = {}) =>
  decideEnding(runner, aStoppedTask({ exitCode: code, ...parts }));
const diesAtOnce = { exitCode: undefined, started: false };

/** Each ending of a runner that no event had named with a job. */
const ends: Record<Ending, EndingDecision> = {
  'ran-a-job': exits(0),
  idle: exits(64),
  revoked: decideEnding({ ...runner, revoked: true }, aStoppedTask({ exitCode: 65 })),
  'no-claim': exits(65),
  'not-launched': decideLoss({ ...runner, claimId: undefined }, 'no task'),
  'failed-to-start': decideEnding(runner, aStoppedTask(diesAtOnce)),
  'not-started-by-aws': decideEnding(runner, aStoppedTask({ ...diesAtOnce, awsFault: 'start-failure' })),
  'registration-refused': exits(66),
  'failed-before-a-job': exits(73),
  'interrupted-before-a-job': exits(69),
  'interrupted-in-a-job': exits(70),
  'spot-interrupted': exits(69, { awsFault: 'spot-interruption' }),
  'out-of-memory': exits(137, { outOfMemory: true }),
  'over-max-hours': exits(71),
  reaped: decideEnding({ ...runner, deregisteredAt: beginning }, aStoppedTask({ exitCode: 69 })),
  lost: decideLoss(runner, 'no task'),
};

describe('docs/operations.md', () => {
  test('says for every wait reason what to do', () => {
    const rows = tableRows('operations.md', 'When jobs wait');
    expect(rows.flatMap((row) => codeSpans(row['reason'] ?? '')).toSorted()).toEqual([...waitReasonNames].toSorted());
    expect(rows.filter((row) => row['what to do'] === '')).toEqual([]);
  });

  test('has one row for every ending of a runner', () => {
    const rows = tableRows('operations.md', 'How runners end');
    expect(rows.flatMap((row) => codeSpans(row['ending'] ?? '')).toSorted()).toEqual([...endings].toSorted());
  });

  test.each(Object.entries(ends))('says of %s what it counts for, as the decision does', (ending, decision) => {
    expect(decision.ending).toBe(ending);
    const said = tableRows('operations.md', 'How runners end').find((row) => row['ending'] === `\`${ending}\``);
    const ofJob = decision.unserved ? 'no, it waits a minute' : 'no';
    expect({
      job: said?.['counts against its job'],
      breaker: said?.['counts for the breaker'],
    }).toEqual({
      job: decision.counts ? 'yes' : ofJob,
      breaker: decision.start === 'unknown' ? 'no' : decision.start,
    });
  });

  test('names the reasons that count as failed launches, and those that call a person', () => {
    const failures = waitReasonNames.filter((name) => waitReasons[name].failure);
    const metric = tableRows('operations.md', 'Metrics').find((row) => row['metric'] === '`LaunchFailures`');
    expect(codeSpans(metric?.['meaning'] ?? '').toSorted()).toEqual([...failures, 'given-up', 'error'].toSorted());
    const ringing = waitReasonNames.filter((name) => waitReasons[name].rings);
    const alarm = tableRows('operations.md', 'Alarms').find((row) => row['alarm']?.startsWith('`LaunchFailures`'));
    const named = codeSpans(alarm?.['what it means'] ?? '').filter((name) => name in waitReasons);
    expect(named.toSorted()).toEqual(ringing.toSorted());
  });

  test('has one row for every exit code of a task', () => {
    const rows = tableRows('operations.md', 'How a task ends');
    const table = rows.map((row) => [row['code'] ?? '', codeSpans(row['name'] ?? '')[0]]);
    expect(Object.fromEntries(table)).toEqual(exitCodes);
  });
});

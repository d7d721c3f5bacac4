import { describe, expect, test } from '@jest/globals';
import { alarmsOf, synthFleet } from '../infra/synth-fleet.ts';
import { codeSpans, tableRows } from './markdown-tables.ts';

const rows = tableRows('operations.md', 'Alarms');
const alarms = alarmsOf(synthFleet());

/** `LaunchFailures` of `LaunchFailures-small-quota`. */
function kindOf(name: string): string {
  return name.split('-', 1)[0] ?? '';
}

describe('docs/operations.md', () => {
  test('has one row for every alarm, and for nothing else', () => {
    const documented = rows.flatMap((row) => codeSpans(row['alarm'] ?? '').slice(0, 1));
    expect(documented.toSorted()).toEqual([...new Set([...alarms.keys()].map(kindOf))].toSorted());
  });

  test.each(rows)('says of $alarm when it rings, as the alarm itself does, what it means and what to do', (row) => {
    const [kind] = codeSpans(row['alarm'] ?? '');
    const said = [...alarms].filter(([name]) => kindOf(name) === kind).map(([, alarm]) => alarm.AlarmDescription);
    expect([...new Set(said)]).toEqual([`${row['rings when']}. What to do: docs/operations.md, Alarms`]);
    for (const column of ['what it means', 'look at', 'do']) expect(row[column]).toMatch(/\w/);
  });
});

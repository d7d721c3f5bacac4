import { describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { endings, waitReasons } from '../../functions/contracts/with-infra/reasons.ts';
import { codeSpans, tableRows } from './markdown-tables.ts';

describe('docs/operations.md', () => {
  test('says for every wait reason what to do', () => {
    const rows = tableRows('operations.md', 'When jobs wait');
    expect(rows.flatMap((row) => codeSpans(row['reason'] ?? '')).toSorted()).toEqual([...waitReasons].toSorted());
    expect(rows.filter((row) => row['what to do'] === '')).toEqual([]);
  });

  test('has one row for every ending of a runner', () => {
    const rows = tableRows('operations.md', 'How runners end');
    expect(rows.flatMap((row) => codeSpans(row['ending'] ?? '')).toSorted()).toEqual([...endings].toSorted());
  });

  test('has one row for every exit code of a task', () => {
    const rows = tableRows('operations.md', 'How a task ends');
    const table = rows.map((row) => [row['code'] ?? '', codeSpans(row['name'] ?? '')[0]]);
    expect(Object.fromEntries(table)).toEqual(exitCodes);
  });
});

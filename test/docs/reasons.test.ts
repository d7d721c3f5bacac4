import { describe, expect, test } from '@jest/globals';
import { endings, waitReasons } from '../../functions/contracts/reasons.ts';
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
});

import { describe, expect, test } from '@jest/globals';
import { metricUnits } from '../../functions/contracts/with-infra/metrics.ts';
import { codeSpans, tableRows } from './markdown-tables.ts';

describe('docs/operations.md', () => {
  const rows = tableRows('operations.md', 'Metrics');

  test('has one row for every metric, and for nothing else', () => {
    const documented = rows.flatMap((row) => codeSpans(row['metric'] ?? ''));
    expect(documented.toSorted()).toEqual(Object.keys(metricUnits).toSorted());
  });

  test.each(rows)('says where $metric is found and what it means', (row) => {
    expect(['Profile', 'Profile, Reason', 'Reason', 'none']).toContain(row['dimensions']);
    expect(row['meaning']).not.toBe('');
  });
});

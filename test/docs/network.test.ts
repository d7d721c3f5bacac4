import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from '@jest/globals';

const page = readFileSync(join(import.meta.dirname, '../../docs/network.md'), 'utf8');
const sums = [...page.matchAll(/([\d(][\d,.()×÷+− ]*) = ([\d,.]*\d)/g)].map(([, left = '', right = '']) => ({
  left,
  right,
}));

describe('docs/network.md', () => {
  test.each(sums)('is right that $left is $right', ({ left, right }) => {
    const places = right.split('.')[1]?.length ?? 0;
    expect(Number(calculate(left)).toFixed(places)).toBe(right.replaceAll(',', ''));
  });

  test('shows its arithmetic', () => {
    expect(sums.length).toBeGreaterThan(10);
  });
});

function calculate(text: string): unknown {
  const signs: Readonly<Record<string, string>> = { ',': '', '×': '*', '÷': '/', '−': '-' };
  return runInNewContext(text.replaceAll(/[,×÷−]/g, (sign) => signs[sign] ?? ''));
}

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { removeUnsupported } from './removals.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'removals-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const math = {
  Type: 'AWS::CloudWatch::Alarm',
  Properties: { Metrics: [] },
  Metadata: { 'aws:cdk:path': 'stack/Alarms/Math/Resource' },
};
const plain = { Type: 'AWS::CloudWatch::Alarm', Properties: { MetricName: 'Waiting' } };

function write(resources: Readonly<Record<string, unknown>>): () => unknown {
  const file = join(directory, 'stack.template.json');
  writeFileSync(file, JSON.stringify({ Resources: resources }));
  return () => (JSON.parse(readFileSync(file, 'utf8')) as { readonly Resources: unknown }).Resources;
}

describe('what the emulator does not know', () => {
  test('is removed and told of, and nothing else', () => {
    const read = write({ math, plain });
    expect(removeUnsupported(directory)).toEqual([
      { path: 'stack/Alarms/Math/Resource', what: 'AWS::CloudWatch::Alarm with metric math' },
    ]);
    expect(read()).toEqual({ plain });
  });

  test.each([
    ['a reference', { Ref: 'math' }],
    ['an attribute', { 'Fn::GetAtt': ['math', 'Arn'] }],
    ['a text with its attribute', { 'Fn::Sub': 'the alarm ${math.Arn}' }],
    ['a text with its name', { 'Fn::Sub': 'the alarm ${math}' }],
  ])('is not removed from under %s', (_, value) => {
    const read = write({ math, other: { Type: 'AWS::SNS::Topic', Properties: { value } } });
    expect(() => removeUnsupported(directory)).toThrow('must not refer to what was removed, but does: math');
    expect(read()).toHaveProperty('math');
  });
});

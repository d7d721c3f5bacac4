import { afterAll, describe, expect, test } from '@jest/globals';
import { Template } from 'aws-cdk-lib/assertions';
import { Stack } from 'aws-cdk-lib/core';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { Tables } from '../../infra/tables.ts';
import { newApp } from './new-app.ts';

const gone = { DeletionPolicy: 'Delete', UpdateReplacePolicy: 'Delete' };
const kept = { DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' };

afterAll(() => CloudAssembly.cleanupTemporaryDirectories());

function make(options: Partial<ConstructorParameters<typeof Tables>[2]>): { ledger: unknown; claims: unknown } {
  const stack = new Stack(newApp(), 'github-runners-ci');
  const { ledger, claims } = new Tables(stack, 'Tables', { pointInTimeRecovery: false, keepOnDestroy: [], ...options });
  const template = Template.fromStack(stack).findResources('AWS::DynamoDB::Table');
  const resourceOf = (name: string): unknown => template[(stack.resolve(name) as { Ref: string }).Ref];
  return { ledger: resourceOf(ledger.tableName), claims: resourceOf(claims.tableName) };
}

function backups(enabled: boolean): object {
  return { Properties: { PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: enabled } } };
}

describe('the tables', () => {
  test('go with the stack and have no backups, unless that is asked for', () => {
    expect(make({})).toMatchObject({
      ledger: { ...gone, ...backups(false) },
      claims: { ...gone, ...backups(false) },
    });
  });

  test('outlive the stack when the ledger is to be kept, but for claims: what is left of it is worth nothing', () => {
    expect(make({ keepOnDestroy: ['ledger'] })).toMatchObject({ ledger: kept, claims: gone });
  });

  test('do not outlive it for the sake of logs or images', () => {
    expect(make({ keepOnDestroy: ['logs', 'images'] })).toMatchObject({ ledger: gone, claims: gone });
  });

  test('have backups of the ledger alone: one of claims would hold registration tokens', () => {
    expect(make({ pointInTimeRecovery: true })).toMatchObject({ ledger: backups(true), claims: backups(false) });
  });
});

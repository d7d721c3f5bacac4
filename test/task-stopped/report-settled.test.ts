import { describe, expect, test } from '@jest/globals';
import { estimateCost } from '../../functions/task-stopped/estimate-cost.ts';
import { reportFailedStop, reportSettled } from '../../functions/task-stopped/report-settled.ts';
import type { SettleVerdict } from '../../functions/task-stopped/settle-task.ts';
import { aProfile, aStoppedTask, prefix } from '../fakes/builders.ts';

const profile = aProfile();
const settings = (assignPublicIp: 'ENABLED' | 'DISABLED' = 'DISABLED') => ({
  profiles: [profile],
  tasks: { assignPublicIp },
});
const task = aStoppedTask({
  provisioningSeconds: 12,
  pullSeconds: 9,
  bootSeconds: 2,
  runSeconds: 300,
  billedSeconds: 311,
});
const ended: SettleVerdict = {
  kind: 'ended',
  note: 'EssentialContainerExited, exit 64',
  runner: `${prefix}-1-1`,
  job: '1',
  profile: 'small',
  ending: 'idle',
  parked: false,
  letIn: 2,
  registration: 'deleted',
};
const cost = (seconds: number | undefined, hasPublicAddress = false) =>
  estimateCost({ profile, seconds, provider: 'FARGATE', hasPublicAddress });
const Profile = 'small';

describe('the report of a task that stopped', () => {
  test('is one line at level info with all that was decided, and each time that ECS told', () => {
    expect(reportSettled(task, ended, settings())).toEqual({
      level: 'info',
      line: 'task stopped: ended',
      about: ended,
      measures: [
        { name: 'RunnersEnded', value: 1, dimensions: { Profile, Reason: 'idle' } },
        { name: 'JobsHeld', value: undefined, dimensions: { Profile } },
        { name: 'ProvisioningSeconds', value: 12, dimensions: { Profile } },
        { name: 'PullSeconds', value: 9, dimensions: { Profile } },
        { name: 'BootSeconds', value: 2, dimensions: { Profile } },
        { name: 'RunnerSeconds', value: 300, dimensions: { Profile } },
        { name: 'CostDollars', value: cost(311), dimensions: { Profile } },
      ],
    });
  });

  test('measures nothing that ECS did not tell, and costs nothing before its image was pulled', () => {
    const told = reportSettled(aStoppedTask(), ended, settings()).measures;
    expect(told.filter(({ value }) => value !== undefined)).toEqual([
      { name: 'RunnersEnded', value: 1, dimensions: { Profile, Reason: 'idle' } },
      { name: 'CostDollars', value: 0, dimensions: { Profile } },
    ]);
  });

  test('counts a job that is parked from now on', () => {
    expect(reportSettled(task, { ...ended, parked: true }, settings()).measures).toContainEqual({
      name: 'JobsHeld',
      value: 1,
      dimensions: { Profile },
    });
  });

  test('counts the address of the task where tasks have public ones', () => {
    expect(reportSettled(task, ended, settings('ENABLED')).measures).toContainEqual({
      name: 'CostDollars',
      value: cost(311, true),
      dimensions: { Profile },
    });
  });

  test('knows no price of a profile that is gone', () => {
    expect(reportSettled(task, ended, { ...settings(), profiles: [] }).measures).toContainEqual({
      name: 'CostDollars',
      value: undefined,
      dimensions: { Profile },
    });
  });

  test.each(['known', 'not-ours'] as const)('measures nothing of one that is %s', (kind) => {
    const verdict = { kind, note: 'ended before: idle', runner: `${prefix}-1-1` };
    expect(reportSettled(task, verdict, settings())).toEqual({
      level: 'info',
      line: `task stopped: ${kind}`,
      about: verdict,
      measures: [],
    });
  });
});

describe('the report of a stop that could not be settled', () => {
  test('is an error that says which message it was', () => {
    const error = new Error('the table is throttled');
    expect(reportFailedStop({ messageId: 'm', receives: 3 }, error)).toEqual({
      level: 'error',
      line: 'task stopped: failed',
      about: { messageId: 'm', receives: 3, error },
      measures: [],
    });
  });
});

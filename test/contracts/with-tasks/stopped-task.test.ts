import { describe, expect, test } from '@jest/globals';
import { decodeStoppedTask } from '../../../functions/contracts/with-tasks/stopped-task.ts';

const arn = 'arn:aws:ecs:us-east-1:111122223333:task/runners/0123abcd';
/** The `detail` of an ECS Task State Change, as AWS documents its shape. */
const detail = {
  taskArn: arn,
  clusterArn: 'arn:aws:ecs:us-east-1:111122223333:cluster/runners',
  group: 'family:runner-x64',
  startedBy: 'ci-1a2b3c-81230000001-1',
  taskDefinitionArn: 'arn:aws:ecs:us-east-1:111122223333:task-definition/runner-x64:7',
  launchType: 'FARGATE',
  capacityProviderName: 'FARGATE_SPOT',
  platformVersion: '1.4.0',
  cpu: '2048',
  memory: '8192',
  lastStatus: 'STOPPED',
  desiredStatus: 'STOPPED',
  stopCode: 'EssentialContainerExited',
  stoppedReason: 'Essential container in task exited',
  version: 6,
  createdAt: '2026-09-01T10:00:05Z',
  pullStartedAt: '2026-09-01T10:00:15Z',
  pullStoppedAt: '2026-09-01T10:00:40Z',
  startedAt: '2026-09-01T10:00:45Z',
  stoppingAt: '2026-09-01T10:11:30Z',
  stoppedAt: '2026-09-01T10:11:58Z',
  overrides: { containerOverrides: [{ name: 'runner' }] },
  attachments: [],
  containers: [
    {
      containerArn: 'arn:aws:ecs:us-east-1:111122223333:container/x',
      name: 'runner',
      lastStatus: 'STOPPED',
      exitCode: 0,
      image: 'registry/image',
      imageDigest: 'sha256:0',
    },
  ],
};

describe('a stopped task', () => {
  test('is read from its event, with how long each part took', () => {
    expect(decodeStoppedTask(detail)).toEqual({
      taskArn: arn,
      runnerId: 'ci-1a2b3c-81230000001-1',
      stopCode: 'EssentialContainerExited',
      reason: 'Essential container in task exited',
      exitCode: 0,
      outOfMemory: false,
      provider: 'FARGATE_SPOT',
      provisioningSeconds: 10,
      pullSeconds: 25,
      bootSeconds: 5,
      runSeconds: 673,
      billedSeconds: 703,
    });
  });

  test('is billed from its image pull, though it never started', () => {
    const { startedAt: _, ...unstarted } = detail;
    expect(decodeStoppedTask(unstarted)).toMatchObject({ billedSeconds: 703, runSeconds: undefined });
  });

  test('that never started tells as much as there is', () => {
    const { pullStartedAt: _, pullStoppedAt: __, startedAt: ___, capacityProviderName: ____, ...early } = detail;
    const failed = {
      ...early,
      stopCode: 'TaskFailedToStart',
      stoppedReason: 'CannotPullContainerError: pull image manifest has been retried 5 time(s)',
      containers: [{ name: 'runner', reason: 'CannotPullContainerError: ref not found' }],
    };
    expect(decodeStoppedTask(failed)?.billedSeconds).toBeUndefined();
    expect(decodeStoppedTask(failed)).toEqual({
      taskArn: arn,
      runnerId: 'ci-1a2b3c-81230000001-1',
      stopCode: 'TaskFailedToStart',
      reason:
        'CannotPullContainerError: pull image manifest has been retried 5 time(s): CannotPullContainerError: ref not found',
      outOfMemory: false,
    });
  });

  test('without containers, a name or a reason is still one', () => {
    const { containers: _, startedBy: __, stoppedReason: ___, ...bare } = detail;
    expect(decodeStoppedTask(bare)).toMatchObject({ taskArn: arn, reason: '', outOfMemory: false });
  });

  test('says that it ran out of memory', () => {
    const containers = [
      { name: 'runner', exitCode: 137, reason: 'OutOfMemoryError: Container killed due to memory usage' },
    ];
    expect(decodeStoppedTask({ ...detail, containers })).toMatchObject({ outOfMemory: true, exitCode: 137 });
  });

  test('is judged by its runner container, wherever that stands', () => {
    const containers = [
      { name: 'docker', exitCode: 1 },
      { name: 'runner', exitCode: 64 },
    ];
    expect(decodeStoppedTask({ ...detail, containers })).toMatchObject({ exitCode: 64 });
  });

  test.each([[{ name: 'docker', exitCode: 0 }], [{ name: 'docker', exitCode: 0 }, { name: 'runner' }]])(
    'is not judged by another container, when the runner never began: %j',
    (...containers) => {
      expect(decodeStoppedTask({ ...detail, containers })?.exitCode).toBeUndefined();
    },
  );

  test('whose runner never began says what stood in its way', () => {
    const containers = [{ name: 'runner' }, { name: 'docker', exitCode: 1, reason: 'unhealthy' }];
    expect(decodeStoppedTask({ ...detail, containers })).toMatchObject({
      reason: 'Essential container in task exited: container docker ended with 1, unhealthy',
    });
  });

  test('whose runner began says nothing of the others, which end with it', () => {
    const containers = [
      { name: 'runner', exitCode: 0 },
      { name: 'docker', exitCode: 137 },
    ];
    expect(decodeStoppedTask({ ...detail, containers })).toMatchObject({
      reason: 'Essential container in task exited',
      exitCode: 0,
    });
  });

  test.each(['PROVISIONING', 'RUNNING', 'DEPROVISIONING', 'STOPPING'])('is none while it is %s', (lastStatus) => {
    expect(decodeStoppedTask({ ...detail, lastStatus })).toBeUndefined();
  });

  test.each([
    ['nothing', undefined, 'detail'],
    ['no ARN', { ...detail, taskArn: '' }, 'taskArn'],
    ['an exit code in words', { ...detail, containers: [{ exitCode: 'zero' }] }, 'containers.0.exitCode'],
  ])('that tells %s is refused, by its field', (_, wrong, field) => {
    expect(() => decodeStoppedTask(wrong)).toThrow(`a task state change's ${field} is wrong`);
  });
});

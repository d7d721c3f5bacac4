import { describe, expect, test } from '@jest/globals';
import { decodeStopEvent, decodeStoppedTask } from '../../../functions/contracts/with-tasks/stopped-task.ts';

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
      started: true,
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
      started: false,
    });
  });

  test('has no duration below zero, though the clocks of AWS differ', () => {
    const backwards = {
      ...detail,
      pullStartedAt: '2026-09-01T10:00:04Z',
      pullStoppedAt: '2026-09-01T10:00:03Z',
      startedAt: '2026-09-01T10:00:02Z',
      stoppedAt: '2026-09-01T10:00:01Z',
    };
    expect(decodeStoppedTask(backwards)).toMatchObject({
      provisioningSeconds: 0,
      pullSeconds: 0,
      bootSeconds: 0,
      runSeconds: 0,
      billedSeconds: 0,
    });
  });

  test('has no duration from a time that is none', () => {
    const read = decodeStoppedTask({ ...detail, pullStoppedAt: 'soon' });
    expect(read).toMatchObject({ pullSeconds: undefined, bootSeconds: undefined, billedSeconds: 703 });
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

describe('a stop event', () => {
  const event = {
    version: '0',
    id: '9bcdac79-b31f-4d3d-9410-fbd727c29fab',
    'detail-type': 'ECS Task State Change',
    source: 'aws.ecs',
    account: '111122223333',
    time: '2026-09-01T10:11:58Z',
    region: 'us-east-1',
    resources: [arn],
    detail,
  };

  test('is read from the body of its message', () => {
    expect(decodeStopEvent(JSON.stringify(event))).toEqual(decodeStoppedTask(detail));
  });

  test('of a task that is not over yet is none', () => {
    expect(decodeStopEvent(JSON.stringify({ ...event, detail: { ...detail, lastStatus: 'RUNNING' } }))).toBeUndefined();
  });

  test.each([
    ['nothing', '', 'a stop event must be JSON, got 0 characters that are not'],
    ['no JSON', '{"detail":', 'a stop event must be JSON, got 10 characters that are not'],
    ['null', 'null', "a stop event's text is wrong: Invalid type: Expected Object but received null"],
    ['no detail', '{}', 'a stop event\'s detail is wrong: Invalid key: Expected "detail" but received undefined'],
    [
      'a detail in words',
      '{"detail":"stopped"}',
      "a task state change's detail is wrong: Invalid type: Expected Object",
    ],
    ['a task without an ARN', '{"detail":{"lastStatus":"STOPPED"}}', "a task state change's taskArn is wrong"],
  ])('that is %s is refused, with what must be and what came', (_, body, message) => {
    expect(() => decodeStopEvent(body)).toThrow(message);
  });

  test('that cannot be read is never quoted', () => {
    expect(() => decodeStopEvent('CLAIM_ID=secret')).toThrow(/^(?!.*secret)/);
  });
});

describe('what AWS did to a task', () => {
  const { startedAt: _, ...unstarted } = detail;
  const interrupted = 'Your Spot Task was interrupted.';

  test.each([
    ['by its stop code', { stopCode: 'SpotInterruption', stoppedReason: undefined }],
    ['by the notice of its instance', { stopCode: 'TerminationNotice', stoppedReason: undefined }],
    ['by its reason alone', { stopCode: undefined, stoppedReason: interrupted }],
    ['by its reason, with the exit code of a killed container', { stoppedReason: interrupted, exitCode: 137 }],
    ['by other words', { stopCode: undefined, stoppedReason: 'Spot capacity was interrupted by EC2' }],
  ])(
    'is an interruption of Spot %s',
    (__, { exitCode, ...parts }: { exitCode?: number; stoppedReason?: string | undefined }) => {
      const containers = [{ name: 'runner', ...(exitCode !== undefined && { exitCode }) }];
      for (const task of [detail, unstarted]) {
        expect(decodeStoppedTask({ ...task, ...parts, containers })).toMatchObject({
          awsFault: 'spot-interruption',
          reason: parts.stoppedReason ?? '',
        });
      }
    },
  );

  const late = 'Capacity is unavailable at this time. Please try again later or in a different availability zone';
  test.each([
    ['no-capacity', 'TaskFailedToStart', late],
    ['no-capacity', undefined, late],
    ['start-failure', 'TaskFailedToStart', 'Timeout waiting for network interface provisioning to complete.'],
    [
      'start-failure',
      'TaskFailedToStart',
      'Unexpected EC2 error while attempting to Create Network Interface: RequestLimitExceeded',
    ],
    ['start-failure', 'TaskFailedToStart', 'InsufficientFreeAddressesInSubnet'],
    ['start-failure', 'TaskFailedToStart', 'Rate exceeded'],
    ['start-failure', 'TaskFailedToStart', 'InternalError: Internal error when attempting to fetch credentials'],
    ['start-failure', undefined, 'Timeout waiting for network interface provisioning to complete.'],
    ['start-failure', 'InfrastructureHealth', 'The infrastructure is not healthy'],
  ])('is %s for a task that never began, with %s: %s', (awsFault, stopCode, stoppedReason) => {
    expect(decodeStoppedTask({ ...unstarted, stopCode, stoppedReason, containers: [] })).toMatchObject({
      awsFault,
      started: false,
      reason: stoppedReason,
    });
  });

  test('may be told by a container', () => {
    const containers = [{ name: 'runner', reason: 'Rate exceeded' }];
    const task = { ...unstarted, stopCode: 'TaskFailedToStart', stoppedReason: 'Task failed to start', containers };
    expect(decodeStoppedTask(task)).toMatchObject({
      awsFault: 'start-failure',
      reason: 'Task failed to start: Rate exceeded',
    });
  });

  test.each([
    ['its image cannot be pulled', 'TaskFailedToStart', 'CannotPullContainerError: toomanyrequests: Rate exceeded'],
    [
      'its resources are not there',
      'TaskFailedToStart',
      'ResourceInitializationError: failed to attach network interface',
    ],
    ['it does not say why', 'TaskFailedToStart', 'Task failed to start'],
    ['somebody stopped it, whatever reason they give', 'UserInitiated', interrupted],
    ['its container ended', 'EssentialContainerExited', 'Essential container in task exited'],
  ])('is nothing when %s', (__, stopCode, stoppedReason) => {
    const task = decodeStoppedTask({ ...unstarted, stopCode, stoppedReason, containers: [] });
    expect(task?.awsFault).toBeUndefined();
  });

  test.each([
    ['TaskFailedToStart', late],
    [undefined, 'Rate exceeded'],
    ['InfrastructureHealth', 'x'],
  ])('is no failed start once it had begun, with %s', (stopCode, stoppedReason) => {
    expect(decodeStoppedTask({ ...detail, stopCode, stoppedReason })?.awsFault).toBeUndefined();
  });
});

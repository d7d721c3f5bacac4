import { describe, expect, test } from '@jest/globals';
import type { TaskOutcome } from '../../functions/contracts/with-tasks/exit-code.ts';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { endings, type Ending } from '../../functions/contracts/with-infra/reasons.ts';
import { decideEnding, decideLoss, type EndingDecision } from '../../functions/fleet/decide-ending.ts';
import { aLaunchedRunner, aStoppedTask } from '../fakes/builders.ts';
import { after } from '../fakes/clock.ts';
import { exitCodeOf } from '../fakes/tasks.ts';

type Told = Omit<EndingDecision, 'note'>;

const jobless = aLaunchedRunner();
const busy = aLaunchedRunner({ busyJobId: '7' });
const reaped = aLaunchedRunner({ deregisteredAt: after(0) });

function told({ note: _note, ...decision }: EndingDecision): Told {
  return decision;
}
/**
 * ending, then: a good or a bad start (neither: nobody knows), is its job unserved, does that count against the job, may its place be
 * filled at once, may GitHub still list it, did AWS lose the task
 */
const row = (ending: Ending, flags: string): Told => ({
  ending,
  start: flags.includes('G') ? 'good' : flags.includes('B') ? 'bad' : 'unknown',
  unserved: flags.includes('U'),
  counts: flags.includes('C'),
  healthy: flags.includes('H'),
  mayBeRegistered: flags.includes('R'),
  lostTask: flags.includes('L') ? { certain: flags.includes('!') } : undefined,
});

describe('a runner that no event named with a job', () => {
  const table: Record<TaskOutcome, Told> = {
    'ran-a-job': row('ran-a-job', 'GH'),
    idle: row('idle', 'GUCHR'),
    'no-claim': row('no-claim', 'BU'),
    'registration-refused': row('registration-refused', 'BU'),
    'github-unreachable': row('failed-to-start', 'BUR'),
    'version-deprecated': row('failed-to-start', 'BUR'),
    'interrupted-before-a-job': row('interrupted-before-a-job', 'UR'),
    'interrupted-in-a-job': row('interrupted-in-a-job', 'GHR'),
    'over-max-hours': row('over-max-hours', 'GHR'),
    'no-claim-server': row('failed-to-start', 'BUR'),
    'ended-without-a-job': row('failed-before-a-job', 'BUR'),
    'broken-image': row('failed-to-start', 'BUR'),
  };
  test.each(Object.entries(exitCodes))('and exits %s, %s, ends as the table says', (code, outcome) => {
    expect(told(decideEnding(jobless, aStoppedTask({ exitCode: Number(code) })))).toEqual(table[outcome]);
  });

  test.each([undefined, 1, 137, 143])('and exits %s, which the script never does, failed to start', (exitCode) => {
    expect(told(decideEnding(jobless, aStoppedTask({ exitCode })))).toEqual(row('failed-to-start', 'BUR'));
  });

  test('counts against its job only where GitHub gave it no job, or nobody knows whether it would have', () => {
    const counting = new Set<Ending>();
    for (const runner of [jobless, busy, reaped, aLaunchedRunner({ revoked: true })]) {
      for (const exitCode of [undefined, ...Object.keys(exitCodes).map(Number)]) {
        for (const awsFault of [undefined, 'spot-interruption', 'no-capacity', 'start-failure'] as const) {
          const { ending, counts } = decideEnding(runner, aStoppedTask({ exitCode, awsFault }));
          if (counts) counting.add(ending);
        }
      }
    }
    expect([...counting].toSorted()).toEqual(['idle', 'reaped']);
  });
});

describe('a runner that some event named with a job', () => {
  const table: Record<TaskOutcome, Told> = {
    'ran-a-job': row('ran-a-job', 'GH'),
    idle: row('interrupted-in-a-job', 'GHR'),
    'no-claim': row('interrupted-in-a-job', 'GHR'),
    'registration-refused': row('ran-a-job', 'GH'),
    'github-unreachable': row('ran-a-job', 'GH'),
    'version-deprecated': row('ran-a-job', 'GH'),
    'interrupted-before-a-job': row('interrupted-in-a-job', 'GHR'),
    'interrupted-in-a-job': row('interrupted-in-a-job', 'GHR'),
    'over-max-hours': row('over-max-hours', 'GHR'),
    'no-claim-server': row('ran-a-job', 'GH'),
    'ended-without-a-job': row('ran-a-job', 'GH'),
    'broken-image': row('ran-a-job', 'GH'),
  };
  test.each(Object.entries(exitCodes))('served it whatever its task says: exit %s, %s', (code, outcome) => {
    expect(told(decideEnding(busy, aStoppedTask({ exitCode: Number(code) })))).toEqual(table[outcome]);
  });

  test.each([undefined, 1, 137])('and exits %s was interrupted in it', (exitCode) => {
    expect(told(decideEnding(busy, aStoppedTask({ exitCode })))).toEqual(row('interrupted-in-a-job', 'GHR'));
  });

  test('counts no launch as unserved, whatever took it', () => {
    const codes = [undefined, 1, ...Object.keys(exitCodes).map(Number)];
    for (const exitCode of codes) {
      for (const awsFault of [undefined, 'spot-interruption', 'no-capacity', 'start-failure'] as const) {
        for (const outOfMemory of [true, false]) {
          const decision = decideEnding(busy, aStoppedTask({ exitCode, awsFault, outOfMemory }));
          expect(decision).toMatchObject({ unserved: false, counts: false, start: 'good', healthy: true });
          expect(decision.lostTask).toBeUndefined();
        }
      }
    }
  });
});

describe('a task that others ended', () => {
  const spot = { awsFault: 'spot-interruption' } as const;

  test('by taking its Spot capacity back is a Spot loss, whatever its exit code', () => {
    for (const exitCode of [undefined, 0, 69, 70, 137]) {
      expect(decideEnding(busy, aStoppedTask({ ...spot, exitCode })).ending).toBe('spot-interrupted');
    }
    for (const exitCode of [undefined, 69, 137]) {
      expect(told(decideEnding(jobless, aStoppedTask({ ...spot, exitCode })))).toEqual(row('spot-interrupted', 'UHRL'));
    }
    expect(told(decideEnding(busy, aStoppedTask({ ...spot, exitCode: 70 })))).toEqual(row('spot-interrupted', 'GHR'));
    expect(told(decideEnding(jobless, aStoppedTask({ ...spot, exitCode: 70 })))).toEqual(
      row('spot-interrupted', 'GHR'),
    );
  });

  test('for want of memory says so', () => {
    const task = aStoppedTask({ outOfMemory: true, exitCode: 137 });
    expect(told(decideEnding(jobless, task))).toEqual(row('out-of-memory', 'BUR'));
    expect(told(decideEnding(busy, task))).toEqual(row('out-of-memory', 'GHR'));
  });

  test('after its claim was revoked is revoked, whatever it says', () => {
    const revoked = aLaunchedRunner({ revoked: true });
    for (const exitCode of [undefined, 65, 69]) {
      const task = aStoppedTask({ exitCode, stopCode: 'UserInitiated' });
      expect(told(decideEnding(revoked, task))).toEqual(row('revoked', 'H'));
    }
    expect(told(decideEnding(revoked, aStoppedTask({ ...spot, exitCode: undefined })))).toEqual(row('revoked', 'H'));
  });

  test.each<TaskOutcome>(['interrupted-before-a-job', 'ended-without-a-job'])(
    'after its registration was taken is reaped: %s',
    (outcome) => {
      const decision = decideEnding(reaped, aStoppedTask({ exitCode: exitCodeOf(outcome) }));
      expect(told(decision)).toEqual(row('reaped', 'UCHR'));
    },
  );

  test('after its registration was taken and without an exit code is reaped when it had started', () => {
    const task = aStoppedTask({ exitCode: undefined, started: true });
    expect(told(decideEnding(reaped, task))).toEqual(row('reaped', 'UCHR'));
  });

  test('and that never started is a failed start, no fault of its job', () => {
    const task = aStoppedTask({ exitCode: undefined, started: false, stopCode: 'UserInitiated' });
    expect(told(decideEnding(reaped, task))).toEqual(row('failed-to-start', 'BUR'));
  });

  test('before it could start, failed to start', () => {
    const task = aStoppedTask({
      stopCode: 'TaskFailedToStart',
      exitCode: undefined,
      started: false,
      reason: 'CannotPullContainerError',
    });
    expect(decideEnding(jobless, task)).toMatchObject({
      ending: 'failed-to-start',
      note: 'TaskFailedToStart, no exit code, CannotPullContainerError',
    });
  });

  test.each([
    ['start-failure', 'UL'],
    ['no-capacity', 'UL!'],
  ] as const)(
    'because AWS failed to start it counts neither for its job nor for the breaker: %s',
    (awsFault, flags) => {
      const task = aStoppedTask({
        awsFault,
        stopCode: 'TaskFailedToStart',
        exitCode: undefined,
        started: false,
        reason: 'Timeout waiting for network interface provisioning to complete.',
      });
      expect(told(decideEnding(jobless, task))).toEqual(row('not-started-by-aws', flags));
      expect(decideEnding(jobless, task).note).toContain('Timeout waiting for network interface provisioning');
      // The reaper may have tried to end it before.
      expect(decideEnding(reaped, task).ending).toBe('not-started-by-aws');
    },
  );

  test('by AWS is what its script says, once the script has said something', () => {
    const task = aStoppedTask({ awsFault: 'start-failure', exitCode: exitCodeOf('broken-image') });
    expect(told(decideEnding(jobless, task))).toEqual(row('failed-to-start', 'BUR'));
  });
});

describe('a runner that ECS knows no task of', () => {
  test.each([
    ['is lost', jobless, row('lost', 'BUR')],
    ['was interrupted in the job that some event named', busy, row('interrupted-in-a-job', 'GHR')],
    ['is revoked when its claim was', aLaunchedRunner({ revoked: true }), row('revoked', 'H')],
    ['was not launched when it has no claim', aLaunchedRunner({ claimId: undefined }), row('not-launched', '')],
  ])('%s', (_, runner, decision) => {
    expect(told(decideLoss(runner, 'no task'))).toEqual(decision);
    expect(decideLoss(runner, 'no task').note).toBe('no task');
  });
});

describe('an ending', () => {
  test('says stop code, exit code and reason in one sentence', () => {
    expect(decideEnding(jobless, aStoppedTask({ exitCode: 64 })).note).toBe(
      'EssentialContainerExited, exit 64, Essential container in task exited',
    );
    expect(decideEnding(jobless, aStoppedTask({ stopCode: undefined, reason: '', exitCode: 64 })).note).toBe('exit 64');
  });

  test('is always one of the closed list', () => {
    for (const runner of [jobless, busy, reaped]) {
      for (const exitCode of [undefined, 1, ...Object.keys(exitCodes).map(Number)]) {
        expect(endings).toContain(decideEnding(runner, aStoppedTask({ exitCode })).ending);
      }
    }
  });
});

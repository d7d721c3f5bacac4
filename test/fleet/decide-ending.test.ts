import { describe, expect, test } from '@jest/globals';
import type { TaskOutcome } from '../../functions/contracts/with-tasks/exit-code.ts';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { endings, type Ending } from '../../functions/contracts/with-infra/reasons.ts';
import { decideEnding } from '../../functions/fleet/decide-ending.ts';
import { aLaunchedRunner, aStoppedTask } from '../fakes/builders.ts';
import { after } from '../fakes/clock.ts';
import { exitCodeOf } from '../fakes/tasks.ts';

type Told = { ending: Ending; listened: boolean; unserved: boolean; healthy: boolean; mayBeRegistered: boolean };

const jobless = aLaunchedRunner();
const busy = aLaunchedRunner({ busyJobId: '7' });
const reaped = aLaunchedRunner({ deregisteredAt: after(0) });

function told(decision: ReturnType<typeof decideEnding>): Told {
  const { ending, listened, unserved, healthy, mayBeRegistered } = decision;
  return { ending, listened, unserved, healthy, mayBeRegistered };
}
/** ending, then: did it listen, is its job unserved, may its place be filled at once, may GitHub still list it */
const row = (ending: Ending, flags: string): Told => ({
  ending,
  listened: flags.includes('L'),
  unserved: flags.includes('U'),
  healthy: flags.includes('H'),
  mayBeRegistered: flags.includes('R'),
});

describe('a runner that no event named with a job', () => {
  const table: Record<TaskOutcome, Told> = {
    'ran-a-job': row('ran-a-job', 'LH'),
    idle: row('idle', 'LUHR'),
    'no-claim': row('no-claim', 'U'),
    'registration-refused': row('registration-refused', 'U'),
    'github-unreachable': row('failed-to-start', 'UR'),
    'version-deprecated': row('failed-to-start', 'UR'),
    'interrupted-before-a-job': row('interrupted-before-a-job', 'UR'),
    'interrupted-in-a-job': row('interrupted-in-a-job', 'LHR'),
    'over-max-hours': row('over-max-hours', 'LHR'),
    'no-claim-server': row('failed-to-start', 'UR'),
    'ended-without-a-job': row('failed-before-a-job', 'LUR'),
    'broken-image': row('failed-to-start', 'UR'),
  };
  test.each(Object.entries(exitCodes))('and exits %s, %s, ends as the table says', (code, outcome) => {
    expect(told(decideEnding(jobless, aStoppedTask({ exitCode: Number(code) })))).toEqual(table[outcome]);
  });

  test.each([undefined, 1, 137, 143])('and exits %s, which the script never does, failed to start', (exitCode) => {
    expect(told(decideEnding(jobless, aStoppedTask({ exitCode })))).toEqual(row('failed-to-start', 'UR'));
  });
});

describe('a runner that some event named with a job', () => {
  const table: Record<TaskOutcome, Told> = {
    'ran-a-job': row('ran-a-job', 'LH'),
    idle: row('interrupted-in-a-job', 'LHR'),
    'no-claim': row('interrupted-in-a-job', 'LHR'),
    'registration-refused': row('ran-a-job', 'LH'),
    'github-unreachable': row('ran-a-job', 'LH'),
    'version-deprecated': row('ran-a-job', 'LH'),
    'interrupted-before-a-job': row('interrupted-in-a-job', 'LHR'),
    'interrupted-in-a-job': row('interrupted-in-a-job', 'LHR'),
    'over-max-hours': row('over-max-hours', 'LHR'),
    'no-claim-server': row('ran-a-job', 'LH'),
    'ended-without-a-job': row('ran-a-job', 'LH'),
    'broken-image': row('ran-a-job', 'LH'),
  };
  test.each(Object.entries(exitCodes))('served it whatever its task says: exit %s, %s', (code, outcome) => {
    expect(told(decideEnding(busy, aStoppedTask({ exitCode: Number(code) })))).toEqual(table[outcome]);
  });

  test.each([undefined, 1, 137])('and exits %s was interrupted in it', (exitCode) => {
    expect(told(decideEnding(busy, aStoppedTask({ exitCode })))).toEqual(row('interrupted-in-a-job', 'LHR'));
  });

  test('counts no launch as unserved, whatever took it', () => {
    const codes = [undefined, 1, ...Object.keys(exitCodes).map(Number)];
    for (const exitCode of codes) {
      for (const stopCode of ['EssentialContainerExited', 'SpotInterruption', 'UserInitiated', 'TaskFailedToStart']) {
        for (const outOfMemory of [true, false]) {
          const decision = decideEnding(busy, aStoppedTask({ exitCode, stopCode, outOfMemory }));
          expect(decision).toMatchObject({ unserved: false, listened: true, healthy: true });
        }
      }
    }
  });
});

describe('a task that others ended', () => {
  test.each(['SpotInterruption', 'TerminationNotice'])('by %s is a Spot loss, whatever its exit code', (stopCode) => {
    for (const exitCode of [undefined, 0, 69, 70, 137]) {
      expect(decideEnding(busy, aStoppedTask({ stopCode, exitCode })).ending).toBe('spot-interrupted');
    }
    expect(told(decideEnding(jobless, aStoppedTask({ stopCode, exitCode: 69 })))).toEqual(
      row('spot-interrupted', 'UHR'),
    );
    expect(told(decideEnding(busy, aStoppedTask({ stopCode, exitCode: 70 })))).toEqual(row('spot-interrupted', 'LHR'));
    expect(decideEnding(jobless, aStoppedTask({ stopCode, exitCode: 70 })).unserved).toBe(false);
  });

  test('for want of memory says so', () => {
    const task = aStoppedTask({ outOfMemory: true, exitCode: 137 });
    expect(told(decideEnding(jobless, task))).toEqual(row('out-of-memory', 'LUR'));
    expect(told(decideEnding(busy, task))).toEqual(row('out-of-memory', 'LHR'));
  });

  test('after its claim was revoked is revoked, whatever it says', () => {
    const revoked = aLaunchedRunner({ revoked: true });
    for (const exitCode of [undefined, 65, 69]) {
      const task = aStoppedTask({ exitCode, stopCode: 'UserInitiated' });
      expect(told(decideEnding(revoked, task))).toEqual(row('revoked', 'H'));
    }
  });

  test.each<TaskOutcome>(['interrupted-before-a-job', 'ended-without-a-job'])(
    'after its registration was taken is reaped: %s',
    (outcome) => {
      const decision = decideEnding(reaped, aStoppedTask({ exitCode: exitCodeOf(outcome) }));
      expect(told(decision)).toEqual(row('reaped', 'UHR'));
    },
  );

  test('after its registration was taken and without an exit code is reaped', () => {
    expect(decideEnding(reaped, aStoppedTask({ exitCode: undefined })).ending).toBe('reaped');
  });

  test('before it could start, failed to start', () => {
    const task = aStoppedTask({
      stopCode: 'TaskFailedToStart',
      exitCode: undefined,
      reason: 'CannotPullContainerError',
    });
    expect(decideEnding(jobless, task)).toMatchObject({
      ending: 'failed-to-start',
      reason: 'TaskFailedToStart, no exit code, CannotPullContainerError',
    });
  });
});

describe('an ending', () => {
  test('says stop code, exit code and reason in one sentence', () => {
    expect(decideEnding(jobless, aStoppedTask({ exitCode: 64 })).reason).toBe(
      'EssentialContainerExited, exit 64, Essential container in task exited',
    );
    expect(decideEnding(jobless, aStoppedTask({ stopCode: undefined, reason: '', exitCode: 64 })).reason).toBe(
      'exit 64',
    );
  });

  test('is always one of the closed list', () => {
    for (const runner of [jobless, busy, reaped]) {
      for (const exitCode of [undefined, 1, ...Object.keys(exitCodes).map(Number)]) {
        expect(endings).toContain(decideEnding(runner, aStoppedTask({ exitCode })).ending);
      }
    }
  });
});

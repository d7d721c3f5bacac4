import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RunnerRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideFate, isWorthALook, type Fate, type FateView } from '../../functions/scale-down/decide-fate.ts';
import { aLaunchedRunner } from '../fakes/builders.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';

const start = Date.parse(beginning);
const idle = { id: '7', busy: false };
const busy = { id: '7', busy: true };
type Case = Partial<Omit<FateView, 'runner' | 'now'>> & {
  readonly age: number;
  readonly runner?: Partial<RunnerRecord>;
};

const decide = ({ age, runner = {}, ...view }: Case): Fate =>
  decideFate({
    task: 'running',
    registration: idle,
    maxHours: 6,
    ...view,
    runner: aLaunchedRunner(runner),
    now: start + age,
  });
const kindOf = (one: Case) => decide(one).kind;

/** Boot limit, the runner's own five minutes, and the grace. */
const pastIdle = 20 * minute;
/** Its job's six hours and the grace, from when an event said that it began. */
const pastMax = 6 * hour + 5 * minute;
const atWork = { busyJobId: '5', busyAt: beginning };
/** The same without an event, from the last moment it could have got a job. */
const pastMaxUntold = pastMax + 15 * minute;

describe('a runner whose task runs', () => {
  test.each([
    ['young, idle', { age: pastIdle - 1 }, 'keep'],
    ['young, not registered', { age: pastIdle - 1, registration: 'absent' }, 'keep'],
    ['past its idle limit, idle', { age: pastIdle }, 'deregister'],
    ['past its idle limit, busy on GitHub', { age: pastIdle, registration: busy }, 'keep'],
    ['past its idle limit, busy by an event', { age: pastIdle, runner: { busyJobId: '5' } }, 'keep'],
    ['past its idle limit, not registered', { age: pastIdle, registration: 'absent' }, 'stop-if-jobless'],
    ['past its idle limit, GitHub not asked', { age: pastIdle, registration: 'unknown' }, 'keep'],
    ['busy by an event and not registered', { age: hour, registration: 'absent', runner: { busyJobId: '5' } }, 'keep'],
    ['warm, within its own limit', { age: 2 * hour, runner: { idleMinutes: 360 } }, 'keep'],
    ['warm, past its own limit', { age: 6 * hour + 4 * minute, runner: { idleMinutes: 345 } }, 'deregister'],
    ['at work for as long as it may', { age: pastMax, runner: atWork }, 'keep'],
    ['at work for longer', { age: pastMax + 1, runner: atWork }, 'stop'],
    ['at work for longer, GitHub not asked', { age: pastMax + 1, registration: 'unknown', runner: atWork }, 'stop'],
    ['at work since its sixth hour', { age: pastMax + 1, runner: { busyJobId: '5', busyAt: after(6 * hour) } }, 'keep'],
    ['at work for longer than its profile allows', { age: hour + 5 * minute + 1, maxHours: 1, runner: atWork }, 'stop'],
    ['busy on GitHub without an event', { age: pastMaxUntold, registration: busy }, 'keep'],
    ['busy on GitHub without an event, for longer', { age: pastMaxUntold + 1, registration: busy }, 'stop'],
    [
      'of a profile that allows an hour, warm for two',
      { age: 2 * hour, maxHours: 1, runner: { idleMinutes: 360 } },
      'keep',
    ],
  ] as [string, Case, Fate['kind']][])('%s: %j is %s', (_what, one, kind) => {
    expect(kindOf(one)).toBe(kind);
  });

  test('and was missed is found again, whatever else there is to do', () => {
    expect(kindOf({ age: pastMax + 1, runner: { ...atWork, missingSince: after(hour) } })).toBe('found-again');
  });

  test('and has lost its registration is stopped three minutes later, if GitHub shows no job on it', () => {
    const runner = { deregisteredAt: after(pastIdle) };
    expect(kindOf({ age: pastIdle + 3 * minute - 1, runner, registration: 'absent' })).toBe('keep');
    expect(kindOf({ age: pastIdle + 3 * minute, runner, registration: 'absent' })).toBe('stop-if-jobless');
  });

  test('and has lost its registration is left alone when an event named it with a job', () => {
    const runner = { deregisteredAt: after(pastIdle), busyJobId: '5' };
    expect(kindOf({ age: pastIdle + 10 * minute, runner, registration: 'absent' })).toBe('keep');
  });

  test('is deregistered by the id that GitHub gave it, with a sentence why', () => {
    expect(decide({ age: pastIdle })).toEqual({
      kind: 'deregister',
      registrationId: '7',
      note: 'it is past its idle limit',
    });
  });
});

describe('a runner whose task has stopped', () => {
  test.each([0, minute, pastIdle, pastMax + 1])('is settled at once, at an age of %d ms', (age) => {
    expect(kindOf({ age, task: 'stopped', registration: busy })).toBe('settle');
    expect(kindOf({ age, task: 'stopped', runner: { missingSince: beginning } })).toBe('settle');
  });
});

describe('a runner whose task nobody knows', () => {
  const absent = { task: 'absent', registration: 'absent' } as const;

  test.each([
    ['younger than the boot limit', { age: 10 * minute - 1 }, 'keep'],
    ['as old as the boot limit', { age: 10 * minute }, 'miss'],
    ['missed just now', { age: 11 * minute, runner: { missingSince: after(11 * minute - 29_999) } }, 'keep'],
    ['missed in the sweep before', { age: 11 * minute, runner: { missingSince: after(10 * minute) } }, 'lose'],
    ['busy, missed for the first time', { age: hour, runner: { busyJobId: '5' } }, 'miss'],
  ] as [string, Case, Fate['kind']][])('%s: %j is %s', (_what, one, kind) => {
    expect(kindOf({ ...absent, ...one })).toBe(kind);
  });

  test.each<FateView['registration']>(['unknown', 'absent', idle, busy])(
    'gives its place back whatever GitHub says, as it need not be asked: %j',
    (registration) => {
      const missed = { age: 11 * minute, runner: { missingSince: after(10 * minute) } };
      expect(kindOf({ ...missed, task: 'absent', registration })).toBe('lose');
    },
  );
});

describe('never stop what may be working', () => {
  const moment = fc.option(
    fc.integer({ min: 0, max: 7 * hour }).map((ms) => after(ms)),
    { nil: undefined },
  );
  const registration = fc.constantFrom<FateView['registration']>(idle, busy, 'absent', 'unknown');
  const task = fc.constantFrom<FateView['task']>('running', 'stopped', 'absent');
  const harmful = ['deregister', 'stop-if-jobless', 'stop'];

  test('holds for every runner that an event named with a job, until its hours are over', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: pastMax }),
        fc.integer({ min: 1, max: 360 }),
        moment,
        moment,
        task,
        registration,
        (age, idleMinutes, missingSince, deregisteredAt, taskState, registered) => {
          const runner = { ...atWork, idleMinutes, missingSince, deregisteredAt };
          expect(harmful).not.toContain(kindOf({ age, runner, task: taskState, registration: registered }));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test('holds for every runner that GitHub calls busy or was not asked about, until its hours must be over', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: pastMaxUntold }),
        moment,
        moment,
        task,
        fc.constantFrom<FateView['registration']>(busy, 'unknown'),
        (age, missingSince, deregisteredAt, taskState, registered) => {
          const runner = { missingSince, deregisteredAt };
          expect(harmful).not.toContain(kindOf({ age, runner, task: taskState, registration: registered }));
        },
      ),
    );
  });

  test('holds for every task that was not seen to run', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 24 * hour }), moment, registration, (age, deregisteredAt, registered) => {
        for (const state of ['absent', 'stopped'] as const) {
          expect(harmful).not.toContain(
            kindOf({ age, runner: { deregisteredAt }, task: state, registration: registered }),
          );
        }
      }),
    );
  });

  test('and a place is never given back while its task is seen to run', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 24 * hour }), moment, registration, (age, missingSince, registered) => {
        expect(['settle', 'lose']).not.toContain(kindOf({ age, runner: { missingSince }, registration: registered }));
      }),
    );
  });
});

describe('a look at a runner', () => {
  const look = (age: number, runner: Partial<RunnerRecord> = {}, running = true) =>
    isWorthALook({ runner: aLaunchedRunner(runner), running, maxHours: 6, now: start + age });

  test('is not worth its calls while it is young, or at work within its hours', () => {
    expect(look(pastIdle - 1)).toBe(false);
    expect(look(pastMax, atWork)).toBe(false);
    expect(look(10 * minute - 1, { taskArn: undefined }, false)).toBe(false);
  });

  test('is taken past its limits', () => {
    expect(look(pastIdle)).toBe(true);
    expect(look(pastMax + 1, atWork)).toBe(true);
  });

  test('is taken when its task is not among those that run', () => {
    expect(look(0, {}, false)).toBe(true);
    expect(look(10 * minute, { taskArn: undefined }, false)).toBe(true);
  });

  test('is taken once it was missed or lost its registration', () => {
    expect(look(0, { missingSince: beginning })).toBe(true);
    expect(look(0, { deregisteredAt: beginning })).toBe(true);
  });

  test('is never left out when there is something to do', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 8 * hour }),
        fc.constantFrom({}, atWork, { busyJobId: '5' }, { taskArn: undefined }),
        fc.constantFrom<FateView['task']>('running', 'absent'),
        (age, runner, task) => {
          if (look(age, runner, task === 'running')) return;
          expect(kindOf({ age, runner, task })).toBe('keep');
        },
      ),
    );
  });
});

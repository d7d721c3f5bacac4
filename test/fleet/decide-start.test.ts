import { describe, expect, test } from '@jest/globals';
import type { CapacityRecord } from '../../functions/contracts/between-rooms/ledger-records.ts';
import { decideStart, type StartView } from '../../functions/fleet/decide-start.ts';
import { aJobRecord, aProfile } from '../fakes/builders.ts';
import { after, beginning, hour, minute } from '../fakes/clock.ts';

const now = Date.parse(beginning);
const roomy: CapacityRecord = { revision: 0, failures: 0 };
const noRoom: CapacityRecord = { ...roomy, until: after(1), reason: 'quota', note: 'the vCPU limit is reached' };
const probed: CapacityRecord = { ...noRoom, until: after(0) };
const open: StartView = {
  job: aJobRecord(),
  profile: aProfile(),
  leases: 0,
  scope: { scope: 'acme' },
  breaker: { revision: 0, failures: 0 },
  room: { 'on-demand': roomy, spot: roomy },
  now,
};
const decide = (parts: Partial<StartView> = {}) => decideStart({ ...open, ...parts });
const start = { kind: 'start', capacity: 'on-demand', probes: { breaker: false, room: false } };

/** One wait after another, in the order in which they are looked at. */
const waits: readonly (readonly [string, Partial<StartView>, object])[] = [
  [
    'has expired',
    { job: aJobRecord({ waitingSince: after(-24 * hour - 1), parked: true }) },
    { kind: 'give-up', state: 'expired', note: 'GitHub gives a job up after 24 hours' },
  ],
  ['waits by itself', { job: aJobRecord({ parked: true }) }, { kind: 'wait', reason: 'parked' }],
  [
    'has a paused profile',
    { profile: aProfile({ maxRunners: 0 }) },
    { kind: 'wait', reason: 'profile-paused', note: 'profile small is paused: maxRunners is 0' },
  ],
  [
    'is in a scope on hold',
    { scope: { scope: 'acme', holdUntil: after(1), holdReason: 'suspended' } },
    { kind: 'wait', reason: 'scope-held', note: 'suspended' },
  ],
  [
    'has a full profile',
    { leases: 10 },
    { kind: 'wait', reason: 'profile-full', note: 'profile small is full (10 of 10)' },
  ],
  [
    'meets an open breaker',
    { breaker: { revision: 0, failures: 3, until: after(minute) } },
    {
      kind: 'wait',
      reason: 'breaker-open',
      note: `profile small paused in acme until ${after(minute)}: 3 starts in a row failed`,
    },
  ],
  [
    'finds no room in AWS',
    { room: { 'on-demand': noRoom, spot: roomy } },
    { kind: 'wait', reason: 'quota', note: 'the vCPU limit is reached' },
  ],
];

describe('a job', () => {
  test('starts when nothing keeps it', () => {
    expect(decide()).toEqual(start);
  });

  test.each(waits)('that %s says so', (_, parts, decision) => {
    expect(decide(parts)).toMatchObject(decision);
  });

  test('is told of the first thing that keeps it, not of the others', () => {
    for (const [index, [, , decision]] of waits.entries()) {
      const all = waits.slice(index).reduceRight<Partial<StartView>>((view, [, parts]) => ({ ...view, ...parts }), {});
      expect(decide(all)).toMatchObject(decision);
    }
  });

  test('that waits by itself says until when, in the words of its record or in our own', () => {
    const until = now + minute;
    const own = (parts: Parameters<typeof aJobRecord>[0]) => decide({ job: aJobRecord(parts) });
    expect(own({ notBefore: after(minute), reason: 'not-found', note: 'GitHub does not know the job' })).toEqual({
      kind: 'wait',
      reason: 'not-found',
      until,
      note: 'GitHub does not know the job',
    });
    expect(own({ notBefore: after(minute) })).toEqual({
      kind: 'wait',
      reason: 'backing-off',
      until,
      note: `not before ${after(minute)}`,
    });
    expect(own({ parked: true })).toMatchObject({
      note: 'parked: too many runners started for it ended without a job',
    });
  });

  test('has a place as long as one is left', () => {
    expect(decide({ leases: 9 })).toEqual(start);
    expect(decide({ leases: 11 })).toMatchObject({ reason: 'profile-full' });
  });

  test('is not kept by a hold that is over', () => {
    expect(decide({ scope: { scope: 'acme', holdUntil: after(0) } })).toEqual(start);
  });

  test('probes the breaker when its pause is over', () => {
    expect(decide({ breaker: { revision: 0, failures: 3, until: after(0) } })).toEqual({
      ...start,
      probes: { breaker: true, room: false },
    });
  });

  test('probes the room when its minute is over', () => {
    expect(decide({ room: { 'on-demand': probed, spot: roomy } })).toEqual({
      ...start,
      probes: { breaker: false, room: true },
    });
  });

  test('is no probe in a full profile: it would be one for nothing', () => {
    const breaker = { revision: 0, failures: 3, until: after(0) };
    expect(decide({ leases: 10, breaker, room: { 'on-demand': probed, spot: probed } })).toMatchObject({
      reason: 'profile-full',
    });
  });
});

describe('a warm runner', () => {
  test('is kept by all that keeps a job but what the job itself waits for', () => {
    expect(decide({ job: undefined })).toEqual(start);
    for (const [name, parts, decision] of waits.slice(2)) {
      expect([name, decide({ ...parts, job: undefined })]).toMatchObject([name, decision]);
    }
  });
});

describe('the capacity of a runner', () => {
  const choose = (parts: {
    readonly capacity: 'on-demand' | 'spot' | 'spot-preferred';
    readonly docker?: boolean;
    readonly job?: Parameters<typeof aJobRecord>[0] | 'warm';
    readonly spot?: CapacityRecord;
    readonly onDemand?: CapacityRecord;
  }): string => {
    const { capacity, docker = false, job = {}, spot = roomy, onDemand = roomy } = parts;
    const decision = decide({
      profile: aProfile({ capacity, docker }),
      job: job === 'warm' ? undefined : aJobRecord(job),
      room: { 'on-demand': onDemand, spot },
    });
    if (decision.kind !== 'start') return decision.kind === 'wait' ? decision.reason : decision.kind;
    return `${decision.capacity}${decision.probes.room ? ', a probe' : ''}`;
  };

  test('is on demand for an on-demand profile, whatever Spot has', () => {
    expect(choose({ capacity: 'on-demand', spot: noRoom })).toBe('on-demand');
    expect(choose({ capacity: 'on-demand', onDemand: noRoom })).toBe('quota');
    expect(choose({ capacity: 'on-demand', onDemand: probed })).toBe('on-demand, a probe');
  });

  test('is Spot for a Spot profile, also for a job that lost a Spot task', () => {
    expect(choose({ capacity: 'spot' })).toBe('spot');
    expect(choose({ capacity: 'spot', job: { withoutSpot: true, launches: 3 } })).toBe('spot');
    expect(choose({ capacity: 'spot', spot: noRoom })).toBe('quota');
    expect(choose({ capacity: 'spot', spot: probed, onDemand: noRoom })).toBe('spot, a probe');
  });

  test('is Spot where Spot is preferred and has room, or may have it again', () => {
    expect(choose({ capacity: 'spot-preferred' })).toBe('spot');
    expect(choose({ capacity: 'spot-preferred', job: 'warm' })).toBe('spot');
    expect(choose({ capacity: 'spot-preferred', job: { launches: 3 } })).toBe('spot');
    expect(choose({ capacity: 'spot-preferred', spot: probed })).toBe('spot, a probe');
  });

  test('is on demand where Spot is preferred and has no room', () => {
    expect(choose({ capacity: 'spot-preferred', spot: noRoom })).toBe('on-demand');
    expect(choose({ capacity: 'spot-preferred', spot: noRoom, onDemand: probed })).toBe('on-demand, a probe');
    expect(choose({ capacity: 'spot-preferred', spot: noRoom, onDemand: noRoom })).toBe('quota');
  });

  test('is on demand for a job that lost a Spot task', () => {
    const job = { withoutSpot: true, launches: 1 };
    expect(choose({ capacity: 'spot-preferred', job })).toBe('on-demand');
    expect(choose({ capacity: 'spot-preferred', job, spot: probed })).toBe('on-demand');
    expect(choose({ capacity: 'spot-preferred', job, onDemand: noRoom })).toBe('quota');
  });

  test('is Spot with Docker for the first launch of a job alone: Managed Instances may find no Spot instance later', () => {
    const docker = true;
    expect(choose({ capacity: 'spot-preferred', docker })).toBe('spot');
    expect(choose({ capacity: 'spot-preferred', docker, job: { launches: 1 } })).toBe('on-demand');
    expect(choose({ capacity: 'spot-preferred', docker, job: 'warm' })).toBe('on-demand');
    expect(choose({ capacity: 'spot', docker, job: { launches: 1 } })).toBe('spot');
    expect(choose({ capacity: 'spot-preferred', docker, spot: noRoom })).toBe('on-demand');
  });
});

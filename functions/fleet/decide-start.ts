import type {
  BreakerRecord,
  CapacityRecord,
  JobRecord,
  ScopeRecord,
} from '../contracts/between-rooms/ledger-records.ts';
import type { Profile } from '../contracts/with-infra/profile.ts';
import type { WaitReason } from '../contracts/with-infra/reasons.ts';
import { allowedByBackOff } from './waits/back-off.ts';
import { allowedByBreaker } from './waits/breaker.ts';
import { allowedByCapacity } from './waits/capacity.ts';
import { expiredNote, isExpired } from './waits/lifetime.ts';
import { holdOf } from './waits/scope-hold.ts';

export type Capacity = 'on-demand' | 'spot';

/** All that decides whether a runner of a profile may be started in a scope now. */
export type StartView = {
  /** The waiting job that the runner is for; none for a warm runner. */
  readonly job: JobRecord | undefined;
  readonly profile: Pick<Profile, 'name' | 'maxRunners' | 'capacity' | 'docker'>;
  /** How many runners of the profile are live. */
  readonly leases: number;
  readonly scope: ScopeRecord;
  readonly breaker: BreakerRecord;
  readonly room: Readonly<Record<Capacity, CapacityRecord>>;
  readonly now: number;
};

export type StartDecision =
  | {
      readonly kind: 'start';
      readonly capacity: Capacity;
      /** This launch finds out whether a wait is over, and no other may at the same time. */
      readonly probes: { readonly breaker: boolean; readonly room: boolean };
      /** The capacity for this launch when another launch probes already. */
      readonly instead: Capacity | undefined;
    }
  | { readonly kind: 'wait'; readonly reason: WaitReason; readonly note: string; readonly until?: number }
  | { readonly kind: 'give-up'; readonly state: 'expired'; readonly note: string };

/** The one rule of who may start: `scale-up`, the top-up of a profile, and the minute's pass all ask it. */
export function decideStart({ job, profile, leases, scope, breaker, room, now }: StartView): StartDecision {
  if (job !== undefined) {
    if (isExpired(job, now)) return { kind: 'give-up', state: 'expired', note: expiredNote };
    const own = allowedByBackOff(job, now);
    if (own.kind === 'wait') return { ...own, note: job.note ?? ownNote(own.until) };
  }
  const { name, maxRunners } = profile;
  if (maxRunners === 0) return { kind: 'wait', ...pausedProfile(name) };
  const hold = holdOf(scope, now);
  if (hold !== undefined) return { kind: 'wait', reason: 'scope-held', note: hold.note };
  // Before breaker and room: a probe that finds the profile full would be a probe for nothing.
  if (leases >= maxRunners) return { kind: 'wait', ...fullProfile(profile, leases) };
  const broken = allowedByBreaker(breaker, now);
  if (broken.kind === 'wait') {
    const note = `profile ${name} paused in ${scope.scope} until ${iso(broken.until)}: ${breaker.failures} starts in a row failed`;
    return { kind: 'wait', reason: 'breaker-open', note };
  }
  const choice = chooseCapacity(profile, job, room, now);
  if (choice.kind === 'wait') return { kind: 'wait', reason: choice.reason, note: choice.note };
  return {
    kind: 'start',
    capacity: choice.capacity,
    probes: { breaker: broken.kind === 'probe', room: choice.kind === 'probe' },
    instead: choice.instead,
  };
}

type Why = { readonly reason: WaitReason; readonly note: string };

export function pausedProfile(name: string): Why {
  return { reason: 'profile-paused', note: `profile ${name} is paused: maxRunners is 0` };
}

export function fullProfile({ name, maxRunners }: Pick<Profile, 'name' | 'maxRunners'>, leases: number): Why {
  return { reason: 'profile-full', note: `profile ${name} is full (${leases} of ${maxRunners})` };
}

type Chosen =
  | { readonly kind: 'go' | 'probe'; readonly capacity: Capacity; readonly instead?: Capacity }
  | ({ readonly kind: 'wait' } & Why);

/**
 * Spot where the profile asks for Spot. `spot-preferred` does without Spot while Spot has no room, and for a job that lost a Spot task
 * before. Managed Instances take a task, look for a Spot instance, and may find none: there every launch but the first does without.
 */
function chooseCapacity(
  { capacity, docker }: StartView['profile'],
  job: JobRecord | undefined,
  room: StartView['room'],
  now: number,
): Chosen {
  const onDemand = chosen('on-demand', room, now);
  if (capacity === 'on-demand') return onDemand;
  const spot = chosen('spot', room, now);
  if (capacity === 'spot') return spot;
  const isFirst = job !== undefined && job.launches === 0;
  if (job?.withoutSpot === true || (docker && !isFirst)) return onDemand;
  if (spot.kind === 'wait') return onDemand;
  return onDemand.kind === 'go' ? { ...spot, instead: 'on-demand' } : spot;
}

function chosen(capacity: Capacity, room: StartView['room'], now: number): Chosen {
  const verdict = allowedByCapacity(room[capacity], now);
  return verdict.kind === 'wait' ? verdict : { kind: verdict.kind, capacity };
}

function ownNote(until: number | undefined): string {
  return until === undefined
    ? 'parked: too many runners started for it ended without a job'
    : `not before ${iso(until)}`;
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

import type { JobRecord, RunnerRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { WaitReason } from '../../contracts/with-infra/reasons.ts';
import { wasOldWhenSeen } from './lifetime.ts';

const minute = 60_000;
const hour = 60 * minute;
/** A job is parked after this many runners that were started for it, listened, and got no job. */
const parkedAfter = 6;
/** A parked job of a pool is probed this often, one at a time. */
const probedEveryMs = hour;
/** A job that is released and parked again waits this long for its next release, doubled with each one, up to an hour. */
const firstReleaseMs = 5 * minute;

type BackOffVerdict =
  { readonly kind: 'go' } | { readonly kind: 'wait'; readonly reason: WaitReason; readonly until?: number };

/** May a runner be started for this job, as far as its own history says? */
export function allowedByBackOff(job: JobRecord, now: number): BackOffVerdict {
  if (job.parked) return { kind: 'wait', reason: 'parked' };
  const until = restOf(job, now);
  return until === undefined ? { kind: 'go' } : { kind: 'wait', reason: job.reason ?? 'backing-off', until };
}

/** @returns until when nothing is launched for the job; undefined when that time is over, or none was set */
export function restOf({ notBefore }: Pick<JobRecord, 'notBefore'>, now: number): number | undefined {
  return notBefore === undefined || Date.parse(notBefore) <= now ? undefined : Date.parse(notBefore);
}

/**
 * The record of a job after a launch for it ended without serving anybody.
 *
 * @param counts the end can be this job's own fault. Any other end (of AWS, GitHub, the image or a person) costs a minute and is forgotten
 * @param lostSpot AWS took a Spot task back, or did not start it
 * @returns undefined when the job waits no more, or this launch or a later one is counted already
 */
export function afterUnserved(
  job: JobRecord,
  {
    launch,
    counts,
    note,
    lostSpot,
  }: { readonly launch: number; readonly counts: boolean; readonly note: string; readonly lostSpot: boolean },
  now: number,
): JobRecord | undefined {
  if (job.state !== 'waiting' || job.unservedLaunch >= launch) return undefined;
  const after = {
    ...job,
    unservedLaunch: launch,
    withoutSpot: job.withoutSpot || lostSpot,
    decidedAt: iso(now),
  };
  const parked = { parked: true, reason: 'parked', notBefore: undefined } as const;
  const backingOff = { parked: false, reason: 'backing-off' } as const;
  // A parked job stays parked: only a release ends that.
  if (!counts && job.parked) return { ...after, ...parked, note };
  if (!counts) return { ...after, ...backingOff, note, notBefore: iso(now + minute) };
  const unserved = job.unserved + 1;
  if (unserved >= (wasOldWhenSeen(job) ? 1 : parkedAfter)) {
    return {
      ...after,
      ...parked,
      unserved,
      parkedAt: job.parked ? job.parkedAt : iso(now),
      note: `${unserved} runners started for it ended without a job`,
    };
  }
  return {
    ...after,
    ...backingOff,
    unserved,
    notBefore: iso(now + Math.min(2 ** (unserved - 1) * minute, hour)),
    note: `${unserved} of ${parkedAfter} runners started for it ended without a job`,
  };
}

/** The record of a parked job when it is released. It has one launch before it is parked again. */
export function release(job: JobRecord, now: number): JobRecord {
  return {
    ...job,
    parked: false,
    unserved: parkedAfter - 1,
    releases: job.releases + 1,
    notBefore: undefined,
    reason: undefined,
    note: 'released: one more runner is started for it',
    decidedAt: iso(now),
  };
}

/**
 * The parked jobs of one pool that may be tried again. All of them when a runner of the pool got a job after they were parked, as GitHub
 * hands out jobs there. Else one job an hour, while no other is being tried. Never a job that was old when we first heard of it.
 *
 * @param jobs the waiting jobs of one pool
 * @param busySince when runners of the pool began their jobs
 */
export function releasable(
  jobs: readonly JobRecord[],
  busySince: readonly string[],
  now: number,
): readonly JobRecord[] {
  const parked = jobs.filter((job) => job.parked && !wasOldWhenSeen(job));
  if (parked.length === 0) return [];
  const servedAt = Math.max(0, ...busySince.map((at) => Date.parse(at)));
  const served = parked.filter((job) => parkedAtOf(job) < servedAt && now - parkedAtOf(job) >= releasePauseMs(job));
  if (served.length > 0) return served;
  const isTrying = jobs.some((job) => !job.parked && job.releases > 0);
  const last = Math.max(...parked.map((job) => parkedAtOf(job)));
  if (isTrying || now - last < probedEveryMs) return [];
  return parked.toSorted((a, b) => parkedAtOf(a) - parkedAtOf(b)).slice(0, 1);
}

/** A job that GitHub gives to nobody must not be tried at each start of another job of its pool. */
function releasePauseMs({ releases }: JobRecord): number {
  return releases === 0 ? 0 : Math.min(2 ** (releases - 1) * firstReleaseMs, hour);
}

function parkedAtOf({ parkedAt, decidedAt, seenAt }: JobRecord): number {
  return Date.parse(parkedAt ?? decidedAt ?? seenAt);
}

/** When the runners began their jobs. */
export function busySinceOf(runners: readonly RunnerRecord[]): string[] {
  return runners.flatMap(({ busyAt }) => (busyAt === undefined ? [] : [busyAt]));
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

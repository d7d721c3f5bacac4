import { claimKeyPrefix } from '../../contracts/with-tasks/claim.ts';
import {
  recordVersion,
  type JobRecord,
  type ProfileRecord,
  type ScopeRecord,
} from '../../contracts/between-rooms/ledger-records.ts';
import type { BeginResult, LaunchToBegin, Ledger } from '../../fleet/ledger.ts';
import { absentOr, below, is, isCount, type Test } from './condition.ts';
import { jobChange, jobKeyOf } from './jobs.ts';
import { perProfile } from './per-profile.ts';
import { profileKeyOf, runnerKeyOf } from './runners.ts';
import { scopeKeyOf } from './scopes.ts';
import { changeOf, checkOf, mostActs, type Act, type Hindrance, type Table } from './table.ts';

/** A launch takes four acts (job, runner, claim, and its scope where no other has the same) beside that of its profile. */
const mostLaunches = Math.floor((mostActs - 1) / 4);

/**
 * One transaction: the profile has room and counts one more; the scope is not on hold; the job waits for this very launch; the runner's
 * record is new; its claim is there. Launches of one profile that begin together share one transaction, as all of them meet at the
 * profile's item.
 */
export function beginLaunch(table: Table, claimsTable: string, now: () => number): Pick<Ledger, 'begin'> {
  return {
    begin: perProfile<LaunchToBegin, BeginResult>({
      profileOf: ({ runner }) => runner.profile,
      keyOf: ({ runner }) => runner.jobId ?? runner.runnerId,
      most: mostLaunches,
      act: async (asked) => {
        const hindrance = await table.transact(actsOf(asked, claimsTable, now()));
        if (hindrance === undefined) return { kind: 'begun' };
        return asked.length === 1 ? whyNot(hindrance) : undefined;
      },
    }),
  };
}

function actsOf(asked: readonly LaunchToBegin[], claimsTable: string, now: number): Record<string, Act> {
  const acts: Record<string, Act> = {};
  for (const [index, launch] of asked.entries()) {
    const { runner, job, cap, claim } = launch;
    acts['profile'] = changeOf<ProfileRecord>({
      id: profileKeyOf(runner.profile),
      add: { leases: asked.length },
      when: { leases: roomFor(asked.length, cap) },
    });
    acts[`scope ${runner.scope}`] = checkOf<ScopeRecord>({
      id: scopeKeyOf(runner.scope),
      when: { holdUntil: absentOr(below(new Date(now).toISOString())) },
    });
    acts[`runner ${index}`] = {
      kind: 'put',
      item: {
        ...runner,
        id: runnerKeyOf(runner.runnerId),
        open: 'runner',
        openKey: `${runner.pool}|${runner.createdAt}|${runner.runnerId}`,
      },
    };
    acts[`claim ${index}`] = {
      kind: 'put',
      table: claimsTable,
      item: {
        id: `${claimKeyPrefix}${runner.claimId}`,
        body: claim.body,
        expiresAt: Math.floor(claim.expiresAt / 1000),
      },
    };
    if (job !== undefined) acts[`job ${index}`] = jobAct(launch, job, now);
  }
  return acts;
}

/** The count is absent until the first launch; also then, no more may begin than the cap allows. */
function roomFor(runners: number, cap: number): Test {
  const room = below(cap - runners + 1);
  return runners <= cap ? absentOr(room) : room;
}

function jobAct({ runner, isNews, before }: LaunchToBegin, job: JobRecord, now: number): Act {
  const begun = {
    launches: job.launches + 1,
    reason: 'starting',
    note: `runner ${runner.runnerId} is starting`,
    decidedAt: runner.createdAt,
  } as const;
  if (isNews) return changeOf(jobChange(before, { ...job, ...begun }, now));
  return changeOf<JobRecord>({
    id: jobKeyOf(job.job.id),
    set: { version: recordVersion, ...begun },
    remove: ['askedAt', 'notBefore', 'goneSince'],
    when: { state: is('waiting'), launches: isCount(job.launches) },
  });
}

function whyNot(hindrance: NonNullable<Hindrance>): BeginResult {
  const failed = [...hindrance];
  if (failed.some((act) => act.startsWith('job') || act.startsWith('runner'))) return { kind: 'overtaken' };
  return failed.some((act) => act.startsWith('scope')) ? { kind: 'held' } : { kind: 'full' };
}

import { claimKeyPrefix } from '../../contracts/with-tasks/claim.ts';
import {
  decodeProfileRecord,
  decodeRunnerRecord,
  recordVersion,
  type ProfileRecord,
  type RunnerRecord,
} from '../../contracts/between-rooms/ledger-records.ts';
import type { LeaseRequest, LeaseResult } from '../../contracts/between-rooms/lease.ts';
import type { Ending } from '../../contracts/with-infra/reasons.ts';
import { breakerPauseMs, claimLifetimeMs } from '../../contracts/with-infra/limits.ts';
import { keyOf as jobKeyOf } from './jobs.ts';
import { scopeKeyOf } from './scopes.ts';
import { decodeEach, last, type Act, type Table } from './table.ts';

/** A runner that has ended is remembered for a week. */
const keptSeconds = 7 * 24 * 3600;

export type RunnerLedger = {
  readonly takeLease: (request: LeaseRequest) => Promise<LeaseResult>;
  readonly readRunner: (runnerId: string) => Promise<RunnerRecord | undefined>;
  /** Writes the claim and, on the runner's record, what it was launched with: once, and both or neither, while its job waits. */
  readonly issueClaim: (
    runner: Pick<RunnerRecord, 'runnerId' | 'jobId'>,
    launch: {
      readonly claimId: string;
      readonly provider: string;
      readonly taskDefinition: string;
      readonly claim: string;
      readonly expiresAt: number;
    },
  ) => Promise<'issued' | 'begun' | 'job-over'>;
  readonly changeProvider: (runnerId: string, provider: string) => Promise<void>;
  /** @returns the record with its task; its lease may have ended meanwhile */
  readonly recordTask: (runnerId: string, taskArn: string) => Promise<RunnerRecord | undefined>;
  /** Some event named this runner with a job. The first job stays: a runner has one. */
  readonly markBusy: (runnerId: string, jobId: string, at: string) => Promise<RunnerRecord | undefined>;
  readonly markRevoked: (runnerId: string) => Promise<void>;
  readonly markMissing: (runnerId: string, missing: boolean) => Promise<void>;
  readonly markDeregistered: (runnerId: string) => Promise<void>;
  /** Ends the record, gives the lease back and takes back what is left of the claim, in one. False when it was ended before. */
  readonly endRunnerRecord: (runner: RunnerRecord, ending: Ending) => Promise<boolean>;
  readonly listLive: () => Promise<readonly RunnerRecord[]>;
  readonly listRunners: (profile: string) => Promise<readonly RunnerRecord[]>;
  readonly readProfile: (profile: string) => Promise<ProfileRecord>;
  readonly countLeases: (profile: string) => Promise<number>;
  /** Of all launches that find an open breaker's pause over, one gets to try; the pause starts anew for the others. */
  readonly claimProbe: (
    profile: string,
    breaker: { readonly until: string; readonly failures: number },
  ) => Promise<string | undefined>;
  readonly noteStartFailure: (profile: string) => Promise<void>;
  readonly noteGoodStart: (profile: string) => Promise<void>;
};

export function runnerLedger(table: Table, claimsTable: string, now: () => number): RunnerLedger {
  const timestamp = (after = 0): string => new Date(now() + after).toISOString();

  async function readRunner(runnerId: string): Promise<RunnerRecord | undefined> {
    const item = await table.read(keyOf(runnerId));
    return item && decodeRunnerRecord(item);
  }

  async function readProfile(profile: string): Promise<ProfileRecord> {
    return decodeProfileRecord((await table.read(profileKeyOf(profile))) ?? {});
  }

  async function whyNoLease(failed: readonly number[], profile: string, cap: number): Promise<LeaseResult> {
    if (failed.includes(3)) return { kind: 'overtaken' };
    if (failed.includes(2)) return { kind: 'begun' };
    if (failed.includes(1)) return { kind: 'held' };
    const { leases, breakerUntil, failures } = await readProfile(profile);
    // Full comes first: a probe that finds no room would be a probe for nothing.
    if (breakerUntil === undefined || leases >= cap) return { kind: 'full', leases };
    return { kind: 'breaker', until: breakerUntil, failures };
  }

  return {
    readRunner,
    readProfile,
    countLeases: async (profile) => (await readProfile(profile)).leases,
    takeLease: async ({ runner, cap, probe }) => {
      const record: RunnerRecord = { ...runner, version: recordVersion, createdAt: timestamp(), revoked: false };
      const { jobId, launch = 0 } = runner;
      const acts: Act[] = [
        {
          kind: 'change',
          change: {
            id: profileKeyOf(runner.profile),
            add: { leases: 1 },
            when: '(attribute_not_exists(#leases) OR #leases < :cap) AND (attribute_not_exists(#breakerUntil) OR #breakerUntil = :probe)',
            values: { cap, probe: probe ?? '' },
          },
        },
        {
          kind: 'check',
          change: {
            id: scopeKeyOf(runner.scope),
            when: 'attribute_not_exists(#holdUntil) OR #holdUntil < :now',
            values: { now: timestamp() },
          },
        },
        {
          kind: 'put',
          item: {
            ...record,
            id: keyOf(runner.runnerId),
            open: 'runner',
            openKey: `${runner.pool}|${record.createdAt}|${runner.runnerId}`,
          },
        },
      ];
      if (jobId !== undefined) {
        acts.push({
          kind: 'change',
          change: {
            id: jobKeyOf(jobId),
            set: {
              launches: launch,
              reason: 'starting',
              note: `runner ${runner.runnerId} is starting`,
              decidedAt: timestamp(),
            },
            remove: ['askedAt'],
            when:
              launch === 1
                ? '#state = :waiting AND attribute_not_exists(#launches)'
                : '#state = :waiting AND #launches = :before',
            values: { waiting: 'waiting', ...(launch > 1 && { before: launch - 1 }) },
          },
        });
      }
      const hindrance = await table.transact(acts);
      if (hindrance === undefined) return { kind: 'taken', runner: record };
      return whyNoLease(hindrance.failed, runner.profile, cap);
    },
    issueClaim: async ({ runnerId, jobId }, { claimId, provider, taskDefinition, claim, expiresAt }) => {
      const acts: Act[] = [
        {
          kind: 'change',
          change: {
            id: keyOf(runnerId),
            set: { claimId, provider, taskDefinition, claimedAt: timestamp() },
            when: 'attribute_exists(#id) AND attribute_not_exists(#endedAt) AND attribute_not_exists(#claimId)',
          },
        },
        {
          kind: 'put',
          table: claimsTable,
          item: {
            id: `${claimKeyPrefix}${claimId}`,
            body: claim,
            expiresAt: Math.floor(Math.min(now() + claimLifetimeMs, expiresAt) / 1000),
          },
        },
      ];
      if (jobId !== undefined) {
        const stillWaits = { id: jobKeyOf(jobId), when: '#state = :waiting', values: { waiting: 'waiting' } };
        acts.push({ kind: 'check', change: stillWaits });
      }
      const hindrance = await table.transact(acts);
      if (hindrance === undefined) return 'issued';
      return hindrance.failed.includes(0) ? 'begun' : 'job-over';
    },
    changeProvider: async (runnerId, provider) => {
      await table.change({ id: keyOf(runnerId), set: { provider }, when: 'attribute_exists(#id)' });
    },
    recordTask: async (runnerId, taskArn) => {
      await table.change({
        id: keyOf(runnerId),
        set: { taskArn, launchedAt: timestamp() },
        when: 'attribute_exists(#id) AND attribute_not_exists(#taskArn)',
      });
      return readRunner(runnerId);
    },
    markBusy: async (runnerId, jobId, at) => {
      await table.change({
        id: keyOf(runnerId),
        set: { busyJobId: jobId, busyAt: at },
        when: 'attribute_exists(#id) AND attribute_not_exists(#busyJobId)',
      });
      return readRunner(runnerId);
    },
    markRevoked: async (runnerId) => {
      await table.change({ id: keyOf(runnerId), set: { revoked: true }, when: 'attribute_exists(#id)' });
    },
    markMissing: async (runnerId, missing) => {
      await table.change({
        id: keyOf(runnerId),
        ...(missing ? { set: { missingSince: timestamp() } } : { remove: ['missingSince'] }),
        when: `attribute_exists(#id) AND ${missing ? 'attribute_not_exists' : 'attribute_exists'}(#missingSince)`,
      });
    },
    markDeregistered: async (runnerId) => {
      await table.change({
        id: keyOf(runnerId),
        set: { deregisteredAt: timestamp() },
        when: 'attribute_exists(#id) AND attribute_not_exists(#deregisteredAt)',
      });
    },
    endRunnerRecord: async ({ runnerId, profile, claimId }, ending) => {
      // Another delivery of the message may have gone on with the launch: then it is not for us to say it came to nothing.
      const asReadBefore = ` AND attribute_not_exists(#taskArn) AND ${claimId === undefined ? 'attribute_not_exists(#claimId)' : '#claimId = :claimId'}`;
      const hindrance = await table.transact([
        {
          kind: 'change',
          change: {
            id: keyOf(runnerId),
            set: { endedAt: timestamp(), ending, expiresAt: Math.floor(now() / 1000) + keptSeconds },
            remove: ['open', 'openKey'],
            when: `attribute_exists(#id) AND attribute_not_exists(#endedAt)${ending === 'not-launched' ? asReadBefore : ''}`,
            ...(ending === 'not-launched' && claimId !== undefined && { values: { claimId } }),
          },
        },
        { kind: 'change', change: { id: profileKeyOf(profile), add: { leases: -1 } } },
        // With the record, or one of the two could be left: a claim that nobody fetches, or a launch without one.
        ...(claimId === undefined
          ? []
          : [{ kind: 'remove' as const, id: `${claimKeyPrefix}${claimId}`, table: claimsTable }]),
      ]);
      return hindrance === undefined;
    },
    listLive: async () => decodeEach(await table.listOpen('runner'), decodeRunnerRecord),
    listRunners: async (profile) =>
      decodeEach(await table.listOpen('runner', { from: `${profile}@`, to: `${profile}@${last}` }), decodeRunnerRecord),
    claimProbe: async (profile, { until, failures }) => {
      // Taken as failed beforehand, so that the next pause is the longer one; a good start takes it all back.
      const next = timestamp(breakerPauseMs(failures + 1));
      const changed = await table.change({
        id: profileKeyOf(profile),
        set: { breakerUntil: next, failures: failures + 1 },
        when: '#breakerUntil = :until',
        values: { until },
      });
      return changed && next;
    },
    noteStartFailure: async (profile) => {
      // While the breaker is open only its probe counts, and that was counted: what else fails now was started before.
      const told = await table.changeAndTell({
        id: profileKeyOf(profile),
        add: { failures: 1 },
        when: 'attribute_not_exists(#breakerUntil)',
      });
      const pause = breakerPauseMs(decodeProfileRecord(told ?? {}).failures);
      if (pause === 0) return;
      await table.change({
        id: profileKeyOf(profile),
        set: { breakerUntil: timestamp(pause) },
        when: 'attribute_not_exists(#breakerUntil)',
      });
    },
    noteGoodStart: async (profile) => {
      await table.change({
        id: profileKeyOf(profile),
        remove: ['failures', 'breakerUntil'],
        when: 'attribute_exists(#failures)',
      });
    },
  };
}

function keyOf(runnerId: string): string {
  return `runner#${runnerId}`;
}

function profileKeyOf(profile: string): string {
  return `profile#${profile}`;
}

import { claimKeyPrefix } from '../../contracts/with-tasks/claim.ts';
import type { ProfileRecord, RunnerRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { Ending } from '../../contracts/with-infra/reasons.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { absent, asRead, is, present, type Test } from './condition.ts';
import { perProfile } from './per-profile.ts';
import { profileKeyOf, runnerKeyOf } from './runners.ts';
import { changeOf, mostActs, type Act, type Table } from './table.ts';

/** A runner that has ended is remembered for a week. */
const keptSeconds = 7 * 24 * 3600;
/** An end takes two acts (runner, claim) beside that of its profile. */
const mostEnds = Math.floor((mostActs - 1) / 2);

type End = { readonly runner: RunnerRecord; readonly ending: Ending };

/**
 * One transaction: the record ends if it is live; the profile counts one less; what is left of the claim goes, or a task could still
 * come with it. Runners of one profile that end together share one transaction.
 */
export function endRunner(
  table: Table,
  claimsTable: string,
  now: () => number,
): Pick<Ledger, 'endRunnerRecord' | 'revokeClaim'> {
  const end = perProfile<End, boolean>({
    profileOf: ({ runner }) => runner.profile,
    keyOf: ({ runner }) => runner.runnerId,
    most: mostEnds,
    act: async (ends) => {
      const hindrance = await table.transact(actsOf(ends, claimsTable, now()));
      if (hindrance === undefined) return true;
      if (ends.length > 1) return undefined;
      // A claim that we took back is gone too, and no task has fetched it.
      if (!hindrance.has('claim 0')) return false;
      return (await table.transact(actsOf(ends, claimsTable, now(), { revoked: is(true) }))) === undefined;
    },
  });
  return {
    endRunnerRecord: async (runner, ending) => end({ runner, ending }),
    revokeClaim: async ({ runnerId, claimId = '' }) => {
      const hindrance = await table.transact({
        claim: { kind: 'remove', table: claimsTable, id: `${claimKeyPrefix}${claimId}`, mustExist: true },
        runner: changeOf<RunnerRecord>({
          id: runnerKeyOf(runnerId),
          set: { revoked: true },
          when: { runnerId: present, endedAt: absent, busyJobId: absent },
        }),
      });
      return hindrance === undefined;
    },
  };
}

/** @param instead what proves that no claim was fetched, where the claim itself does not */
function actsOf(
  ends: readonly End[],
  claimsTable: string,
  now: number,
  instead?: { readonly revoked: Test },
): Record<string, Act> {
  const acts: Record<string, Act> = {};
  for (const [index, { runner, ending }] of ends.entries()) {
    const { runnerId, profile, claimId } = runner;
    acts['profile'] = changeOf<ProfileRecord>({ id: profileKeyOf(profile), add: { leases: -ends.length } });
    acts[`runner ${index}`] = changeOf<RunnerRecord>({
      id: runnerKeyOf(runnerId),
      set: { endedAt: new Date(now).toISOString(), ending, expiresAt: Math.floor(now / 1000) + keptSeconds },
      remove: ['open', 'openKey'],
      when: {
        runnerId: present,
        endedAt: absent,
        // A claim that was fetched, a task or a job prove that it was launched, whatever RunTask said.
        ...(ending === 'not-launched' && { taskArn: absent, busyJobId: absent, claimId: asRead(claimId), ...instead }),
      },
    });
    if (claimId === undefined) continue;
    acts[`claim ${index}`] = {
      kind: 'remove',
      table: claimsTable,
      id: `${claimKeyPrefix}${claimId}`,
      mustExist: ending === 'not-launched' && instead === undefined,
    };
  }
  return acts;
}

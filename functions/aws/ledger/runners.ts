import {
  decodeProfileRecord,
  decodeRunnerRecord,
  type RunnerRecord,
} from '../../contracts/between-rooms/ledger-records.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { absent, present } from './condition.ts';
import { decodeEach, last, type Change, type Table } from './table.ts';

type RunnerLedger = Pick<
  Ledger,
  | 'readRunner'
  | 'readProfile'
  | 'changeProvider'
  | 'recordTask'
  | 'markBusy'
  | 'markMissing'
  | 'markDeregistered'
  | 'listLive'
  | 'listRunners'
>;

export function runnerLedger(table: Table, now: () => number): RunnerLedger {
  const timestamp = (): string => new Date(now()).toISOString();

  async function change(runnerId: string, parts: Omit<Change<RunnerRecord>, 'id'>): Promise<RunnerRecord | undefined> {
    const { item } = await table.change<RunnerRecord>({
      id: runnerKeyOf(runnerId),
      ...parts,
      when: { runnerId: present, ...parts.when },
    });
    return item && decodeRunnerRecord(item);
  }

  return {
    readRunner: async (runnerId) => {
      const item = await table.read(runnerKeyOf(runnerId));
      return item && decodeRunnerRecord(item);
    },
    readProfile: async (profile) => decodeProfileRecord((await table.read(profileKeyOf(profile))) ?? {}),
    changeProvider: async (runnerId, provider) => {
      await change(runnerId, { set: { provider } });
    },
    recordTask: async (runnerId, taskArn) =>
      change(runnerId, { set: { taskArn, launchedAt: timestamp() }, when: { taskArn: absent } }),
    markBusy: async (runnerId, jobId, at) =>
      change(runnerId, { set: { busyJobId: jobId, busyAt: at }, when: { busyJobId: absent } }),
    markMissing: async (runnerId, missing) => {
      await change(
        runnerId,
        missing
          ? { set: { missingSince: timestamp() }, when: { missingSince: absent } }
          : { remove: ['missingSince'], when: { missingSince: present } },
      );
    },
    markDeregistered: async (runnerId) => {
      await change(runnerId, { set: { deregisteredAt: timestamp() }, when: { deregisteredAt: absent } });
    },
    listLive: async () => decodeEach(await table.listOpen('runner'), decodeRunnerRecord),
    listRunners: async (profile) =>
      decodeEach(await table.listOpen('runner', { from: `${profile}@`, to: `${profile}@${last}` }), decodeRunnerRecord),
  };
}

export function runnerKeyOf(runnerId: string): string {
  return `runner#${runnerId}`;
}

export function profileKeyOf(profile: string): string {
  return `profile#${profile}`;
}

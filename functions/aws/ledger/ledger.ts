import type { Ledger } from '../../fleet/ledger.ts';
import { beginLaunch } from './begin-launch.ts';
import { endRunner } from './end-runner.ts';
import { jobLedger } from './jobs.ts';
import { sweepMemory } from './memory.ts';
import { repositoryLedger } from './repositories.ts';
import { runnerLedger } from './runners.ts';
import { scopeLedger } from './scopes.ts';
import { table as openTable, type Table } from './table.ts';
import { launchTurns } from './turns.ts';
import { waitLedger } from './waits.ts';

/** The whole ledger over its table. A room hands its flow the part that the flow uses. */
export function ledger(
  names: { readonly ledger: string; readonly claims: string },
  now: () => number,
  table: Table = openTable(names.ledger),
): Ledger {
  return {
    ...jobLedger(table, now),
    ...launchTurns(table, now),
    ...beginLaunch(table, names.claims, now),
    ...endRunner(table, names.claims, now),
    ...runnerLedger(table, now),
    ...scopeLedger(table, now),
    ...waitLedger(table),
    ...repositoryLedger(table, now),
    ...sweepMemory(table, now),
  };
}

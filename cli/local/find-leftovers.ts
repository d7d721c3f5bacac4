import type { LocalFleet } from '../../test/emulators/local-fleet.ts';

/** What is still there though all jobs are done, a sentence each. None: every job left nothing behind. */
export async function findLeftovers(fleet: LocalFleet): Promise<string[]> {
  const [ledger, claims, depth, ...deadLetters] = await Promise.all([
    fleet.ledger(),
    fleet.claims(),
    fleet.depth(),
    ...Object.values(fleet.deadLetters).map(async (queue) => fleet.queues.depth(queue)),
  ]);
  const leases = starting('profile#', ledger).reduce((sum, { leases: taken }) => sum + Number(taken ?? 0), 0);
  const found: readonly (readonly [number, string])[] = [
    [fleet.github.jobs.filter(({ status }) => status !== 'completed').length, 'GitHub jobs are not completed'],
    [starting('job#', ledger).filter(({ state }) => state === 'waiting').length, 'jobs wait in the ledger'],
    [starting('runner#', ledger).filter(({ endedAt }) => endedAt === undefined).length, 'runner records are live'],
    [leases, 'leases are taken'],
    [
      [...fleet.ecs.tasks.values()].filter(({ lastStatus }) => lastStatus !== 'STOPPED').length,
      'tasks are not stopped',
    ],
    [fleet.github.runners.length, 'runners are registered'],
    [starting('claim#', claims).length, 'claims were never taken'],
    [depth, 'messages are queued'],
    [deadLetters.reduce((sum, { visible }) => sum + visible, 0), 'messages are in dead-letter queues'],
    [fleet.github.contractViolations.length, 'exchanges with GitHub broke its OpenAPI description'],
  ];
  return found.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
}

function starting(prefix: string, items: readonly Record<string, unknown>[]): Record<string, unknown>[] {
  return items.filter(({ id }) => typeof id === 'string' && id.startsWith(prefix));
}

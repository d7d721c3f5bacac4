import { launchPace, longestTurnMs, registrationPace } from '../../contracts/with-infra/limits.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { paceLedger, type Pace } from './pace.ts';
import type { Table } from './table.ts';
import { together } from '../together.ts';

const mostTurns = 100;

/**
 * The turns of launches: to register in their scopes, and to call RunTask. All that ask together are served with one update of each
 * pace, at the same time. A scope that has used up its burst comes first: a launch that gets no turn to register must not use up a turn
 * to call RunTask.
 */
export function launchTurns(table: Table, now: () => number): Pick<Ledger, 'takeTurn' | 'countTurns'> {
  const { takeTurns, countTurns, isCrowded } = paceLedger(table, now);

  return {
    takeTurn: together(async (scopes: readonly string[]) => {
      const groups = [...Map.groupBy(scopes, (scope) => scope)];
      const first = groups.filter(([scope]) => isCrowded(paceOf(scope)));
      const others = groups.filter((group) => !first.includes(group));
      const register = async (asking: typeof groups) =>
        Promise.all(
          asking.map(async ([scope, asked]) => {
            const turns = await takeTurns(paceOf(scope), asked.length, longestTurnMs);
            return { scope, turns: [...turns] };
          }),
        );
      const early = await register(first);
      const given = early.flatMap(({ turns }) => turns.filter((turn) => turn !== undefined)).length;
      const total = others.reduce((sum, [, asked]) => sum + asked.length, given);
      // Waited for together: a request that fails while nobody waits for it would end the process.
      const [late, next] = await Promise.all([
        register(others),
        total === 0 ? [] : takeTurns(launchPace, total, longestTurnMs),
      ]);
      const launches = [...next];
      const registrations = new Map([...early, ...late].map(({ scope, turns }) => [scope, turns]));
      return scopes.map((scope) => {
        const registering = registrations.get(scope)?.shift();
        const launching = registering === undefined ? undefined : launches.shift();
        return registering === undefined || launching === undefined ? undefined : Math.max(registering, launching);
      });
    }, mostTurns),
    countTurns: async () => countTurns(launchPace),
  };
}

function paceOf(scope: string): Pace {
  return { ...registrationPace, key: `registrations#${scope}` };
}

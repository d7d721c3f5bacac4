import { asError } from '../../contracts/with-github/errors.ts';
import { together, type Result } from '../together.ts';

/**
 * All that begins or ends a runner meets at its profile's item, and DynamoDB refuses a transaction on an item that another one holds.
 * So calls for one profile that are made together are tried in one transaction. Where one of them stands in the way, each is tried
 * alone, one after the other, and gets its own answer.
 */
export function perProfile<Asked, Done>({
  profileOf,
  keyOf,
  most,
  act,
}: {
  readonly profileOf: (asked: Asked) => string;
  /** The item that the act writes. A transaction takes one act for an item: of several with the same key, the others come after the first. */
  readonly keyOf: (asked: Asked) => string;
  /** How many fit into one transaction. */
  readonly most: number;
  /** @returns undefined when one of several stood in the way of all */
  readonly act: (asked: readonly Asked[]) => Promise<Done | undefined>;
}): (asked: Asked) => Promise<Done> {
  async function actFor(group: readonly Asked[]): Promise<Result<Done>[]> {
    const firsts = new Set([...Map.groupBy(group, keyOf).values()].map(([first]) => first));
    const done = await act(group.filter((one) => firsts.has(one)));
    const results: Result<Done>[] = [];
    for (const one of group) {
      if (done !== undefined && firsts.has(one)) {
        results.push(done);
        continue;
      }
      const alone = await act([one]).catch(asError);
      results.push(alone ?? new Error('a transaction for one of several must say what stood in its way'));
    }
    return results;
  }

  return together<Asked, Done>(async (all) => {
    const groups = [...Map.groupBy(all, profileOf).values()];
    const results = new Map<Asked, Result<Done>>();
    await Promise.all(
      groups.map(async (group) => {
        const done = await actFor(group).catch((error: unknown) => group.map(() => asError(error)));
        for (const [index, asked] of group.entries()) results.set(asked, done[index] ?? new Error('no result'));
      }),
    );
    return all.map((asked) => results.get(asked) ?? new Error('no result'));
  }, most);
}

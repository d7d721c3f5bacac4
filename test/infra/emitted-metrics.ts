import { globSync, readFileSync } from 'node:fs';
import { metricUnits } from '../../functions/contracts/metrics.ts';

const sources = globSync('functions/*/handler.ts').map((path) => readFileSync(path, 'utf8'));

/** Read from the calls of the handlers: `LaunchFailures Profile,Reason`. */
export const emitted: ReadonlySet<string> = new Set(
  sources.flatMap((source) =>
    [...source.matchAll(/\b(?:count|measure)\(/g)].flatMap(({ index, 0: call }) => {
      const args = argumentsAt(source, index + call.length);
      const dimensions = ['Profile', 'Reason'].filter((name) => new RegExp(`[{,]\\s+${name}\\b`).test(args));
      return Object.keys(metricUnits)
        .filter((name) => args.includes(`'${name}'`))
        .map((name) => series(name, dimensions));
    }),
  ),
);

export function series(name: string, dimensions: readonly string[]): string {
  return `${name} ${dimensions.toSorted().join(',')}`.trim();
}

/** A reason is a word of some handler, or a status the webhook refuses with. */
export function isReason(reason: string): boolean {
  const status = /^refused-(\d+)$/.exec(reason)?.[1];
  if (status === undefined) return sources.some((source) => source.includes(`'${reason}'`));
  return readFileSync('functions/webhook/receive-delivery.ts', 'utf8').includes(`refuse(${status}, `);
}

/** What stands between the parenthesis that was just opened and the one that closes it. */
function argumentsAt(source: string, start: number): string {
  let open = 1;
  let end = start;
  for (; open > 0; end += 1) open += source[end] === '(' ? 1 : source[end] === ')' ? -1 : 0;
  return source.slice(start, end - 1);
}

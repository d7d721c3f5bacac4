/** The lower one of two that are equally near. */
export function nearestNumber(value: number, legal: readonly number[]): number | undefined {
  if (Number.isNaN(value)) return undefined;
  return legal.toSorted((a, b) => Math.abs(a - value) - Math.abs(b - value) || a - b)[0];
}

/** The word somebody most likely meant; `undefined` when none is near enough to be worth saying. */
export function nearestWord(value: string, legal: readonly string[]): string | undefined {
  const wanted = value.toLowerCase();
  const distances = legal
    .map((word) => ({ word, distance: wordDistance(wanted, word.toLowerCase()) }))
    .toSorted((a, b) => a.distance - b.distance);
  const best = distances[0];
  return best !== undefined && best.distance <= Math.max(2, wanted.length / 3) ? best.word : undefined;
}

/** Edits between two words; `memory` is nearer to `memoryGiB` than three edits would say. */
function wordDistance(a: string, b: string): number {
  if (a.length > 2 && b.length > 2 && (a.startsWith(b) || b.startsWith(a))) return a === b ? 0 : 1.5;
  return editDistance(a, b);
}

/** Levenshtein's. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of a.split('').entries()) {
    const next = [i + 1];
    for (const [j, other] of b.split('').entries()) {
      const substitute = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(substitute, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

/** One call of AWS that the stub has held for its latency. A list of calls is in the order of their ends. */
export type SeenCall = {
  /** `dynamodb:UpdateItem`, as in the name of an action. */
  readonly kind: string;
  /** Milliseconds of `performance.now()`. */
  readonly from: number;
  readonly to: number;
  /** What a transaction writes: the same for every try of the same act. */
  readonly act: string | undefined;
  /** A transaction of another caller had one of its items. */
  readonly conflict: boolean;
};

export function countByKind(calls: readonly SeenCall[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of calls.toSorted((a, b) => (a.kind < b.kind ? -1 : 1))) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** How many calls were made one after the other: the longest row in which each begins when the one before has ended. */
export function callsInARow(calls: readonly SeenCall[]): number {
  let row = 0;
  let lastEnd = -Infinity;
  for (const { from, to } of calls) {
    if (from < lastEnd) continue;
    row += 1;
    lastEnd = to;
  }
  return row;
}

export function countConflicts(calls: readonly SeenCall[]): number {
  return calls.filter(({ conflict }) => conflict).length;
}

/** The tries of the transaction that was tried most often; 0 without any transaction. */
export function mostTries(calls: readonly SeenCall[]): number {
  const tries = new Map<string, number>();
  for (const { act } of calls) if (act !== undefined) tries.set(act, (tries.get(act) ?? 0) + 1);
  return Math.max(0, ...tries.values());
}

/** When the last call of this kind ended; undefined without one. */
export function lastEndOf(kind: string, calls: readonly SeenCall[]): number | undefined {
  return calls.findLast((call) => call.kind === kind)?.to;
}

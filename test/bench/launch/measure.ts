import type { SeenCall } from './calls.ts';
import type { Environments } from './environments.ts';
import type { Stubs } from './stubs.ts';

/** What was seen while something ran. */
export type Measured = {
  /** Milliseconds of `performance.now()`, as in the calls. */
  readonly from: number;
  readonly to: number;
  readonly calls: readonly SeenCall[];
  readonly gitHubCalls: number;
  readonly cpuMs: number;
};

export async function measure(
  { stubs, environments }: { readonly stubs: Stubs; readonly environments: Environments },
  act: () => Promise<void>,
): Promise<Measured> {
  stubs.services.takeCalls();
  stubs.takeGitHubCalls();
  const cpuBefore = await environments.cpuMs();
  const from = performance.now();
  await act();
  const to = performance.now();
  const cpuMs = (await environments.cpuMs()) - cpuBefore;
  return { from, to, calls: stubs.services.takeCalls(), gitHubCalls: stubs.takeGitHubCalls(), cpuMs };
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/**
 * A runner's id is its name on GitHub, its task's `startedBy`, and the token that keeps RunTask from starting a second task.
 *
 * @param prefix of the fleet: no other fleet's runners have it
 */
export function runnerIdOf(prefix: string, jobId: string, launch: number): string {
  return `${prefix}-${jobId}-${launch}`;
}

/** The id of the `index`th warm runner that a pass starts in a pool. The same minute makes the same ids. */
export function warmRunnerIdOf(
  prefix: string,
  { poolHash, minute, index }: { readonly poolHash: string; readonly minute: string; readonly index: number },
): string {
  return `${prefix}-w${poolHash}-${minute}-${index}`;
}

/** Does a runner of this name belong to the fleet with this prefix? */
export function isOurs(name: string, prefix: string): boolean {
  return name.startsWith(`${prefix}-`);
}

import { setTimeout as wait } from 'node:timers/promises';

/**
 * Looks again and again, which processes of another pace leave no way around, and gives up with a sentence. The time
 * is for the slowest of machines: nobody waits for it where the test is well.
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string | (() => string | Promise<string>) = String(holds),
  withinMs = 30_000,
  everyMs = 10,
): Promise<void> {
  const end = performance.now() + withinMs;
  while (!(await holds())) {
    if (performance.now() > end) {
      throw new Error(
        `after ${withinMs / 1000} s it must be so that ${typeof what === 'string' ? what : await what()}`,
      );
    }
    await wait(everyMs);
  }
}

/** The times and numbers that several rooms must agree on. */

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;

/** A sweep begins nothing new after this time, as its function has 30 seconds. The next sweep goes on a minute later. */
export const sweepLimitMs = 18 * second;

/** From lease to listening. After this time a runner without a task may be lost. */
export const bootLimitMs = 10 * minute;

/** GitHub gives a job up that no runner took in this time. https://docs.github.com/en/actions/reference/limits */
export const jobLifetimeMs = 24 * hour;

/** How long a claim waits for its task. */
export const claimLifetimeMs = 15 * minute;

/** How far ahead a turn is given out. A launch whose turn would come later waits in the ledger instead. */
export const longestTurnMs = 5 * minute;

/** Ask again after this time, so that the next minute's pass does, not the one after. */
export const askedForMs = 50 * second;

/** Fargate starts 20 tasks a second, and RunTask may be called as often. https://docs.aws.amazon.com/AmazonECS/latest/developerguide/throttling.html */
export const launchPace = { key: 'run-task', intervalMs: 50, burst: 20 } as const;
/** GitHub takes 1,500 registrations in five minutes: a thousand at once and 500 more in that time stay below. */
export const registrationPace = { intervalMs: 600, burst: 1000 } as const;

export type FakeClock = {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly iso: () => string;
  readonly turn: (ms: number) => void;
  readonly turnTo: (moment: string) => void;
  /** Waits by turning the clock, so that no test sleeps. */
  readonly pause: (ms: number) => Promise<void>;
};

/** When every fake world begins, unless told otherwise: a Saturday, 09:00 UTC. */
export const beginning = '2026-11-21T09:00:00.000Z';

export const second = 1000;
export const minute = 60 * second;
export const hour = 60 * minute;

/** A moment so many milliseconds after the beginning. */
export function after(ms: number): string {
  return new Date(Date.parse(beginning) + ms).toISOString();
}

/** A clock that stands still until a test turns it. */
export function fakeClock(start: string = beginning): FakeClock {
  let time = Date.parse(start);
  const turn = (ms: number): void => {
    time += ms;
  };
  return {
    now: () => time,
    iso: () => new Date(time).toISOString(),
    turn,
    turnTo: (moment) => {
      time = Date.parse(moment);
    },
    pause: async (ms) => turn(ms),
  };
}

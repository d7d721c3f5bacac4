/** Time as a port, for everything under `test/emulators`: it runs like a watch, and a test may turn it. */
export type Clock = {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `act` once the clock has moved on by `ms`; the answer calls it off. */
  after(ms: number, act: () => void): () => void;
};

type Alarm = { readonly at: number; readonly act: () => void };

/** A clock that runs with real time from wherever it was last turned to. */
export class TurnableClock implements Clock {
  /** The distance from real time in milliseconds. Shared, so that worker threads can follow (see `lambda.ts`). */
  readonly offset = new BigInt64Array(new SharedArrayBuffer(8));
  #alarms = new Set<Alarm>();
  #timer: NodeJS.Timeout | undefined;
  /** Set while an alarm goes off on the way: it is its time exactly, however long it takes to act. */
  #moment: number | undefined;

  now(): number {
    return this.#moment ?? Date.now() + Number(Atomics.load(this.offset, 0));
  }

  after(ms: number, act: () => void): () => void {
    const alarm = { at: this.now() + ms, act };
    this.#alarms.add(alarm);
    this.#arm();
    return () => {
      if (this.#alarms.delete(alarm)) this.#arm();
    };
  }

  /** Turns the clock forward. Whatever falls due on the way has run, in order, when this returns. */
  advance(ms: number): void {
    const target = this.now() + ms;
    for (let next = this.#next(); next !== undefined && next.at <= target; next = this.#next()) {
      this.#moment = this.#turnTo(next.at);
      this.#alarms.delete(next);
      try {
        next.act();
      } finally {
        this.#moment = undefined;
      }
    }
    this.#turnTo(target);
    this.#arm();
  }

  /** Calls everything off, so that a process can end. */
  stop(): void {
    this.#alarms.clear();
    this.#arm();
  }

  /** Never back. @returns the time it is then */
  #turnTo(time: number): number {
    const now = this.now();
    if (time <= now) return now;
    Atomics.add(this.offset, 0, BigInt(Math.round(time - now)));
    return time;
  }

  #next(): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) if (first === undefined || alarm.at < first.at) first = alarm;
    return first;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const next = this.#next();
    if (next === undefined) return;
    this.#timer = setTimeout(
      () => {
        const now = this.now();
        const due = [...this.#alarms].filter((alarm) => alarm.at <= now).toSorted((a, b) => a.at - b.at);
        for (const alarm of due) {
          if (this.#alarms.delete(alarm)) alarm.act();
        }
        this.#arm();
      },
      Math.min(Math.max(next.at - this.now(), 0), 2 ** 31 - 1),
    );
  }
}

import type { Clock } from '../clock.ts';

type Deadline<Key> = { readonly since: number; readonly act: (key: Key) => void };

/**
 * Many deadlines of one length with one alarm among them: since all are equally long, whoever was set first is due
 * first. Setting a key again starts its time anew.
 */
export class Deadlines<Key> {
  readonly #clock: Clock;
  readonly #length: () => number;
  readonly #set = new Map<Key, Deadline<Key>>();
  #callOff: (() => void) | undefined;

  /** @param length in milliseconds; may change over time. */
  constructor(clock: Clock, length: () => number) {
    this.#clock = clock;
    this.#length = length;
  }

  set(key: Key, act: (key: Key) => void): void {
    this.#set.delete(key);
    this.#set.set(key, { since: this.#clock.now(), act });
    if (this.#callOff === undefined) this.rearm();
  }

  clear(key: Key): void {
    this.#set.delete(key);
  }

  stop(): void {
    this.#set.clear();
    this.#callOff?.();
    this.#callOff = undefined;
  }

  /** To be called when the length changed. */
  rearm(): void {
    this.#callOff?.();
    this.#callOff = undefined;
    const first = this.#set.values().next().value;
    if (first === undefined) return;
    const left = first.since + this.#length() - this.#clock.now();
    this.#callOff = this.#clock.after(Math.max(left, 0), () => this.#run());
  }

  #run(): void {
    this.#callOff = undefined;
    for (const [key, { since, act }] of this.#set) {
      if (since + this.#length() > this.#clock.now()) break;
      this.#set.delete(key);
      act(key);
    }
    this.rearm();
  }
}

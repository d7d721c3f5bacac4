import { randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Invocation, Invoke } from './lambda.ts';

/** A schedule that runs: at a rate by the clock, and whenever it is told to. */
export type Schedule = {
  /** Runs it now, out of turn, once, and waits for it: what a person does in the console. */
  runNow(): Promise<Invocation>;
  /** Holds the rate; runs under way go on. */
  pause(): void;
  resume(): void;
};

/** EventBridge: schedules, and the rules that bring events to functions. */
export class Scheduler {
  /**
   * How long Lambda waits before each new try of an asynchronous invocation that failed, by the clock.
   * https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
   */
  retryAfterMs: readonly number[] = [60_000, 120_000];
  readonly #clock: Clock;
  readonly #running = new Set<Promise<unknown>>();
  readonly #callOffs = new Set<() => void>();
  #stopped = false;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** How many invocations are under way. */
  get running(): number {
    return this.#running.size;
  }

  /** Invokes every `ms` of the clock, first after one `ms`. A run that takes longer overlaps the next, as in AWS. */
  every(ms: number, invoke: Invoke): Schedule {
    let callOff: (() => void) | undefined;
    const resume = (): void => {
      if (callOff !== undefined || this.#stopped) return;
      callOff = this.#clock.after(ms, () => {
        callOff = undefined;
        resume();
        this.#invoke(scheduledEvent(this.#clock), invoke);
      });
    };
    const pause = (): void => {
      callOff?.();
      callOff = undefined;
    };
    resume();
    this.#callOffs.add(pause);
    return { runNow: async () => this.#track(tryOnce(scheduledEvent(this.#clock), invoke)), pause, resume };
  }

  /** A rule: an event that matches goes to the function, asynchronously. */
  rule<E>(matches: (event: E) => boolean, invoke: Invoke): (event: E) => void {
    return (event) => {
      // As JSON: a function never shares an object with anyone.
      if (!this.#stopped && matches(event)) this.#invoke(JSON.parse(JSON.stringify(event)), invoke);
    };
  }

  /** Waits until no invocation is under way. One that waits for its next try is not. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const callOff of this.#callOffs) callOff();
    await this.settled();
  }

  #invoke(event: unknown, invoke: Invoke, tries = 0): void {
    void this.#track(this.#invokeOrRetry(event, invoke, tries));
  }

  async #invokeOrRetry(event: unknown, invoke: Invoke, tries: number): Promise<void> {
    const { ok } = await tryOnce(event, invoke);
    const delay = this.retryAfterMs[tries];
    if (ok || delay === undefined || this.#stopped) return;
    const callOff = this.#clock.after(delay, () => {
      this.#callOffs.delete(callOff);
      this.#invoke(event, invoke, tries + 1);
    });
    this.#callOffs.add(callOff);
  }

  async #track<T>(run: Promise<T>): Promise<T> {
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }
}

/** The pattern of a rule: tasks of this cluster that have stopped. */
export function stoppedTaskOf(clusterArn: string): (event: TaskEvent) => boolean {
  return (event) =>
    event.source === 'aws.ecs' &&
    event['detail-type'] === 'ECS Task State Change' &&
    event.detail.clusterArn === clusterArn &&
    event.detail.lastStatus === 'STOPPED';
}
type TaskEvent = {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: { readonly clusterArn: string; readonly lastStatus: string };
};

async function tryOnce(event: unknown, invoke: Invoke): Promise<Invocation> {
  try {
    return await invoke(event);
  } catch (error) {
    return { ok: false, requestId: '', error: { errorType: 'Error', errorMessage: String(error) } };
  }
}

function scheduledEvent(clock: Clock): unknown {
  return {
    version: '0',
    id: randomUUID(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: '111122223333',
    time: new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'),
    region: 'us-east-1',
    resources: ['arn:aws:events:us-east-1:111122223333:rule/emulated'],
    detail: {},
  };
}

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

/** EventBridge: schedules, and the rules that send events to queues. */
export class Scheduler {
  readonly #clock: Clock;
  readonly #running = new Set<Promise<unknown>>();
  readonly #callOffs = new Set<() => void>();
  #stopped = false;

  constructor({ clock }: { clock: Clock }) {
    this.#clock = clock;
  }

  /** How many invocations and events are under way. */
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
        void this.#track(tryOnce(scheduledEvent(this.#clock), invoke));
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

  /** A rule: an event that matches is sent to a queue, as JSON. */
  rule<E>(matches: (event: E) => boolean, send: (body: string) => Promise<void>): (event: E) => void {
    return (event) => {
      if (!this.#stopped && matches(event)) void this.#track(send(JSON.stringify(event)));
    };
  }

  /** Waits until no invocation and no event is under way. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const callOff of this.#callOffs) callOff();
    await this.settled();
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

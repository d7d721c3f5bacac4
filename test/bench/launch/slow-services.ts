import { setTimeout as pause } from 'node:timers/promises';
import { signerOf } from '../../emulators/aws/aws-call.ts';
import { canonicalJson, sha256, type Call, type JsonService } from '../../emulators/aws/aws-json.ts';
import { BusyItems } from './busy-items.ts';
import type { SeenCall } from './calls.ts';

/** Signs the bench's own calls: they are neither slow nor counted. */
export const benchKey = 'bench';

/** Gives the emulated services the latency of AWS, and notes each call of the functions. */
export class SlowServices {
  readonly #calls: SeenCall[] = [];
  readonly #busy = new BusyItems();
  readonly #latencyMs: (kind: string) => number;

  constructor(latencyMs: (kind: string) => number) {
    this.#latencyMs = latencyMs;
  }

  slowDown(name: string, service: JsonService): void {
    service.beforeCall = async (call) => {
      if (signerOf(call.headers['authorization'] ?? '')?.key !== benchKey) await this.#hold(name, call);
    };
  }

  /** The calls since this was asked last. */
  takeCalls(): readonly SeenCall[] {
    return this.#calls.splice(0);
  }

  async #hold(name: string, call: Call): Promise<void> {
    const kind = `${name}:${call.operation}`;
    const from = performance.now();
    const latency = async (): Promise<void> => pause(this.#latencyMs(kind));
    let conflict = false;
    try {
      await (name === 'dynamodb' ? this.#busy.during(call, latency) : latency());
    } catch (error) {
      conflict = true;
      throw error;
    } finally {
      const isTransaction = call.operation === 'TransactWriteItems';
      const act = isTransaction ? sha256(canonicalJson(call.input['TransactItems'])) : undefined;
      this.#calls.push({ kind, from, to: performance.now(), act, conflict });
    }
  }
}

import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { functionSeconds } from '../../../functions/contracts/with-infra/queue-limits.ts';
import { bundleFunctions, type FunctionName } from '../../../infra/function-bundle.ts';
import type { Invocation } from '../../emulators/aws/lambda.ts';
import type { EnvironmentsMessage, EnvironmentsOptions, EnvironmentsRequest } from './environments-process.ts';
import type { Stubs } from './stubs.ts';

type Unsent<R> = R extends unknown ? Omit<R, 'id'> : never;

/** The environments of one function, in a process of their own: the bundle that is deployed, driven as Lambda drives it. */
export class Environments {
  readonly #errorLines: string[] = [];
  readonly #process: ChildProcess;
  readonly #directory: string;
  readonly #waiting = new Map<number, (answer: Invocation | number) => void>();
  #lastId = 0;

  constructor(name: FunctionName, { stubs, atOnce }: { readonly stubs: Stubs; readonly atOnce: number }) {
    this.#directory = mkdtempSync(join(tmpdir(), 'bench-launch-'));
    const options: EnvironmentsOptions = {
      name,
      file: join(bundleFunctions(stubs.choices, this.#directory)[name], 'index.js'),
      environment: stubs.environment,
      maxConcurrency: atOnce,
      timeoutSeconds: functionSeconds,
    };
    this.#process = fork(
      fileURLToPath(new URL('environments-process.ts', import.meta.url)),
      [JSON.stringify(options)],
      {
        execArgv: ['--disable-warning=ExperimentalWarning'],
      },
    );
    this.#process.on('message', (message: EnvironmentsMessage) => {
      if (message.kind === 'error-line') {
        this.#errorLines.push(message.line);
        return;
      }
      this.#waiting.get(message.id)?.(message.answer);
      this.#waiting.delete(message.id);
    });
  }

  async invoke(event: unknown): Promise<Invocation> {
    return (await this.#ask({ kind: 'invoke', event })) as Invocation;
  }

  /** CPU time of all environments since their process began. */
  async cpuMs(): Promise<number> {
    return (await this.#ask({ kind: 'cpu' })) as number;
  }

  /** Prints the beginning of the function's first error, and how many errors there were. */
  tellErrors(): void {
    const [first, ...more] = this.#errorLines;
    if (first !== undefined)
      console.error(`${more.length + 1} errors were logged, the first is ${first.slice(0, 300)}`);
  }

  async stop(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #ask(request: Unsent<EnvironmentsRequest>): Promise<Invocation | number> {
    const id = ++this.#lastId;
    const answered = new Promise<Invocation | number>((resolve) => this.#waiting.set(id, resolve));
    this.#process.send({ ...request, id });
    return answered;
  }
}

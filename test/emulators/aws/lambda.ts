import { randomBytes, randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { TurnableClock } from '../clock.ts';
import type { EnvironmentMessage, EnvironmentOptions, FunctionError, InvokeRequest } from './lambda-worker.ts';

export type FunctionOptions = {
  readonly name: string;
  /** A CommonJS bundle; `exports.handler` unless `handler` names another. */
  readonly file: string;
  readonly clock: TurnableClock;
  readonly environment?: Readonly<Record<string, string>>;
  readonly handler?: string;
  /** @default 30 */
  readonly timeoutSeconds?: number;
  /** @default 256 */
  readonly memoryMiB?: number;
  /** Invocations beyond it wait their turn, where AWS would throttle. @default 10 */
  readonly maxConcurrency?: number;
  readonly account?: string;
  readonly region?: string;
};

export type Invocation =
  | { readonly ok: true; readonly requestId: string; readonly result: unknown }
  | { readonly ok: false; readonly requestId: string; readonly error: FunctionError };
export type LogLine = { readonly functionName: string; readonly requestId: string | undefined; readonly line: string };

/** What runs functions: the HTTP API, event sources and schedules need no more of a function than this. */
export type Invoke = (event: unknown) => Promise<Invocation>;

/** A Lambda function: its warm environments, and the invocations that wait for one. */
export class LambdaFunction {
  readonly name: string;
  readonly arn: string;
  readonly #options: FunctionOptions;
  readonly #environments = new Set<Environment>();
  readonly #waiting: (() => void)[] = [];
  readonly #listeners = new Set<(line: LogLine) => void>();
  #stopped = false;

  constructor(options: FunctionOptions) {
    this.name = options.name;
    const { account = '111122223333', region = 'us-east-1' } = options;
    this.arn = `arn:aws:lambda:${region}:${account}:function:${options.name}`;
    this.#options = options;
  }

  /** How many environments live, warm or busy. */
  get environments(): number {
    return this.#environments.size;
  }

  get busy(): number {
    return [...this.#environments].filter((environment) => environment.busy).length;
  }

  readonly invoke: Invoke = async (event) => {
    const requestId = randomUUID();
    const environment = await this.#take();
    try {
      return await environment.invoke({ requestId, event: JSON.stringify(event ?? null), timeoutMs: this.#timeoutMs });
    } finally {
      if (environment.dead) this.#environments.delete(environment);
      this.#waiting.shift()?.();
    }
  };

  /** Ends an environment in the middle of its invocation, as a crash of the host would. @returns false: none was busy */
  kill(): boolean {
    const victim = [...this.#environments].find((environment) => environment.busy);
    victim?.end({ errorType: 'Runtime.ExitError', reason: 'Error: Runtime exited with error: signal: killed' });
    return victim !== undefined;
  }

  /** Forgets the warm environments that are idle: the next invocation starts cold. */
  chill(): void {
    for (const environment of this.#environments) {
      if (environment.busy) continue;
      this.#environments.delete(environment);
      environment.end({ errorType: 'Runtime.ExitError', reason: 'environment retired' });
    }
  }

  onLog(listener: (line: LogLine) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const go of this.#waiting.splice(0)) go();
    await Promise.all(
      [...this.#environments].map(async (environment) => {
        environment.end({ errorType: 'Runtime.ExitError', reason: 'the function was stopped' });
        await environment.ended;
      }),
    );
    this.#environments.clear();
  }

  get #timeoutMs(): number {
    return (this.#options.timeoutSeconds ?? 30) * 1000;
  }

  /** The environment is marked busy before this returns, so that nobody else can take it. */
  async #take(): Promise<Environment> {
    for (;;) {
      if (this.#stopped) throw new Error(`function ${this.name} was invoked after it was stopped`);
      for (const environment of this.#environments) if (environment.dead) this.#environments.delete(environment);
      const idle = [...this.#environments].find((environment) => !environment.busy);
      if (idle !== undefined) return idle.reserve();
      if (this.#environments.size < (this.#options.maxConcurrency ?? 10)) {
        const fresh = new Environment(this.#environmentOptions(), this.#environmentVariables(), (requestId, line) => {
          for (const listener of this.#listeners) listener({ functionName: this.name, requestId, line });
        });
        this.#environments.add(fresh);
        return fresh.reserve();
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  #environmentOptions(): EnvironmentOptions {
    const { clock, file, handler = 'handler', memoryMiB = 256 } = this.#options;
    const day = new Date(clock.now()).toISOString().slice(0, 10).replaceAll('-', '/');
    return {
      offset: clock.offset,
      file,
      handler,
      context: {
        functionName: this.name,
        invokedFunctionArn: this.arn,
        memoryLimitInMB: String(memoryMiB),
        logGroupName: `/aws/lambda/${this.name}`,
        logStreamName: `${day}/[$LATEST]${randomBytes(16).toString('hex')}`,
      },
    };
  }

  #environmentVariables(): Record<string, string> {
    const { region = 'us-east-1', memoryMiB = 256, environment } = this.#options;
    return {
      AWS_REGION: region,
      AWS_DEFAULT_REGION: region,
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_LAMBDA_FUNCTION_NAME: this.name,
      AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
      AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(memoryMiB),
      AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${this.name}`,
      AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
      LAMBDA_TASK_ROOT: '/var/task',
      TZ: ':UTC',
      ...environment,
    };
  }
}

type Ending = { readonly errorType: string; readonly reason: string };

/** AWS gives ten seconds. Here a dozen may start together on one core, in real time, and a test means something else. */
const initTimeoutMs = 60_000;

class Environment {
  busy = false;
  dead = false;
  readonly ended: Promise<void>;
  readonly #worker: Worker;
  readonly #log: (requestId: string | undefined, line: string) => void;
  readonly #ready: Promise<void>;
  readonly #loaded: () => void;
  #settle: ((invocation: Invocation) => void) | undefined;
  #requestId = '';
  #unfinished = '';

  constructor(
    options: EnvironmentOptions,
    variables: Record<string, string>,
    log: (requestId: string | undefined, line: string) => void,
  ) {
    this.#log = log;
    ({ promise: this.#ready, resolve: this.#loaded } = Promise.withResolvers<void>());
    this.#worker = new Worker(new URL('lambda-worker.ts', import.meta.url), {
      workerData: options,
      env: variables,
      argv: [],
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdout: true,
      stderr: true,
    });
    this.#worker.on('message', (message: EnvironmentMessage) => {
      this.#hear(message);
    });
    this.#worker.on('error', (error: Error) => {
      this.#log(this.#requestId, error.stack ?? error.message);
      this.#fail({ errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') });
    });
    this.ended = new Promise((resolve) => {
      this.#worker.once('exit', (code) => {
        this.#fail(
          exitError(this.#requestId, 'Runtime.ExitError', `Error: Runtime exited with error: exit status ${code}`),
        );
        resolve();
      });
    });
    this.#worker.unref();
  }

  reserve(): this {
    this.busy = true;
    return this;
  }

  async invoke(request: InvokeRequest): Promise<Invocation> {
    const { requestId, timeoutMs } = request;
    this.#requestId = requestId;
    this.#worker.ref();
    const { promise, resolve } = Promise.withResolvers<Invocation>();
    this.#settle = resolve;
    if (this.dead) this.#fail(exitError(requestId, 'Runtime.ExitError', 'Error: Runtime exited'));
    let timer = this.#endAfter(initTimeoutMs);
    // Loading the bundle has a limit of its own, as in AWS: the timeout begins with the invocation.
    const begin = async (): Promise<void> => {
      await this.#ready;
      clearTimeout(timer);
      if (this.#settle !== resolve) return;
      timer = this.#endAfter(timeoutMs);
      // oxlint-disable-next-line unicorn/require-post-message-target-origin -- worker_threads, not a window
      this.#worker.postMessage(request);
    };
    void begin();
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.busy = false;
      if (!this.dead) this.#worker.unref();
    }
  }

  end({ errorType, reason }: Ending): void {
    this.#fail(exitError(this.#requestId, errorType, reason));
  }

  #endAfter(ms: number): NodeJS.Timeout {
    const reason = `Task timed out after ${(ms / 1000).toFixed(2)} seconds`;
    return setTimeout(() => {
      this.#log(this.#requestId, `${new Date().toISOString()} ${this.#requestId} ${reason}`);
      this.end({ errorType: 'Sandbox.Timedout', reason: `Error: ${reason}` });
    }, ms);
  }

  #hear(message: EnvironmentMessage): void {
    switch (message.kind) {
      case 'ready':
        this.#loaded();
        return;
      case 'log':
        this.#hearLog(message.requestId, message.text);
        return;
      case 'result':
        this.#settleWith({ ok: true, requestId: message.requestId, result: JSON.parse(message.result) });
        return;
      case 'error':
        if (message.fatal) this.#fail(message.error);
        else this.#settleWith({ ok: false, requestId: message.requestId, error: message.error });
        return;
    }
  }

  #hearLog(requestId: string | undefined, text: string): void {
    const lines = `${this.#unfinished}${text}`.split('\n');
    this.#unfinished = lines.pop() ?? '';
    for (const line of lines) if (line !== '') this.#log(requestId, line);
  }

  /** Whatever ends an environment ends it for good; who calls next gets a fresh one. */
  #fail(error: FunctionError): void {
    if (!this.dead) {
      this.dead = true;
      void this.#worker.terminate();
    }
    this.#settleWith({ ok: false, requestId: this.#requestId, error });
  }

  #settleWith(invocation: Invocation): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(invocation);
  }
}

function exitError(requestId: string, errorType: string, reason: string): FunctionError {
  return { errorType, errorMessage: `RequestId: ${requestId} ${reason}` };
}

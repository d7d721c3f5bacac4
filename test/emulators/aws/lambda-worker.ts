// One execution environment: loads a bundle once, then runs one invocation at a time, as Lambda's Node runtime does.
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { turnDate } from './turned-date.ts';

export type EnvironmentOptions = {
  readonly offset: BigInt64Array;
  readonly file: string;
  readonly handler: string;
  readonly context: {
    readonly functionName: string;
    readonly invokedFunctionArn: string;
    readonly memoryLimitInMB: string;
    readonly logGroupName: string;
    readonly logStreamName: string;
  };
};
export type InvokeRequest = { readonly requestId: string; readonly event: string; readonly timeoutMs: number };
export type FunctionError = { readonly errorType: string; readonly errorMessage: string; readonly trace?: string[] };
export type EnvironmentMessage =
  | { readonly kind: 'ready' }
  | { readonly kind: 'log'; readonly requestId: string | undefined; readonly text: string }
  | { readonly kind: 'result'; readonly requestId: string; readonly result: string }
  | { readonly kind: 'error'; readonly requestId: string; readonly error: FunctionError; readonly fatal: boolean };

type Handler = (event: unknown, context: unknown) => unknown;

const { offset, file, handler: exportName, context } = workerData as EnvironmentOptions;
let current: string | undefined;
turnDate(offset);

function say(message: EnvironmentMessage): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- worker_threads, not a window
  parentPort?.postMessage(message);
}

// By the same port as results, so that a line is never later than the result it belongs to.
for (const stream of [process.stdout, process.stderr]) {
  stream.write = (chunk: string | Uint8Array, encoding?: unknown, done?: unknown): boolean => {
    say({ kind: 'log', requestId: current, text: typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString() });
    const written = typeof encoding === 'function' ? encoding : done;
    if (typeof written === 'function') (written as () => void)();
    return true;
  };
}

let loaded: Handler | FunctionError;
try {
  const exported = (createRequire(file)(file) as Record<string, unknown>)[exportName];
  loaded =
    typeof exported === 'function'
      ? (exported as Handler)
      : {
          errorType: 'Runtime.HandlerNotFound',
          errorMessage: `index.${exportName} is undefined or not exported`,
        };
} catch (error) {
  loaded = shapeOf(error);
}

parentPort?.on('message', (request: InvokeRequest) => void invoke(request));
say({ kind: 'ready' });

async function invoke({ requestId, event, timeoutMs }: InvokeRequest): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  current = requestId;
  if (typeof loaded !== 'function') {
    say({ kind: 'error', requestId, error: loaded, fatal: true });
    return;
  }
  try {
    const result = await loaded(JSON.parse(event), {
      ...context,
      functionVersion: '$LATEST',
      awsRequestId: requestId,
      callbackWaitsForEmptyEventLoop: true,
      getRemainingTimeInMillis: () => Math.max(0, Math.round(deadline - performance.now())),
    });
    say({ kind: 'result', requestId, result: JSON.stringify(result ?? null) });
  } catch (error) {
    const shape = shapeOf(error);
    process.stderr.write(
      `${JSON.stringify({ timestamp: new Date().toISOString(), level: 'ERROR', requestId, message: shape })}\n`,
    );
    say({ kind: 'error', requestId, error: shape, fatal: false });
  }
}

function shapeOf(error: unknown): FunctionError {
  if (!(error instanceof Error)) return { errorType: typeof error, errorMessage: String(error), trace: [] };
  return { errorType: error.name, errorMessage: error.message, trace: (error.stack ?? '').split('\n') };
}

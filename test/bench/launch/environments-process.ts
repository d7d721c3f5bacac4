// The process of one function: its environments, each a thread with the bundle in it, and nothing else. So the CPU time of the process
// is that of the function.
import { LambdaFunction, type FunctionOptions, type Invocation } from '../../emulators/aws/lambda.ts';
import { TurnableClock } from '../../emulators/clock.ts';

export type EnvironmentsOptions = Omit<FunctionOptions, 'clock'>;
export type EnvironmentsRequest = { readonly id: number } & (
  { readonly kind: 'invoke'; readonly event: unknown } | { readonly kind: 'cpu' }
);
export type EnvironmentsMessage =
  | { readonly kind: 'invoked'; readonly id: number; readonly answer: Invocation }
  | { readonly kind: 'cpu'; readonly id: number; readonly answer: number }
  | { readonly kind: 'error-line'; readonly line: string };

const options = JSON.parse(process.argv[2] ?? '') as EnvironmentsOptions;
const environments = new LambdaFunction({ ...options, clock: new TurnableClock() });
environments.onLog(({ line }) => {
  if (line.includes('"ERROR"')) say({ kind: 'error-line', line });
});
process.on('message', (request: EnvironmentsRequest) => void answer(request));
process.on('disconnect', () => process.exit());

async function answer(request: EnvironmentsRequest): Promise<void> {
  const { id } = request;
  switch (request.kind) {
    case 'invoke':
      say({ kind: 'invoked', id, answer: await environments.invoke(request.event) });
      return;
    case 'cpu': {
      const { user, system } = process.cpuUsage();
      say({ kind: 'cpu', id, answer: (user + system) / 1000 });
      return;
    }
  }
}

function say(message: EnvironmentsMessage): void {
  process.send?.(message);
}

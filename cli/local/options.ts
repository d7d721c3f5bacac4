import { parseArgs, type ParseArgsConfig } from 'node:util';
import { explainArgument } from '../command/explain-argument.ts';
import type { Parsed } from '../command/run-command.ts';

export type Options = {
  /** So many plain jobs at once instead of the working day. */
  readonly jobs: number | undefined;
  /** Of the page; 0 takes any free one. */
  readonly port: number;
  readonly exitWhenIdle: boolean;
  /** Same seed, same jobs: their lengths, order and sizes. */
  readonly seed: number;
};

export const usage = `Usage: npm start -- [options]

Runs the whole fleet on this machine and plays a small working day of GitHub jobs, in about a minute.
It then goes on serving until Ctrl-C. No account, no Docker, no network.

  --jobs N          queue N plain jobs at once instead of the working day (1 to 5000)
  --port P          serve the page on port P (default: any free port, it is printed)
  --exit-when-idle  end when all jobs are done and everything is clean; exit 1 if something is left
  --seed S          a whole number that decides lengths, sizes and order of the jobs (default: 1)
  --help            this text
`;

const config = {
  options: {
    jobs: { type: 'string' },
    port: { type: 'string' },
    seed: { type: 'string' },
    'exit-when-idle': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
  strict: true,
  allowPositionals: false,
} satisfies ParseArgsConfig;

type Bounds = { readonly from: number; readonly to: number };

/** Every problem is reported in one pass, each with what must be and what came. */
export function parseOptions(args: readonly string[]): Parsed<Options> {
  let values: ReturnType<typeof parseArgs<typeof config>>['values'];
  try {
    ({ values } = parseArgs({ ...config, args: [...args] }));
  } catch (error) {
    return { kind: 'wrong', problems: [explainArgument(error)] };
  }
  if (values.help === true) return { kind: 'help' };

  const problems: string[] = [];
  const whole = (name: 'jobs' | 'port' | 'seed', { from, to }: Bounds): number | undefined => {
    const text = values[name];
    if (text === undefined) return undefined;
    const number = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
    if (number >= from && number <= to) return number;
    problems.push(`--${name} must be a whole number from ${from} to ${to}, got "${text}"`);
    return undefined;
  };
  const options: Options = {
    jobs: whole('jobs', { from: 1, to: 5000 }),
    port: whole('port', { from: 0, to: 65_535 }) ?? 0,
    seed: whole('seed', { from: 0, to: 2 ** 32 - 1 }) ?? 1,
    exitWhenIdle: values['exit-when-idle'] ?? false,
  };
  return problems.length > 0 ? { kind: 'wrong', problems } : { kind: 'run', options };
}

export type Parsed<Options> =
  | { readonly kind: 'run'; readonly options: Options }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly problems: readonly string[] };

type Command<Options> = {
  /** As it is typed, such as `npm start`. */
  readonly name: string;
  readonly usage: string;
  readonly parse: (args: readonly string[]) => Parsed<Options>;
  readonly run: (options: Options) => Promise<number>;
};

/** What every command does with what it was given. @returns the exit code: 2 for what is not understood */
export async function runCommand<Options>(
  { name, usage, parse, run }: Command<Options>,
  args: readonly string[],
): Promise<number> {
  const parsed = parse(args);
  switch (parsed.kind) {
    case 'help':
      process.stdout.write(usage);
      return 0;
    case 'wrong':
      for (const line of [...parsed.problems, `See ${name} -- --help`]) process.stderr.write(`${line}\n`);
      return 2;
    case 'run':
      return run(parsed.options);
  }
}

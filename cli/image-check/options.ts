import { parseArgs, type ParseArgsConfig } from 'node:util';
import { explainArgument } from '../command/explain-argument.ts';
import type { Parsed } from '../command/run-command.ts';

export type Options = {
  /** A directory, or else the name of an image. */
  readonly subject: string;
  /** Programs that know images, in the order they are asked. */
  readonly engines: readonly string[];
  /** What a profile's `environment` adds; of a directory, also what its image's own environment would. */
  readonly environment: Readonly<Record<string, string>>;
  /** What programs may be run of: a container keeps those of an image apart, nothing does those of a directory. */
  readonly tryOut: 'images' | 'directories too' | 'nothing';
};

export const usage = `Usage: npm run image:check -- [options] IMAGE | DIRECTORY

Looks whether jobs can run in an image of your own, and says what must be put right, a line each.
The contract and two worked examples: docs/runner-image.md.

An IMAGE must be on this machine; nothing is pulled. A DIRECTORY is the root of an unpacked file system.
Neither is changed. Programs of an image are run in a container where that can be done, without network.

  --engine NAME     what knows the image (default: podman, then docker)
  --env NAME=VALUE  a variable of the task beside the image's own, may be repeated
  --no-try          only look, run nothing
  --try             run programs of a DIRECTORY too: as root of this machine, in a chroot, which is no prison
  --help            this text

Exit code: 0 fit for jobs, 1 something must be put right, 2 it could not be looked at.
`;

const config = {
  options: {
    engine: { type: 'string' },
    env: { type: 'string', multiple: true },
    'no-try': { type: 'boolean' },
    try: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
  strict: true,
  allowPositionals: true,
} satisfies ParseArgsConfig;

/** Every problem is reported in one pass, each with what must be and what came. */
export function parseOptions(args: readonly string[]): Parsed<Options> {
  let parsed: ReturnType<typeof parseArgs<typeof config>>;
  try {
    parsed = parseArgs({ ...config, args: [...args] });
  } catch (error) {
    return { kind: 'wrong', problems: [explainArgument(error)] };
  }
  const { values, positionals } = parsed;
  if (values.help === true) return { kind: 'help' };

  const problems: string[] = [];
  const [subject = ''] = positionals;
  if (positionals.length !== 1 || subject === '') {
    problems.push(`one image or directory must be named, got ${positionals.length === 1 ? '""' : positionals.length}`);
  }
  const environment: Record<string, string> = {};
  for (const assignment of values.env ?? []) {
    const [, name, value] = /^([A-Za-z_]\w*)=(.*)$/s.exec(assignment) ?? [];
    if (name === undefined || value === undefined) problems.push(`--env must be NAME=VALUE, got "${assignment}"`);
    else environment[name] = value;
  }
  if (values.engine === '') problems.push('--engine must name a program, got ""');
  if (subject.startsWith('-')) problems.push(`no image or directory can be named "${subject}": write ./${subject}`);
  if (values.try === true && values['no-try'] === true) problems.push('--try and --no-try exclude each other');
  if (problems.length > 0) return { kind: 'wrong', problems };
  const engines = values.engine === undefined ? ['podman', 'docker'] : [values.engine];
  const tryOut = values['no-try'] === true ? 'nothing' : values.try === true ? 'directories too' : 'images';
  return { kind: 'run', options: { subject, engines, environment, tryOut } };
}

import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Ended } from './judge-trial.ts';
import { runProgram } from './run-program.ts';

type Task = {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly seconds: number;
};

/** Of the script below: not even begun. */
const notBegun = 125;

/**
 * $1 is the directory, $2 an empty one, $3 the number of variables; they follow, and then the command. Whatever is written goes to
 * memory, over the directory, and is gone with the mounts, which nobody else sees; so is every process with the first.
 */
const enter = `
scratch=$2/root
begin() {
  mount -t tmpfs none "$2" && mkdir "$2/upper" "$2/work" "$scratch" && cd "$1" &&
    mount -t overlay overlay -o "lowerdir=.,upperdir=$2/upper,workdir=$2/work" "$scratch" &&
    mkdir -p "$scratch/proc" "$scratch/dev" && mount -t proc proc "$scratch/proc" && mount -t tmpfs none "$scratch/dev" &&
    ln -s /proc/self/fd "$scratch/dev/fd" || return
  for device in null zero random urandom; do
    : >"$scratch/dev/$device" && mount --bind "/dev/$device" "$scratch/dev/$device" || return
  done
}
begin "$1" "$2" || exit ${notBegun}
chroot=$(type -P chroot) || exit ${notBegun}
variables=$3
shift 3
exec env -i "\${@:1:variables}" "$chroot" "$scratch" "\${@:variables+1}"
`;

/** Runs a command in an unpacked file system as root, without any network and without changing it. */
export async function runInDirectory(
  directory: string,
  { command, environment, seconds }: Task,
  signal: AbortSignal,
): Promise<Ended> {
  if (process.getuid?.() !== 0) return { kind: 'not-tried', why: 'programs of a directory are run by root alone' };
  const scratch = await mkdtemp(join(tmpdir(), 'image-check-'));
  try {
    const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const apart = ['unshare', '--mount', '--net', '--ipc', '--pid', '--fork', '--kill-child', 'bash', '-c', enter];
    const told = ['image-check', resolve(directory), scratch, String(variables.length), ...variables];
    const outcome = await runProgram([...apart, ...told, ...command], { seconds, signal });
    if (outcome.kind === 'late') return { kind: 'late', seconds };
    if (outcome.kind === 'missing') return { kind: 'not-tried', why: 'there is no unshare' };
    // A container around us may forbid either.
    if (outcome.code === notBegun || outcome.stderr.startsWith('unshare: ')) {
      return { kind: 'not-tried', why: outcome.stderr.trim().split('\n').at(-1) ?? '' };
    }
    return { kind: 'ended', code: outcome.code, said: `${outcome.stdout}${outcome.stderr}` };
  } finally {
    await rmdir(scratch);
  }
}

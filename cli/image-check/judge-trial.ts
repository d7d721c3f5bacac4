import type { Finding } from './decide-fitness.ts';

/** How a program of the image ended. */
export type Ended =
  | { readonly kind: 'ended'; readonly code: number; readonly said: string }
  | { readonly kind: 'late'; readonly seconds: number }
  /** Nobody's fault: it could not be started here. */
  | { readonly kind: 'not-tried'; readonly why: string };

/** The oldest curl known to sign every header; see start-runner.sh. */
const oldestCurl = [7, 88] as const;
const noClaim = 65;
const brokenImage = 74;

/**
 * Run by the image's bash as root. The runner's version is asked for as start-runner.sh does it: from its home, as its user, with no
 * variables but those of the runner.
 */
export const probe = `
echo "bash $BASH_VERSION"
type -P curl >/dev/null && { read -r _ version _ < <(curl --version 2>/dev/null); echo "curl \${version-}"; }
home=\${RUNNER_HOME-/home/runner}
cd "$home" 2>/dev/null && [[ -x bin/Runner.Listener ]] || exit 0
as_runner=(chroot --userspec="\${RUNNER_UID-1001}" --skip-chdir /)
[[ \${RUNNER_ALLOW_RUNASROOT-} ]] && as_runner=()
said=$("\${as_runner[@]}" env -i PATH="$PATH" HOME="$home" USER=runner bin/Runner.Listener --version 2>&1 </dev/null)
echo "runner $? $said"
`;

export function judgeProbe(ended: Ended): Finding[] {
  if (ended.kind === 'not-tried') return [];
  if (ended.kind === 'late') {
    return [miss(`the runner must say its version within ${ended.seconds} s, it did not`)];
  }
  const findings: Finding[] = [];
  const { said } = ended;
  const [, bash] = /^bash (\d+)/m.exec(said) ?? [];
  if (bash === undefined) return [miss(`bash must be able to run, it ended with ${ended.code}${quote(said)}`)];
  if (Number(bash) < 5) findings.push(miss(`bash must be 5 or newer, it is ${/^bash (.*)$/m.exec(said)?.[1] ?? bash}`));
  // What is not there at all is not tried: decideFitness says so.
  const [, curl] = /^curl (.*)$/m.exec(said) ?? [];
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(curl ?? '')?.map(Number) ?? [];
  if (curl === '') findings.push(miss('curl must be able to run, it does not say its version'));
  else if (major !== undefined && minor !== undefined && isOlder([major, minor], oldestCurl)) {
    findings.push(miss(`curl must be ${oldestCurl.join('.')} or newer, it is ${curl}`));
  }
  const [, code, version = ''] = /^runner (\d+) ?(.*)$/ms.exec(said) ?? [];
  // 125 is chroot's own: there is no such user.
  if (code !== undefined && code !== '125' && !/^\d+\.\d+\.\d+$/.test(version.trim())) {
    findings.push(miss(`bin/Runner.Listener must say its version, it ended with ${code}${quote(version)}`));
  }
  return findings;
}

/**
 * start-runner.sh without a claim: it has looked at the image by then, and done nothing else.
 *
 * @param known what is known to be wrong: an image that it calls broken then is no news
 */
export function judgeStart(ended: Ended, known: readonly Finding[]): Finding[] {
  if (ended.kind === 'not-tried') return [];
  if (ended.kind === 'late') {
    return [miss(`start-runner.sh must end when it has no claim, it did not within ${ended.seconds} s`)];
  }
  if (ended.code === noClaim) return [];
  if (ended.code === brokenImage && known.some(({ weight }) => weight === 'miss')) return [];
  const how = `it ended with ${ended.code}${quote(ended.said)}`;
  return [miss(`start-runner.sh must end with ${noClaim} when it has no claim, ${how}`)];
}

function isOlder(
  [major, minor]: readonly [number, number],
  [otherMajor, otherMinor]: readonly [number, number],
): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

/** The last thing that was said, which is what matters. */
function quote(said: string): string {
  const last = said.trim().split('\n').at(-1)?.trim() ?? '';
  return last === '' ? '' : `: ${last.slice(0, 300)}`;
}

function miss(sentence: string): Finding {
  return { weight: 'miss', sentence };
}

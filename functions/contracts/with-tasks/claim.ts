/**
 * What a task needs to become one runner: handed over once, in the `Claims` table, under a name nobody can guess.
 * The task reads it with a shell, so its text is lines of `key value`, base64 in one attribute: no JSON parser needed.
 */
export type Claim = {
  /** Where the runner registers: `https://github.com/acme`, or a repository's address. */
  readonly url: string;
  /** A registration token. Secret; GitHub takes it for one hour. */
  readonly token: string;
  /** The runner's id, which is its name on GitHub. */
  readonly name: string;
  readonly labels: readonly string[];
  readonly group?: string | undefined;
  readonly idleSeconds: number;
  readonly maxSeconds: number;
  /** The runner version GitHub wants in this scope; absent when GitHub did not say. */
  readonly release?: RunnerRelease | undefined;
};

export type RunnerRelease = { readonly version: string; readonly url: string; readonly sha256: string };

/** A claim's key in the table. A task's role may delete items whose key begins so, and do nothing else. */
export const claimKeyPrefix = 'claim#';

/** A name for a claim that nobody can guess: 24 random bytes. Whoever knows it, and may delete claims, has the token. */
export function newClaimId(randomBytes: (size: number) => Buffer): string {
  return randomBytes(24).toString('base64url');
}

/** @throws Error when a value spans lines, which would let it pass for another key */
export function encodeClaim(claim: Claim): string {
  const lines = [
    ['url', claim.url],
    ['token', claim.token],
    ['name', claim.name],
    ['labels', claim.labels.join(',')],
    ['group', claim.group],
    ['idle-seconds', String(Math.ceil(claim.idleSeconds))],
    ['max-seconds', String(Math.ceil(claim.maxSeconds))],
    ['version', claim.release?.version],
    ['download', claim.release?.url],
    ['sha256', claim.release?.sha256],
  ].filter((line): line is [string, string] => line[1] !== undefined);
  for (const [key, value] of lines) {
    if (/[\r\n\0]/.test(value)) throw new Error(`a claim's ${key} must be one line of text`);
  }
  return Buffer.from(lines.map(([key, value]) => `${key} ${value}\n`).join('')).toString('base64');
}

/** @throws Error naming the line that is missing; never its value */
export function decodeClaim(body: string): Claim {
  const lines = Buffer.from(body, 'base64').toString().split('\n');
  const values = new Map(lines.map((line) => [line.split(' ', 1)[0] ?? '', line.slice(line.indexOf(' ') + 1)]));
  const get = (key: string): string => {
    const value = values.get(key);
    if (value === undefined) throw new Error(`a claim must have a line "${key}", it has none`);
    return value;
  };
  return {
    url: get('url'),
    token: get('token'),
    name: get('name'),
    labels: get('labels').split(','),
    group: values.get('group'),
    idleSeconds: Number(get('idle-seconds')),
    maxSeconds: Number(get('max-seconds')),
    release: values.has('version')
      ? { version: get('version'), url: get('download'), sha256: get('sha256') }
      : undefined,
  };
}

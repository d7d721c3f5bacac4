import { readFileSync } from 'node:fs';

/** What the contract takes from `start-runner.sh` itself, so that there is no second list to forget. */
export type StartScript = {
  readonly text: string;
  /** Names of a task's variables, or `PREFIX_*`. */
  readonly jobVariables: readonly string[];
  readonly neverForJobs: readonly string[];
};

export function readStartScript(): StartScript {
  const text = readFileSync(new URL('../../runner-image/start-runner.sh', import.meta.url), 'utf8');
  const list = (name: string): string[] => {
    const [, names] = new RegExp(`^${name}='([^']+)'$`, 'm').exec(text) ?? [];
    if (names === undefined) throw new Error(`start-runner.sh must have a list ${name}, it has none`);
    return names.split(/\s+/);
  };
  return { text, jobVariables: list('job_variables'), neverForJobs: list('never_for_jobs') };
}

export function matches(name: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name));
}

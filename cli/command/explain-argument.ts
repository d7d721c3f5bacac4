/** What `parseArgs` threw, as a sentence: Node's own go on to explain `--` to programs with positionals, and bear a code. */
export function explainArgument(error: unknown): string {
  const text = String(error);
  const unknown = /Unknown option '([^']+)'/.exec(text);
  if (unknown) return `there is no option ${unknown[1]}`;
  const stray = /Unexpected argument '([^']*)'/.exec(text);
  if (stray) return `only options are taken, got "${stray[1]}"`;
  const missing = /Option '(?:-\w, )?(--[\w-]+)[^']*' argument (?:missing|is ambiguous)/.exec(text);
  if (missing) return `${missing[1]} must be followed by a value`;
  const superfluous = /Option '(?:-\w, )?(--[\w-]+)' does not take an argument/.exec(text);
  if (superfluous) return `${superfluous[1]} takes no value`;
  return text;
}

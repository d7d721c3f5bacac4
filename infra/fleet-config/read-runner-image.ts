import type { Section } from './section.ts';

/** What the image that this stack builds has in it, besides the runner. */
export type RunnerImageConfig = {
  /** Jobs may become root in their container by `sudo`, without a password. @default true */
  readonly sudo?: boolean;
  /** A C compiler, make and Python's headers, for jobs that build what they need. @default false */
  readonly buildTools?: boolean;
};

export type RunnerImageChoices = Required<RunnerImageConfig>;

export function readRunnerImage(root: Section): RunnerImageChoices {
  const image = root.section('runnerImage', ['sudo', 'buildTools']);
  return { sudo: image.flag('sudo', true), buildTools: image.flag('buildTools', false) };
}

import type { StoppedTask } from './stopped-task.ts';

export type TaskOrder = {
  readonly runnerId: string;
  readonly claimId: string;
  /** By name, see `providersOf`. */
  readonly provider: string;
  readonly taskDefinition: string;
  readonly scope: string;
  readonly tags: Readonly<Record<string, string>>;
};

/** What became of a RunTask call, told apart as far as ECS tells. Whatever it does not tell is thrown. */
export type RunResult =
  | { readonly kind: 'started'; readonly taskArn: string }
  | { readonly kind: 'no-capacity'; readonly detail: string }
  | { readonly kind: 'quota'; readonly detail: string }
  | { readonly kind: 'throttled'; readonly detail: string }
  | { readonly kind: 'refused'; readonly detail: string };

export type RunnerTask = {
  readonly taskArn: string;
  readonly runnerId: string;
  /** Where its runner registers. */
  readonly scope: string | undefined;
  readonly createdAt: number | undefined;
  /** Undefined while it is not over. */
  readonly stopped: StoppedTask | undefined;
};

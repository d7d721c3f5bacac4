import * as v from 'valibot';

const text = v.pipe(v.string(), v.minLength(1));
const positive = v.pipe(v.number(), v.gtValue(0));
const clock = v.pipe(v.string(), v.regex(/^([01]\d|2[0-3]):[0-5]\d$/));

export const weekdays = ['MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT', 'SUN'] as const;
export type Weekday = (typeof weekdays)[number];

const warmWindowSchema = v.strictObject({
  /** An org (`acme`), or one repository of a personal account (`octo/tools`). */
  scope: text,
  count: v.pipe(v.number(), v.integer(), v.minValue(1)),
  days: v.pipe(v.array(v.picklist(weekdays)), v.minLength(1)),
  /** Local wall-clock times, `HH:MM`; a window whose `to` is not after its `from` runs past midnight. */
  from: clock,
  to: clock,
  /** An IANA time zone name. */
  timezone: text,
});
export type WarmWindow = v.InferOutput<typeof warmWindowSchema>;

export const profileSchema = v.strictObject({
  name: text,
  /** The real labels, lower case; `self-hosted`, `linux` and the architecture are implied and not listed. */
  labels: v.array(text),
  arch: v.picklist(['x64', 'arm64']),
  cpu: positive,
  memoryGiB: positive,
  diskGiB: positive,
  capacity: v.picklist(['on-demand', 'spot', 'spot-preferred']),
  /** 0 pauses the profile: nothing is killed, nothing is launched. */
  maxRunners: v.pipe(v.number(), v.integer(), v.minValue(0)),
  /** A runner that got no job in this time ends itself. */
  idleMinutes: positive,
  /** A job that runs for longer is ended. */
  maxHours: positive,
  /** GitHub's runner group, by name; the default group without it. */
  runnerGroup: v.optional(text),
  /** Also serves jobs that ask for no real label: `labels: []` and bare `self-hosted`. */
  catchAll: v.boolean(),
  publicRepositories: v.boolean(),
  /** Globs over `owner/name`; an empty `allow` allows all. `deny` wins. */
  repositories: v.strictObject({ allow: v.array(text), deny: v.array(text) }),
  warm: v.array(warmWindowSchema),
  /** An image that the operator brings; the stack's own without it. */
  image: v.optional(text),
  /** Its tasks run on ECS Managed Instances, beside a Docker daemon of their own; otherwise on Fargate. */
  docker: v.boolean(),
});

/** What an operator offers to jobs under a set of labels: size, capacity, limits. */
export type Profile = v.InferOutput<typeof profileSchema>;

/** Every label a runner of this profile registers with, so nothing is left to the runner's own defaults. */
export function runnerLabels(profile: Profile): string[] {
  return ['self-hosted', 'linux', profile.arch, ...profile.labels];
}

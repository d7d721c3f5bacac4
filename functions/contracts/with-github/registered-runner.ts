/** A runner as GitHub lists it. */
export type RegisteredRunner = {
  readonly id: string;
  readonly name: string;
  readonly online: boolean;
  /** Late by up to a minute: a runner that is not busy may have been given a job. */
  readonly busy: boolean;
};

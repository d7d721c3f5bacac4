import type { Clock } from '../clock.ts';
import type { Repository } from './accounts.ts';
import { Deadlines } from './deadlines.ts';
import type { Behaviour } from './behaviour.ts';

export type JobStatus = 'waiting' | 'queued' | 'in_progress' | 'completed';
export type Conclusion = 'success' | 'failure' | 'cancelled';
/** As in the `action` of a workflow_job delivery. */
export type JobAction = 'queued' | 'waiting' | 'in_progress' | 'completed';

export type JobRunner = {
  readonly id: number;
  readonly name: string;
  readonly groupId: number;
  readonly groupName: string;
};

export type Job = {
  readonly id: string;
  readonly runId: string;
  readonly runAttempt: number;
  readonly repository: Repository;
  readonly name: string;
  readonly workflowName: string;
  readonly labels: readonly string[];
  /** The name after `runs-on: {group: ...}`; like GitHub, no delivery tells it. */
  readonly runnerGroup: string | undefined;
  /** What the runner executes with bash. */
  readonly script: string;
  readonly headBranch: string;
  readonly headSha: string;
  readonly createdAt: number;
  status: JobStatus;
  conclusion: Conclusion | null;
  /** Equals `createdAt` until a runner took the job, as on GitHub. */
  startedAt: number;
  completedAt: number | null;
  runner: JobRunner | null;
  cancelRequested: boolean;
};

export type Run = {
  readonly id: string;
  readonly repository: Repository;
  readonly number: number;
  readonly workflowName: string;
  readonly headBranch: string;
  readonly headSha: string;
  readonly createdAt: number;
  updatedAt: number;
  /** The jobs of each attempt; the last attempt is the current one. */
  readonly attempts: Job[][];
};

export type JobOptions = {
  readonly repo: string;
  readonly labels: readonly string[];
  readonly runnerGroup?: string;
  /** A bash script; a job without one sleeps for `durationSeconds` (0). */
  readonly script?: string;
  readonly durationSeconds?: number;
  readonly name?: string;
  readonly workflowName?: string;
  /** To put several jobs into one run. */
  readonly runId?: string;
  readonly headBranch?: string;
  /**
   * Held by an environment's protection rule until `approveJob`. `as-queued` is GitHub's quirk: the delivery's action says
   * queued, its job's status waiting.
   */
  readonly waiting?: boolean | 'as-queued';
  /** The guid of the job's first delivery. */
  readonly guid?: string;
  /** No delivery for the job's creation: a job GitHub never announced. */
  readonly unannounced?: boolean;
};

export type Announcement = { readonly guid?: string };

export type JobWatcher = {
  /** The job may be given to a runner. */
  ready(job: Job): void;
  /** The job may not be given to a runner any more. */
  gone(job: Job): void;
  announce(job: Job, action: JobAction, announcement: Announcement): void;
  changed(job: Job): void;
};

/** What cannot be done to a job or run in its present state; REST says 403 or 409. */
export class JobConflict extends Error {
  override readonly name = 'JobConflict';
}

const isDone = (job: Job) => job.status === 'completed';

/** A run's state as GitHub derives it from its jobs. */
export function judgeRun(run: Run): { readonly status: JobStatus; readonly conclusion: Conclusion | null } {
  const jobs = run.attempts.at(-1) ?? [];
  if (jobs.every(isDone)) {
    const worst = (['failure', 'cancelled'] as const).find((conclusion) =>
      jobs.some((job) => job.conclusion === conclusion),
    );
    return { status: 'completed', conclusion: worst ?? 'success' };
  }
  if (jobs.some((job) => job.status === 'in_progress' || isDone(job)))
    return { status: 'in_progress', conclusion: null };
  if (jobs.some((job) => job.status === 'queued')) return { status: 'queued', conclusion: null };
  return { status: 'waiting', conclusion: null };
}

export class Jobs {
  readonly #clock: Clock;
  readonly #watcher: JobWatcher;
  readonly #unserved: Deadlines<Job>;
  readonly #jobs = new Map<string, Job>();
  readonly #runs = new Map<string, Run>();
  readonly #runsByRepository = new Map<number, Run[]>();
  #lastJob = 81_230_000_000;
  #lastRun = 29_110_000_000;

  constructor(clock: Clock, behaviour: () => Behaviour, watcher: JobWatcher) {
    this.#clock = clock;
    this.#watcher = watcher;
    this.#unserved = new Deadlines(clock, () => behaviour().unservedAfterMs);
  }

  get all(): IterableIterator<Job> {
    return this.#jobs.values();
  }

  job(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  run(id: string): Run | undefined {
    return this.#runs.get(id);
  }

  /** Newest first. */
  runsOf(repository: Repository): Run[] {
    return (this.#runsByRepository.get(repository.id) ?? []).toReversed();
  }

  add(repository: Repository, options: JobOptions): Job {
    const run = this.#openRun(repository, options);
    const { name = 'build', durationSeconds = 0, waiting = false } = options;
    const job = this.#create(run, {
      name,
      labels: [...options.labels],
      runnerGroup: options.runnerGroup,
      script: options.script ?? `echo "${name.replaceAll(/["$`\\]/g, '')}"\nsleep ${durationSeconds}\n`,
      status: waiting === false ? 'queued' : 'waiting',
    });
    run.attempts.at(-1)?.push(job);
    const action = waiting === true ? 'waiting' : 'queued';
    if (!options.unannounced)
      this.#watcher.announce(job, action, options.guid === undefined ? {} : { guid: options.guid });
    if (job.status === 'queued') this.#makeReady(job);
    return job;
  }

  approve(job: Job): void {
    if (job.status !== 'waiting') throw new JobConflict(`job ${job.id} must be waiting, it is ${job.status}`);
    job.status = 'queued';
    this.#changed(job);
    this.#watcher.announce(job, 'queued', {});
    this.#makeReady(job);
  }

  start(job: Job, runner: JobRunner): void {
    this.#unserved.clear(job);
    job.status = 'in_progress';
    job.startedAt = this.#clock.now();
    job.runner = runner;
    this.#changed(job);
    this.#watcher.announce(job, 'in_progress', {});
  }

  complete(job: Job, conclusion: Conclusion): void {
    if (isDone(job)) return;
    this.#unserved.clear(job);
    job.status = 'completed';
    job.conclusion = conclusion;
    job.completedAt = this.#clock.now();
    this.#changed(job);
    this.#watcher.announce(job, 'completed', {});
  }

  /** A job without a runner ends at once; with one, the runner is told and ends it. */
  cancel(job: Job): void {
    if (isDone(job)) throw new JobConflict(`job ${job.id} must not be completed`);
    if (job.status === 'in_progress') {
      job.cancelRequested = true;
      this.#changed(job);
      return;
    }
    this.#watcher.gone(job);
    this.complete(job, 'cancelled');
  }

  cancelRun(run: Run): void {
    const open = (run.attempts.at(-1) ?? []).filter((job) => !isDone(job));
    if (open.length === 0) throw new JobConflict('Cannot cancel a workflow run that is completed.');
    for (const job of open) this.cancel(job);
  }

  /**
   * Opens the run's next attempt: the chosen jobs start anew, the others are copied as they ended. Each gets a record and
   * an id of its own, and GitHub announces the copies as completed once more.
   */
  rerun(run: Run, choose: (job: Job) => boolean): Job[] {
    const former = run.attempts.at(-1) ?? [];
    if (!former.every(isDone)) throw new JobConflict('This workflow is already running');
    if (!former.some(choose)) throw new JobConflict('There is nothing to run again in the last attempt');
    const attempt: Job[] = [];
    run.attempts.push(attempt);
    for (const old of former) {
      const again = choose(old);
      const job = this.#create(run, { ...old, status: again ? 'queued' : 'completed' });
      attempt.push(job);
      if (again) {
        this.#watcher.announce(job, 'queued', {});
        this.#makeReady(job);
        continue;
      }
      const { conclusion, startedAt, completedAt, runner } = old;
      Object.assign(job, { conclusion, startedAt, completedAt, runner });
      this.#watcher.announce(job, 'completed', {});
    }
    return attempt.filter((job) => !isDone(job));
  }

  stop(): void {
    this.#unserved.stop();
  }

  rearm(): void {
    this.#unserved.rearm();
  }

  #makeReady(job: Job): void {
    this.#unserved.set(job, () => {
      if (job.status === 'queued') this.cancel(job);
    });
    this.#watcher.ready(job);
  }

  #create(
    run: Run,
    seed: Pick<Job, 'name' | 'labels' | 'runnerGroup' | 'script'> & { readonly status: JobStatus },
  ): Job {
    const now = this.#clock.now();
    const job: Job = {
      id: String(++this.#lastJob),
      runId: run.id,
      runAttempt: run.attempts.length,
      repository: run.repository,
      name: seed.name,
      workflowName: run.workflowName,
      labels: seed.labels,
      runnerGroup: seed.runnerGroup,
      script: seed.script,
      headBranch: run.headBranch,
      headSha: run.headSha,
      createdAt: now,
      status: seed.status,
      conclusion: null,
      startedAt: now,
      completedAt: null,
      runner: null,
      cancelRequested: false,
    };
    this.#jobs.set(job.id, job);
    this.#changed(job);
    return job;
  }

  #openRun(repository: Repository, { runId, workflowName = 'CI', headBranch = 'main' }: JobOptions): Run {
    const known = runId === undefined ? undefined : this.#runs.get(runId);
    if (known !== undefined) return known;
    const siblings = this.#runsByRepository.get(repository.id) ?? [];
    const now = this.#clock.now();
    const id = runId ?? String(++this.#lastRun);
    const run: Run = {
      id,
      repository,
      number: siblings.length + 1,
      workflowName,
      headBranch,
      headSha: id.padStart(40, '0'),
      createdAt: now,
      updatedAt: now,
      attempts: [[]],
    };
    this.#runs.set(id, run);
    siblings.push(run);
    this.#runsByRepository.set(repository.id, siblings);
    return run;
  }

  #changed(job: Job): void {
    const run = this.#runs.get(job.runId);
    if (run !== undefined) run.updatedAt = this.#clock.now();
    this.#watcher.changed(job);
  }
}

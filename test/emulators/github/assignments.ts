import { randomBytes } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Accounts } from './accounts.ts';
import type { Behaviour } from './behaviour.ts';
import { Deadlines } from './deadlines.ts';
import type { Conclusion, Job, Jobs } from './jobs.ts';
import type { Runner, Runners, Scope } from './runners.ts';

/** Jobs that any of the same runners could take. */
type Demand = { readonly sample: Job; readonly labels: readonly string[]; readonly jobs: Set<Job>; newest: Job };
/** Idle runners that could take any of the same jobs, the longest idle first. */
type Supply = {
  readonly scope: Scope;
  readonly groupId: number;
  readonly labels: ReadonlySet<string>;
  readonly runners: Set<Runner>;
};

const lower = (labels: readonly string[]) => labels.map((label) => label.toLowerCase()).toSorted();
const demandKey = (job: Job) => [job.repository.id, job.runnerGroup ?? '', ...lower(job.labels)].join('|');
const supplyKey = (runner: Runner) => [runner.scope.key, runner.groupId, ...lower(runner.labels)].join('|');
const isEarlier = (a: Job, b: Job) => Number(a.id) < Number(b.id);

/**
 * Which runner works on which job. Like GitHub it gives the oldest job to any idle runner that has all its labels, in
 * scope and group, whatever that runner was started for.
 */
export class Assignments {
  readonly #clock: Clock;
  readonly #accounts: Accounts;
  readonly #jobs: () => Jobs;
  readonly #runners: () => Runners;
  readonly #demand = new Map<string, Demand>();
  readonly #supply = new Map<string, Supply>();
  readonly #unacquired: Deadlines<Runner>;
  readonly #unrenewed: Deadlines<Runner>;

  constructor(
    clock: Clock,
    behaviour: () => Behaviour,
    parts: { readonly accounts: Accounts; readonly jobs: () => Jobs; readonly runners: () => Runners },
  ) {
    this.#clock = clock;
    this.#accounts = parts.accounts;
    this.#jobs = parts.jobs;
    this.#runners = parts.runners;
    this.#unacquired = new Deadlines(clock, () => behaviour().acquireWithinMs);
    this.#unrenewed = new Deadlines(clock, () => behaviour().lostAfterMs);
  }

  /** A job waits for a runner: the one idle for longest gets it, or it queues. */
  enqueue(job: Job): void {
    const runner = this.#findRunner(job);
    if (runner !== undefined) {
      this.#assign(runner, job);
      return;
    }
    const key = demandKey(job);
    const demand = this.#demand.get(key) ?? { sample: job, labels: lower(job.labels), jobs: new Set(), newest: job };
    this.#demand.set(key, demand);
    demand.jobs.add(job);
    if (!isEarlier(job, demand.newest)) {
      demand.newest = job;
      return;
    }
    const sorted = [...demand.jobs].toSorted((a, b) => Number(a.id) - Number(b.id));
    demand.jobs.clear();
    for (const each of sorted) demand.jobs.add(each);
  }

  withdraw(job: Job): void {
    const key = demandKey(job);
    const demand = this.#demand.get(key);
    demand?.jobs.delete(job);
    if (demand?.jobs.size === 0) this.#demand.delete(key);
  }

  /** A runner was heard of: when it is idle, it may get the oldest job it can take. */
  offer(runner: Runner): void {
    if (runner.state !== 'registered' || runner.assignment !== undefined || runner.session === undefined) return;
    const job = this.#findJob(runner);
    if (job !== undefined) {
      this.#assign(runner, job);
      return;
    }
    const key = supplyKey(runner);
    const supply = this.#supply.get(key) ?? {
      scope: runner.scope,
      groupId: runner.groupId,
      labels: new Set(lower(runner.labels)),
      runners: new Set(),
    };
    this.#supply.set(key, supply);
    supply.runners.add(runner);
  }

  retire(runner: Runner): void {
    const key = supplyKey(runner);
    const supply = this.#supply.get(key);
    supply?.runners.delete(runner);
    if (supply?.runners.size === 0) this.#supply.delete(key);
  }

  /** After a change of groups or repositories: who is idle is offered anew. */
  reconsider(): void {
    const idle = [...this.#supply.values()].flatMap(({ runners }) => [...runners]);
    for (const runner of idle) {
      this.retire(runner);
      this.offer(runner);
    }
  }

  /** The job when it still is this runner's to run; otherwise the registration is used up for nothing. */
  acquire(runner: Runner, request: string): Job | undefined {
    const { assignment } = runner;
    if (assignment?.request === request && !assignment.acquired && assignment.job.status === 'queued') {
      assignment.acquired = true;
      this.#unacquired.clear(runner);
      this.#unrenewed.set(runner, () => this.#lose(runner));
      const { id, name, groupId, groupName } = runner;
      this.#jobs().start(assignment.job, { id, name, groupId, groupName });
      return assignment.job;
    }
    this.#unassign(runner);
    if (runner.ephemeral) this.#runners().remove(runner, 'consumed');
    return undefined;
  }

  renew(runner: Runner, request: string): Job | undefined {
    const job = this.#running(runner, request);
    if (job !== undefined) this.#unrenewed.set(runner, () => this.#lose(runner));
    return job;
  }

  complete(runner: Runner, request: string, conclusion: Conclusion): Job | undefined {
    const job = this.#running(runner, request);
    if (job !== undefined) this.#end(runner, job, conclusion);
    return job;
  }

  stop(): void {
    this.#unacquired.stop();
    this.#unrenewed.stop();
  }

  rearm(): void {
    this.#unacquired.rearm();
    this.#unrenewed.rearm();
  }

  #running(runner: Runner, request: string): Job | undefined {
    const { assignment } = runner;
    return assignment?.request === request && assignment.acquired ? assignment.job : undefined;
  }

  #assign(runner: Runner, job: Job): void {
    this.withdraw(job);
    this.retire(runner);
    runner.assignment = {
      request: randomBytes(12).toString('hex'),
      job,
      assignedAt: this.#clock.now(),
      acquired: false,
    };
    this.#unacquired.set(runner, () => this.#giveUp(runner));
    runner.session?.wake?.();
  }

  #unassign(runner: Runner): void {
    runner.assignment = undefined;
    this.#unacquired.clear(runner);
    this.#unrenewed.clear(runner);
  }

  /** The runner did not come for its job: others may, and an ephemeral registration is used up all the same. */
  #giveUp(runner: Runner): void {
    const job = runner.assignment?.job;
    this.#unassign(runner);
    if (runner.ephemeral) this.#runners().remove(runner, 'consumed');
    if (job?.status === 'queued') this.enqueue(job);
    if (this.#runners().isOnline(runner)) this.offer(runner);
  }

  #lose(runner: Runner): void {
    const job = runner.assignment?.job;
    if (job === undefined) return;
    this.#end(runner, job, 'failure');
    if (runner.state === 'registered') this.#runners().closeSession(runner);
  }

  #end(runner: Runner, job: Job, conclusion: Conclusion): void {
    this.#unassign(runner);
    if (runner.ephemeral) this.#runners().remove(runner, 'deleted');
    this.#jobs().complete(job, conclusion);
  }

  #findRunner(job: Job): Runner | undefined {
    const labels = lower(job.labels);
    for (const supply of this.#supply.values()) {
      if (!this.#suits(supply, job, labels)) continue;
      for (const runner of supply.runners) {
        if (this.#runners().isOnline(runner)) return runner;
        // Comes back with its next poll, if there is one.
        this.retire(runner);
      }
    }
    return undefined;
  }

  #findJob(runner: Runner): Job | undefined {
    const supply = { scope: runner.scope, groupId: runner.groupId, labels: new Set(lower(runner.labels)) };
    let oldest: Job | undefined;
    for (const { sample, labels, jobs } of this.#demand.values()) {
      const first = jobs.values().next().value;
      if (first === undefined || (oldest !== undefined && isEarlier(oldest, first))) continue;
      if (this.#suits(supply, sample, labels)) oldest = first;
    }
    return oldest;
  }

  #suits({ scope, groupId, labels }: Omit<Supply, 'runners'>, job: Job, wanted: readonly string[]): boolean {
    if (scope.account.id !== job.repository.owner.id) return false;
    if (!wanted.every((label) => labels.has(label))) return false;
    if (scope.repository !== undefined)
      return scope.repository.id === job.repository.id && job.runnerGroup === undefined;
    const group = this.#accounts.groupById(scope.account.login, groupId);
    if (group === undefined) return false;
    if (job.runnerGroup !== undefined && job.runnerGroup.toLowerCase() !== group.name.toLowerCase()) return false;
    if (!job.repository.private && !group.allowsPublicRepositories) return false;
    if (group.visibility === 'private') return job.repository.private;
    return (
      group.visibility === 'all' ||
      group.repositories.some((name) => name.toLowerCase() === job.repository.fullName.toLowerCase())
    );
  }
}

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, jest } from '@jest/globals';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import type { GitHubEmulator } from '../emulators/github/server.ts';
import { LocalFleet, type LocalFleetOptions } from '../emulators/local-fleet.ts';
import { aProfile } from '../fakes/builders.ts';
import { until } from '../until.ts';

export { until };
export const minute = 60_000;

// Processes are started and ended for real, on whatever machine this is.
jest.setTimeout(240_000);

// Real time, like everything in a task. A runner that has a job waiting must never be too slow to take it.
const usualProfile = aProfile({ maxRunners: 5, idleMinutes: 20 / 60 });

/** For who waits until a runner is idle: the three seconds must do to begin listening. */
export const impatient = { idleMinutes: 3 / 60 };

/** A job of the profile's labels in the repository that every scenario has. */
export const plainJob = { repo: 'acme/app', labels: ['self-hosted', 'linux', 'fargate-small'], script: 'true' };

type ScenarioOptions = Partial<Omit<LocalFleetOptions, 'choices'>> & {
  readonly profile?: Partial<Profile>;
};

const running = new Set<Scenario>();
afterEach(async () => {
  for (const scenario of running) await scenario.stop();
});

/** A fleet of one profile for two orgs, its schedules run by hand. */
export async function startScenario({ profile, arrange, ...options }: ScenarioOptions = {}): Promise<Scenario> {
  const logs: string[] = [];
  const fleet = await LocalFleet.start({
    schedules: false,
    startScript: { QUIET_SECONDS: '0', RUNNER_STANDIN_RENEW_SECONDS: '0.5', RUNNER_STANDIN_TERM_AFTER: '0.5' },
    ...options,
    // Real time too: a dozen functions may start cold at once, on one core.
    github: { deliveryTimeoutMs: 60_000, ...options.github },
    choices: { fleet: 'ci', owners: ['acme', 'globex'], profiles: [{ ...usualProfile, ...profile }] },
    arrange: (github) => {
      for (const [login, name] of [
        ['acme', 'acme/app'],
        ['globex', 'globex/web'],
      ] as const) {
        github.addAccount({ login, type: 'Organization' });
        github.addRepository(name, { private: true });
        github.install(login);
      }
      arrange?.(github);
    },
    onLog: ({ functionName, line }) => logs.push(`${functionName} ${line}`),
  });
  const scenario = new Scenario(fleet, logs);
  running.add(scenario);
  return scenario;
}

export class Scenario {
  readonly fleet: LocalFleet;
  readonly github: GitHubEmulator;
  /** What the functions wrote. */
  readonly logs: readonly string[];
  #directory: string | undefined;

  constructor(fleet: LocalFleet, logs: readonly string[]) {
    this.fleet = fleet;
    this.github = fleet.github;
    this.logs = logs;
  }

  /** A script that runs until `release` is called, and the call. */
  async gate(): Promise<{ readonly script: string; readonly release: () => Promise<void> }> {
    this.#directory ??= await mkdtemp(join(tmpdir(), 'gate-'));
    const file = join(this.#directory, String(Math.random()).slice(2));
    return {
      script: `until [ -e ${file} ]; do sleep 0.02; done`,
      release: async () => writeFile(file, ''),
    };
  }

  async jobIs(id: string, status: 'queued' | 'in_progress' | 'completed'): Promise<void> {
    await until(() => this.github.job(id).status === status, `job ${id} is ${status}`);
  }

  /** Cancels a job whose runner has taken its claim and cannot register yet: too late to be stopped, too early for the job. */
  async cancelBeforeRegistration(id: string): Promise<void> {
    let attempts = 0;
    this.github.behave({
      failRequests: ({ path }) => {
        if (path !== 'register') return undefined;
        attempts += 1;
        return 503;
      },
    });
    await until(() => attempts > 0, 'its runner registers');
    this.github.cancelJob(id);
    this.github.behave({ failRequests: () => undefined });
  }

  /** What the ledger says of a job. */
  async ledgerOf(jobId: string): Promise<Record<string, unknown> | undefined> {
    return (await this.fleet.ledger()).find(({ id }) => id === `job#${jobId}`);
  }

  async reasonIs(jobId: string, reason: string): Promise<void> {
    await until(async () => (await this.ledgerOf(jobId))?.['reason'] === reason, `job ${jobId} waits: ${reason}`);
  }

  /** Runs a schedule's function once, which must not fail. */
  async run(schedule: keyof LocalFleet['schedules']): Promise<void> {
    const invocation = await this.fleet.schedules[schedule].runNow();
    if (!invocation.ok) throw new Error(`${schedule} failed: ${JSON.stringify(invocation.error)}`);
  }

  /** Until every message and every event has been handled. */
  async quiet(): Promise<void> {
    await until(async () => {
      await this.github.deliveriesSettled();
      await this.fleet.scheduler.settled();
      return (await this.fleet.depth()) === 0;
    }, 'the queues are empty');
  }

  get liveTasks(): number {
    return [...this.fleet.ecs.tasks.values()].filter(({ lastStatus }) => lastStatus !== 'STOPPED').length;
  }

  get launches(): number {
    return this.fleet.ecs.tasks.size;
  }

  /** Nothing is left: no task, lease, registration or claim, no message anywhere, and the emulators have no complaint. */
  async expectAllGone(): Promise<void> {
    const left = async (): Promise<object> => {
      const ledger = await this.fleet.ledger();
      const claims = await this.fleet.claims();
      return {
        tasks: this.liveTasks,
        leases: ledger.reduce((sum, { leases }) => sum + Number(leases ?? 0), 0),
        liveRunners: ledger.filter(({ open }) => open === 'runner').length,
        registrations: this.github.runners.length,
        claims: claims.filter(({ id }) => String(id).startsWith('claim#')).length,
        messages: await this.fleet.depth(),
        deadLetters: await this.#deadLetters(),
      };
    };
    const nothing = {
      tasks: 0,
      leases: 0,
      liveRunners: 0,
      registrations: 0,
      claims: 0,
      messages: 0,
      deadLetters: 0,
    };
    await until(
      async () => JSON.stringify(await left()) === JSON.stringify(nothing),
      async () => `nothing is left, but there is ${JSON.stringify(await left())}`,
    );
    if (this.github.contractViolations.length > 0) {
      throw new Error(`the contract was broken: ${JSON.stringify(this.github.contractViolations)}`);
    }
  }

  async #deadLetters(): Promise<number> {
    const { queues, deadLetters } = this.fleet;
    const messages = await Promise.all(Object.values(deadLetters).map(async (queue) => queues.messages(queue)));
    return messages.flat().length;
  }

  async stop(): Promise<void> {
    running.delete(this);
    await this.fleet.stop();
    if (this.#directory !== undefined) await rm(this.#directory, { recursive: true, force: true });
  }
}

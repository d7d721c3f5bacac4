import { setTimeout as pause } from 'node:timers/promises';
import type { LocalFleet } from '../../test/emulators/local-fleet.ts';
import type { DeliveryFate } from '../../test/emulators/github/behaviour.ts';
import type { JobOptions } from '../../test/emulators/github/jobs.ts';
import type { Dice } from './dice.ts';
import type { JobBoard, JobView, News } from './job-board.ts';

export type Stage = {
  readonly fleet: LocalFleet;
  readonly board: JobBoard;
  readonly hear: (news: News) => void;
  readonly dice: Dice;
  /** Ends the show: what waits rejects. */
  readonly signal: AbortSignal;
};

const small = ['self-hosted', 'linux', 'fargate-small'];
const large = ['self-hosted', 'linux', 'ARM64', 'fargate-large'];
const minute = 60_000;
/** Long enough for the reaper to be sure of a warm runner that nobody needs. */
const longestEvening = 40;

/** All N jobs at the same moment, of one repository. */
export function queuePlainJobs({ fleet, dice, hear }: Stage, count: number): void {
  hear({ kind: 'story', text: `${count} ${count === 1 ? 'job is' : 'jobs are'} queued at once.` });
  Object.assign(fleet.ecs.latency, { provisioning: 40, pull: 40, boot: 20, deprovisioning: 10 });
  for (let number = 1; number <= count; number += 1) {
    fleet.github.queueJob({
      repo: 'acme/shop',
      labels: small,
      name: `job ${number}`,
      durationSeconds: Number(dice.between(0.2, 1.5).toFixed(1)),
    });
  }
}

/** What goes right and wrong in a day, in about a minute. Where the clock is turned the board says so. */
export async function playWorkingDay(stage: Stage): Promise<void> {
  const day = new Day(stage);
  day.open();
  await day.morning();
  await day.matrix();
  await day.secondThoughts();
  await day.theft();
  await day.mishaps();
  await day.recovery();
  await day.evening();
}

class Day {
  readonly #stage: Stage;
  readonly #fates = new Map<string, { readonly fate: DeliveryFate; readonly told: 'lost' | 'failed' | 'doubled' }>();
  /** Jobs whose delivery was lost or failed: what plays on does not wait for them. */
  readonly #stranded = new Set<string>();
  #guids = 0;

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  open(): void {
    const { fleet } = this.#stage;
    // Fargate takes half a minute for what is a second here.
    Object.assign(fleet.ecs.latency, { provisioning: 250, pull: 500, boot: 150, deprovisioning: 50 });
    fleet.github.behave({
      deliver: ({ guid, payload, redelivery }) => {
        const meddling = redelivery ? undefined : this.#fates.get(guid);
        if (meddling === undefined) return 'now';
        const { id } = payload['workflow_job'] as { readonly id: number };
        this.#stage.hear({ kind: 'meddled', jobId: String(id), fate: meddling.told });
        return meddling.fate;
      },
    });
  }

  async morning(): Promise<void> {
    const { fleet } = this.#stage;
    this.#say(
      'Morning. Two orgs and a person push. globex keeps one large runner warm; the delivery of its docs fails.',
    );
    this.#queue({ repo: 'acme/shop', labels: small, name: 'lint' }, [0.8, 1.5]);
    this.#queue({ repo: 'acme/site', labels: small, name: 'build' }, [1.5, 3]);
    this.#queue({ repo: 'octo/tools', labels: small, name: 'test' }, [1, 2]);
    await this.#until('the first task', () => this.#open().some(({ phase }) => phase !== 'queued'), 10_000);
    // A deployment's first minute, and its first five: the warm runner comes, and redelivery begins now.
    await Promise.all([fleet.schedules.replenish.runNow(), fleet.schedules.redeliver.runNow()]);
    this.#queue({ repo: 'globex/docs', labels: small, name: 'publish' }, [1, 2], {
      fate: { fail: 502 },
      told: 'failed',
    });
    await this.#until('a warm runner', () => this.#stage.board.runners.some(isWarm), 6000);
    this.#queue({ repo: 'globex/api', labels: large, name: 'integration' }, [2, 3]);
    await this.#rest(2500);
  }

  async matrix(): Promise<void> {
    const { fleet, dice } = this.#stage;
    this.#say('A matrix of twelve for a profile of six, while Spot has no machine left for globex.');
    fleet.ecs.capacity = (provider) => (provider === 'FARGATE_SPOT' ? 'none' : 'ok');
    const first = this.#queue({ repo: 'acme/shop', labels: small, name: 'test (1/12)' }, [1, 3]);
    for (const part of dice.shuffle([2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])) {
      const name = `test (${part}/12)`;
      this.#queue({ repo: 'acme/shop', labels: small, name, runId: first.runId }, [1, 3]);
    }
    this.#queue({ repo: 'globex/data', labels: large, name: 'image' }, [2, 3]);
    this.#queue({ repo: 'globex/api', labels: large, name: 'load test' }, [2, 4]);
    await this.#until('the matrix', () => this.#open().length < 5, 40_000);
    fleet.ecs.capacity = () => 'ok';
  }

  async secondThoughts(): Promise<void> {
    this.#say('One job is cancelled while its task boots; one delivery comes twice.');
    const preview = this.#queue({ repo: 'acme/site', labels: small, name: 'preview' }, [5, 5]);
    this.#queue({ repo: 'acme/site', labels: small, name: 'deploy' }, [1, 2], { fate: 'twice', told: 'doubled' });
    await this.#until('its task', () => this.#view(preview.id)?.phase === 'task', 5000);
    this.#cancel(preview.id);
    await this.#done();
  }

  async theft(): Promise<void> {
    this.#say("A delivery is lost; the next job's runner takes the older job, as GitHub will have it.");
    const lost = this.#queue({ repo: 'acme/shop', labels: small, name: 'docs' }, [1.5, 2], {
      fate: 'lose',
      told: 'lost',
    });
    await this.#rest(400);
    this.#queue({ repo: 'acme/shop', labels: small, name: 'changelog' }, [1, 1.5]);
    this.#stranded.delete(lost.id);
    await this.#done();
  }

  async mishaps(): Promise<void> {
    const { fleet, board } = this.#stage;
    this.#say('A runner dies before its job, Spot takes a machine from another, one more delivery is lost.');
    const doomed = this.#queue({ repo: 'acme/shop', labels: small, name: 'package' }, [1, 2]);
    const spot = this.#queue({ repo: 'acme/shop', labels: large, name: 'train' }, [4, 4]);
    this.#queue({ repo: 'octo/tools', labels: small, name: 'release' }, [1, 2], { fate: 'lose', told: 'lost' });
    const end = fleet.ecs.onStateChange(({ detail }) => {
      if (detail.lastStatus !== 'RUNNING' || !String(detail['startedBy']).includes(`-${doomed.id}-`)) return;
      end();
      fleet.ecs.exhaustMemory(detail.taskArn);
    });
    await this.#until('training', () => this.#view(spot.id)?.phase === 'running', 8000);
    await this.#rest(1500);
    const runner = this.#view(spot.id)?.runner;
    if (runner !== undefined && fleet.ecs.find(runner)?.provider === 'FARGATE_SPOT') fleet.ecs.interrupt(runner);
    await this.#until('its end', () => this.#view(spot.id)?.phase === 'done', 8000);
    const again = fleet.github.rerunJob(spot.id);
    this.#say(`Whoever wrote it runs it again: #${board.job(again.id)?.number ?? '?'}.`);
    await this.#until('its second end', () => this.#view(again.id)?.phase === 'done', 20_000);
    await this.#until('quiet', () => this.#open().every(({ phase }) => phase === 'queued'), 30_000);
  }

  /** The minute's sweep, its back-off and GitHub's list of deliveries need minutes. Nothing runs that turning could harm. */
  async recovery(): Promise<void> {
    const { length } = this.#open();
    if (length === 0) return;
    this.#say(`Nothing runs, ${length} jobs wait. The clock is turned, minute by minute, until the sweeps find them.`);
    let turns = 0;
    for (; this.#open().length > 0 && turns < longestEvening; turns += 1) {
      await this.#turn();
      await this.#rest(400);
      await this.#until('the found jobs', () => this.#open().every(({ phase }) => phase === 'queued'), 20_000);
    }
    this.#say(`The clock was turned by ${turns} minutes.`);
  }

  async evening(): Promise<void> {
    const { fleet } = this.#stage;
    this.#say('Evening. The warm window closes. The clock is turned until the reaper is sure of the last runner.');
    await this.#idle();
    let turns = 0;
    for (; fleet.github.runners.length > 0 && turns < longestEvening; turns += 1) {
      await this.#turn();
      await this.#rest(60);
    }
    await this.#until(
      'the last runner',
      () => this.#stage.board.runners.every(({ state }) => state === 'ended'),
      15_000,
    );
    this.#say(`${turns > 0 ? `The clock was turned by ${turns} minutes. ` : ''}The day is over.`);
  }

  #queue(
    options: JobOptions,
    [least, most]: readonly [number, number],
    meddling?: { readonly fate: DeliveryFate; readonly told: 'lost' | 'failed' | 'doubled' },
  ): { readonly id: string; readonly runId: string } {
    this.#guids += 1;
    const guid = `00000000-0000-4000-8000-${String(this.#guids).padStart(12, '0')}`;
    if (meddling !== undefined) this.#fates.set(guid, meddling);
    const durationSeconds = Number(this.#stage.dice.between(least, most).toFixed(1));
    const job = this.#stage.fleet.github.queueJob({ durationSeconds, ...options, guid });
    if (meddling !== undefined && meddling.told !== 'doubled') this.#stranded.add(job.id);
    return job;
  }

  #cancel(id: string): void {
    if (this.#view(id)?.phase !== 'done') this.#stage.fleet.github.cancelJob(id);
  }

  async #turn(): Promise<void> {
    const { fleet, hear } = this.#stage;
    hear({ kind: 'turned', ms: minute });
    fleet.clock.advance(minute);
    await this.#rest(30);
    await fleet.scheduler.settled();
  }

  #say(text: string): void {
    this.#stage.hear({ kind: 'story', text });
  }

  #view(id: string): JobView | undefined {
    return this.#stage.board.job(id);
  }

  #open(): JobView[] {
    return this.#stage.board.active;
  }

  async #done(): Promise<void> {
    await this.#until('the jobs', () => this.#open().every(({ id }) => this.#stranded.has(id)), 30_000);
  }

  /** No runner is left but warm ones. */
  async #idle(): Promise<void> {
    await this.#until(
      'the runners',
      () => this.#stage.board.runners.every((runner) => runner.state === 'ended' || isWarm(runner)),
      15_000,
    );
  }

  async #rest(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#stage.signal });
  }

  /** The show goes on all the same when something does not come: the summary tells what is left. */
  async #until(what: string, holds: () => boolean, mostMs: number): Promise<void> {
    const end = performance.now() + mostMs;
    while (!holds()) {
      if (performance.now() > end) {
        this.#say(`${what} did not come within ${mostMs / 1000} s.`);
        return;
      }
      await this.#rest(50);
    }
  }
}

function isWarm({ warm, state }: { readonly warm: boolean; readonly state: string }): boolean {
  return warm && state === 'idle';
}

import { setTimeout as pause } from 'node:timers/promises';
import type { Job } from '../../../functions/contracts/between-rooms/job.ts';
import { encodeMessage } from '../../../functions/contracts/between-rooms/messages.ts';
import { callsInARow, countByKind, countConflicts, lastEndOf, mostTries } from './calls.ts';
import { Environments } from './environments.ts';
import { countLeases } from './leases.ts';
import { measure, median, sum, type Measured } from './measure.ts';
import { Poller, type DeliveryShape } from './poller.ts';
import { Stubs } from './stubs.ts';

export type Burst = {
  readonly jobs: number;
  /** How often the burst is repeated. */
  readonly runs: number;
  readonly runTaskMs: number;
  readonly shape: DeliveryShape;
};

export type LaunchFigures = {
  readonly jobs: number;
  readonly runs: number;
  /** For each job, by kind. */
  readonly awsCalls: Readonly<Record<string, number>>;
  /** Of the whole burst; undefined with several environments, whose calls overlap by chance. */
  readonly awsCallsInARow: number | undefined;
  readonly gitHubCalls: number;
  /** From the first message; medians. */
  readonly untilLastTaskMs: number;
  readonly untilLastInvocationMs: number;
  /** The earliest last turn at the pace. */
  readonly paceBoundMs: number;
  /** For each job. */
  readonly cpuMs: number;
  /** For each burst. */
  readonly conflicts: number;
  readonly mostTries: number;
  readonly sentBack: number;
  readonly failed: number;
  /** What went wrong, each as a sentence. */
  readonly problems: readonly string[];
};

/** The pace of RunTask that scale-up keeps: so many at once, then one each 50 ms. */
const turns = { atOnce: 20, everyMs: 50 };
const mostMs = 5 * 60_000;

/** Queues the jobs of a burst at once and waits until `scale-up` has finished all messages. */
export async function measureLaunches({ jobs, runs, runTaskMs, shape }: Burst): Promise<LaunchFigures> {
  let sentBack = 0;
  const stubs = await Stubs.start({
    runTaskMs,
    onMessage: ({ body, delayMs }) => {
      sentBack += 1;
      poller.send([body], delayMs);
    },
  });
  const environments = new Environments('scale-up', { stubs, atOnce: shape.atOnce });
  const poller = new Poller(shape, async (event) => environments.invoke(event));
  const queued: Job[] = [];
  const queue = (count: number): string[] => {
    const fresh = stubs.queueJobs(count);
    queued.push(...fresh);
    return fresh.map((job) => encodeMessage({ version: 1, kind: 'queued', job, delivery: 'bench', returns: 0 }));
  };
  try {
    const warmUp = new Poller({ ...shape, batchSize: 1 }, async (event) => environments.invoke(event));
    warmUp.send(queue(shape.atOnce));
    await warmUp.drained(mostMs);
    await poller.drained(mostMs);

    sentBack = 0;
    const measured: Measured[] = [];
    for (let run = 0; run < runs; run += 1) {
      await waitForRest(run === 0 ? shape.atOnce : jobs);
      const messages = queue(jobs);
      measured.push(
        await measure({ stubs, environments }, async () => {
          poller.send(messages);
          if (!(await poller.drained(mostMs))) throw new Error(`a burst of ${jobs} jobs must end in ${mostMs} ms`);
        }),
      );
    }
    const calls = measured.flatMap((one) => one.calls);
    return {
      jobs,
      runs,
      awsCalls: Object.fromEntries(
        Object.entries(countByKind(calls)).map(([kind, count]) => [kind, count / (jobs * runs)]),
      ),
      awsCallsInARow: shape.atOnce > 1 ? undefined : median(measured.map((one) => callsInARow(one.calls))),
      gitHubCalls: sum(measured.map((one) => one.gitHubCalls)) / (jobs * runs),
      untilLastTaskMs: median(measured.map((one) => (lastEndOf('ecs:RunTask', one.calls) ?? one.to) - one.from)),
      untilLastInvocationMs: median(measured.map(({ from, to }) => to - from)),
      paceBoundMs: Math.max(0, jobs - turns.atOnce) * turns.everyMs,
      cpuMs: sum(measured.map((one) => one.cpuMs)) / (jobs * runs),
      conflicts: countConflicts(calls) / runs,
      mostTries: mostTries(calls),
      sentBack,
      failed: poller.failed,
      problems: [...findWrongTasks(queued, stubs.tasks.runnerIds), ...(await findWrongLeases(stubs))],
    };
  } finally {
    environments.tellErrors();
    await environments.stop();
    await stubs.stop();
  }
}

/** A burst begins when every pace is at rest: the slower one, of registrations, has a turn each 600 ms. */
async function waitForRest(turnsTaken: number): Promise<void> {
  await pause(turnsTaken * 600 + 100);
}

function findWrongTasks(jobs: readonly Job[], runnerIds: readonly string[]): string[] {
  const tasks = new Map<string, number>();
  for (const runnerId of runnerIds) {
    const jobId = /-(\d+)-\d+$/.exec(runnerId)?.[1] ?? runnerId;
    tasks.set(jobId, (tasks.get(jobId) ?? 0) + 1);
  }
  const wrong = jobs.filter(({ id }) => tasks.get(id) !== 1);
  if (wrong.length === 0) return [];
  return [`${wrong.length} jobs have not one task each, ${wrong[0]?.id} has ${tasks.get(wrong[0]?.id ?? '') ?? 0}`];
}

async function findWrongLeases(stubs: Stubs): Promise<string[]> {
  const leases = await countLeases(stubs);
  const tasks = stubs.tasks.runnerIds.length;
  return leases === tasks ? [] : [`there are ${tasks} tasks and ${leases} leases`];
}

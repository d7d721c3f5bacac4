import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { BatchWriteCommand } from '@aws-sdk/lib-dynamodb';
import type { RunnerRecord } from '../../../functions/contracts/between-rooms/ledger-records.ts';
import { claimKeyPrefix } from '../../../functions/contracts/with-tasks/claim.ts';
import { runnerContainer } from '../../../functions/contracts/with-tasks/stopped-task.ts';
import { decodeSettings, encodeChoices } from '../../../functions/contracts/with-infra/settings.ts';
import { aLaunchedRunner } from '../../fakes/builders.ts';
import { countByKind, countConflicts, mostTries } from './calls.ts';
import { Environments } from './environments.ts';
import { countLeases, profileKey } from './leases.ts';
import { measure } from './measure.ts';
import { Poller, type DeliveryShape } from './poller.ts';
import { profile, Stubs, tableNames } from './stubs.ts';

export type EndFigures = {
  readonly ends: number;
  /** For each end, by kind. */
  readonly awsCalls: Readonly<Record<string, number>>;
  readonly gitHubCalls: number;
  /** From the first event. */
  readonly untilLastInvocationMs: number;
  /** For each end. */
  readonly cpuMs: number;
  readonly conflicts: number;
  readonly mostTries: number;
  readonly failed: number;
  readonly deadLetters: number;
  readonly leasesLeft: number;
  /** What went wrong, each as a sentence. */
  readonly problems: readonly string[];
};

const mostMs = 10 * 60_000;

/** Tells `task-stopped` of the ends of live runners, which come evenly within some time, and waits until it has finished all. */
export async function measureEnds({
  ends,
  withinMs,
  shape,
}: {
  readonly ends: number;
  readonly withinMs: number;
  readonly shape: DeliveryShape;
}): Promise<EndFigures> {
  const stubs = await Stubs.start({ runTaskMs: 0, onMessage: () => undefined });
  const environments = new Environments('task-stopped', { stubs, atOnce: shape.atOnce });
  const invoke = async (event: unknown) => environments.invoke(event);
  try {
    const { prefix } = decodeSettings(encodeChoices(stubs.choices), stubs.environment);
    // Each warm-up runner has a profile of its own: the warm-up must meet no conflict.
    const others = makeRunners(shape.atOnce, (number) => ({ prefix: `${prefix}-1`, profile: `warm-up-${number}` }));
    const runners = makeRunners(ends, () => ({ prefix: `${prefix}-2`, profile: profile.name }));
    await seed(stubs, [...others, ...runners]);
    await putAll(stubs, tableNames.ledger, [{ id: profileKey, leases: ends }]);

    const warmUp = new Poller({ ...shape, batchSize: 1 }, invoke);
    warmUp.send(others.map((runner) => stopEventOf(runner, stubs)));
    await warmUp.drained(mostMs);

    const poller = new Poller(shape, invoke);
    const events = runners.map((runner) => stopEventOf(runner, stubs));
    const measured = await measure({ stubs, environments }, async () => {
      const began = performance.now();
      for (const [number, event] of events.entries()) {
        await pause(Math.max(0, began + (number * withinMs) / ends - performance.now()));
        poller.send([event]);
      }
      if (!(await poller.drained(mostMs))) throw new Error(`${ends} ends must be settled in ${mostMs} ms`);
    });
    const leasesLeft = await countLeases(stubs);
    return {
      ends,
      awsCalls: Object.fromEntries(
        Object.entries(countByKind(measured.calls)).map(([kind, count]) => [kind, count / ends]),
      ),
      gitHubCalls: measured.gitHubCalls / ends,
      untilLastInvocationMs: measured.to - measured.from,
      cpuMs: measured.cpuMs / ends,
      conflicts: countConflicts(measured.calls),
      mostTries: mostTries(measured.calls),
      failed: poller.failed,
      deadLetters: poller.deadLetters,
      leasesLeft,
      problems: leasesLeft === 0 ? [] : [`all runners have ended and ${leasesLeft} leases are left`],
    };
  } finally {
    environments.tellErrors();
    await environments.stop();
    await stubs.stop();
  }
}

type LiveRunner = RunnerRecord & { readonly claimId: string; readonly taskArn: string };

function makeRunners(
  count: number,
  of: (number: number) => { readonly prefix: string; readonly profile: string },
): LiveRunner[] {
  const createdAt = new Date(Date.now() - 10 * 60_000).toISOString();
  return Array.from({ length: count }, (_, number) => {
    const jobId = String(1000 + number);
    const { prefix, profile: name } = of(number);
    const runnerId = `${prefix}${jobId}-1`;
    const runner = aLaunchedRunner({ runnerId, profile: name, createdAt, jobId, busyJobId: jobId, busyAt: createdAt });
    return { ...runner, claimId: `claim-of-${runnerId}`, taskArn: `arn:task/${runnerId}` };
  });
}

/** Writes what a launch leaves: the runner's record with its task, and the claim. */
async function seed(stubs: Stubs, runners: readonly LiveRunner[]): Promise<void> {
  const expiresAt = Math.floor(Date.now() / 1000) + 600;
  await putAll(
    stubs,
    tableNames.ledger,
    runners.map((runner) => ({
      ...runner,
      id: `runner#${runner.runnerId}`,
      open: 'runner',
      openKey: `${runner.pool}|${runner.createdAt}|${runner.runnerId}`,
    })),
  );
  await putAll(
    stubs,
    tableNames.claims,
    runners.map(({ claimId }) => ({ id: `${claimKeyPrefix}${claimId}`, body: 'a claim', expiresAt })),
  );
}

async function putAll({ tables }: Stubs, table: string, items: readonly Record<string, unknown>[]): Promise<void> {
  const mostAtOnce = 25;
  for (let at = 0; at < items.length; at += mostAtOnce) {
    const puts = items.slice(at, at + mostAtOnce).map((Item) => ({ PutRequest: { Item } }));
    await tables.send(new BatchWriteCommand({ RequestItems: { [table]: puts } }));
  }
}

/** https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_task_events.html */
function stopEventOf({ runnerId, taskArn, createdAt }: LiveRunner, { tasks }: Stubs): string {
  const stoppedAt = new Date().toISOString();
  return JSON.stringify({
    version: '0',
    id: randomUUID(),
    'detail-type': 'ECS Task State Change',
    source: 'aws.ecs',
    account: '111122223333',
    region: 'us-east-1',
    time: stoppedAt,
    resources: [taskArn],
    detail: {
      taskArn,
      clusterArn: tasks.clusterArn,
      lastStatus: 'STOPPED',
      desiredStatus: 'STOPPED',
      startedBy: runnerId,
      stopCode: 'EssentialContainerExited',
      stoppedReason: 'Essential container in task exited',
      capacityProviderName: 'FARGATE',
      createdAt,
      pullStartedAt: createdAt,
      pullStoppedAt: createdAt,
      startedAt: createdAt,
      stoppedAt,
      containers: [{ name: runnerContainer, exitCode: 0 }],
    },
  });
}

import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { DeployedFleet } from './deployed-fleet.ts';
import { addedLabel } from './plan.ts';
import { expectedRemovals } from './removals.ts';
import { arrangeGitHub, eventually, Gate, placeFor } from './workload.ts';

jest.setTimeout(300_000);

/** One story, told in order: a part begins with what the one before it left, and is not tried when that one failed. */
function part(act: () => Promise<void> | void): () => Promise<void> {
  return async () => {
    if (failed !== undefined) throw new Error(`not tried, as this failed: ${failed}`);
    failed = expect.getState().currentTestName;
    await act();
    failed = undefined;
  };
}
let failed: string | undefined;

const ownConfig = fileURLToPath(new URL('default-config.ts', import.meta.url));
const config = process.env['DEPLOY_CONFIG'] ?? ownConfig;

let deployed: DeployedFleet;
let profiles: readonly Profile[];
const gates: Gate[] = [];

beforeAll(async () => {
  deployed = await DeployedFleet.start(config);
  arrangeGitHub(deployed.github, deployed.fleet);
  // A paused profile starts nothing.
  profiles = deployed.fleet.choices.profiles.filter(({ maxRunners }) => maxRunners > 0);
});
afterAll(async () => {
  await deployed?.stop();
  await Promise.all(gates.map(async (gate) => gate.remove()));
});

/** Queues a job that this profile serves, and GitHub posts its delivery. */
function queue(
  profile: Profile,
  { script = 'true', labels = [] }: { script?: string; labels?: readonly string[] } = {},
): string {
  const place = placeFor(profile, deployed.fleet.choices);
  return deployed.github.queueJob({ ...place, labels: [...place.labels, ...labels], script }).id;
}

async function shutGate(): Promise<Gate> {
  const gate = await Gate.shut();
  gates.push(gate);
  return gate;
}

async function areAll(ids: readonly string[], status: 'in_progress' | 'completed'): Promise<void> {
  const missing = (): string[] => ids.filter((id) => deployed.github.job(id).status !== status);
  await eventually(
    `all of ${ids.length} jobs are ${status}`,
    () => {
      // Then it will not come to that, and why is known.
      expect(deployed.denials).toEqual([]);
      return missing().length === 0;
    },
    { trouble: async () => deployed.describe(missing()) },
  );
}

async function nothingIsLeft(): Promise<void> {
  await eventually(
    'nothing is left',
    async () => {
      await deployed.github.deliveriesSettled();
      return Object.keys(await deployed.left()).length === 0;
    },
    { trouble: async () => deployed.describe([]) },
  );
}

const conclusions = (ids: readonly string[]): unknown[] => ids.map((id) => deployed.github.job(id).conclusion);
const all = (conclusion: string, ids: readonly string[]): unknown[] => ids.map(() => conclusion);

describe('a first deployment', () => {
  test(
    'succeeds, without what the emulator does not know',
    part(async () => {
      const { removals } = await deployed.deploy();
      expect(removals).toEqual(expectedRemovals);
      expect(deployed.outputs).toEqual(
        expect.arrayContaining(['WebhookUrl', 'AppIdParameter', 'AppKeyParameter', 'WebhookSecretParameter']),
      );
      const kinds = new Set((await deployed.resources()).map(({ type }) => type));
      expect([...kinds]).toEqual(
        expect.arrayContaining([
          'AWS::Lambda::Function',
          'AWS::SQS::Queue',
          'AWS::ECS::TaskDefinition',
          'AWS::Events::Rule',
        ]),
      );
    }),
  );

  test(
    'answers 503 until it has its secrets, and its log says which is missing',
    part(async () => {
      const parameter = deployed.output('WebhookSecretParameter');
      const answer = await deployed.github.post('ping', { zen: 'Keep it logically awesome.' });
      expect(answer.status).toBe(503);
      expect(answer.body).not.toContain(parameter);
      expect(
        (await deployed.logs()).filter((line) => line.includes('"level"') && line.includes(parameter)),
      ).not.toEqual([]);
    }),
  );

  test(
    'does not deploy again what is deployed',
    part(async () => {
      await deployed.putSecrets();
      const before = await deployed.resources();
      const { printed } = await deployed.deploy();
      expect(printed).toContain('(no changes)');
      expect(await deployed.resources()).toEqual(before);
    }),
  );

  test(
    'gets its runner images, now that it has its secrets, ten minutes later',
    part(async () => deployed.awaitImages()),
  );

  test(
    'takes deliveries then',
    part(async () => {
      await eventually(
        'a ping is answered 200',
        async () =>
          (await deployed.github.post('ping', { zen: 'Half measures are as bad as nothing at all.' })).status === 200,
        { everySeconds: 5 },
      );
    }),
  );

  test(
    'lets nobody do what no policy allows',
    part(async () => {
      await expect(deployed.readLedgerAsTask()).rejects.toThrow(/not authorized to perform: dynamodb:GetItem/);
      expect(deployed.denials.splice(0)).toHaveLength(1);
    }),
  );
});

describe('jobs', () => {
  test(
    'run, of every profile, more at once than there is room for',
    part(async () => {
      const jobs = profiles.flatMap((profile) =>
        Array.from({ length: Math.min(profile.maxRunners + 1, 6) }, () => queue(profile)),
      );
      await areAll(jobs, 'completed');
      expect(conclusions(jobs)).toEqual(all('success', jobs));
      await nothingIsLeft();
    }),
  );

  test(
    'run as the runner, in the image that was built',
    part(async () => {
      const { release } = deployed.images;
      const asked = release.asked.filter((path) => path === release.pathOf(release.runner));
      expect(asked).not.toEqual([]);
      const script = `
        [ "$(id --user --name) $(id --groups)" = "runner 1001 123" ]
        [ -x /opt/runner-hooks/job-started.sh ]
        [ ! -e '${import.meta.dirname}' ]`;
      const jobs = profiles.map((profile) => queue(profile, { script }));
      await areAll(jobs, 'completed');
      expect(conclusions(jobs)).toEqual(all('success', jobs));
      await nothingIsLeft();
      for (const { exitCode } of deployed.fargate.ecs.tasks.values())
        expect(exitCodes).toHaveProperty(String(exitCode));
    }),
  );

  test(
    'are refused when the signature is wrong',
    part(async () => {
      const payload = deployed.github.describeJob(deployed.github.jobs[0]?.id ?? '', 'queued');
      expect(await deployed.github.post('workflow_job', payload, { secret: 'a guess' })).toMatchObject({ status: 401 });
      expect(await deployed.github.post('workflow_job', payload, { secret: null })).toMatchObject({ status: 401 });
    }),
  );

  test(
    'that are cancelled, waiting or running, leave nothing',
    part(async () => {
      const [profile] = profiles;
      if (profile === undefined) throw new Error('there must be a profile');
      const gate = await shutGate();
      const running = Array.from({ length: Math.min(profile.maxRunners, 4) }, () =>
        queue(profile, { script: gate.script }),
      );
      await areAll(running, 'in_progress');
      const others = profile.maxRunners > running.length ? [] : [queue(profile)];
      for (const id of others) {
        await eventually(
          'the job waits for a place',
          async () => (await deployed.itemOf(`job#${id}`))?.['reason'] === 'profile-full',
          { trouble: async () => deployed.describe([id]) },
        );
      }
      const cancelled = [...others, ...running.slice(0, 1)];
      for (const id of cancelled) deployed.github.cancelJob(id);
      await areAll(cancelled, 'completed');
      gate.open();
      await areAll(running, 'completed');
      expect(conclusions(cancelled)).toEqual(all('cancelled', cancelled));
      expect(conclusions(running.slice(1))).toEqual(all('success', running.slice(1)));
      await nothingIsLeft();
    }),
  );

  test(
    'whose beginning GitHub never tells of come to their end all the same',
    part(async () => {
      deployed.github.behave({ deliver: ({ action }) => (action === 'in_progress' ? 'lose' : 'now') });
      const jobs = profiles.map((profile) => queue(profile));
      await areAll(jobs, 'completed');
      await nothingIsLeft();
      deployed.github.behave({ deliver: () => 'now' });
    }),
  );

  test(
    'whose deliveries come twice get one runner',
    part(async () => {
      const before = deployed.fargate.ecs.tasks.size;
      deployed.github.behave({ deliver: () => 'twice' });
      const jobs = profiles.slice(0, 1).map((profile) => queue(profile));
      await areAll(jobs, 'completed');
      await nothingIsLeft();
      deployed.github.behave({ deliver: () => 'now' });
      expect(deployed.fargate.ecs.tasks.size - before).toBe(jobs.length);
    }),
  );
});

describe('a changed config', () => {
  test(
    'is deployed while jobs run and come in, and none is lost',
    part(async () => {
      const gate = await shutGate();
      const running = profiles.map((profile) => queue(profile, { script: gate.script }));
      await areAll(running, 'in_progress');
      const meanwhile: string[] = [];
      const posting = setInterval(() => {
        const profile = profiles[meanwhile.length % profiles.length];
        if (profile !== undefined) meanwhile.push(queue(profile));
      }, 500);
      await deployed.deploy({ changed: true }).finally(() => {
        clearInterval(posting);
      });
      expect(meanwhile).not.toEqual([]);
      const after = profiles.map((profile) => queue(profile, { labels: [addedLabel] }));
      gate.open();
      const jobs = [...running, ...meanwhile, ...after];
      await areAll(jobs, 'completed');
      expect(conclusions(jobs)).toEqual(all('success', jobs));
      await nothingIsLeft();
      // Only a runner of the new config has the label, and its task is of the new definition.
      for (const id of after) {
        const { runnerName } = (await deployed.itemOf(`job#${id}`)) ?? {};
        expect(deployed.fargate.ecs.find(String(runnerName))?.definition.revision).toBe(2);
      }
    }),
  );
});

test(
  'the minute came round meanwhile, and the schedules were heard',
  part(async () => {
    const functions = await deployed.scheduled('rate(1 minute)');
    expect(functions).not.toEqual([]);
    for (const { functionName, logGroup } of functions) {
      await eventually(`${functionName} has run`, async () =>
        (await deployed.logs([logGroup])).some((line) => line.startsWith('REPORT')),
      );
    }
  }),
);

test(
  'nobody lacked a permission, and no message is dead',
  part(() => {
    expect(deployed.denials).toEqual([]);
    expect(deployed.failures).toEqual([]);
    expect(deployed.github.contractViolations).toEqual([]);
  }),
);

test(
  'the stack is deleted with a job running, and leaves nothing',
  part(async () => {
    const [profile] = profiles;
    const gate = await shutGate();
    const running = profile === undefined ? [] : [queue(profile, { script: gate.script })];
    await areAll(running, 'in_progress');
    const kept = await deployed.keepsakes();
    await deployed.destroy();
    expect(deployed.liveTasks).toBe(0);
    expect((await deployed.remains()).filter((name) => !kept.includes(name))).toEqual([]);
  }),
);

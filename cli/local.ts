import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { LocalFleet } from '../test/emulators/local-fleet.ts';
import { runCommand } from './command/run-command.ts';
import { chooseFleet, profileNamed, settle } from './local/choose-fleet.ts';
import { dice } from './local/dice.ts';
import { findLeftovers } from './local/find-leftovers.ts';
import { JobBoard, type News } from './local/job-board.ts';
import { parseOptions, usage, type Options } from './local/options.ts';
import { Page } from './local/page.ts';
import { takeSnapshot, type Snapshot } from './local/snapshot.ts';
import { openTerminal } from './local/terminal.ts';
import { readDecision, watchFleet } from './local/watch-fleet.ts';
import { playWorkingDay, queuePlainJobs } from './local/working-day.ts';
import { summarize } from './local/wording.ts';

/** npm hands a Ctrl-C on although the terminal has sent it to us already: a second one so soon is the same. */
const sameSignalMs = 1000;
/** With nothing new for so long, jobs that are not done will not be. */
const patienceMs = 180_000;
const cleanUpMs = 30_000;
/** More would only fight over the cores while they start. */
const environments = Math.min(10, Math.max(3, availableParallelism()));

process.exitCode = await runCommand({ name: 'npm start', usage, parse: parseOptions, run }, process.argv.slice(2));

async function run(options: Options): Promise<number> {
  const stopping = listenForStop(keepInOneDirectory());
  const choices = chooseFleet(Date.now(), options.jobs);
  const board = new JobBoard((labels) => profileNamed(choices.profiles, labels));
  const begun = performance.now();
  const now = (): number => performance.now() - begun;
  let state: Snapshot['state'] = 'starting';
  let clock = Date.now;
  let example: () => unknown = Object;
  const look = (): Snapshot => takeSnapshot(board, { state, now: now(), clock: clock(), profiles: choices.profiles });
  const hear = (news: News): void => board.hear(news, now());

  let page: Page;
  try {
    page = await Page.start({
      port: options.port,
      look,
      version: () => board.version,
      exampleDelivery: () => example(),
    });
  } catch (error) {
    process.stderr.write(`the page cannot be served on port ${options.port}: ${messageOf(error)}\n`);
    return 1;
  }
  const terminal = openTerminal(board, { output: process.stdout, env: process.env, look });
  terminal.say(`The page is at ${page.url}`);

  let fleet: LocalFleet | undefined;
  let code = 0;
  try {
    const started = await LocalFleet.start({
      choices,
      arrange: settle,
      maxConcurrency: environments,
      onLog: (line) => {
        const decision = readDecision(line);
        if (decision !== undefined) hear({ kind: 'decision', decision });
      },
    });
    fleet = started;
    clock = () => started.clock.now();
    example = () => describeExample(started);
    watchFleet(started, hear);
    terminal.say(describeWebhook(started, page.url));
    state = 'playing';
    const stage = { fleet: started, board, hear, dice: dice(options.seed), signal: stopping };
    if (options.jobs === undefined) await playWorkingDay(stage);
    else queuePlainJobs(stage, options.jobs);

    const left = await settleDown(started, board, { now, signal: stopping });
    for (const line of ['', ...summarize(board)]) terminal.say(line);
    for (const sentence of left) terminal.say(`left over           ${sentence}`);
    if (options.exitWhenIdle) {
      code = left.length > 0 ? 1 : 0;
    } else {
      state = 'quiet';
      board.version += 1;
      terminal.say('');
      terminal.say('Serving until Ctrl-C.');
      await untilAborted(stopping);
    }
  } catch (error) {
    if (!stopping.aborted) {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      code = 1;
    }
  }
  state = 'stopping';
  if (stopping.aborted) terminal.say('Stopping. Ctrl-C again hurries.');
  // Hundreds of launches may be under way. Nobody waits for them any more.
  if (fleet !== undefined && stopping.aborted) await stopFunctions(fleet);
  await fleet?.stop();
  await page.stop();
  terminal.close();
  return code;
}

/** Whatever makes temporary files makes them here, so that none stays behind. @returns what removes them */
function keepInOneDirectory(): () => void {
  const directory = mkdtempSync(join(tmpdir(), 'npm-start-'));
  process.env['TMPDIR'] = directory;
  const remove = (): void => rmSync(directory, { recursive: true, force: true, maxRetries: 10 });
  process.once('exit', remove);
  return remove;
}

/** The first signal asks for an orderly end, a second one for any. */
function listenForStop(removeFiles: () => void): AbortSignal {
  const controller = new AbortController();
  let askedAt = -Infinity;
  const ask = (): void => {
    const at = performance.now();
    if (!controller.signal.aborted) {
      askedAt = at;
      controller.abort();
    } else if (at - askedAt > sameSignalMs) {
      // ECS kills its tasks when this process exits; what they work in can go only after that.
      process.removeListener('exit', removeFiles);
      process.once('exit', removeFiles);
      process.exit(0);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, ask);
  // `npm start | head`: nobody reads any more.
  process.stdout.on('error', ask);
  return controller.signal;
}

/** Waits until all jobs are done and nothing is left of them. @returns what is, after all */
async function settleDown(
  fleet: LocalFleet,
  board: JobBoard,
  { now, signal }: { readonly now: () => number; readonly signal: AbortSignal },
): Promise<string[]> {
  while (board.activeCount > 0 && now() - board.changedAt < patienceMs) await pause(50, undefined, { signal });
  const end = now() + cleanUpMs;
  for (;;) {
    const left = await findLeftovers(fleet);
    if (left.length === 0 || now() > end || board.activeCount > 0) {
      // The ledger knows of an end before its function has told us.
      await fleet.scheduler.settled();
      return left;
    }
    await pause(200, undefined, { signal });
  }
}

async function stopFunctions({ functions }: LocalFleet): Promise<void> {
  await Promise.all(Object.values(functions).map(async (one) => one.stop()));
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function describeWebhook(fleet: LocalFleet, pageUrl: string): string {
  const secret = fleet.github.app.webhookSecret ?? '';
  return `The webhook is at ${fleet.api.url}/webhook, its secret is "${secret}". To post a delivery of your own:

  curl -s ${pageUrl}example-delivery.json -o delivery.json
  curl -i ${fleet.api.url}/webhook --data-binary @delivery.json \\
    -H 'content-type: application/json' -H 'x-github-event: workflow_job' -H "x-github-delivery: $RANDOM" \\
    -H "x-hub-signature-256: sha256=$(openssl dgst -sha256 -hmac '${secret}' -r delivery.json | cut -c1-64)"
`;
}

/** A queued job with ids of its own, in the shape of the last real one. GitHub will not know it, and the fleet find out. */
function describeExample(fleet: LocalFleet): unknown {
  const [job] = fleet.github.jobs;
  if (job === undefined) return {};
  const payload = fleet.github.describeJob(job.id, 'queued');
  const id = 90_000_000_000 + Math.floor(Math.random() * 1e9);
  const at = new Date(fleet.clock.now()).toISOString().replace(/\.\d+Z$/, 'Z');
  const fresh = {
    id,
    run_id: id,
    status: 'queued',
    conclusion: null,
    created_at: at,
    started_at: at,
    completed_at: null,
  };
  return {
    ...payload,
    workflow_job: { ...(payload['workflow_job'] as object), ...fresh, runner_id: null, runner_name: null },
  };
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return code === 'EADDRINUSE' ? 'it is taken' : error.message;
}

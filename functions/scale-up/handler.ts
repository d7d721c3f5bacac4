import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { claimStore } from '../aws/claims.ts';
import { jobLedger } from '../aws/ledger/jobs.ts';
import { takeTurn } from '../aws/ledger/pace.ts';
import { repositoryLedger } from '../aws/ledger/repositories.ts';
import { runnerLedger } from '../aws/ledger/runners.ts';
import { scopeLedger } from '../aws/ledger/scopes.ts';
import { table } from '../aws/ledger/table.ts';
import { handleBatch, type Received } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { isPassing } from '../aws/requests.ts';
import { runnerImages } from '../aws/runner-images.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeLaunchMessage } from '../contracts/between-rooms/messages.ts';
import { longestTurnMs } from '../contracts/with-infra/limits.ts';
import { mostReceives } from '../contracts/with-infra/queue-limits.ts';
import { capacityOf } from '../contracts/with-infra/providers.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { isScarce } from '../contracts/with-github/rate-limit.ts';
import { registrationReader } from '../github/registrations.ts';
import { githubRunners } from '../github/runners.ts';
import { imageWatch } from './image-watch.ts';
import { launchRunner, type LaunchPorts, type LaunchVerdict } from './launch-runner.ts';
import { messageOf } from '../contracts/with-github/errors.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, measure, flush } = telemetry('scale-up', settings.fleet);
const ledger = table(settings.tables.ledger);
const jobs = jobLedger(ledger, Date.now);
const scopes = scopeLedger(ledger);
const claims = claimStore(settings.tables.claims);
const queues = jobQueues(settings.queues);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });

/** Fargate starts 20 tasks a second, and RunTask may be called as often. */
const launchPace = { key: 'run-task', intervalMs: 50, burst: 20 };
/** GitHub takes 1,500 registrations in five minutes: a thousand at once and 500 more in that time stay below. */
const registrationPace = { intervalMs: 600, burst: 1000 };

const ports: LaunchPorts = {
  ...jobs,
  ...repositoryLedger(ledger, Date.now),
  ...runnerLedger(ledger, settings.tables.claims, Date.now),
  ...runnerTasks(settings),
  now: Date.now,
  pause,
  fleet: fleetOf(settings),
  lookAtJob: githubJobs(app).lookAtJob,
  holdScope: scopes.holdScope,
  readHold: async (scope) => (await scopes.readScope(scope)).holdReason,
  isScarce: (scope) => isScarce(app.rateLimit(scope)),
  hasImage: imageWatch(settings.images === undefined ? undefined : runnerImages(settings.images.repository), Date.now),
  takeTurn: async (scope) => {
    // The scope's own turn first: one that has had its share must not use up the turns of the others.
    const registration = { ...registrationPace, key: `registrations#${scope}` };
    const first = await takeTurn(ledger, registration, Date.now(), longestTurnMs);
    const second = first === undefined ? undefined : await takeTurn(ledger, launchPace, Date.now(), longestTurnMs);
    return first === undefined || second === undefined ? undefined : Math.max(first, second);
  },
  sendBack: queues.sendLaunch,
  readRegistration: registrationReader({ github: githubRunners(app), store: claims }),
  newClaimId: () => randomBytes(24).toString('base64url'),
  registrationUrl: (scope) => `${settings.github.url}/${scope}`,
  taskDefinition: (profile) => {
    const definition = settings.tasks.definitions[profile];
    if (definition === undefined) throw new Error(`profile ${profile} has no task definition`);
    return definition;
  },
  providers: (profile) => {
    const providers = settings.tasks.providers[profile];
    if (providers === undefined) throw new Error(`profile ${profile} has no capacity providers`);
    return providers;
  },
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, launch, failed);
  } finally {
    flush();
  }
}

async function launch({ body, receives }: Received): Promise<void> {
  const message = decodeLaunchMessage(body);
  report(await launchRunner(message, receives > 1, ports));
}

function report(verdict: LaunchVerdict): void {
  log(verdict.kind === 'give-up' ? 'warn' : 'info', `launch: ${verdict.kind}`, verdict);
  const Profile = verdict.profile;
  if (verdict.isNew) count('JobsQueued', { Profile });
  switch (verdict.kind) {
    case 'launched':
      count('Launches', { Profile, Reason: verdict.provider && capacityOf(verdict.provider) });
      measure('SecondsFromQueuedToLaunched', verdict.secondsFromQueued, { Profile });
      break;
    case 'wait':
      count(isFailure(verdict.wait) ? 'LaunchFailures' : 'LaunchesWaiting', { Profile, Reason: verdict.wait });
      break;
    case 'give-up':
      count('LaunchFailures', { Profile, Reason: 'given-up' });
      break;
    case 'returned':
    case 'drop':
    case 'abandon':
      break;
  }
}

function isFailure(wait: LaunchVerdict['wait']): boolean {
  return (
    wait !== undefined &&
    ['no-capacity', 'quota', 'launch-refused', 'github-unavailable', 'aws-unavailable', 'scope-held'].includes(wait)
  );
}

/**
 * What fails for the last time goes to the dead-letter queue, and its job must not be launched again and again: it is
 * refused. Unless it was AWS that failed: then the job waits like any other, and nobody need look at its message.
 *
 * @returns whether the message is done with
 */
async function failed({ body, messageId, receives }: Received, error: unknown): Promise<boolean> {
  const isLast = receives >= mostReceives;
  log('error', 'launch: failed', { messageId, receives, isLast, error });
  count('LaunchFailures', { Reason: 'error' });
  const jobId = isLast ? jobOf(body) : undefined;
  const job = jobId === undefined ? undefined : await jobs.readJob(jobId);
  if (job === undefined) return false;
  const note = `its launch failed ${receives} times: ${messageOf(error)}`;
  if (!isPassing(error)) {
    await jobs.giveUpJob(job, 'refused', note);
    return false;
  }
  await jobs.explainWait(job.job.id, { reason: 'aws-unavailable', note, notBefore: Date.now() + 5 * 60_000 });
  return true;
}

function jobOf(body: string): string | undefined {
  try {
    const message = decodeLaunchMessage(body);
    if (message.kind === 'queued') return message.job.id;
    return message.kind === 'launch' ? message.jobId : undefined;
  } catch {
    // A message that cannot be read names no job: the dead-letter queue keeps it for a person.
    return undefined;
  }
}

import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { claimStore } from '../aws/claims.ts';
import { jobLedger } from '../aws/ledger/jobs.ts';
import { runnerLedger } from '../aws/ledger/runners.ts';
import { scopeLedger } from '../aws/ledger/scopes.ts';
import { table } from '../aws/ledger/table.ts';
import { handleBatch, type Received } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { decodeStopEvent, type StoppedTask } from '../contracts/with-tasks/stopped-task.ts';
import { appClient } from '../github/app-client.ts';
import { githubRunners } from '../github/runners.ts';
import { estimateCost } from './estimate-cost.ts';
import { settleTask, type SettlePorts, type SettleVerdict } from './settle-task.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, measure, flush } = telemetry('task-stopped', settings.fleet);
const ledger = table(settings.tables.ledger);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const ports: SettlePorts = {
  ...jobLedger(ledger, Date.now),
  ...runnerLedger(ledger, settings.tables.claims, Date.now),
  ...claimStore(settings.tables.claims),
  ...scopeLedger(ledger),
  ...githubRunners(app),
  now: Date.now,
  fleet: fleetOf(settings),
  sendLaunches: jobQueues(settings.queues).sendLaunches,
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, settle, failed);
  } finally {
    flush();
  }
}

async function settle({ body }: Received): Promise<void> {
  const task = decodeStopEvent(body);
  if (task !== undefined) report(task, await settleTask(task, ports));
}

function report(task: StoppedTask, verdict: SettleVerdict): void {
  log('info', `task stopped: ${verdict.kind}`, verdict);
  if (verdict.kind !== 'ended') return;
  const Profile = verdict.profile;
  count('RunnersEnded', { Profile, Reason: verdict.ending });
  if (verdict.held) count('JobsHeld', { Profile });
  measure('ProvisioningSeconds', task.provisioningSeconds, { Profile });
  measure('PullSeconds', task.pullSeconds, { Profile });
  measure('BootSeconds', task.bootSeconds, { Profile });
  measure('RunnerSeconds', task.runSeconds, { Profile });
  const profile = settings.profiles.find(({ name }) => name === Profile);
  if (profile === undefined) return;
  const hasPublicAddress = settings.tasks.assignPublicIp === 'ENABLED';
  const { billedSeconds: seconds, provider } = task;
  measure('CostDollars', estimateCost({ profile, seconds, provider, hasPublicAddress }), { Profile });
}

function failed({ messageId, receives }: Received, error: unknown): boolean {
  log('error', 'task stopped: failed', { messageId, receives, error });
  return false;
}

import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { claimStore } from '../aws/claims.ts';
import { jobLedger } from '../aws/ledger/jobs.ts';
import { repositoryLedger } from '../aws/ledger/repositories.ts';
import { runnerLedger } from '../aws/ledger/runners.ts';
import { scopeLedger } from '../aws/ledger/scopes.ts';
import { table } from '../aws/ledger/table.ts';
import { handleBatch, type Received } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeJobEvent } from '../contracts/between-rooms/messages.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { recordEvent, type EventPorts, type EventVerdict } from './record-event.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, measure, flush } = telemetry('track-jobs', settings.fleet);
const ledger = table(settings.tables.ledger);
const ports: EventPorts = {
  ...jobLedger(ledger, Date.now),
  ...repositoryLedger(ledger, Date.now),
  ...runnerLedger(ledger, settings.tables.claims, Date.now),
  ...runnerTasks(settings),
  ...scopeLedger(ledger),
  ...claimStore(settings.tables.claims),
  now: Date.now,
  fleet: fleetOf(settings),
  sendLaunches: jobQueues(settings.queues).sendLaunches,
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, record, failed);
  } finally {
    flush();
  }
}

async function record({ body }: Received): Promise<void> {
  report(await recordEvent(decodeJobEvent(body), ports));
}

function report(verdict: EventVerdict): void {
  log('info', `job event: ${verdict.kind}`, verdict);
  const Profile = verdict.profile;
  if (verdict.isCompletion) count('JobsCompleted', { Profile, Reason: verdict.conclusion ?? 'unknown' });
  if (verdict.stolenFrom !== undefined) count('JobsStolen', { Profile });
  if (verdict.secondsToStart === undefined) return;
  count('JobsStarted', { Profile });
  measure('SecondsFromQueuedToStarted', verdict.secondsToStart, { Profile });
}

function failed({ messageId, receives }: Received, error: unknown): boolean {
  log('error', 'job event: failed', { messageId, receives, error });
  return false;
}

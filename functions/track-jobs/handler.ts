import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { ledger } from '../aws/ledger/ledger.ts';
import { handleBatch } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSightingMessage } from '../contracts/between-rooms/messages.ts';
import { decodeSettings, fleetOf, providersIn } from '../contracts/with-infra/settings.ts';
import { recordEvent, type EventPorts } from './record-event.ts';
import { reportEvent, reportFailedEvent } from './report-event.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { tell, flush } = telemetry('track-jobs', settings.fleet);
const ports: EventPorts = {
  ...ledger(settings.tables, Date.now),
  ...runnerTasks(settings),
  now: Date.now,
  fleet: fleetOf(settings),
  providers: providersIn(settings),
  sendLaunches: jobQueues(settings.queues).sendLaunches,
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, {
      handle: async ({ body }) => tell(reportEvent(await recordEvent(decodeSightingMessage(body).sighting, ports))),
      failed: (message, error) => {
        tell(reportFailedEvent(message, error));
        return false;
      },
    });
  } finally {
    flush();
  }
}

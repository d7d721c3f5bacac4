import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { ledger } from '../aws/ledger/ledger.ts';
import { handleBatch } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { together } from '../aws/together.ts';
import { decodeSettings, fleetOf, providersIn } from '../contracts/with-infra/settings.ts';
import { decodeStopEvent } from '../contracts/with-tasks/stopped-task.ts';
import { topUpOnce, type TopUpPorts } from '../fleet/top-up-profile.ts';
import { appClient } from '../github/app-client.ts';
import { githubRunners } from '../github/runners.ts';
import { reportFailedStop, reportSettled } from './report-settled.ts';
import { settleTask, type SettlePorts } from './settle-task.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { tell, flush } = telemetry('task-stopped', settings.fleet);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const shared = { ...ledger(settings.tables, Date.now), now: Date.now };
const topUpPorts: TopUpPorts = {
  ...shared,
  providers: providersIn(settings),
  sendLaunches: jobQueues(settings.queues).sendLaunches,
};
const ports: SettlePorts = {
  ...shared,
  ...githubRunners(app),
  fleet: fleetOf(settings),
  topUp: together(async (asked) => topUpOnce(asked, topUpPorts)),
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, {
      handle: async ({ body }) => {
        const task = decodeStopEvent(body);
        if (task !== undefined) tell(reportSettled(task, await settleTask(task, ports), settings));
      },
      failed: (message, error) => {
        tell(reportFailedStop(message, error));
        return false;
      },
    });
  } finally {
    flush();
  }
}

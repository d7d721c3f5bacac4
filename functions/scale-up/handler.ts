import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Context, SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { registrationStore } from '../aws/claims.ts';
import { ledger } from '../aws/ledger/ledger.ts';
import { handleBatch } from '../aws/message-batch.ts';
import { jobQueues } from '../aws/queues.ts';
import { isPassing } from '../aws/requests.ts';
import { runnerImages } from '../aws/runner-images.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeLaunchMessage } from '../contracts/between-rooms/messages.ts';
import { isScarce } from '../contracts/with-github/rate-limit.ts';
import { decodeSettings, definitionOf, fleetOf, providersIn } from '../contracts/with-infra/settings.ts';
import { newClaimId } from '../contracts/with-tasks/claim.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { registrationReader } from '../github/registrations.ts';
import { githubRunners } from '../github/runners.ts';
import { imageWatch } from './image-watch.ts';
import { launchRunner, type LaunchPorts } from './launch-runner.ts';
import { reportFailedLaunch, reportLaunch } from './report-launch.ts';
import { settleFailedMessage } from './settle-failed-message.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { tell, flush } = telemetry('scale-up', settings.fleet);
const queues = jobQueues(settings.queues);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });

const ports: LaunchPorts = {
  ...ledger(settings.tables, Date.now),
  ...runnerTasks(settings),
  now: Date.now,
  pause,
  fleet: fleetOf(settings),
  lookAtJob: githubJobs(app).lookAtJob,
  isScarce: (scope) => isScarce(app.rateLimit(scope)),
  hasImage: imageWatch(settings.images === undefined ? undefined : runnerImages(settings.images.repository), Date.now),
  sendBack: queues.sendLaunch,
  sendLaunches: queues.sendLaunches,
  readRegistration: registrationReader({
    github: githubRunners(app),
    store: registrationStore(settings.tables.claims),
  }),
  newClaimId: () => newClaimId(randomBytes),
  registrationUrl: (scope) => `${settings.github.url}/${scope}`,
  taskDefinition: definitionOf(settings),
  providers: providersIn(settings),
};

export async function handler(event: SQSEvent, context: Context): Promise<SQSBatchResponse> {
  try {
    return await handleBatch(event, context, {
      handle: async ({ body, receives }) => {
        tell(reportLaunch(await launchRunner(decodeLaunchMessage(body), receives > 1, ports)));
      },
      failed: async (message, error) => {
        tell(reportFailedLaunch(message, error));
        return settleFailedMessage(message, error, { ...ports, isPassing });
      },
    });
  } finally {
    flush();
  }
}

import { ledger } from '../aws/ledger/ledger.ts';
import { jobQueues } from '../aws/queues.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { MissingSecretError } from '../contracts/with-github/errors.ts';
import { decodeSettings, fleetOf, providersIn } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { findUnannounced, type SweepPorts, type SweepVerdict } from './find-unannounced.ts';
import { reportPools } from './report-pools.ts';
import { reportSweep } from './report-sweep.ts';
import { topUpPools, type PoolPorts } from './top-up-pools.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { tell, flush } = telemetry('replenish', settings.fleet);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const github = githubJobs(app);
const ports: PoolPorts & SweepPorts = {
  ...ledger(settings.tables, Date.now),
  ...jobQueues(settings.queues),
  listUnfinishedJobs: github.listUnfinishedJobs,
  lookAtJob: github.lookAtJob,
  listInstalled: github.listRepositories,
  rateLimit: app.rateLimit,
  providers: providersIn(settings),
  now: Date.now,
  fleet: fleetOf(settings),
};

export async function handler(): Promise<void> {
  try {
    // Runners first: they do not need GitHub.
    const pools = await topUpPools(ports);
    reportPools(pools).forEach(tell);
    const swept = await sweep();
    reportSweep(swept, settings.github.owners.map(app.rateLimit)).forEach(tell);
    const failures = [...pools.failures, ...swept.failures.map((failure) => `GitHub could not be asked: ${failure}`)];
    if (failures.length > 0) {
      throw new Error(`${failures.length} acts of the pass failed: ${failures.slice(0, 10).join('; ')}`);
    }
  } finally {
    flush();
  }
}

async function sweep(): Promise<SweepVerdict> {
  try {
    return await findUnannounced(ports);
  } catch (error) {
    // Until the secrets are there nothing can have been announced to us either.
    if (!(error instanceof MissingSecretError)) throw error;
    return { asked: 0, putOff: 0, found: [], failures: [error.message] };
  }
}

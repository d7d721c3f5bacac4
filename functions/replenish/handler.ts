import { jobLedger } from '../aws/ledger/jobs.ts';
import { sweepMemory } from '../aws/ledger/memory.ts';
import { repositoryLedger } from '../aws/ledger/repositories.ts';
import { runnerLedger } from '../aws/ledger/runners.ts';
import { scopeLedger } from '../aws/ledger/scopes.ts';
import { table } from '../aws/ledger/table.ts';
import { jobQueues } from '../aws/queues.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { MissingSecretError } from '../contracts/with-github/errors.ts';
import { waitReasons } from '../contracts/with-infra/reasons.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { findUnannounced, type SweepPorts, type SweepVerdict } from './find-unannounced.ts';
import { topUpPools, type PoolPorts, type PoolsVerdict } from './top-up-pools.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, measure, flush } = telemetry('replenish', settings.fleet);
const ledger = table(settings.tables.ledger);
const queues = jobQueues(settings.queues);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const github = githubJobs(app);
const ports: PoolPorts & SweepPorts = {
  ...jobLedger(ledger, Date.now),
  ...runnerLedger(ledger, settings.tables.claims, Date.now),
  ...repositoryLedger(ledger, Date.now),
  ...scopeLedger(ledger),
  ...sweepMemory(ledger, Date.now),
  ...queues,
  listUnfinishedJobs: github.listUnfinishedJobs,
  lookAtJob: github.lookAtJob,
  listInstalled: github.listRepositories,
  rateLimit: app.rateLimit,
  now: Date.now,
  fleet: fleetOf(settings),
};

export async function handler(): Promise<void> {
  try {
    // Runners first: they do not need GitHub.
    reportPools(await topUpPools(ports));
    reportSweep(await sweep());
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

function reportPools({ profiles, gaveUp }: PoolsVerdict): void {
  for (const job of gaveUp) log('warn', 'replenish: gave up', job);
  for (const report of profiles) {
    const { profile: Profile } = report;
    if (report.live > 0 || report.waiting.length > 0 || report.warm > 0) log('info', 'replenish: profile', report);
    measure('RunnersLive', report.live, { Profile });
    measure('RunnersBusy', report.busy, { Profile });
    measure('RunnersIdle', report.idle, { Profile });
    measure('OldestWaitingSeconds', report.oldestWaiting, { Profile });
    measure('OldestRunnableSeconds', report.oldestRunnable, { Profile });
    measure('BreakersOpen', report.breakerOpen ? 1 : 0, { Profile });
    // Reasons that are over must fall to zero on the graph, so each is told while any job waits.
    if (report.waiting.length === 0) continue;
    for (const Reason of waitReasons) {
      const jobs = report.waiting.find(({ reason }) => reason === Reason)?.jobs ?? 0;
      measure('JobsWaiting', jobs, { Profile, Reason });
    }
  }
}

function reportSweep({ asked, putOff, found, failures }: SweepVerdict): void {
  for (const job of found) log('warn', 'replenish: found what was never announced', job);
  if (found.length > 0) count('JobsFound', {}, found.length);
  for (const owner of settings.github.owners) {
    const limit = app.rateLimit(owner);
    if (limit !== undefined) measure('GitHubRateLeftPercent', (100 * limit.remaining) / limit.limit);
  }
  if (putOff > 0) log('warn', 'replenish: repositories put off', { asked, putOff });
  if (failures.length === 0) return;
  count('SweepFailures', { Reason: 'replenish' }, failures.length);
  throw new Error(`GitHub could not be asked: ${failures.join('; ')}`);
}

import { claimStore } from '../aws/claims.ts';
import { jobLedger } from '../aws/ledger/jobs.ts';
import { sweepMemory } from '../aws/ledger/memory.ts';
import { repositoryLedger } from '../aws/ledger/repositories.ts';
import { runnerLedger } from '../aws/ledger/runners.ts';
import { table } from '../aws/ledger/table.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { isScarce } from '../contracts/with-github/rate-limit.ts';
import { githubRunners } from '../github/runners.ts';
import { sweepFleet, type FleetPorts, type SweptRunner } from './sweep-fleet.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, flush } = telemetry('scale-down', settings.fleet);
const ledger = table(settings.tables.ledger);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const ports: FleetPorts = {
  ...jobLedger(ledger, Date.now),
  ...runnerLedger(ledger, settings.tables.claims, Date.now),
  ...claimStore(settings.tables.claims),
  ...sweepMemory(ledger, Date.now),
  ...runnerTasks(settings),
  ...githubRunners(app),
  listRepositories: repositoryLedger(ledger, Date.now).listRepositories,
  listUnfinishedJobs: githubJobs(app).listUnfinishedJobs,
  isScarce: (scope) => isScarce(app.rateLimit(scope)),
  now: Date.now,
  fleet: fleetOf(settings),
};

export async function handler(): Promise<void> {
  try {
    const { swept, putOff, failures } = await sweepFleet(ports);
    for (const runner of swept) {
      log('info', `scale-down: ${runner.kind}`, runner);
      const Profile = runner.profile;
      if (isReaped(runner)) count('Reaped', { Profile, Reason: runner.kind });
      if (runner.ending !== undefined) count('RunnersEnded', { Profile, Reason: runner.ending });
      if (runner.held) count('JobsHeld', { Profile });
    }
    if (putOff > 0) log('warn', 'scale-down: put off', { runners: putOff });
    if (failures.length === 0) return;
    count('SweepFailures', { Reason: 'scale-down' }, failures.length);
    throw new Error(`${failures.length} acts of the sweep failed: ${failures.join('; ')}`);
  } finally {
    flush();
  }
}

/** Something was really taken away, not only looked at. */
function isReaped({ kind, result }: SweptRunner): boolean {
  return kind === 'lose' || result === 'deleted' || result === 'stopped';
}

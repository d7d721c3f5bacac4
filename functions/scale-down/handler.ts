import { ledger } from '../aws/ledger/ledger.ts';
import { runnerTasks } from '../aws/runner-tasks.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubJobs } from '../github/jobs.ts';
import { isScarce } from '../contracts/with-github/rate-limit.ts';
import { githubRunners } from '../github/runners.ts';
import { reportSwept } from './report-swept.ts';
import { sweepFleet, type FleetPorts } from './sweep-fleet.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, tell, flush } = telemetry('scale-down', settings.fleet);
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets: secretReader() });
const ports: FleetPorts = {
  ...ledger(settings.tables, Date.now),
  ...runnerTasks(settings),
  ...githubRunners(app),
  listUnfinishedJobs: githubJobs(app).listUnfinishedJobs,
  isScarce: (scope) => isScarce(app.rateLimit(scope)),
  now: Date.now,
  fleet: fleetOf(settings),
};

export async function handler(): Promise<void> {
  try {
    const { swept, putOff, failures } = await sweepFleet(ports);
    for (const runner of swept) tell(reportSwept(runner));
    if (putOff > 0) log('warn', 'scale-down: put off', { runners: putOff });
    if (failures.length === 0) return;
    count('SweepFailures', { Reason: 'scale-down' }, failures.length);
    throw new Error(`${failures.length} acts of the sweep failed: ${failures.join('; ')}`);
  } finally {
    flush();
  }
}

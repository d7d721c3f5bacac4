import { ledger } from '../aws/ledger/ledger.ts';
import { secretReader } from '../aws/secrets.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings } from '../contracts/with-infra/settings.ts';
import { appClient } from '../github/app-client.ts';
import { githubDeliveries } from '../github/deliveries.ts';
import { redeliverWebhooks, type RedeliveryPorts } from './redeliver-webhooks.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, measure, flush } = telemetry('redeliver', settings.fleet);
const secrets = secretReader();
const app = appClient({ apiUrl: settings.github.apiUrl, parameters: settings.parameters, secrets });
const ports: RedeliveryPorts = {
  ...ledger(settings.tables, Date.now),
  ...githubDeliveries(app),
  secretChangedAt: async () => secrets.readChangedAt(settings.parameters.webhookSecret),
  now: Date.now,
};

export async function handler(): Promise<void> {
  try {
    const { redelivered, forgotten, pending, complete, failures } = await redeliverWebhooks(ports);
    for (const delivery of redelivered) log('info', 'redeliver: asked again', delivery);
    for (const delivery of forgotten) log('warn', 'redeliver: given up', delivery);
    count('Redelivered', {}, redelivered.length);
    measure('DeliveriesPending', pending);
    if (!complete) throw new Error('more deliveries came than one pass can look at: redelivery is behind');
    if (failures.length > 0)
      throw new Error(`GitHub did not take ${failures.length} redeliveries: ${failures.join('; ')}`);
  } finally {
    flush();
  }
}

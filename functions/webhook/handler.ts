import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { secretReader } from '../aws/secrets.ts';
import { jobQueues } from '../aws/queues.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { readDeliveryId, receiveDelivery } from './receive-delivery.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, count, flush } = telemetry('webhook', settings.fleet);
const queues = jobQueues(settings.queues);
const secrets = secretReader({
  attempts: 8,
  onStale: (parameter, error) => log('warn', 'secret: not read anew', { parameter, error }),
});
const ports = {
  now: Date.now,
  fleet: fleetOf(settings),
  readSecrets: (options?: { readonly fresh: boolean }) => secrets.readList(settings.parameters.webhookSecret, options),
  sendLaunch: queues.sendLaunch,
  sendEvent: queues.sendEvent,
};

export async function handler(event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> {
  const { headers } = event;
  const delivery = readDeliveryId(headers['x-github-delivery']);
  try {
    const verdict = await receiveDelivery(
      {
        body: Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8'),
        signature: headers['x-hub-signature-256'],
        event: headers['x-github-event'],
        delivery,
        contentType: headers['content-type'],
      },
      ports,
    );
    log(verdict.status < 500 ? 'info' : 'error', `delivery: ${verdict.verdict}`, { ...verdict, delivery });
    count('Deliveries', { Reason: verdict.verdict === 'refuse' ? `refused-${verdict.status}` : verdict.verdict });
    return answer(verdict.status, { verdict: verdict.verdict, reason: verdict.reason });
  } catch (error) {
    // Whatever kept us from taking it, GitHub must see it fail: that is what redelivery looks for.
    log('error', 'delivery: not taken', { delivery, error });
    count('Deliveries', { Reason: 'not-taken' });
    return answer(503, { verdict: 'retry', reason: 'the delivery could not be queued' });
  } finally {
    flush();
  }
}

function answer(statusCode: number, body: object): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

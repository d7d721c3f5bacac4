import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { secretReader } from '../aws/secrets.ts';
import { jobQueues } from '../aws/queues.ts';
import { telemetry } from '../aws/telemetry.ts';
import { decodeSettings, fleetOf } from '../contracts/with-infra/settings.ts';
import { readDeliveryId, receiveDelivery } from './receive-delivery.ts';
import { reportDelivery, reportNotTaken } from './report-delivery.ts';

const settings = decodeSettings(process.env.FLEET_CHOICES, process.env);
const { log, tell, flush } = telemetry('webhook', settings.fleet);
const queues = jobQueues(settings.queues);
const secrets = secretReader({
  attempts: 8,
  onStale: (parameter, error) => log('warn', 'secret: not read anew', { parameter, error }),
});
const ports = {
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
    tell(reportDelivery(verdict, delivery));
    return answer(verdict.status, { verdict: verdict.verdict, note: verdict.note });
  } catch (error) {
    // GitHub must see the delivery fail, as redelivery looks for that.
    tell(reportNotTaken(error, delivery));
    return answer(503, { verdict: 'retry', note: 'the delivery could not be queued' });
  } finally {
    flush();
  }
}

function answer(statusCode: number, body: object): APIGatewayProxyStructuredResultV2 {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
}

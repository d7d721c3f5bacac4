import { isUtf8 } from 'node:buffer';
import { decodeWorkflowJob, type WorkflowJobDelivery } from '../contracts/with-github/delivery.ts';
import { MissingSecretError } from '../contracts/with-github/errors.ts';
import type { LaunchMessage, SightingMessage } from '../contracts/between-rooms/messages.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { decideDelivery } from './decide-delivery.ts';
import { isSignature, verifySignature } from './verify-signature.ts';

export type DeliveryRequest = {
  readonly body: Uint8Array;
  readonly signature: string | undefined;
  readonly event: string | undefined;
  /** The delivery's GUID. Not signed, so good for the log alone. */
  readonly delivery: string | undefined;
  readonly contentType: string | undefined;
};

export type DeliveryPorts = {
  readonly fleet: Fleet;
  /** The webhook secrets in force, one or two; `fresh` asks for a new look, which is granted once a minute. */
  readonly readSecrets: (options?: { readonly fresh: boolean }) => Promise<readonly string[]>;
  readonly sendLaunch: (message: LaunchMessage) => Promise<void>;
  readonly sendEvent: (event: SightingMessage) => Promise<void>;
};

export type DeliveryVerdict = {
  readonly status: 200 | 202 | 400 | 401 | 415 | 503;
  readonly verdict: 'launch' | 'track' | 'ignore' | 'refuse';
  /** The sender is told this, too. */
  readonly note: string;
  /** For the log alone. */
  readonly detail?: string;
  readonly job?: string;
  readonly repository?: string;
  readonly profile?: string;
};

/** A GUID of GitHub's has 36 characters. The header is logged before anybody knows who sent it. */
export function readDeliveryId(header: string | undefined): string | undefined {
  return header === undefined || header === '' ? undefined : header.slice(0, 64);
}

/**
 * Checks that a delivery is GitHub's, decides what it asks for, and hands that to a queue. A queue that does not take
 * it throws: GitHub must see the delivery fail, so that it can be asked for again.
 */
export async function receiveDelivery(request: DeliveryRequest, ports: DeliveryPorts): Promise<DeliveryVerdict> {
  const signed = await isSigned(request, ports);
  if (typeof signed !== 'boolean') return signed;
  if (!signed) {
    return refuse(401, request.signature === undefined ? 'there is no X-Hub-Signature-256' : 'the signature is wrong');
  }
  if (request.contentType?.toLowerCase().startsWith('application/x-www-form-urlencoded')) {
    return refuse(415, 'set the content type of the App\'s webhook to "application/json"; this was form-encoded');
  }
  if (request.event === undefined) return refuse(400, 'there is no X-GitHub-Event');
  if (!isUtf8(request.body)) return refuse(400, 'the body must be UTF-8');
  if (request.event !== 'workflow_job') {
    return { status: 200, verdict: 'ignore', note: `event ${request.event} asks for nothing` };
  }

  const delivery = request.delivery ?? 'unknown';
  const decoded = decode(request.body, delivery);
  if (typeof decoded === 'string') return refuse(400, decoded);
  return forward(decoded, delivery, ports);
}

async function isSigned(request: DeliveryRequest, ports: DeliveryPorts): Promise<boolean | DeliveryVerdict> {
  const { signature, body } = request;
  if (signature === undefined || !isSignature(signature)) return false;
  try {
    const secrets = await ports.readSecrets();
    if (verifySignature(body, signature, secrets)) return true;
    // The secret may have been rotated since it was read. Each secret costs one hash of the body, and never two.
    const newest = await ports.readSecrets({ fresh: true });
    return verifySignature(
      body,
      signature,
      newest.filter((secret) => !secrets.includes(secret)),
    );
  } catch (error) {
    if (!(error instanceof MissingSecretError)) throw error;
    return { ...refuse(503, 'the webhook secret is not set up'), detail: error.message };
  }
}

function decode(body: Uint8Array, delivery: string): WorkflowJobDelivery | string {
  try {
    return decodeWorkflowJob(Buffer.from(body).toString('utf8'), delivery);
  } catch (error) {
    return error instanceof Error ? error.message : 'the body cannot be read';
  }
}

async function forward(
  received: WorkflowJobDelivery,
  delivery: string,
  ports: DeliveryPorts,
): Promise<DeliveryVerdict> {
  const { job } = received;
  const decision = decideDelivery(received, ports.fleet);
  const about = { job: job.id, repository: job.repository.fullName };
  switch (decision.kind) {
    case 'ignore':
      return { status: 202, verdict: 'ignore', note: decision.note, ...about };
    case 'launch':
      await ports.sendLaunch({ version: 1, kind: 'queued', job, delivery, returns: 0 });
      return { status: 202, verdict: 'launch', note: 'queued', profile: decision.profile, ...about };
    case 'track': {
      const { sighting, profile } = decision;
      await ports.sendEvent({ version: 2, sighting });
      return { status: 202, verdict: 'track', note: sighting.state, profile, ...about };
    }
  }
}

function refuse(status: 400 | 401 | 415 | 503, note: string): DeliveryVerdict {
  return { status, verdict: 'refuse', note };
}

import { setTimeout as sleep } from 'node:timers/promises';
import type { CloudFormationCustomResourceEvent } from 'aws-lambda';
import { messageOf } from '../contracts/with-github/errors.ts';

/** CloudFormation waits for a function while it deploys, updates or deletes the stack. */
export type Deployment = CloudFormationCustomResourceEvent;

export function isDeployment(event: unknown): event is Deployment {
  return typeof event === 'object' && event !== null && 'ResponseURL' in event && 'RequestType' in event;
}

const tries = 3;

/**
 * Tells CloudFormation how it went.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html
 *
 * @param problem why the deployment must fail; nothing when it may go on
 * @throws Error when CloudFormation could not be told: it then waits until its own time is over
 */
export async function answerDeployment(
  event: Deployment,
  problem?: string,
  pause: (ms: number) => Promise<unknown> = sleep,
): Promise<void> {
  const body = JSON.stringify({
    Status: problem === undefined ? 'SUCCESS' : 'FAILED',
    Reason: problem?.slice(0, 1000) ?? 'done',
    // Another id would make CloudFormation delete the one before.
    PhysicalResourceId: 'PhysicalResourceId' in event ? event.PhysicalResourceId : event.LogicalResourceId,
    StackId: event.StackId,
    RequestId: event.RequestId,
    LogicalResourceId: event.LogicalResourceId,
  });
  for (let attempt = 1; ; attempt += 1) {
    const status = await put(event.ResponseURL, body);
    if (status === 'told') return;
    if (attempt === tries) throw new Error(`CloudFormation could not be told how it went: ${status}`);
    await pause(attempt * 500);
  }
}

async function put(url: string, body: string): Promise<string> {
  try {
    const response = await fetch(url, {
      method: 'PUT',
      body,
      // The address is signed for a request without a content type.
      headers: { 'content-type': '' },
      signal: AbortSignal.timeout(5000),
    });
    return response.ok ? 'told' : `HTTP ${response.status}`;
  } catch (error) {
    return messageOf(error);
  }
}

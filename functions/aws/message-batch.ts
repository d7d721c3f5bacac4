import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';

export type Received = {
  readonly body: string;
  readonly messageId: string;
  /** 1 the first time. */
  readonly receives: number;
};

/** With less time left no further message is begun: it comes back whole instead of being cut off in the middle. */
const neededMs = 12_000;

/**
 * Handles the messages of a batch one after the other and tells SQS which to deliver again.
 * https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export async function handleBatch(
  event: SQSEvent,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
  handle: (message: Received) => Promise<void>,
  /** Hears of what failed; true when the message need not come back all the same. */
  failed: (message: Received, error: unknown) => Promise<boolean> | boolean,
): Promise<SQSBatchResponse> {
  const batchItemFailures: { itemIdentifier: string }[] = [];
  for (const record of event.Records) {
    const message = received(record);
    if (context.getRemainingTimeInMillis() < neededMs) {
      batchItemFailures.push({ itemIdentifier: message.messageId });
      continue;
    }
    try {
      await handle(message);
    } catch (error) {
      if (!(await isDoneWith(message, error, failed))) batchItemFailures.push({ itemIdentifier: message.messageId });
    }
  }
  return { batchItemFailures };
}

/** Whatever goes wrong in telling of a failure, the messages that went well must not come back for it. */
async function isDoneWith(
  message: Received,
  error: unknown,
  failed: (message: Received, error: unknown) => Promise<boolean> | boolean,
): Promise<boolean> {
  try {
    return await failed(message, error);
  } catch {
    return false;
  }
}

function received({ body, messageId, attributes }: SQSRecord): Received {
  return { body, messageId, receives: Number(attributes.ApproximateReceiveCount) };
}

import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';

export type Received = {
  readonly body: string;
  readonly messageId: string;
  /** How often SQS has delivered it, this time included. */
  readonly receives: number;
};

/** With less time left nothing is begun: the messages come back whole instead of being cut off in the middle. */
const neededMs = 12_000;

type Handling = {
  readonly handle: (message: Received) => Promise<void>;
  /** Is told of each failure. @returns true when the message need not come back all the same */
  readonly failed: (message: Received, error: unknown) => Promise<boolean> | boolean;
};

/**
 * Handles the messages of a batch side by side, so that the ledger can be asked for all of them at once, and tells SQS which to deliver
 * again. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
export async function handleBatch(
  event: SQSEvent,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
  handling: Handling,
): Promise<SQSBatchResponse> {
  const hasTime = context.getRemainingTimeInMillis() >= neededMs;
  const done = await Promise.all(event.Records.map(async (record) => hasTime && isDone(received(record), handling)));
  return {
    batchItemFailures: event.Records.filter((_, place) => !done[place]).map(({ messageId }) => ({
      itemIdentifier: messageId,
    })),
  };
}

async function isDone(message: Received, { handle, failed }: Handling): Promise<boolean> {
  try {
    await handle(message);
    return true;
  } catch (error) {
    try {
      return await failed(message, error);
    } catch {
      // The messages that went well must not come back because a failure could not be told.
      return false;
    }
  }
}

function received({ body, messageId, attributes }: SQSRecord): Received {
  return { body, messageId, receives: Number(attributes.ApproximateReceiveCount) };
}

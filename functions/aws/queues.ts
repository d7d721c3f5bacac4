import { SendMessageBatchCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { encodeMessage, type JobEvent, type LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { clientOptions } from './requests.ts';

/** SQS delays a message for so long at most. */
const longestDelaySeconds = 900;
const batchSize = 10;

export function jobQueues(
  urls: { readonly jobs: string; readonly events: string },
  client: SQSClient = new SQSClient(clientOptions),
): {
  readonly sendLaunch: (message: LaunchMessage, delayMs?: number) => Promise<void>;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
  readonly sendEvent: (event: JobEvent) => Promise<void>;
} {
  async function send(url: string, body: string, delayMs = 0): Promise<void> {
    const DelaySeconds = Math.min(Math.ceil(delayMs / 1000), longestDelaySeconds);
    await client.send(
      new SendMessageCommand({ QueueUrl: url, MessageBody: body, ...(DelaySeconds > 0 && { DelaySeconds }) }),
    );
  }

  async function sendBatch(messages: readonly LaunchMessage[]): Promise<void> {
    const { Failed = [] } = await client.send(
      new SendMessageBatchCommand({
        QueueUrl: urls.jobs,
        Entries: messages.map((message, index) => ({ Id: String(index), MessageBody: encodeMessage(message) })),
      }),
    );
    if (Failed.length > 0) {
      throw new Error(
        `the jobs queue refused ${Failed.length} of ${messages.length} messages: ${Failed[0]?.Message ?? Failed[0]?.Code}`,
      );
    }
  }

  return {
    sendLaunch: async (message, delayMs) => send(urls.jobs, encodeMessage(message), delayMs),
    sendLaunches: async (messages) => {
      for (let at = 0; at < messages.length; at += batchSize) await sendBatch(messages.slice(at, at + batchSize));
    },
    sendEvent: async (event) => send(urls.events, encodeMessage(event)),
  };
}

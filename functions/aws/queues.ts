import {
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
  type BatchResultErrorEntry,
} from '@aws-sdk/client-sqs';
import { encodeMessage, type LaunchMessage, type SightingMessage } from '../contracts/between-rooms/messages.ts';
import { clientOptions } from './requests.ts';
import { together, type Result } from './together.ts';

/** The longest delay that SQS takes. */
const longestDelaySeconds = 900;
const batchSize = 10;

type Send = { readonly message: LaunchMessage; readonly delayMs: number };

export function jobQueues(
  urls: { readonly jobs: string; readonly events: string },
  client: SQSClient = new SQSClient(clientOptions),
): {
  /** Launches that are sent at the same moment go out as one request. */
  readonly sendLaunch: (message: LaunchMessage, delayMs?: number) => Promise<void>;
  readonly sendLaunches: (messages: readonly LaunchMessage[]) => Promise<void>;
  readonly sendEvent: (event: SightingMessage) => Promise<void>;
} {
  async function send(url: string, body: string, delayMs = 0): Promise<void> {
    await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: body, DelaySeconds: delayOf(delayMs) }));
  }

  /** @returns for each an error, or nothing */
  async function sendBatch(sends: readonly Send[]): Promise<Result<void>[]> {
    const { Failed = [] } = await client.send(
      new SendMessageBatchCommand({
        QueueUrl: urls.jobs,
        Entries: sends.map(({ message, delayMs }, index) => ({
          Id: String(index),
          MessageBody: encodeMessage(message),
          DelaySeconds: delayOf(delayMs),
        })),
      }),
    );
    return sends.map((_, index) => {
      const failure = Failed.find(({ Id }) => Id === String(index));
      return failure && refusal(failure, `${Failed.length} of ${sends.length} messages`);
    });
  }

  const sendTogether = together<Send, void>(async (sends) => {
    const [only] = sends;
    if (only === undefined || sends.length > 1) return sendBatch(sends);
    await send(urls.jobs, encodeMessage(only.message), only.delayMs);
    return [undefined];
  }, batchSize);

  return {
    sendLaunch: async (message, delayMs = 0) => sendTogether({ message, delayMs }),
    sendLaunches: async (messages) => {
      await Promise.all(messages.map(async (message) => sendTogether({ message, delayMs: 0 })));
    },
    sendEvent: async (event) => send(urls.events, encodeMessage(event)),
  };
}

/** Says whose fault it is as the SDK's own errors do: what is SQS's own fault passes. */
function refusal({ Message, Code, SenderFault }: BatchResultErrorEntry, count: string): Error {
  const error = new Error(`the jobs queue refused ${count}: ${Message ?? Code}`);
  return Object.assign(error, { $fault: SenderFault ? 'client' : 'server' });
}

function delayOf(delayMs: number): number | undefined {
  const seconds = Math.min(Math.ceil(delayMs / 1000), longestDelaySeconds);
  return seconds > 0 ? seconds : undefined;
}

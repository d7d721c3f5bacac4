import { createHash, randomUUID } from 'node:crypto';
import { AwsError, JsonService, type Call } from '../../emulators/aws/aws-json.ts';

export type SentMessage = { readonly queueUrl: string; readonly body: string; readonly delayMs: number };
type Entry = { readonly Id?: string; readonly MessageBody: string; readonly DelaySeconds?: number };

/** The sending side of SQS. Whoever listens delivers the messages. */
export class QueueStub {
  readonly jobsUrl: string;
  readonly eventsUrl: string;
  readonly service: JsonService;

  private constructor(service: JsonService) {
    this.service = service;
    this.jobsUrl = `${service.url}/111122223333/jobs`;
    this.eventsUrl = `${service.url}/111122223333/events`;
  }

  static async start(onMessage: (message: SentMessage) => void): Promise<QueueStub> {
    const service = await JsonService.start({
      contentType: 'application/x-amz-json-1.0',
      perform: async (call) => Promise.resolve(perform(call, onMessage)),
    });
    return new QueueStub(service);
  }
}

function perform({ operation, input }: Call, onMessage: (message: SentMessage) => void): unknown {
  const queueUrl = String(input['QueueUrl']);
  const take = ({ Id, MessageBody: body, DelaySeconds = 0 }: Entry) => {
    onMessage({ queueUrl, body, delayMs: DelaySeconds * 1000 });
    return { Id, MessageId: randomUUID(), MD5OfMessageBody: createHash('md5').update(body).digest('hex') };
  };
  switch (operation) {
    case 'SendMessage':
      return take(input as Entry);
    case 'SendMessageBatch':
      return { Successful: (input['Entries'] as Entry[]).map(take), Failed: [] };
    default:
      throw new AwsError('UnknownOperationException', `the bench has no ${operation}`);
  }
}

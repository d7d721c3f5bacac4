import { AwsError, type Call } from '../../emulators/aws/aws-json.ts';

type Write = { readonly TableName?: string; readonly Key?: Key; readonly Item?: Key };
type Key = { readonly id?: { readonly S?: string } };

const singleWrites = new Set(['PutItem', 'UpdateItem', 'DeleteItem']);

/**
 * DynamoDB's conflicts. A transaction has its items from the beginning of its call to the end; a check has its item, too. A
 * transaction that meets a busy item is cancelled, and a single write that meets one is refused. A single write makes no item busy.
 * https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
 */
export class BusyItems {
  readonly #busy = new Set<string>();

  /** Lets the call wait as long as `latency` lasts. @throws AwsError after it, when the call met a busy item */
  async during(call: Call, latency: () => Promise<void>): Promise<void> {
    if (call.operation === 'TransactWriteItems') {
      await this.#transaction(call, latency);
      return;
    }
    await latency();
    if (singleWrites.has(call.operation) && this.#busy.has(identityOf(call.input))) {
      throw new AwsError('TransactionConflictException', 'Transaction is ongoing for the item');
    }
  }

  async #transaction(call: Call, latency: () => Promise<void>): Promise<void> {
    const items = itemsOf(call);
    const busy = items.map((item) => this.#busy.has(item));
    if (busy.includes(true)) {
      await latency();
      const CancellationReasons = busy.map((isBusy) => ({ Code: isBusy ? 'TransactionConflict' : 'None' }));
      throw new AwsError('TransactionCanceledException', 'Transaction cancelled, please refer cancellation reasons', {
        fields: { CancellationReasons },
      });
    }
    for (const item of items) this.#busy.add(item);
    await latency();
    for (const item of items) this.#busy.delete(item);
  }
}

function itemsOf({ input }: Call): string[] {
  const items = input['TransactItems'] as readonly Record<string, Write>[];
  return items.flatMap((item) => Object.values(item).map((write) => identityOf(write)));
}

/** Both tables have one key, `id`. */
function identityOf({ TableName, Key, Item }: Write): string {
  return `${TableName}/${(Key ?? Item)?.id?.S}`;
}

/** The sparse index over what is open in the ledger: waiting jobs, live runners. The stack makes it, the adapters read it. */
export const openIndex = { indexName: 'Open', partitionKey: 'open', sortKey: 'openKey' } as const;

/** Epoch seconds after which DynamoDB may remove an item, days late at times. */
export const timeToLiveAttribute = 'expiresAt';

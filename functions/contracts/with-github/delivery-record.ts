/** One attempt of GitHub's to deliver a webhook, as its own log has it. */
export type DeliveryRecord = {
  /** Beyond 2^53, so text. */
  readonly id: string;
  /** The same for every attempt of one delivery. */
  readonly guid: string;
  readonly event: string;
  /** Milliseconds since the epoch. */
  readonly deliveredAt: number;
  readonly ok: boolean;
  readonly statusCode: number;
};

import type { DeliveryRecord } from '../contracts/with-github/delivery-record.ts';
import type { AppClient } from './app-client.ts';

export type GitHubDeliveries = {
  /** Newest first, back to `since` (milliseconds since the epoch); `complete` is false when `mayAsk` said no on the way. */
  readonly listDeliveries: (
    since: number,
    mayAsk: (pages: number) => boolean,
  ) => Promise<{ readonly deliveries: readonly DeliveryRecord[]; readonly complete: boolean }>;
  readonly redeliver: (id: string) => Promise<void>;
};

export function githubDeliveries(app: Pick<AppClient, 'asApp'>): GitHubDeliveries {
  return {
    listDeliveries: async (since, mayAsk) => {
      const octokit = await app.asApp();
      const deliveries: DeliveryRecord[] = [];
      let pages = 0;
      for await (const { data } of octokit.paginate.iterator(octokit.rest.apps.listWebhookDeliveries, {
        per_page: 100,
      })) {
        pages += 1;
        const page = data.map((item) => ({
          // octokit hands on what exceeds 2^53 as a BigInt, though its type says number.
          id: String(item.id),
          guid: item.guid,
          event: item.event,
          deliveredAt: Date.parse(item.delivered_at),
          ok: item.status === 'OK' || (item.status_code >= 200 && item.status_code < 300),
          statusCode: item.status_code,
        }));
        deliveries.push(...page.filter(({ deliveredAt }) => deliveredAt >= since));
        const oldest = page.at(-1);
        if (oldest === undefined || oldest.deliveredAt < since) return { deliveries, complete: true };
        if (page.length === 100 && !mayAsk(pages)) return { deliveries, complete: false };
      }
      return { deliveries, complete: true };
    },
    redeliver: async (id) => {
      const octokit = await app.asApp();
      // The route's own method takes a number, which cannot hold the id.
      await octokit.request('POST /app/hook/deliveries/{delivery_id}/attempts', {
        delivery_id: id as unknown as number,
      });
    },
  };
}

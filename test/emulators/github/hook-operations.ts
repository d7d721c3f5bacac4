import type { Delivery, HookConfig } from './deliveries.ts';
import { link, notFound, refuse, type RestAnswer } from './rest-answers.ts';
import type { RestOperation, RestParts } from './rest-operation.ts';

const show = ({ url, contentType, insecureSsl, secret }: HookConfig): RestAnswer => ({
  status: 200,
  body: {
    content_type: contentType,
    insecure_ssl: insecureSsl,
    ...(secret !== undefined && { secret: '********' }),
    ...(url !== undefined && { url }),
  },
});

/** The App's webhook and its delivery log. */
export function defineHookOperations({ deliveries, shapes }: RestParts): Record<string, RestOperation> {
  const single = (answer: (delivery: Delivery) => RestAnswer): RestOperation => ({
    auth: 'app',
    answer: ({ parameters }) => {
      const delivery = deliveries.find(parameters['delivery_id'] ?? '');
      return delivery === undefined ? notFound : answer(delivery);
    },
  });
  return {
    'apps/get-webhook-config-for-app': { auth: 'app', answer: () => show(deliveries.config) },
    'apps/update-webhook-config-for-app': {
      auth: 'app',
      answer: ({ body = {} }) => {
        const { url, content_type: contentType, secret, insecure_ssl: insecureSsl } = body;
        const { config } = deliveries;
        deliveries.config = {
          url: typeof url === 'string' ? url : config.url,
          contentType: contentType === 'json' || contentType === 'form' ? contentType : config.contentType,
          secret: typeof secret === 'string' ? secret : config.secret,
          insecureSsl: insecureSsl === undefined ? config.insecureSsl : Number(insecureSsl) === 1 ? '1' : '0',
        };
        return show(deliveries.config);
      },
    },
    'apps/list-webhook-deliveries': {
      auth: 'app',
      answer: ({ query, base }) => {
        const status = query.get('status');
        const size = Math.min(Number(query.get('per_page') ?? 30), 100);
        const newestFirst = deliveries.log.toReversed().filter(({ statusCode }) => {
          // What never had an answer is neither: GitHub's words for the two are ranges of status codes.
          if (status === 'success') return statusCode >= 200 && statusCode < 400;
          return status !== 'failure' || (statusCode >= 400 && statusCode < 600);
        });
        const cursor = /^v1_(\d+)$/.exec(query.get('cursor') ?? '')?.[1];
        const start = cursor === undefined ? 0 : newestFirst.findIndex(({ id }) => id === cursor);
        if (start === -1) return refuse(422, 'Invalid cursor');
        const items = newestFirst.slice(start, start + size);
        const next = newestFirst[start + size];
        const headers: Record<string, string> =
          next === undefined
            ? {}
            : { Link: link(base, { next: { ...Object.fromEntries(query), cursor: `v1_${next.id}` } }) };
        return { status: 200, headers, body: items.map((each) => shapes.delivery(each)) };
      },
    },
    'apps/get-webhook-delivery': single((delivery) => ({ status: 200, body: shapes.fullDelivery(delivery) })),
    'apps/redeliver-webhook-delivery': single((delivery) => {
      deliveries.redeliver(delivery);
      return { status: 202, body: {} };
    }),
  };
}

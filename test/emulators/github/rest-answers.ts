import type { Shape } from './shapes.ts';

export type RestAnswer = {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** To a request outside the contract, whose refusal the contract does not know either. */
  readonly unforeseen?: true;
};

const documentation = 'https://docs.github.com/rest';

export function refuse(status: number, message: string, more: Shape = {}): RestAnswer {
  return { status, body: { message, ...more, documentation_url: documentation, status: String(status) } };
}

/** Also for what exists and may not be seen: GitHub does not tell the difference. */
export const notFound = refuse(404, 'Not Found');

export function link(base: string, relations: Readonly<Record<string, Readonly<Record<string, string>>>>): string {
  return Object.entries(relations)
    .map(([relation, query]) => `<${base}?${new URLSearchParams(query).toString()}>; rel="${relation}"`)
    .join(', ');
}

export type Page<Item> = { readonly items: readonly Item[]; readonly headers: Readonly<Record<string, string>> };

/** A page by number, with the Link header that octokit's paginate follows. */
export function takePage<Item>(all: readonly Item[], query: URLSearchParams, base: string): Page<Item> {
  // Above 100 GitHub quietly gives 100.
  const size = Math.min(Number(query.get('per_page') ?? 30), 100);
  const page = Number(query.get('page') ?? 1);
  const last = Math.max(1, Math.ceil(all.length / size));
  const items = all.slice((page - 1) * size, page * size);
  const at = (number: number) => ({ ...Object.fromEntries(query), page: String(number) });
  const relations = {
    ...(page > 1 && { prev: at(page - 1) }),
    ...(page < last && { next: at(page + 1), last: at(last) }),
    ...(page > 1 && { first: at(1) }),
  };
  return { items, headers: Object.keys(relations).length === 0 ? {} : { Link: link(base, relations) } };
}

/** JSON with integers of any size, as bare digits. */
export function printJson(body: unknown): string {
  const { rawJSON } = JSON as unknown as { rawJSON: (text: string) => unknown };
  return JSON.stringify(body, (_key, value: unknown) => (typeof value === 'bigint' ? rawJSON(String(value)) : value));
}

/** `JSON.parse`, but an integer that a JavaScript number cannot hold arrives as a string of its digits: GitHub's ids outgrow 2^53. */
export function parseJson(text: string): unknown {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) =>
    typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value) ? context?.source : value,
  );
}

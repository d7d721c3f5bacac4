/** SQS and DynamoDB bound a message and an item. A name is read by people only. */
const longestName = 1000;

/** A job's name; empty when there is none. */
export function readName(name: unknown): string {
  return typeof name === 'string' ? name.slice(0, longestName).toWellFormed() : '';
}

/** A moment as ISO 8601 in UTC; undefined when there is none, or none that our messages can carry. */
export function readMoment(moment: unknown): string | undefined {
  const at = typeof moment === 'string' ? new Date(moment) : new Date(Number.NaN);
  if (Number.isNaN(at.getTime())) return undefined;
  const text = at.toISOString();
  // A year beyond 9999 has a sign and six digits.
  return /^\d/.test(text) ? text : undefined;
}

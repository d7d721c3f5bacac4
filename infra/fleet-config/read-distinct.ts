import { describeComplaint } from './section.ts';
import type { Section } from './section.ts';

type Rule = {
  /** What the list is one of: `ids of subnets, such as [...]`. */
  readonly must: string;
  /** What an item must be: `the id of a subnet`. */
  readonly each: string;
  readonly pattern: RegExp;
  readonly most: number;
  readonly nearest: (text: string) => string | undefined;
};

/** A list of texts none of which is there twice. What is wrong is told, and is not in the answer. */
export function readDistinct(section: Section, key: string, { must, each, pattern, most, nearest }: Rule): string[] {
  const texts = new Set<string>();
  for (const [index, item] of section.list(key, { must, most }).entries()) {
    const where = `${section.at(key)}[${index}]`;
    if (typeof item !== 'string' || !pattern.test(item)) {
      const guess = typeof item === 'string' ? nearest(item) : undefined;
      const legal = guess !== undefined && pattern.test(guess) ? guess : undefined;
      section.complaints.push(describeComplaint(where, `must be ${each}`, item, legal));
    } else if (texts.has(item)) {
      section.complaints.push(`${describeComplaint(where, 'must not be there twice', item)}; leave it out`);
    } else texts.add(item);
  }
  return [...texts];
}

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** One thing that is not deployed, as `what` of the resource that CDK put at `path`. */
export type Removal = { readonly path: string; readonly what: string };

type Resource = {
  readonly Type: string;
  readonly Properties?: Record<string, unknown>;
  readonly Metadata?: Readonly<Record<string, unknown>>;
};
type Template = { readonly Resources: Record<string, Resource> };

/** All that is not deployed, whatever the config: the suite compares. */
export const expectedRemovals: readonly Removal[] = [];

/** What MiniStack 1.5.33 refuses to deploy. */
const refused: readonly { readonly what: string; readonly matches: (resource: Resource) => boolean }[] = [
  {
    what: 'AWS::CloudWatch::Alarm with metric math',
    matches: ({ Type, Properties }) => Type === 'AWS::CloudWatch::Alarm' && Properties?.['Metrics'] !== undefined,
  },
];

/**
 * Deletes from a synthesised app what the emulator cannot deploy, and nothing else.
 * @returns what was deleted, in the order of the templates
 * @throws Error when something that stays refers to something that went
 */
export function removeUnsupported(directory: string): Removal[] {
  return readdirSync(directory)
    .filter((name) => name.endsWith('.template.json'))
    .flatMap((name) => removeFrom(join(directory, name)));
}

function removeFrom(file: string): Removal[] {
  const template = JSON.parse(readFileSync(file, 'utf8')) as Template;
  const removals: Removal[] = [];
  const gone: string[] = [];
  for (const [id, resource] of Object.entries(template.Resources)) {
    const rule = refused.find(({ matches }) => matches(resource));
    if (rule === undefined) continue;
    delete template.Resources[id];
    gone.push(id);
    removals.push({ path: String(resource.Metadata?.['aws:cdk:path'] ?? id), what: rule.what });
  }
  if (gone.length === 0) return [];
  const left = JSON.stringify(template);
  const dangling = gone.filter((id) => new RegExp(`"${id}"|\\$\\{${id}[.}]`).test(left));
  if (dangling.length > 0)
    throw new Error(`${file} must not refer to what was removed, but does: ${dangling.join(', ')}`);
  writeFileSync(file, JSON.stringify(template, undefined, 1));
  return removals;
}

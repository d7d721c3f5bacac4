import type { Section } from './section.ts';

/**
 * As Docker has it, but in lower case throughout, with up to the 255 characters that ECS takes before a digest.
 * https://github.com/distribution/reference/blob/main/reference.go
 * https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html
 */
const imageReference = (() => {
  const label = '[a-z0-9](?:[a-z0-9-]*[a-z0-9])?';
  const host = `${label}(?:\\.${label})*(?::\\d{1,5})?`;
  const part = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
  const tag = '\\w[\\w.-]{0,127}';
  return new RegExp(`^(?=[^@]{1,255}(?:@|$))(?:${host}/)?${part}(?:/${part})*(?::${tag})?(?:@sha256:[0-9a-f]{64})?$`);
})();

/** Of the option `image`; undefined where it is absent. */
export function readImageReference(section: Section): string | undefined {
  if (section.raw('image') === undefined) return undefined;
  return section.text('image', {
    must: 'an image such as ghcr.io/acme/runner:1: [host[:port]/]path in lower case, then [:tag] and [@sha256:digest], with at most 255 characters before the digest',
    pattern: imageReference,
    nearest: nearestImage,
  });
}

/** People copy the address of a page, and write the names of orgs as GitHub shows them. A tag keeps its case. */
function nearestImage(came: string): string {
  const bare = came
    .trim()
    .replace(/^[a-z]+:\/\//i, '')
    .replace(/\/+$/, '');
  const [, name = bare, tag = '', digest = ''] = /^(.*?)(:[\w.-]+)?(@.*)?$/.exec(bare) ?? [];
  return name.toLowerCase() + tag + digest.toLowerCase();
}

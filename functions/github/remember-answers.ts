import type { Octokit, RestEndpointMethodTypes } from '@octokit/rest';

type Answer = RestEndpointMethodTypes['meta']['root']['response'];

/** A page may be half a megabyte, and a function has 512. */
const mostRemembered = 100;

/**
 * Asks with the last answer's ETag: an answer that has not changed costs nothing of the rate limit.
 * https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
 */
export function rememberAnswers(octokit: Octokit): void {
  const answers = new Map<string, { readonly etag: string; readonly answer: Answer }>();
  octokit.hook.wrap('request', async (request, options) => {
    if (options.method !== 'GET') return request(options);
    const { url } = octokit.request.endpoint(options);
    const known = answers.get(url);
    if (known !== undefined) options.headers['if-none-match'] = known.etag;
    try {
      const answer = (await request(options)) as Answer;
      const { etag } = answer.headers;
      if (etag !== undefined) {
        answers.delete(url);
        // A copy in and a copy out: octokit's pagination rewrites what it is given.
        answers.set(url, { etag, answer: copyOf(answer) });
        if (answers.size > mostRemembered) answers.delete(answers.keys().next().value ?? '');
      }
      return answer;
    } catch (error) {
      if (known !== undefined && isNotModified(error)) return copyOf(known.answer);
      throw error;
    }
  });
}

export function isNotModified(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'status' in error && error.status === 304;
}

function copyOf<T extends { readonly data: unknown }>(answer: T): T {
  return { ...answer, data: structuredClone(answer.data) };
}

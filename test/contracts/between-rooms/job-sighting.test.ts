import { describe, expect, test } from '@jest/globals';
import { runnerOf } from '../../../functions/contracts/between-rooms/job-sighting.ts';
import { prefix } from '../../fakes/builders.ts';

describe("a sighting's runner", () => {
  test.each([
    ['ci-1a2b3c-1-1', 'ci-1a2b3c-1-1'],
    ['ci-1a2b3c', undefined],
    ['ci-1a2b3cd-1-1', undefined],
    ['somebody-else', undefined],
    [undefined, undefined],
  ])('%s is %s for this fleet', (runnerName, own) => {
    expect(runnerOf({ runnerName }, prefix)).toBe(own);
  });
});

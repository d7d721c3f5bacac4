import { defineAppOperations } from './app-operations.ts';
import { defineHookOperations } from './hook-operations.ts';
import { defineJobOperations } from './job-operations.ts';
import type { RestOperation, RestParts } from './rest-operation.ts';
import { defineRunnerOperations } from './runner-operations.ts';

/** Each operation by its id in GitHub's API description. */
export function defineOperations(parts: RestParts): Readonly<Record<string, RestOperation>> {
  return {
    ...defineAppOperations(parts),
    ...defineHookOperations(parts),
    ...defineRunnerOperations(parts),
    ...defineJobOperations(parts),
  };
}

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App } from 'aws-cdk-lib/core';
import type { AppProps } from 'aws-cdk-lib/core';
import { CloudAssembly } from 'aws-cdk-lib/cx-api';
import { inEachFunction, type FunctionName } from '../../infra/function-bundle.ts';

const { context } = JSON.parse(readFileSync('cdk.json', 'utf8')) as { context: Record<string, unknown> };

/** An app with the flags it is deployed with; validation takes seconds, so it is for whoever asks. */
export function newApp(props: AppProps = {}): App {
  return new App({ context, builtinCloudFormationValidation: false, ...props });
}

/** Functions that do nothing, and need no bundling. */
export function stubBundles(): { readonly bundles: Record<FunctionName, string>; readonly remove: () => void } {
  const code = mkdtempSync(join(tmpdir(), 'stub-bundle-'));
  writeFileSync(join(code, 'index.js'), 'exports.handler = async () => {};');
  return {
    bundles: inEachFunction(() => code),
    remove: () => {
      rmSync(code, { recursive: true, force: true });
      CloudAssembly.cleanupTemporaryDirectories();
    },
  };
}

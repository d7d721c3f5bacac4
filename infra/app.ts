import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { App } from 'aws-cdk-lib/core';
import { WrongConfig } from './define-fleet.ts';
import type { Fleet } from './define-fleet.ts';
import { FleetStack } from './fleet-stack.ts';
import { bundleFunctions } from './function-bundle.ts';

// Another fleet: cdk deploy --context config=path/to/its-config.ts
const app = new App();
const named: unknown = app.node.tryGetContext('config');
const config = typeof named === 'string' ? resolve(named) : fileURLToPath(new URL('config.ts', import.meta.url));

const fleet = await readFleet(config).catch(refuse);
const { fleet: name } = fleet.choices;
const bundles = bundleFunctions(fleet.choices, fileURLToPath(new URL(`../.build/${name}`, import.meta.url)));
new FleetStack(app, `github-runners-${name}`, { fleet, bundles });

async function readFleet(path: string): Promise<Fleet> {
  const { default: found } = (await import(pathToFileURL(path).href)) as { default?: Fleet };
  if (found?.choices === undefined) throw new WrongConfig(`${path} must "export default defineFleet({ ... })"`);
  return found;
}

function refuse(error: unknown): never {
  if (!(error instanceof WrongConfig)) throw error;
  // It is about what the operator wrote; a stack trace would be about what we wrote.
  console.error(error.message);
  process.exit(1);
}

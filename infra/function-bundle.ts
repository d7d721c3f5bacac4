import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import { choicesVariable, encodeChoices } from '../functions/contracts/with-infra/settings.ts';
import type { Choices } from '../functions/contracts/with-infra/settings.ts';

export const functionNames = [
  'webhook',
  'scale-up',
  'track-jobs',
  'task-stopped',
  'replenish',
  'scale-down',
  'redeliver',
  'build-image',
  'end-fleet',
] as const;
export type FunctionName = (typeof functionNames)[number];

const functionsDirectory = fileURLToPath(new URL('../functions/', import.meta.url));

/**
 * Makes the code of all functions: `<directory>/<function>/index.js`, which exports `handler`. The same files are deployed, run by
 * `npm start` and tested. What is under `directory` for a function is replaced.
 * @returns the directory of each function
 * @throws esbuild's BuildFailure
 */
export function bundleFunctions(choices: Choices, directory: string): Record<FunctionName, string> {
  const directories = inEachFunction((name) => join(directory, name));
  for (const place of Object.values(directories)) {
    rmSync(place, { recursive: true, force: true });
    mkdirSync(place, { recursive: true });
    // This repository is ESM; Lambda would not need to be told.
    writeFileSync(join(place, 'package.json'), '{"type":"commonjs"}\n');
  }
  buildSync({
    entryPoints: Object.fromEntries(
      functionNames.map((name) => [`${name}/index`, join(functionsDirectory, name, 'handler.ts')]),
    ),
    outdir: directory,
    bundle: true,
    platform: 'node',
    target: 'node24',
    minify: true,
    legalComments: 'none',
    // Each of these was measured, by the milliseconds of a cold start: the SDK's ES modules shake to half the size; ESM output, or an
    // import() of node:http, loads undici; source maps cost more than they tell. The SDK comes along, as the runtime's own is slower.
    mainFields: ['module', 'main'],
    format: 'cjs',
    supported: { 'dynamic-import': false },
    sourcemap: false,
    define: { [`process.env.${choicesVariable}`]: JSON.stringify(encodeChoices(choices)) },
    logLevel: 'silent',
  });
  return directories;
}

export function inEachFunction<T>(make: (name: FunctionName) => T): Record<FunctionName, T> {
  return {
    webhook: make('webhook'),
    'scale-up': make('scale-up'),
    'track-jobs': make('track-jobs'),
    'task-stopped': make('task-stopped'),
    replenish: make('replenish'),
    'scale-down': make('scale-down'),
    redeliver: make('redeliver'),
    'build-image': make('build-image'),
    'end-fleet': make('end-fleet'),
  };
}

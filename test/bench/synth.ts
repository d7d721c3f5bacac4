import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

// How long an operator waits for `cdk synth`, as the median of some runs: with CDK's validation, as it is deployed, and without.
const runs = 5;
const repository = fileURLToPath(new URL('../../', import.meta.url));

for (const validation of ['true', 'false']) {
  const seconds = Array.from({ length: runs }, () => secondsOf(validation)).toSorted((a, b) => a - b);
  const figures = { synth: 'config.ts', validation, runs, medianSeconds: seconds[Math.floor(runs / 2)], seconds };
  console.log(JSON.stringify(figures));
}

function secondsOf(validation: string): number {
  const output = mkdtempSync(join(tmpdir(), 'bench-synth-'));
  const began = performance.now();
  const { status, stderr } = spawnSync('cdk', ['synth', '--quiet', '--no-lookups', '--output', output], {
    cwd: repository,
    encoding: 'utf8',
    env: { ...process.env, CDK_VALIDATION: validation },
  });
  const seconds = (performance.now() - began) / 1000;
  rmSync(output, { recursive: true, force: true });
  if (status !== 0) throw new Error(`cdk synth must succeed, it ended with ${status}: ${stderr}`);
  return Math.round(seconds * 100) / 100;
}

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { plainJob, startScenario } from './scenario.ts';

describe('a job that goes hunting', () => {
  test('finds no token in its environment, in the processes it can read, in any file, nor behind the claim', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'loot-'));
    const loot = join(directory, 'loot');
    const scenario = await startScenario();
    const registrationUrl = scenario.fleet.tables.url;
    const job = scenario.github.queueJob({
      ...plainJob,
      script: `
        exec >${loot} 2>&1
        echo "== environment"; env
        echo "== ancestors"
        pid=$$
        while [ "$pid" -gt 1 ]; do
          echo "-- $pid"; tr '\\0' '\\n' </proc/$pid/environ; tr '\\0' ' ' </proc/$pid/cmdline; echo
          for fd in /proc/$pid/fd/*; do [ -f "$fd" ] && head -c 4096 "$fd"; done
          read -r _ _ _ pid _ </proc/$pid/stat
          case $(tr '\\0' ' ' </proc/$pid/cmdline) in *start-runner.sh*) supervisor=$pid ;; *node*|*jest*) break ;; esac
        done
        echo "== files"; grep -rI . "$HOME" /tmp/ecs-* 2>/dev/null | head -c 4000000
        echo "== claim by no credentials"
        curl -s -X POST ${registrationUrl}/ -H 'X-Amz-Target: DynamoDB_20120810.GetItem' \\
          -H 'Content-Type: application/x-amz-json-1.0' -d '{"TableName":"Claims","Key":{"id":{"S":"token#acme"}}}' \\
          -H 'X-Amz-Security-Token: forged' -H 'Authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00'
        echo "== end"
      `,
    });
    await scenario.jobIs(job.id, 'completed');
    const found = await readFile(loot, 'utf8');
    await rm(directory, { recursive: true });
    const secret = (await scenario.fleet.claims()).find(({ id }) => id === 'token#acme');
    const token = String(secret?.['token']);
    expect(token.length).toBeGreaterThan(10);
    expect(found).toContain('== end');
    const ancestors = found.slice(found.indexOf('== environment'), found.indexOf('== files'));
    for (const name of [
      'CLAIM_ID',
      'CLAIMS_TABLE',
      'AWS_CONTAINER_CREDENTIALS',
      'AWS_ENDPOINT_URL',
      'ACTIONS_RUNNER_INPUT',
    ]) {
      expect(ancestors).not.toContain(`${name}=`);
    }
    expect(found).not.toContain(token);
    expect(found).not.toContain(scenario.github.app.privateKey.split('\n')[1]);
    await scenario.expectAllGone();
  });

  test('is in no log line, no task override and no state change event', async () => {
    const scenario = await startScenario();
    const events: string[] = [];
    scenario.fleet.ecs.onStateChange((event) => events.push(JSON.stringify(event)));
    const taskLines: string[] = [];
    scenario.fleet.ecs.onLog(({ line }) => taskLines.push(line));
    const job = scenario.github.queueJob(plainJob);
    await scenario.jobIs(job.id, 'completed');
    await scenario.expectAllGone();
    const token = String((await scenario.fleet.claims()).find(({ id }) => id === 'token#acme')?.['token']);
    const said = [...scenario.logs, ...events, ...taskLines, JSON.stringify(await scenario.fleet.ledger())].join('\n');
    expect(said).toContain(job.id);
    for (const secret of [token, scenario.github.app.webhookSecret ?? '', 'BEGIN RSA']) {
      expect(secret).not.toBe('');
      expect(said).not.toContain(secret);
    }
  });
});

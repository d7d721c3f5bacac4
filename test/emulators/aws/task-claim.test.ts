import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { DynamoDBClient, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { ECSClient, RunTaskCommand } from '@aws-sdk/client-ecs';
import { until } from '../../until.ts';
import { TurnableClock } from '../clock.ts';
import { Ecs } from './ecs.ts';
import { Tables } from './tables.ts';

/** What `start-runner.sh` does, without its care: credentials from their address, a delete signed by curl. */
const takeClaim = `
credentials=$(curl -s "$AWS_CONTAINER_CREDENTIALS_FULL_URI")
field() { sed -E "s/.*\\"$1\\":\\"([^\\"]*)\\".*/\\1/" <<<"$credentials"; }
curl -s --aws-sigv4 "aws:amz:$AWS_REGION:dynamodb" --user "$(field AccessKeyId):$(field SecretAccessKey)" \
  -H "X-Amz-Security-Token: $(field Token)" -H 'X-Amz-Target: DynamoDB_20120810.DeleteItem' \
  -H 'Content-Type: application/x-amz-json-1.0' \
  --data "{\\"TableName\\":\\"claims\\",\\"Key\\":{\\"id\\":{\\"S\\":\\"$CLAIM_ID\\"}},\\"ReturnValues\\":\\"ALL_OLD\\"}" "$TABLES_URL/"
`;

const clock = new TurnableClock();
const options = { region: 'us-east-1', maxAttempts: 1 };
let tables: Tables;
let ecs: Ecs;

beforeAll(async () => {
  // Hours away from real time, in which the task lives and signs.
  clock.advance(5 * 3_600_000);
  tables = await Tables.start({ clock, taskRole: { deleteFrom: 'claims' } });
  await tables.createTable({
    TableName: 'claims',
    KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
  });
  ecs = await Ecs.start({
    clock,
    credentials: tables,
    taskDefinitions: [
      {
        family: 'runner',
        revision: 1,
        cpu: 2048,
        memoryMiB: 8192,
        command: ['bash', '-c', takeClaim],
        environment: { TABLES_URL: tables.url },
      },
    ],
  });
});
afterAll(async () => {
  await ecs.stop();
  await tables.stop();
  clock.stop();
});

const run = async (claimId: string) => {
  const client = new ECSClient({ ...options, endpoint: ecs.url });
  const { tasks = [] } = await client.send(
    new RunTaskCommand({
      cluster: 'runners',
      taskDefinition: 'runner',
      launchType: 'FARGATE',
      networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } },
      overrides: { containerOverrides: [{ name: 'runner', environment: [{ name: 'CLAIM_ID', value: claimId }] }] },
    }),
  );
  client.destroy();
  return (await ecs.stoppedTask(tasks[0]?.taskArn ?? ''))?.log;
};

describe('a task that signs with curl', () => {
  test('takes its claim, once', async () => {
    const client = new DynamoDBClient({ ...options, endpoint: tables.url });
    await client.send(new PutItemCommand({ TableName: 'claims', Item: { id: { S: 'claim#1' }, body: { S: 'x' } } }));
    client.destroy();
    expect(await run('claim#1')).toContain('"body":{"S":"x"}');
    expect(await run('claim#1')).toBe('{}\n');
  });

  test('takes nothing else', async () => {
    expect(await run('token#acme')).toContain('AccessDeniedException');
  });
});

describe('a process that dies without a word', () => {
  test('takes its tasks with it', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', dyingProcess], {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        AWS_REGION: 'us-east-1',
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
      },
    });
    const output: string[] = [];
    child.stdout.setEncoding('utf8');
    child.stdout.on('data', (chunk: string) => output.push(chunk));
    await new Promise<void>((resolve) => {
      child.once('close', () => {
        resolve();
      });
    });
    const [pid = '', scratch = ''] = output.join('').trim().split(' ');
    expect(Number(pid)).toBeGreaterThan(0);
    await until(() => !existsSync(`/proc/${pid}`) && !existsSync(scratch), 'neither process nor directory is left');
  });
});

const dyingProcess = `
import { ECSClient, RunTaskCommand } from '@aws-sdk/client-ecs';
import { TurnableClock } from '../clock.ts';
import { Ecs } from './ecs.ts';
const ecs = await Ecs.start({ clock: new TurnableClock(), taskDefinitions: [
  { family: 'runner', revision: 1, cpu: 2048, memoryMiB: 8192, command: ['bash', '-c', 'trap "" TERM; echo ready; sleep 600 & wait; sleep 600'] }] });
ecs.onLog(({ task }) => process.stdout.write(task.process.pid + ' ' + task.scratch + '\\n', () => process.kill(process.pid, 'SIGKILL')));
await new ECSClient({ endpoint: ecs.url }).send(new RunTaskCommand({ cluster: 'runners', taskDefinition: 'runner', launchType: 'FARGATE',
  networkConfiguration: { awsvpcConfiguration: { subnets: ['subnet-1'] } } }));
`;

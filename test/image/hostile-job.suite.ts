import { afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { credentials } from '../runner-image/task-services.ts';
import { until } from '../until.ts';
import { lastLine } from '../runner-image/task.ts';
import { ContainerTask, processesWith, type TaskEnded } from './container-task.ts';
import { Engine } from './engine.ts';

let engine: Engine;
let task: ContainerTask;

beforeAll(async () => {
  engine = await Engine.open();
});
beforeEach(async () => {
  task = await ContainerTask.prepare(engine);
});
afterEach(async () => {
  await task.dispose();
});

/** The supervisor's last line says the code, and the code is one that we know, or a signal's. */
function expectProperEnd(ended: TaskEnded): void {
  expect(lastLine(ended)).toMatch(/^start-runner: .+ \(exit \d+\)$/);
  expect(lastLine(ended)).toContain(`(exit ${ended.code})`);
  expect([...Object.keys(exitCodes).map(Number), 137]).toContain(ended.code);
}

describe('a job that is root', () => {
  const claimId = 'c-0123456789abcdef';
  const decoy = 'D3COY-that-anybody-may-find';
  /** Hex, so that the job does not have itself what it looks for. */
  const wanted = (): Record<string, string> => {
    const secrets = {
      decoy,
      'the registration token': 'AREGISTRATIONTOKEN',
      'the name of the claim': claimId,
      'the table of claims': 'the-table-of-claims',
      'where credentials are': `${task.services.url.split('//')[1]}/credentials`,
      'the key of the role': credentials.secretAccessKey,
      'the session of the role': credentials.token,
    };
    return Object.fromEntries(
      Object.entries(secrets).map(([what, secret]) => [what, Buffer.from(secret).toString('hex')]),
    );
  };
  const environment = { CLAIM_ID: claimId, CLAIMS_TABLE: 'the-table-of-claims' };

  /** Where a Python program that has `find(where, bytes)` finds what is wanted, by root and then by the runner. */
  async function hunt(program: string): Promise<string[]> {
    const whole = `
import os, subprocess, sys
wanted = {what: bytes.fromhex(secret) for what, secret in ${JSON.stringify(wanted())}.items()}
def find(where, content):
    for what, secret in wanted.items():
        if secret in content: print('found', what, 'in', where)
def processes():
    return [pid for pid in os.listdir('/proc') if pid.isdigit() and int(pid) != os.getpid()]
def name(pid):
    return open(f'/proc/{pid}/comm').read().strip()
${program}
`;
    const encoded = Buffer.from(whole).toString('base64');
    const hidden = Buffer.from(decoy).toString('base64');
    await task.runJob(
      [
        // Known to be found: in an environment, in the memory of that process, in a file.
        `D=$(base64 -d <<<${hidden})`,
        'sudo env DECOY=$D sleep 60 &',
        'DECOY=$D sleep 61 &',
        'echo $D >/tmp/decoy',
        `base64 -d <<<${encoded} >/tmp/hunt.py`,
        'unset D',
        "until [ $(pgrep --count --full '^sleep 6[01]$') = 2 ]; do :; done",
        'echo root && sudo python3 /tmp/hunt.py',
        'echo runner && python3 /tmp/hunt.py',
      ].join('\n'),
      { environment },
    );
    return (await task.jobLog()).trimEnd().split('\n');
  }

  /** Root cannot look into the runner's processes without CAP_SYS_PTRACE, so both must have found theirs. */
  function expectDecoysOnly(found: readonly string[], decoyed: string): void {
    expect(found.filter((line) => !line.startsWith('found decoy'))).toEqual(['root', 'runner']);
    expect(found.slice(0, found.indexOf('runner'))).toContain(decoyed);
    expect(found.slice(found.indexOf('runner'))).toContain(decoyed);
    for (const secret of Object.values(wanted())) expect(task.log).not.toContain(Buffer.from(secret, 'hex').toString());
  }

  test('finds no secret in the environment or on the command line of a process', async () => {
    const found = await hunt(`
for pid in processes():
    for file in 'environ', 'cmdline':
        try: find(f'{file} of {name(pid)}', open(f'/proc/{pid}/{file}', 'rb').read())
        except OSError: pass
`);
    expectDecoysOnly(found, 'found decoy in environ of sleep');
  });

  test('finds no secret in what a process has in its memory', async () => {
    const found = await hunt(`
for pid in processes():
    try:
        maps = open(f'/proc/{pid}/maps').read().splitlines()
        memory = open(f'/proc/{pid}/mem', 'rb', 0)
    except OSError: continue
    for line in maps:
        if ' rw' not in line: continue
        low, high = (int(end, 16) for end in line.split()[0].split('-'))
        try:
            memory.seek(low)
            find(f'memory of {name(pid)}', memory.read(high - low))
        except (OSError, ValueError, OverflowError): pass
`);
    expectDecoysOnly(found, 'found decoy in memory of sleep');
  });

  test('finds no secret in a file', async () => {
    const found = await hunt(`
listing = subprocess.run(['find', '/', '-xdev', '-type', 'f', '-newer', '/etc/ld.so.cache'], capture_output=True, text=True)
for file in listing.stdout.splitlines():
    try: find(file, open(file, 'rb').read())
    except OSError: pass
`);
    expectDecoysOnly(found, 'found decoy in /tmp/decoy');
  });
});

describe('a job that kills', () => {
  test.each([
    ['everything, as root', 'sudo kill -9 -1', 137],
    ['everything it may', 'kill -9 -1', 137],
    ['its worker', 'kill -9 $PPID', 0],
    ['the listener', 'kill -9 "$(ps -o ppid= $PPID)"', 137],
    ['the first process', 'sudo kill -9 1', 0],
    ['the first process, politely', 'sudo kill -TERM 1; sleep 30', 70],
    ['the programs that end a task', 'sudo rm -rf /usr/local/bin/* /home/runner/* /opt/runner-hooks', 0],
  ])('%s ends its task properly', async (_, script, code) => {
    const ended = await task.runJob(script, { environment: quickSignals });
    expectProperEnd(ended);
    expect(ended.code).toBe(code);
  });
});

/** How long the stand-in waits from a cancelled step's SIGINT to its SIGTERM and SIGKILL. */
const quickSignals = { RUNNER_STANDIN_TERM_AFTER: '0.2', RUNNER_STANDIN_KILL_AFTER: '0.2' };

test('a job that leaves daemons ends its task, and they end with it', async () => {
  // What `sleep` is told can be found again.
  const mark = `${Date.now()}.${process.pid}`;
  const ended = await task.runJob(`
    sleep ${mark} &
    setsid --fork sleep ${mark}
    setsid --fork bash -c 'exec sleep ${mark} <&- >&- 2>&-'
    sudo setsid --fork sleep ${mark}
    pgrep --count --full 'sleep ${mark}'`);
  expect(await task.jobLog()).toMatch(/^[4-9]\n$/);
  expectProperEnd(ended);
  expect(ended.code).toBe(0);
  await until(
    () => processesWith(mark).length === 0,
    () => `nothing is left, there is ${processesWith(mark).join('; ')}`,
  );
});

describe('a job that uses up', () => {
  test('the memory is killed, and its task ends', async () => {
    const ended = await task.runJob('tail /dev/zero', { options: ['--memory=128m', '--memory-swap=128m'] });
    expectProperEnd(ended);
    // The kernel ends what is largest: here the step, and GitHub hears that the job failed.
    expect(ended.code).toBe(0);
    expect(ended.log).toContain('completed with result: Failed');
  });

  test('the disk of its work folder fails, and its task ends', async () => {
    const options = ['--mount=type=tmpfs,destination=/home/runner/_work,tmpfs-size=4m,tmpfs-mode=1777,chown=true'];
    const ended = await task.runJob('head -c 100m /dev/zero >big', { options });
    expectProperEnd(ended);
    expect(ended.log).toContain('completed with result: Failed');
    expect(ended.code).toBe(0);
  });
});

describe('a task that cannot write', () => {
  test('anywhere ends as a broken image', async () => {
    const ended = await task.run({ options: ['--read-only', '--tmpfs=/tmp'] });
    expectProperEnd(ended);
    expect(ended.code).toBe(74);
  });

  test('into its work folder runs no job, and GitHub hears that it failed', async () => {
    const options = ['--mount=type=tmpfs,destination=/home/runner/_work,tmpfs-size=4k,tmpfs-mode=1777'];
    const ended = await task.runJob('true', { options });
    expectProperEnd(ended);
    expect(ended.log).toContain('completed with result: Failed');
    expect(ended.code).toBe(0);
  });

  test('into its home, as the disk is full, ends as a broken image, and says why', async () => {
    const fill = 'cp --archive /home/runner /small/; cat /dev/zero >/small/fill 2>/dev/null';
    const ended = await task.run({
      entryPoint: ['/bin/bash', '-c', `${fill}; exec /usr/local/bin/start-runner.sh`],
      environment: { RUNNER_HOME: '/small/runner' },
      options: ['--mount=type=tmpfs,destination=/small,tmpfs-size=128m'],
    });
    expectProperEnd(ended);
    expect(lastLine(ended)).toContain('No space left on device');
    expect(ended.code).toBe(74);
  });
});

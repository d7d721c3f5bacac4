import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { credentials, dynamoError, TaskServices } from './task-services.ts';
import { lastLine, Task } from './task.ts';

let task: Task;

beforeEach(async () => {
  task = await Task.prepare();
});

afterEach(async () => {
  await task.dispose();
});

/** Where nobody listens, and nobody will: the port is not one that is handed out. */
const nowhere = 'http://127.0.0.1:1';
const claimRequests = () => task.services.count('DynamoDB_20120810.DeleteItem');

describe('without a claim', () => {
  const deleteItem = 'DynamoDB_20120810.DeleteItem';
  const cases: [string, number, string, (services: TaskServices) => void][] = [
    ['a used claim', 65, 'the claim is used, revoked or expired', (services) => (services.claim = undefined)],
    [
      'an answer without an item',
      65,
      'the claim must have a line "url"',
      (services) => services.script(deleteItem, { status: 200, body: '{}' }),
    ],
    [
      'a garbled claim',
      65,
      'the claim\'s idle-seconds must be a whole number, got "NaN"',
      (services) => (services.claim = { ...task.claim(), idleSeconds: Number.NaN }),
    ],
    ['an answer nobody expects', 72, 'the claims table answered 302', (services) => services.script(deleteItem, 302)],
    [
      'a role that may not',
      72,
      'the claims table refused the request: AccessDeniedException (exit 72)',
      (services) => services.script(deleteItem, dynamoError('com.amazon.coral.service#AccessDeniedException', 'no')),
    ],
    [
      'a signature it does not take',
      72,
      'the claims table refused the request: InvalidSignatureException (exit 72)',
      (services) =>
        services.script('GET /credentials', {
          status: 200,
          body: JSON.stringify({
            AccessKeyId: credentials.accessKeyId,
            SecretAccessKey: 'another',
            Token: credentials.token,
          }),
        }),
    ],
  ];
  test.each(cases)('%s ends it with %d after one request', async (_, code, reason, arrange) => {
    arrange(task.services);
    const ended = await task.run();
    expect(ended.code).toBe(code);
    expect(lastLine(ended)).toContain(reason);
    expect(claimRequests()).toBe(1);
    expect(task.services.count('POST register')).toBe(0);
  });

  test.each([
    ['fails', 500, 'the claims table answered 500, asked for 2 s'],
    [
      'is throttled',
      dynamoError('x#ThrottlingException', ''),
      'the claims table answered ThrottlingException, asked for 2 s',
    ],
    ['breaks off', 'cut', 'the claims table gave no answer, asked for 2 s'],
    ['is silent', 'hang', 'the claims table gave no answer, asked for 2 s'],
  ] as const)('a table that %s is asked again for so long, and then ends it with 72', async (_, reply, reason) => {
    task.services.script(deleteItem, reply);
    const ended = await task.run({ CLAIM_SECONDS: '2' });
    expect(ended.code).toBe(72);
    expect(lastLine(ended)).toContain(reason);
    expect(claimRequests()).toBeGreaterThan(1);
    expect(claimRequests()).toBeLessThan(12);
  });

  test.each([
    ['failed', 500],
    ['was throttled', dynamoError('x#ProvisionedThroughputExceededException', '')],
    ['broke off', 'cut'],
  ] as const)('a table that %s once gives the claim all the same', async (_, reply) => {
    task.services.script(deleteItem, reply, 'answer');
    const { code } = await task.runJob('true');
    expect(code).toBe(0);
    expect(claimRequests()).toBe(2);
  });

  test('a claim that is gone after a request without an answer is not called used', async () => {
    const gone = dynamoError('x#ConditionalCheckFailedException', 'The conditional request failed');
    task.services.script(deleteItem, 'cut', gone);
    const ended = await task.run();
    expect(ended.code).toBe(72);
    expect(lastLine(ended)).toContain('the claim is gone, perhaps by a request of ours that got no answer');
  });

  test('a claim that is gone after a throttled request was used: that one did nothing', async () => {
    const gone = dynamoError('x#ConditionalCheckFailedException', 'The conditional request failed');
    task.services.script(deleteItem, dynamoError('x#ThrottlingException', ''), gone);
    expect((await task.run()).code).toBe(65);
  });

  test('a clock that is off is named where signatures are refused', async () => {
    const refusal = { ...dynamoError('x#InvalidSignatureException', 'Signature expired'), date: Date.now() - 900_000 };
    task.services.script(deleteItem, refusal);
    const ended = await task.run();
    expect(ended.code).toBe(72);
    expect(lastLine(ended)).toMatch(/InvalidSignatureException; the clock is off by (899|90\d) s \(exit 72\)$/);
  });

  test('a clock that nothing is known of is not blamed', async () => {
    task.services.script(deleteItem, { ...dynamoError('x#InvalidSignatureException', ''), date: null });
    expect(lastLine(await task.run())).toContain(
      'the claims table refused the request: InvalidSignatureException (exit 72)',
    );
  });

  test('seconds with leading zeros are decimal', async () => {
    const body = `url ${task.services.url}/acme\nname n-1\nidle-seconds 0009\nmax-seconds 060\ntoken T\n`;
    const item = { Attributes: { body: { S: Buffer.from(body).toString('base64') } } };
    task.services.script(deleteItem, { status: 200, body: JSON.stringify(item) });
    expect((await task.runJob('true')).code).toBe(0);
  });

  test.each([
    ['GET /metadata/task', 500, 'the task metadata gave no answer'],
    ['GET /credentials', 404, 'the task role gave no credentials'],
    ['GET /credentials', { status: 200, body: '{"message":"not yet"}' }, 'the task role gave no credentials'],
  ] as const)('no answer from %s (%j) ends it with 72', async (route, reply, reason) => {
    task.services.script(route, reply);
    const ended = await task.run({ METADATA_SECONDS: '1' });
    expect(ended.code).toBe(72);
    expect(lastLine(ended)).toContain(reason);
    expect(claimRequests()).toBe(0);
  });

  test.each(['ECS_CONTAINER_METADATA_URI_V4', 'AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_REGION', 'CLAIMS_TABLE'])(
    'no %s ends it with 72',
    async (name) => {
      const { code } = await task.run({ [name]: undefined });
      expect(code).toBe(72);
    },
  );

  test.each([undefined, '', 'c-1"},"x":{"S":"'])('CLAIM_ID %j ends it with 65', async (id) => {
    const { code } = await task.run({ CLAIM_ID: id });
    expect(code).toBe(65);
    expect(claimRequests()).toBe(0);
  });

  test('metadata and credentials that come late are waited for', async () => {
    task.services.script('GET /metadata/task', 503, (call) => ({ status: 200, body: `{"TaskARN":"${call.route}"}` }));
    const { code } = await task.runJob('true');
    expect(code).toBe(0);
    expect(task.services.count('GET /metadata/task')).toBe(2);
  });

  test('credentials are asked for where ECS serves them, when it names a path alone', async () => {
    // No test can have that address: curl is told another one, and asks as it would have.
    const curl = execFileSync('bash', ['-c', 'type -P curl'], { encoding: 'utf8' }).trim();
    const rewrite = `sed 's#"http://169.254.170.2/v2/#"${task.services.url}/#'`;
    task.write('curl', `#!/bin/bash\nexec ${curl} "$@" < <(${rewrite})\n`);
    const { code } = await task.runJob('true', {
      PATH: `${task.home}:${process.env['PATH']}`,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: undefined,
      AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials',
    });
    expect(code).toBe(0);
    expect(task.services.count('GET /credentials')).toBe(1);
  });

  test('a runner that never says its version does not hide why', async () => {
    task.write('bin/Runner.Listener', '#!/bin/bash\nexec sleep 60\n');
    task.services.claim = undefined;
    const began = performance.now();
    const { code } = await task.run();
    expect(code).toBe(65);
    // Not the twenty seconds that a version is waited for.
    expect(performance.now() - began).toBeLessThan(15_000);
  });

  test('a table that takes no connection yet is asked again, since nothing was sent', async () => {
    const port = await freePort();
    task.start({ AWS_ENDPOINT_URL_DYNAMODB: `http://127.0.0.1:${port}` });
    await task.until(() => task.services.count('GET /credentials') === 1);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const late = await TaskServices.start(port);
    late.claim = task.claim();
    task.services.assign('true');
    const { code } = await task.ended;
    late.stop();
    expect(code).toBe(0);
    expect(late.count('DynamoDB_20120810.DeleteItem')).toBe(1);
  });

  test('a table that never takes a connection ends it with 72', async () => {
    const ended = await task.run({ AWS_ENDPOINT_URL_DYNAMODB: nowhere, CLAIM_SECONDS: '1' });
    expect(ended.code).toBe(72);
  });
});

describe('registration', () => {
  test.each([
    [404, 66, 'registration refused: Http response code: NotFound'],
    [401, 66, 'registration refused: Http response code: Unauthorized'],
    [409, 66, 'registration refused: A runner exists with the same name'],
    [422, 66, 'registration refused: Could not find any self-hosted runner group'],
    [403, 67, 'Http response code: Forbidden'],
    [429, 67, 'Http response code: TooManyRequests'],
    [500, 67, 'Http response code: InternalServerError'],
    [503, 67, 'Http response code: ServiceUnavailable'],
  ])('answered with %d ends it with %d', async (status, code, reason) => {
    task.services.script('POST register', status);
    const ended = await task.run();
    expect(ended.code).toBe(code);
    expect(lastLine(ended)).toContain(reason);
    expect(task.services.count('POST session')).toBe(0);
  });

  test('is tried again when GitHub said "later"', async () => {
    task.services.script('POST register', 403, { status: 200, body: 'runner-id 7\ncredential c\n' });
    const { code, log } = await task.runJob('true', { REGISTRATION_SECONDS: '10' });
    expect(log).toContain('registration will be tried again: Http response code: Forbidden');
    expect(code).toBe(0);
    expect(claimRequests()).toBe(1);
  });

  test('ends with 68 when the version is too old', async () => {
    const body = 'Runner version v2.300.0 is deprecated and cannot receive messages.';
    task.services.script('POST register', { status: 403, body });
    expect((await task.run()).code).toBe(68);
  });

  test('ends with 67 when nothing listens at GitHub', async () => {
    task.services.claim = task.claim({ url: `${nowhere}/acme` });
    const ended = await task.run();
    expect(ended.code).toBe(67);
    expect(lastLine(ended)).toContain('Connection refused');
  });

  test.each([
    ['the disk is full', "No space left on device : '/home/runner/.runner'"],
    ['it may not write', "Access to the path '/home/runner/.credentials' is denied."],
    ['.NET lacks a library', "Libicu's dependencies is missing for Dotnet Core 6.0"],
    ['config.sh lacks a command', "Can not find 'ldd'. Please install 'ldd' and try again."],
    ['.NET cannot start', 'A fatal error occurred. The required library libhostfxr.so could not be found.'],
  ])('ends with 74 at once when %s', async (_, words) => {
    task.write('config.sh', `#!/bin/bash\necho try >>${task.home}/tries\necho "${words}"\nexit 1\n`);
    const ended = await task.run({ REGISTRATION_SECONDS: '60' });
    expect(ended.code).toBe(74);
    expect(lastLine(ended)).toContain(words);
    expect(task.file('tries')).toBe('try\n');
  });

  test('ends with 74 when config.sh cannot be started', async () => {
    task.write('config.sh', '#!/nowhere/bash\n');
    expect((await task.run({ REGISTRATION_SECONDS: '60' })).code).toBe(74);
  });

  test('whose runner is killed shows how', async () => {
    task.write('config.sh', '#!/bin/bash\nkill -KILL $$\n');
    const ended = await task.run({ REGISTRATION_SECONDS: '60' });
    expect(ended.code).toBe(137);
    expect(lastLine(ended)).toContain('killed by signal 9 before the runner was registered');
  });

  test('goes by the status, whatever an error page says', async () => {
    const body = 'The minimum requirements of this runner version are too old and deprecated.';
    task.services.script('POST register', { status: 503, body });
    expect((await task.run()).code).toBe(67);
  });

  test('goes by the sentence, whatever a group is called', async () => {
    task.services.claim = task.claim({ group: 'deprecated runner version' });
    task.services.script('POST register', 422);
    const ended = await task.run();
    expect(ended.code).toBe(66);
    expect(lastLine(ended)).toContain('Could not find any self-hosted runner group');
  });

  test('never tells its token, not even a part', async () => {
    task.write('config.sh', `#!/bin/bash\necho "${'x'.repeat(290)}$ACTIONS_RUNNER_INPUT_TOKEN"\nexit 1\n`);
    expect((await task.run()).log).not.toContain('AREG');
  });

  test('that is killed, for want of memory say, shows how', async () => {
    task.write('config.sh', '#!/bin/bash\nread -r _ _ _ _ group _ </proc/$$/stat\nkill -KILL -- -$group\n');
    const ended = await task.run();
    expect(ended.code).toBe(137);
    expect(lastLine(ended)).toContain('killed by signal 9 before the runner was registered');
  });

  test('ends with 67 when it hangs', async () => {
    task.write('config.sh', '#!/bin/bash\nsleep 600 &\nwait\n');
    const bounds = {
      METADATA_SECONDS: '0',
      CLAIM_SECONDS: '3',
      DOWNLOAD_SECONDS: '0',
      REGISTRATION_SECONDS: '1',
      MARGIN_SECONDS: '0',
    };
    const ended = await task.run(bounds);
    expect(ended.code).toBe(67);
    expect(lastLine(ended)).toContain('registration hangs');
  });
});

describe('an image', () => {
  test.each(['config.sh', 'bin/Runner.Listener'])('without %s is broken, and the claim stays', async (file) => {
    rmSync(join(task.home, file));
    const ended = await task.run();
    expect(ended.code).toBe(74);
    expect(lastLine(ended)).toContain(file);
    expect(claimRequests()).toBe(0);
  });

  test('without a runner directory is broken', async () => {
    expect((await task.run({ RUNNER_HOME: '/nowhere' })).code).toBe(74);
  });
});

/** A release archive holding the stand-in under another version, and the claim that asks for it. */
function offer(version: string, change: (archive: Buffer) => Buffer = (archive) => archive, listener?: string): void {
  const release = join(task.home, 'release');
  mkdirSync(release);
  execFileSync('cp', ['-r', ...['bin', 'config.sh', 'run.sh'].map((name) => join(task.home, name)), release]);
  task.write('release/VERSION', `${version}\n`);
  if (listener !== undefined) task.write('release/bin/Runner.Listener', listener);
  task.write('release/externals', randomBytes(300_000).toString('base64'));
  const archive = execFileSync('tar', ['-czf', '-', '-C', release, '.'], { maxBuffer: 1e8 });
  rmSync(release, { recursive: true });
  const sha256 = createHash('sha256').update(archive).digest('hex');
  task.services.claim = task.claim({ release: { version, url: `${task.services.url}/runner.tar.gz`, sha256 } });
  task.services.script('GET /runner.tar.gz', { status: 200, body: change(archive) });
}

const usedVersion = () => task.services.calls.find(({ route }) => route === 'POST register')?.form.get('version');

describe('the runner version', () => {
  test('is taken from the image when GitHub wants that one', async () => {
    offer('2.337.0');
    expect((await task.runJob('true')).code).toBe(0);
    expect(task.services.count('GET /runner.tar.gz')).toBe(0);
  });

  test('is taken from the image when it is ahead of what GitHub wants', async () => {
    offer('2.99.10');
    expect((await task.runJob('true')).code).toBe(0);
    expect(task.services.count('GET /runner.tar.gz')).toBe(0);
    expect(usedVersion()).toBe('2.337.0');
  });

  test('is downloaded when the image is behind', async () => {
    offer('2.338.0');
    const { code, log } = await task.runJob('true');
    expect(log).toContain('start-runner: runner 2.338.0, downloaded: the image has 2.337.0');
    expect(code).toBe(0);
    expect(usedVersion()).toBe('2.338.0');
    expect(readdirSync(task.home).filter((name) => /next|previous/.test(name))).toEqual([]);
  });

  const doubts: [string, string, () => Record<string, string> | void][] = [
    [
      'is truncated',
      'the download has the wrong checksum',
      () => offer('2.338.0', (archive) => archive.subarray(0, 1000)),
    ],
    ['is another file', 'the download has the wrong checksum', () => offer('2.338.0', () => Buffer.from('<html>'))],
    [
      'breaks off',
      'the download failed',
      () => {
        offer('2.338.0');
        task.services.script('GET /runner.tar.gz', 'cut');
      },
    ],
    [
      'is not there',
      'the download failed',
      () => {
        offer('2.338.0');
        task.services.script('GET /runner.tar.gz', 404);
      },
    ],
    [
      'never comes',
      'the download failed',
      () => {
        offer('2.338.0');
        task.services.script('GET /runner.tar.gz', 'hang');
        return { DOWNLOAD_SECONDS: '1' };
      },
    ],
    [
      'is of another version than it says',
      'the download is no runner of that version',
      () => {
        offer('2.338.0');
        const release = { ...task.services.claim?.release, version: '2.339.0' } as never;
        task.services.claim = task.claim({ release });
      },
    ],
  ];
  test.each(doubts)('stays as it is when the download %s', async (_, doubt, arrange) => {
    const { code, log } = await task.runJob('true', arrange() ?? {});
    expect(log).toMatch(new RegExp(`^start-runner: runner 2.337.0 instead of 2.33[89].0: ${doubt}$`, 'm'));
    expect(code).toBe(0);
    expect(usedVersion()).toBe('2.337.0');
    expect(readdirSync(task.home).filter((name) => /next|previous/.test(name))).toEqual([]);
  });

  test('is left alone by a SIGTERM while it is downloaded', async () => {
    offer('2.338.0');
    task.services.script('GET /runner.tar.gz', 'hang');
    task.start();
    await task.until(() => task.services.count('GET /runner.tar.gz') === 1);
    task.signal();
    expect((await task.ended).code).toBe(69);
  });

  test('stays as it is when the disk is full', async () => {
    offer('2.338.0');
    task.services.assign('true');
    const { code, log } = await task.start({}, ['bash', '-c', 'ulimit -f 100; exec "$0"']).ended;
    expect(log).toContain('runner 2.337.0 instead of 2.338.0: the download failed');
    expect(code).toBe(0);
  });

  test('stays as it is when the download never says its version', async () => {
    offer('2.338.0', undefined, '#!/bin/bash\n[[ $1 == --version ]] && exec sleep 60\n');
    const { code, log } = await task.runJob('true');
    expect(log).toContain('runner 2.337.0 instead of 2.338.0: the download is no runner of that version');
    expect(code).toBe(0);
  });

  test('stays whole when it cannot be moved away, as a full disk breaks off the copy of an image layer', async () => {
    offer('2.338.0');
    task.write('mv', `#!/bin/bash\n[[ $* == 'bin .previous/' ]] && mkdir .previous/bin && exit 1\nexec /bin/mv "$@"\n`);
    const { code, log } = await task.runJob('true', { PATH: `${task.home}:${process.env['PATH']}` });
    expect(log).toContain('runner 2.337.0 instead of 2.338.0: the download could not be put in its place');
    expect(code).toBe(0);
  });

  test('is put back when the new one cannot be put in its place', async () => {
    offer('2.338.0');
    task.write('mv', `#!/bin/bash\n[[ $* == *.next/config.sh* ]] && exit 1\nexec /bin/mv "$@"\n`);
    const { code, log } = await task.runJob('true', { PATH: `${task.home}:${process.env['PATH']}` });
    expect(log).toContain('runner 2.337.0 instead of 2.338.0: the download could not be put in its place');
    expect(code).toBe(0);
    expect(usedVersion()).toBe('2.337.0');
  });

  test('does not matter when the image cannot tell its own', async () => {
    offer('2.338.0');
    task.services.script('GET /runner.tar.gz', 404);
    task.write('VERSION', 'garbled\n');
    const { code, log } = await task.runJob('true');
    expect(log).toContain('runner garbled instead of 2.338.0: the download failed');
    expect(code).toBe(0);
  });
});

/** Below those that the kernel hands out by itself, so that nobody else is given it meanwhile. */
async function freePort(): Promise<number> {
  for (let port = 20_000 + (process.pid % 10_000); ; port += 1) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => {
        resolve(false);
      });
      server.listen(port, '127.0.0.1', () => {
        resolve(true);
      });
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}

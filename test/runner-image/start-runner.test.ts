import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, readFileSync } from 'node:fs';
import { exitCodes } from '../../functions/contracts/with-tasks/exit-code.ts';
import { until } from '../until.ts';
import { credentials } from './task-services.ts';
import { lastLine, startRunner, Task } from './task.ts';

let task: Task;

beforeEach(async () => {
  task = await Task.prepare();
});

afterEach(async () => {
  await task.dispose();
});

const claimRequests = () => task.services.count('DynamoDB_20120810.DeleteItem');
const isAlive = (pid: string) => {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
};

/** Puts a listener in place of the stand-in's: `run` does what the script says, everything else is as before. */
function scriptListener(run: string): void {
  execFileSync('mv', ['bin/Runner.Listener', 'bin/stand-in'], { cwd: task.home });
  task.write(
    'bin/Runner.Listener',
    `#!/bin/bash\nif [[ $1 == run ]]; then shift; ${run}; fi\nexec "\${0%/*}/stand-in" "$@"\n`,
  );
}

/** Starts a job, and waits until its script has created the file `here`. */
async function startJob(script: string, changes: Record<string, string | undefined> = {}): Promise<void> {
  task.services.assign(`touch ${task.home}/here\n${script}`);
  task.start(changes);
  await task.until(() => task.has('here'));
}

test('the exit codes in its header are those of the contract', () => {
  const table = readFileSync(startRunner, 'utf8').matchAll(/^# {3,4}(\d+) {2}([a-z-]+) {2,}\S/gm);
  expect(Object.fromEntries([...table].map(([, code, name]) => [code, name]))).toEqual(exitCodes);
});

describe('a task with a claim', () => {
  test('registers one ephemeral runner, runs one job, and ends with 0', async () => {
    task.services.claim = task.claim({ group: 'Büro "4"' });
    const ended = await task.runJob('echo hello');
    expect(ended.code).toBe(0);
    expect(lastLine(ended)).toBe('start-runner: ran a job (exit 0)');
    expect(task.jobLog).toBe('hello\n');
    expect(claimRequests()).toBe(1);
    const registration = task.services.calls.find(({ route }) => route === 'POST register');
    expect(registration?.headers['authorization']).toBe('RemoteAuth AREGISTRATIONTOKEN');
    expect(Object.fromEntries(registration?.form ?? [])).toEqual({
      url: `${task.services.url}/acme`,
      name: 'ci-1234-81230000001-1',
      labels: 'fargate-small,linux',
      group: 'Büro "4"',
      ephemeral: 'true',
      disableupdate: 'true',
      replace: 'true',
      version: '2.337.0',
    });
  });

  test('ends with 0 when the job fails, for that is between the job and GitHub', async () => {
    const { code, log } = await task.runJob('exit 3');
    expect(log).toContain('Job build completed with result: Failed');
    expect(code).toBe(0);
  });

  test('ends with 0 when the job is cancelled on GitHub', async () => {
    await startJob('sleep 60');
    task.services.cancel('r-1');
    const { code, log } = await task.ended;
    expect(log).toContain('Job build completed with result: Canceled');
    expect(code).toBe(0);
  });

  test('shows the job its task, profile, size and image', async () => {
    await task.runJob(`cp ${task.home}/.setup_info ${task.home}/seen`);
    expect(JSON.parse(task.file('seen'))).toEqual([
      {
        group: 'Task',
        detail: [
          'Task: arn:aws:ecs:us-east-1:111122223333:task/fleet/0123',
          'Profile: small',
          'Size: 0.5 vCPU, 1024 MiB',
          'Image: runner:1',
          'Image id: sha256:r',
        ].join('\n'),
      },
    ]);
  });

  test('finds the claim in any order of attributes', async () => {
    const body = Buffer.from(
      `url ${task.services.url}/acme\nname n-1\nidle-seconds 30\nmax-seconds 60\ntoken T\nlabels a\n`,
    );
    task.services.script('DynamoDB_20120810.DeleteItem', {
      status: 200,
      body: JSON.stringify(
        { Attributes: { zeta: { S: 'no' }, body: { S: body.toString('base64') }, alpha: { S: 'no' } } },
        null,
        1,
      ),
    });
    const { code } = await task.runJob('true');
    expect(code).toBe(0);
  });
});

describe('a runner without a job', () => {
  test('ends idle with 64, and tells GitHub that it left', async () => {
    task.services.claim = task.claim({ idleSeconds: 3 });
    const ended = await task.run();
    expect(ended.code).toBe(64);
    expect(ended.log).toContain('start-runner: no job within 3 s: ending the runner');
    expect(task.services.count('DELETE session')).toBe(1);
  });

  test('is not ended while it is acquiring a job', async () => {
    task.services.claim = task.claim({ idleSeconds: 3 });
    task.services.script('POST acquire', async () => {
      await new Promise((resolve) => setTimeout(resolve, 4000));
      return {
        status: 200,
        body: `job-id j-1\njob-name build\nscript ${Buffer.from('echo late').toString('base64')}\n`,
      };
    });
    task.start({ QUIET_SECONDS: '20' });
    await task.untilLog('Listening for Jobs');
    task.services.assign('');
    expect((await task.ended).code).toBe(0);
    expect(task.jobLog).toBe('late\n');
  });

  test('is not ended when it said a moment ago that a job runs', async () => {
    task.services.claim = task.claim({ idleSeconds: 1 });
    // Says so in the moment it is held, by a process of another group, which is not.
    scriptListener(`
      export listener=$$
      setsid bash -c "while read -r _ _ state _ </proc/$$/stat; [[ \\$state != T ]]; do :; done; echo 'Running job: late'" &
      sleep 4; echo 'Job late completed with result: Succeeded'; exit 0`);
    const { code, log } = await task.run();
    expect(log).toContain('a job came at the last moment: going on');
    expect(code).toBe(0);
  });

  test('is not ended when a worker runs that nobody told of', async () => {
    task.services.claim = task.claim({ idleSeconds: 2 });
    task.write('bin/Runner.Worker', '#!/bin/bash\nsleep 5\n');
    scriptListener('"${0%/*}/Runner.Worker"; exit 0');
    const { code, log } = await task.run();
    expect(log).toContain('a job came at the last moment: going on');
    expect(code).toBe(0);
  });

  test('ends idle when its job was gone before it could be acquired', async () => {
    task.services.claim = task.claim({ idleSeconds: 3 });
    task.services.script('POST acquire', 409);
    task.services.assign('true');
    expect((await task.run()).code).toBe(64);
  });

  test('ends with 67 when it never got as far as listening', async () => {
    task.services.claim = task.claim({ idleSeconds: 1 });
    task.services.script('POST session', 503);
    expect((await task.run()).code).toBe(67);
  });

  test('ends idle when it says it listens and never does a thing', async () => {
    task.services.claim = task.claim({ idleSeconds: 1 });
    scriptListener(`echo 'Listening for Jobs'; exec sleep 60`);
    expect((await task.run()).code).toBe(64);
  });

  test('is ended though something it started writes all the time', async () => {
    task.services.claim = task.claim({ idleSeconds: 1 });
    scriptListener(`echo 'Listening for Jobs'; yes & yes 2>&1; wait`);
    expect((await task.run({ STOP_SECONDS: '1' })).code).toBe(64);
  });

  test('is ended though it has closed its output', async () => {
    task.services.claim = task.claim({ idleSeconds: 1 });
    scriptListener(`echo 'Listening for Jobs'; trap '' INT; exec >/dev/null 2>&1 sleep 60`);
    expect((await task.run({ STOP_SECONDS: '1' })).code).toBe(64);
  });

  test('is killed when it does not end', async () => {
    task.services.claim = task.claim({ idleSeconds: 3 });
    scriptListener(`trap '' INT TERM; echo 'Listening for Jobs'; while :; do sleep 1; done`);
    expect((await task.run({ STOP_SECONDS: '1' })).code).toBe(64);
  });
});

describe('a job over its time', () => {
  test('is ended with 71', async () => {
    task.services.claim = task.claim({ maxSeconds: 1 });
    const ended = await task.runJob('sleep 60');
    expect(ended.code).toBe(71);
    expect(ended.log).toContain('start-runner: the job runs for more than 1 s: ending it');
  });

  test('does not count the time before it', async () => {
    task.services.claim = task.claim({ maxSeconds: 4 });
    task.start();
    await task.untilLog('Listening for Jobs');
    await new Promise((resolve) => setTimeout(resolve, 4200));
    task.services.assign('true');
    expect((await task.ended).code).toBe(0);
  });
});

describe('SIGTERM', () => {
  test('before the claim leaves the claim alone', async () => {
    task.services.script('GET /metadata/task', 'hang');
    task.start();
    await task.until(() => task.services.count('GET /metadata/task') === 1);
    task.signal();
    expect((await task.ended).code).toBe(69);
    expect(task.services.claim).toBeDefined();
  });

  test.each(['DynamoDB_20120810.DeleteItem', 'POST register'])('during %s ends it at once with 69', async (route) => {
    task.services.script(route, 'hang');
    task.start();
    await task.until(() => task.services.count(route) === 1);
    task.signal();
    expect((await task.ended).code).toBe(69);
  });

  test('while idle closes the session, and ends with 69', async () => {
    task.start();
    await task.untilLog('Listening for Jobs');
    task.signal();
    const ended = await task.ended;
    expect(ended.code).toBe(69);
    expect(ended.log).toContain('start-runner: SIGTERM while waiting for a job: passing it on');
    expect(task.services.count('DELETE session')).toBe(1);
  });

  test('in a job tells GitHub at once, and ends with 70', async () => {
    await startJob('sleep 60');
    task.signal();
    const ended = await task.ended;
    expect(ended.code).toBe(70);
    expect(ended.log).toContain('start-runner: SIGTERM while in a job: passing it on');
    expect(task.services.calls.find(({ route }) => route === 'POST complete')?.form.get('result')).toBe('Failed');
  });

  test('that came before the script had its trap is remembered', async () => {
    const { code } = await task.start({}, ['bash', '-c', 'exec "$0" supervise yes 3< <(env -0)']).ended;
    expect(code).toBe(69);
    expect(claimRequests()).toBe(0);
  });

  test('twice is no more than once', async () => {
    await startJob(`trap 'sleep 0.5; exit 1' INT; sleep 60 & wait`);
    task.signal();
    await task.untilLog('passing it on');
    task.signal();
    task.signal();
    const ended = await task.ended;
    expect(ended.code).toBe(70);
    expect(ended.log.match(/passing it on/g)).toHaveLength(1);
  });

  test.each(['DynamoDB_20120810.DeleteItem', 'POST register'])(
    'twice during %s is no more than once',
    async (route) => {
      task.services.script(route, 'hang');
      task.start();
      await task.until(() => task.services.count(route) === 1);
      task.signal();
      task.signal();
      const { code, log } = await task.ended;
      expect(code).toBe(69);
      expect(log.match(/passing it on/g)).toHaveLength(1);
    },
  );

  test('twice while idle is no more than once', async () => {
    task.start();
    await task.untilLog('Listening for Jobs');
    task.signal();
    task.signal();
    const { code, log } = await task.ended;
    expect(code).toBe(69);
    expect(log.match(/passing it on/g)).toHaveLength(1);
    expect(task.services.count('DELETE session')).toBe(1);
  });

  test('in a job whose step ignores it ends that step, tells GitHub, and ends with 70', async () => {
    await startJob(`trap '' INT TERM; while :; do sleep 0.1; done`);
    task.signal();
    expect((await task.ended).code).toBe(70);
    expect(task.services.calls.find(({ route }) => route === 'POST complete')?.form.get('result')).toBe('Failed');
  });

  test('kills a worker that ignores it, with all it started', async () => {
    task.write(
      'bin/Runner.Worker',
      `#!/bin/bash\ntrap '' INT TERM\necho $$ >${task.home}/worker\nwhile :; do sleep 0.1; done\n`,
    );
    task.services.assign('');
    task.start({ STOP_SECONDS: '1' });
    await task.until(() => task.has('worker'));
    task.signal();
    expect((await task.ended).code).toBe(70);
    expect(isAlive(task.file('worker').trim())).toBe(false);
  });

  test('kills a runner that ignores it', async () => {
    scriptListener(`trap '' INT TERM; echo 'Running job: stubborn'; while :; do sleep 1; done`);
    task.start({ STOP_SECONDS: '1' });
    await task.untilLog('Running job');
    task.signal();
    expect((await task.ended).code).toBe(70);
  });

  test('just before a job succeeds takes nothing from it', async () => {
    scriptListener(
      `trap 'echo "Job j completed with result: Succeeded"; exit 0' INT; echo 'Running job: j'; sleep 60 & wait`,
    );
    task.start();
    await task.untilLog('Running job');
    task.signal();
    expect((await task.ended).code).toBe(0);
  });

  test('after the job changes nothing', async () => {
    scriptListener(`echo 'Running job: j'; echo 'Job j completed with result: Succeeded'; setsid sleep 60 & exit 0`);
    task.start();
    await task.untilLog('completed');
    task.signal();
    expect((await task.ended).code).toBe(0);
  });

  test('while it waits to start the runner again ends it with 69', async () => {
    scriptListener('exit 2');
    task.start({ RESTART_SECONDS: '60' });
    await task.untilLog('starting it again');
    // One that comes just before the script begins to wait cannot end the waiting; the next one does.
    const timer = setInterval(() => {
      task.signal();
    }, 50);
    const { code } = await task.ended;
    clearInterval(timer);
    expect(code).toBe(69);
  });
});

describe('a runner that ends by itself', () => {
  test.each([
    [0, 73, 1],
    [1, 73, 1],
    [2, 67, 3],
    [3, 73, 3],
    [4, 73, 3],
    [5, 73, 1],
    [7, 68, 1],
    [42, 73, 1],
    [127, 74, 1],
  ])('with %d before a job ends the task with %d, started %d times', async (listener, code, starts) => {
    scriptListener(`echo start >>${task.home}/starts; touch update.finished; exit ${listener}`);
    expect((await task.run()).code).toBe(code);
    expect(task.file('starts')).toBe('start\n'.repeat(starts));
  });

  test.each([
    [0, 0],
    [1, 70],
    [2, 70],
    [5, 70],
  ])('with %d in a job is not started again and ends the task with %d', async (listener, code) => {
    scriptListener(`echo start >>${task.home}/starts; echo 'Running job: j'; exit ${listener}`);
    expect((await task.run()).code).toBe(code);
    expect(task.file('starts')).toBe('start\n');
  });

  test('as .NET cannot start it ends the task with 74', async () => {
    scriptListener(`echo 'A fatal error occurred. The required library libhostfxr.so could not be found.'; exit 131`);
    expect((await task.run()).code).toBe(74);
  });

  test('with a code beyond all signals ends the task with 73', async () => {
    scriptListener('exit 200');
    expect((await task.run()).code).toBe(73);
  });

  test('with 2 after a job ran that job all the same', async () => {
    scriptListener(`echo 'Running job: j'; echo 'Job j completed with result: Canceled'; exit 2`);
    expect((await task.run()).code).toBe(0);
  });

  test('gets over a short absence of GitHub', async () => {
    scriptListener(`[[ -e ${task.home}/again ]] && exec "\${0%/*}/stand-in" run; touch ${task.home}/again; exit 2`);
    expect((await task.runJob('true')).code).toBe(0);
  });

  test('because its registration was deleted ends the task with 73', async () => {
    task.services.script('POST session', 401);
    const ended = await task.run();
    expect(ended.log).toContain('The runner registration has been deleted from the server');
    expect(ended.code).toBe(73);
  });

  test('because its version is deprecated ends the task with 68', async () => {
    task.services.script('POST session', 403);
    expect((await task.run()).code).toBe(68);
  });

  test('killed, for want of memory say, shows how', async () => {
    scriptListener('kill -KILL $$');
    expect((await task.run()).code).toBe(137);
  });
});

describe('a job', () => {
  test('that forks daemons leaves none behind', async () => {
    await task.runJob(`
      (env -i setsid sleep 61 </dev/null >/dev/null 2>&1 & echo $! >${task.home}/daemons)
      (cd / && exec -c setsid bash -c 'sleep 62 & echo $! >>${task.home}/daemons; sleep 63' &)
      until [[ $(wc --lines <${task.home}/daemons) == 2 ]]; do sleep 0.02; done`);
    const daemons = task.file('daemons').trim().split('\n');
    expect(daemons).toHaveLength(2);
    await until(() => !daemons.some(isAlive), 'both have ended');
  });

  test('that kills its worker is a failed job', async () => {
    const { code, log } = await task.runJob('kill -KILL $PPID; sleep 5');
    expect(log).toContain('completed with result: Failed');
    expect(code).toBe(0);
  });

  test('that kills the runner shows in the exit code', async () => {
    const { code } = await task.runJob('read -r _ _ _ listener _ </proc/$PPID/stat; kill -KILL $listener; sleep 5');
    expect(code).toBe(137);
  });

  test.each(['Listening for Jobs', 'Running job: x', 'x completed with result: Succeeded', 'A fatal error occurred'])(
    'called "%s" is a job as any other',
    async (name) => {
      task.services.claim = task.claim({ maxSeconds: 2 });
      const time = '2026-11-21 10:00:00Z';
      scriptListener(`echo '${time}: Running job: ${name}'; sleep 60 & wait; exit 1`);
      expect((await task.run()).code).toBe(71);
    },
  );

  test('called as if it had ended is over when it says so after its name', async () => {
    const name = 'x completed with result: Failed';
    scriptListener(`echo 'Running job: ${name}'; echo 'Job ${name} completed with result: Succeeded'; exit 1`);
    expect((await task.run()).code).toBe(0);
  });

  test('that leaves something behind which writes for ever is over all the same', async () => {
    scriptListener(`echo 'Running job: j'; yes & sleep 0.2; echo 'Job j completed with result: Succeeded'; exit 0`);
    expect((await task.run()).code).toBe(0);
  });

  test('over its time is ended though something writes for ever', async () => {
    task.services.claim = task.claim({ maxSeconds: 1 });
    scriptListener(`echo 'Running job: j'; yes & wait`);
    expect((await task.run({ STOP_SECONDS: '1' })).code).toBe(71);
  });

  test('that floods the log is passed on', async () => {
    scriptListener(
      `echo 'Running job: j'; for i in {1..3000}; do echo "line $i of many"; done; echo 'Job j completed with result: Succeeded'; printf end; exit 0`,
    );
    const { code, log } = await task.run();
    expect(code).toBe(0);
    expect(log).toContain('line 3000 of many\n');
    expect(log).toContain('\nend\n');
  });

  test('sees a short list of variables, and what its profile gives it', async () => {
    const environment = {
      NODE_ENV: 'ci',
      DB_HOST: 'db',
      DB_PORT: '5432',
      name: 'not ours',
      stopping: 'no',
      'odd.name': 'x',
      UNASKED: 'x',
      AWS_ENDPOINT_URL_S3: 'x',
      ECS_AGENT_URI: 'x',
      AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x',
      ACTIONS_RUNNER_INPUT_TOKEN: 'x',
      ACTIONS_RUNNER_HOOK_JOB_STARTED: '',
      JOB_ENVIRONMENT_NAMES: 'NODE_ENV,DB_*,name,stopping,AWS_*,ECS_*,CLAIM_ID,odd.name',
    };
    await task.runJob('env', { ...environment, AWS_REGION: 'eu-west-1' });
    const seen: Record<string, string> = Object.fromEntries(
      task.jobLog
        .trim()
        .split('\n')
        .map((line) => line.split('=', 2) as [string, string]),
    );
    const own = Object.keys(seen).filter((name) => !/^(RUNNER_|GITHUB_|CI$|_$|SHLVL|PWD|OLDPWD)/.test(name));
    expect(own.toSorted()).toEqual([
      'ACTIONS_RUNNER_HOOK_JOB_STARTED',
      'ACTIONS_RUNNER_RETURN_VERSION_DEPRECATED_EXIT_CODE',
      'AWS_REGION',
      'DB_HOST',
      'DB_PORT',
      'HOME',
      'NODE_ENV',
      'PATH',
      'USER',
      'name',
      'stopping',
    ]);
    expect(seen).toMatchObject({ name: 'not ours', stopping: 'no', HOME: task.home, AWS_REGION: 'eu-west-1' });
  });

  test('may ask for the task role where the operator chose one for it', async () => {
    await task.runJob('env', { TASK_ROLE_FOR_JOBS: '1' });
    expect(task.jobLog).toContain('AWS_CONTAINER_CREDENTIALS_FULL_URI=');
    expect(task.jobLog).not.toContain('CLAIM_ID');
  });

  test('that goes hunting for secrets finds none', async () => {
    // Every process from the step up to the task's first: environment, arguments, and what their pipes still hold.
    const ended = await task.runJob(`
      pid=$$
      while :; do
        echo "process $pid"
        tr '\\0' '\\n' </proc/$pid/environ
        tr '\\0' ' ' </proc/$pid/cmdline
        for fd in /proc/$pid/fd/*; do if [[ -p $fd ]]; then timeout 0.05 cat "$fd" || true; fi; done
        grep -q -- supervise /proc/$pid/cmdline && break
        read -r _ _ _ pid _ </proc/$pid/stat
      done
      env
      cat ${task.home}/.runner ${task.home}/.path ${task.home}/.setup_info`);
    expect(ended.code).toBe(0);
    const found = task.jobLog + ended.log;
    expect(found).toContain('supervise');
    for (const secret of [
      'AREGISTRATIONTOKEN',
      credentials.secretAccessKey,
      credentials.token,
      credentials.accessKeyId,
      '/credentials',
      'claim#',
      'CLAIM_ID',
      'CLAIMS_TABLE',
    ]) {
      expect(found).not.toContain(secret);
    }
  });

  test('could do nothing with the claim, had it found it', async () => {
    await task.runJob('true');
    const again = await Task.prepare();
    again.services.claim = undefined;
    const { code } = await again.run();
    await again.dispose();
    expect(code).toBe(65);
  });

  test('and its secrets are never among arguments, not even for a moment', async () => {
    const watched = new Set<string>();
    task.write(
      'config.sh',
      `#!/bin/bash\ncat /proc/[0-9]*/cmdline | tr '\\0' ' ' >${task.home}/arguments\nexec ./bin/Runner.Listener configure "$@"\n`,
    );
    // Held until one was seen: this process both looks and answers, and would do either too fast for the other.
    task.services.script('GET /metadata/task', async () => {
      await until(() => [...watched].some((line) => line.startsWith('curl ')));
      return { status: 200, body: '{}' };
    });
    task.services.assign('true');
    task.start();
    const timer = setInterval(() => {
      for (const line of task.commandLines()) watched.add(line);
    }, 1);
    await task.ended;
    clearInterval(timer);
    const seen = [...watched].join('\n') + task.file('arguments');
    expect(seen).toContain('curl');
    for (const secret of [
      'AREGISTRATIONTOKEN',
      credentials.secretAccessKey,
      credentials.token,
      credentials.accessKeyId,
    ]) {
      expect(seen).not.toContain(secret);
    }
  });
});

(process.getuid?.() === 0 ? describe : describe.skip)('as root', () => {
  const nobody = 65_534;
  const changes = { RUNNER_ALLOW_RUNASROOT: undefined, RUNNER_UID: String(nobody) };

  test('it runs the job as the runner, who cannot look into it', async () => {
    execFileSync('chown', ['-R', String(nobody), task.home]);
    const ended = await task.runJob(
      `id -u; cat /proc/$PPID/environ >/dev/null && echo own; cat /proc/${process.pid}/environ || echo closed`,
      changes,
    );
    expect(ended.log).toContain('ran a job');
    expect(task.jobLog).toMatch(/^65534\nown\n/);
    expect(task.jobLog).toContain('closed');
    expect(ended.code).toBe(0);
  });

  test('it needs a user to hand over to', async () => {
    const ended = await task.run({ ...changes, RUNNER_UID: '4711' });
    expect(ended.code).toBe(74);
    expect(lastLine(ended)).toContain('a user with uid 4711 must be there');
  });

  test('it needs that user to own the runner', async () => {
    chownSync(task.home, 0, 0);
    expect((await task.run(changes)).code).toBe(74);
  });
});

const namespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
const canUnshare = spawnSync('unshare', [...namespace.slice(1), 'true']).status === 0;

(canUnshare ? describe : describe.skip)('as the first process of a container', () => {
  test('it ends what a job left by ending itself', async () => {
    task.services.assign(`setsid sleep 60 & wc --bytes </proc/1/environ; tr '\\0' ' ' </proc/1/cmdline`);
    const { code } = await task.start({}, namespace).ended;
    expect(code).toBe(0);
    expect(task.jobLog).toMatch(/^0\n.*start-runner\.sh supervise/);
  });

  test('it ends though something that a job left writes for ever', async () => {
    scriptListener(`echo 'Running job: j'; yes & sleep 0.2; echo 'Job j completed with result: Succeeded'; exit 0`);
    expect((await task.start({}, namespace).ended).code).toBe(0);
  });

  test('it takes its SIGTERM', async () => {
    task.start({}, namespace);
    await task.untilLog('Listening for Jobs');
    const first = task.leftovers().find((line) => line.includes('supervise'));
    process.kill(Number(first?.split(' ')[0]), 'SIGTERM');
    expect((await task.ended).code).toBe(69);
  });
});

import { describe, expect, test } from '@jest/globals';
import { judgeProbe, judgeStart, type Ended } from '../../cli/image-check/judge-trial.ts';
import { parseOptions } from '../../cli/image-check/options.ts';
import { runProgram } from '../../cli/image-check/run-program.ts';

const said = (lines: string, code = 0): Ended => ({ kind: 'ended', code, said: lines });
const fit = 'bash 5.2.15(1)-release\ncurl 7.88.1\nrunner 0 2.336.0\n';
const known = { weight: 'miss', sentence: 'something' } as const;

describe('what programs of the image say', () => {
  test.each([
    [fit, []],
    ['bash 5.0\ncurl 8.5.0-DEV\nrunner 0 2.336.0\n', []],
    [fit.replace('5.2.15', '4.4.20'), ['bash must be 5 or newer, it is 4.4.20(1)-release']],
    [fit.replace('7.88.1', '7.87.0'), ['curl must be 7.88 or newer, it is 7.87.0']],
    [fit.replace('7.88.1', '6.99.0'), ['curl must be 7.88 or newer, it is 6.99.0']],
    [fit.replace('7.88.1', ''), ['curl must be able to run, it does not say its version']],
    [
      fit.replace('0 2.336.0', "134 Process terminated.\nCouldn't find a valid ICU package"),
      ["bin/Runner.Listener must say its version, it ended with 134: Couldn't find a valid ICU package"],
    ],
    [fit.replace('0 2.336.0', '127 '), ['bin/Runner.Listener must say its version, it ended with 127']],
  ])('%j', (lines, sentences) => {
    expect(judgeProbe(said(lines)).map(({ sentence }) => sentence)).toEqual(sentences);
  });

  test('may leave out what is not there, or has no user: that is known already', () => {
    expect(judgeProbe(said('bash 5.2.15(1)-release\n'))).toEqual([]);
    expect(
      judgeProbe(said(`${fit.split('runner')[0]}runner 125 chroot: no group specified for unknown uid: 1001`)),
    ).toEqual([]);
  });

  test('shows that bash cannot run when it is nothing', () => {
    expect(judgeProbe(said('exec /bin/bash: no such file or directory\n', 127))).toEqual([
      {
        weight: 'miss',
        sentence: 'bash must be able to run, it ended with 127: exec /bin/bash: no such file or directory',
      },
    ]);
  });

  test('must come in time', () => {
    expect(judgeProbe({ kind: 'late', seconds: 60 })).toEqual([
      { weight: 'miss', sentence: 'the runner must say its version within 60 s, it did not' },
    ]);
  });
});

describe('start-runner.sh without a claim', () => {
  test('ends with 65', () => {
    expect(judgeStart(said('start-runner: CLAIM_ID must name a claim (exit 65)', 65), [])).toEqual([]);
  });

  test('says with 74 what is broken', () => {
    expect(judgeStart(said('start-runner: the image must have curl, there is none (exit 74)', 74), [])).toEqual([
      {
        weight: 'miss',
        sentence:
          'start-runner.sh must end with 65 when it has no claim, it ended with 74: start-runner: the image must have curl, there is none (exit 74)',
      },
    ]);
  });

  test('says nothing new with 74 when something is known to be wrong, but does with any other code', () => {
    expect(judgeStart(said('', 74), [known])).toEqual([]);
    expect(judgeStart(said('', 74), [{ ...known, weight: 'look' }])).toHaveLength(1);
    expect(judgeStart(said('', 126), [known])).toHaveLength(1);
  });

  test('must end by itself', () => {
    expect(judgeStart({ kind: 'late', seconds: 30 }, [known])).toEqual([
      { weight: 'miss', sentence: 'start-runner.sh must end when it has no claim, it did not within 30 s' },
    ]);
  });
});

test('nothing is said of what could not be tried', () => {
  const ended: Ended = { kind: 'not-tried', why: 'there is no unshare' };
  expect([...judgeProbe(ended), ...judgeStart(ended, [])]).toEqual([]);
});

describe('a program that is run', () => {
  const bounds = { seconds: 60, signal: new AbortController().signal };

  test('is heard to its end', async () => {
    const outcome = await runProgram(['bash', '-c', 'printf %0300000d 7; echo oh >&2; exit 3'], bounds);
    expect(outcome).toEqual({ kind: 'ended', code: 3, stdout: `${'0'.repeat(299_999)}7`, stderr: 'oh\n' });
  });

  test('may be missing', async () => {
    expect(await runProgram(['no-such-program'], bounds)).toEqual({ kind: 'missing' });
  });

  test('is killed in time, with all that it started', async () => {
    const hanging = ['bash', '-c', 'sleep 965 & sleep 965'];
    expect(await runProgram(hanging, { ...bounds, seconds: 0.2 })).toEqual({ kind: 'late' });
  });

  test('is killed when nobody wants it any more, or not begun', async () => {
    const controller = new AbortController();
    const running = runProgram(['sleep', '965'], { ...bounds, signal: controller.signal });
    controller.abort();
    await expect(running).rejects.toThrow('aborted');
    await expect(runProgram(['sleep', '965'], { ...bounds, signal: controller.signal })).rejects.toThrow('aborted');
  });
});

describe('the options of npm run image:check', () => {
  test('are one image, and both engines when none is named', () => {
    expect(parseOptions(['ghcr.io/acme/runner:1'])).toEqual({
      kind: 'run',
      options: {
        subject: 'ghcr.io/acme/runner:1',
        engines: ['podman', 'docker'],
        environment: {},
        tryOut: 'images',
      },
    });
  });

  test('may all be given', () => {
    const args = ['--engine=nerdctl', '--env', 'TZ=Europe/Berlin', '--env', 'A=b=c', '--no-try', './rootfs'];
    expect(parseOptions(args)).toEqual({
      kind: 'run',
      options: {
        subject: './rootfs',
        engines: ['nerdctl'],
        environment: { TZ: 'Europe/Berlin', A: 'b=c' },
        tryOut: 'nothing',
      },
    });
  });

  test.each([['--help'], ['-h']])('show how they are used with %s', (option) => {
    expect(parseOptions([option])).toEqual({ kind: 'help' });
  });

  test.each([
    [[], ['one image or directory must be named, got 0']],
    [['a', 'b'], ['one image or directory must be named, got 2']],
    [[''], ['one image or directory must be named, got ""']],
    [['a', '--env', 'TZ'], ['--env must be NAME=VALUE, got "TZ"']],
    [
      ['a', '--env', '1=2', '--engine='],
      ['--env must be NAME=VALUE, got "1=2"', '--engine must name a program, got ""'],
    ],
    [['a', '--engine'], ['--engine must be followed by a value']],
    [['a', '--no-try=1'], ['--no-try takes no value']],
    [['a', '--no-try', '--try'], ['--try and --no-try exclude each other']],
    [['--', '-x'], ['no image or directory can be named "-x": write ./-x']],
    [['a', '--engin', 'podman'], ['there is no option --engin']],
  ])('%j are told apart with a sentence', (args, problems) => {
    expect(parseOptions(args)).toEqual({ kind: 'wrong', problems });
  });
});

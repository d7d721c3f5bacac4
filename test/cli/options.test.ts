import { describe, expect, test } from '@jest/globals';
import { parseOptions } from '../../cli/local/options.ts';

describe('the options of npm start', () => {
  test('are a working day, any free port and seed 1 when none is given', () => {
    expect(parseOptions([])).toEqual({
      kind: 'run',
      options: { jobs: undefined, port: 0, exitWhenIdle: false, seed: 1 },
    });
  });

  test('may all be given, with or without an equals sign', () => {
    expect(parseOptions(['--jobs', '200', '--port=8080', '--exit-when-idle', '--seed', '7'])).toEqual({
      kind: 'run',
      options: { jobs: 200, port: 8080, exitWhenIdle: true, seed: 7 },
    });
  });

  test.each([['--help'], ['-h']])('show how they are used with %s', (option) => {
    expect(parseOptions([option])).toEqual({ kind: 'help' });
  });

  test.each([
    [['--jobs', '0'], '--jobs must be a whole number from 1 to 5000, got "0"'],
    [['--jobs', 'lots'], '--jobs must be a whole number from 1 to 5000, got "lots"'],
    [['--jobs', '1.5'], '--jobs must be a whole number from 1 to 5000, got "1.5"'],
    [['--jobs', ''], '--jobs must be a whole number from 1 to 5000, got ""'],
    [['--port', '65536'], '--port must be a whole number from 0 to 65535, got "65536"'],
    [['--seed=-1'], '--seed must be a whole number from 0 to 4294967295, got "-1"'],
    [['--help=1'], '--help takes no value'],
    [['--jobs'], '--jobs must be followed by a value'],
    [['--jops', '3'], 'there is no option --jops'],
    [['3'], 'only options are taken, got "3"'],
  ])('%j is told apart with a sentence', (args, problem) => {
    expect(parseOptions(args)).toEqual({ kind: 'wrong', problems: [problem] });
  });

  test('are all reported in one pass', () => {
    expect(parseOptions(['--jobs', 'x', '--port', 'y'])).toMatchObject({
      problems: [/--jobs/, /--port/].map(matching),
    });
  });
});

function matching(pattern: RegExp): unknown {
  return expect.stringMatching(pattern);
}

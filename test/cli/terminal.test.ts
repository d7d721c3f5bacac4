import { describe, expect, test } from '@jest/globals';
import { JobBoard } from '../../cli/local/job-board.ts';
import { takeSnapshot, type Snapshot } from '../../cli/local/snapshot.ts';
import { fit, openTerminal, paintFor, renderFrame } from '../../cli/local/terminal.ts';

function queue(board: JobBoard, count: number): void {
  for (let id = 1; id <= count; id += 1) {
    const job = { id: String(id), name: `test ${id}`, repository: 'acme/app', labels: [], attempt: 1 };
    board.hear({ kind: 'job', job: { ...job, status: 'queued', conclusion: null, runnerName: undefined } }, 0);
  }
}

function lookAt(board: JobBoard): Snapshot {
  return takeSnapshot(board, { state: 'playing', now: 1000, clock: 0, profiles: [] });
}

describe('a terminal', () => {
  const plainly = paintFor({ NO_COLOR: '1' });

  test('shows as many jobs as it has rows for, and counts the others', () => {
    const board = new JobBoard(() => '');
    queue(board, 50);
    const frame = renderFrame(lookAt(board), { rows: 20, columns: 80 }, plainly);
    expect(frame.length).toBeLessThan(20);
    expect(frame.join('\n')).toContain('and 37 more');
    expect(frame.join('\n')).toContain('50 waiting');
  });

  test('gets no line as wide as itself', () => {
    expect(fit('a'.repeat(80), 80)).toHaveLength(79);
    expect(fit('\u001B[1mbold\u001B[0m', 80)).toBe('\u001B[1mbold\u001B[0m');
  });

  test('has colours, unless NO_COLOR says otherwise', () => {
    expect(paintFor({})('bold', 'x')).toBe('\u001B[1mx\u001B[22m');
    expect(plainly('bold', 'x')).toBe('x');
  });
});

describe('output that is no terminal', () => {
  test('gets one plain line per change', () => {
    const board = new JobBoard(() => '');
    const written: string[] = [];
    const output = { isTTY: false, columns: 80, rows: 24, write: (text: string) => written.push(text) > 0 };
    openTerminal(board, { output, env: {}, look: () => lookAt(board) });
    queue(board, 1);
    expect(written).toEqual(['   +0.0s     #1  acme/app test 1             queued      queued 0.0 s\n']);
  });
});

import { describe, expect, test } from '@jest/globals';
import { JobBoard, type Decision, type HeardJob, type JobView, type News } from '../../cli/local/job-board.ts';
import { measure, percentiles, takeSnapshot } from '../../cli/local/snapshot.ts';
import { readDecision } from '../../cli/local/watch-fleet.ts';
import { summarize } from '../../cli/local/wording.ts';
import type { LogLine } from '../emulators/aws/lambda.ts';

const build: HeardJob = {
  id: '81',
  name: 'build',
  repository: 'acme/app',
  labels: ['fargate-small'],
  attempt: 1,
  status: 'queued',
  conclusion: null,
  runnerName: undefined,
};

type Task = Extract<News, { kind: 'task' }>;

/** A board that is told things at given milliseconds. */
class Told {
  readonly board = new JobBoard(() => 'small');
  readonly changes: JobView[] = [];

  constructor() {
    this.board.listen({ onJob: (job) => this.changes.push(job) });
  }

  hear(at: number, news: News): this {
    this.board.hear(news, at);
    return this;
  }

  job(at: number, job: Partial<HeardJob> = {}): this {
    return this.hear(at, { kind: 'job', job: { ...build, ...job } });
  }

  task(at: number, runnerId: string, status: string, more: Partial<Task> = {}): this {
    return this.hear(at, { kind: 'task', runnerId, profile: 'small', provider: 'FARGATE', status, ...more });
  }

  registered(at: number, runnerId: string): this {
    return this.hear(at, { kind: 'registered', runnerId });
  }

  decided(at: number, decision: Partial<Decision>): this {
    return this.hear(at, { kind: 'decision', decision: { room: '', level: 'INFO', decision: '', ...decision } });
  }

  view(id = build.id): JobView {
    const job = this.board.job(id);
    if (job === undefined) throw new Error(`there must be a job ${id}`);
    return job;
  }
}

function way({ segments }: JobView): string {
  return segments.map(({ phase, from, to }) => `${phase} ${from}-${to ?? ''}`).join(' ');
}

/** Job 81 from its creation at 0 to its end at 100. */
function served(): Told {
  return new Told()
    .job(0)
    .task(10, 'ci-81-1', 'PROVISIONING')
    .registered(30, 'ci-81-1')
    .job(40, { status: 'in_progress', runnerName: 'ci-81-1' })
    .job(100, { status: 'completed', conclusion: 'success', runnerName: 'ci-81-1' });
}

describe('the way of a job', () => {
  test('is queued, task, registered, running, done, with the time of each', () => {
    const told = served();
    expect(told.changes.map(({ phase }) => phase)).toEqual(['queued', 'task', 'registered', 'running', 'done']);
    expect(way(told.view())).toBe('queued 0-10 task 10-30 registered 30-40 running 40-100');
  });

  test('has no task where a warm runner was there before it', () => {
    const told = new Told()
      .task(0, 'ci-w1a2b3-1', 'PROVISIONING')
      .registered(10, 'ci-w1a2b3-1')
      .job(50)
      .job(60, { status: 'in_progress', runnerName: 'ci-w1a2b3-1' });
    expect(way(told.view())).toBe('registered 50-60 running 60-');
    expect(told.view().notes).toEqual(['took a warm runner']);
  });

  test('goes back to queued when its runner dies, and says what it waits for', () => {
    const told = new Told()
      .job(0)
      .task(10, 'ci-81-1', 'PROVISIONING')
      .task(20, 'ci-81-1', 'DEPROVISIONING', { stopReason: 'OutOfMemoryError' })
      .decided(25, {
        room: 'task-stopped',
        decision: 'task stopped: ended',
        runner: 'ci-81-1',
        ending: 'out-of-memory',
      });
    expect(told.view()).toMatchObject({
      phase: 'queued',
      notes: ['its runner died: OutOfMemoryError'],
      waits: { reason: 'backing-off' },
    });
    told.task(90, 'ci-81-2', 'PROVISIONING').job(120, { status: 'in_progress', runnerName: 'ci-81-2' });
    expect(told.view()).toMatchObject({ phase: 'running', launches: 2, recovered: 'launched again', waits: undefined });
    expect(way(told.view())).toBe('queued 0-90 task 90-120 running 120-');
  });

  test('is told once for each change', () => {
    const told = new Told().job(0).job(1).task(10, 'ci-81-1', 'PROVISIONING').task(11, 'ci-81-1', 'PENDING');
    expect(told.changes.map(({ phase }) => phase)).toEqual(['queued', 'task']);
  });
});

describe('a job that waits', () => {
  test('shows the reason its launch was given', () => {
    const full = {
      room: 'scale-up',
      decision: 'launch: wait',
      job: '81',
      reason: 'profile-full',
      note: 'small is full',
    };
    const told = new Told().job(0).decided(5, full);
    expect(told.view().waits).toEqual({ reason: 'profile-full', note: 'small is full' });
    const snapshot = takeSnapshot(told.board, { state: 'playing', now: 9, clock: 9, profiles: [] });
    expect(snapshot.waiting).toEqual([{ reason: 'profile-full', note: 'small is full', jobs: [1] }]);
  });

  test('whose delivery got lost is unheard of until the sweep has found it', () => {
    const told = new Told().job(0).hear(1, { kind: 'meddled', jobId: '81', fate: 'lost' });
    expect(told.view().unheard).toBe(true);
    told.decided(50, {
      room: 'replenish',
      decision: 'replenish: found what was never announced',
      job: '81',
      state: 'queued',
    });
    told.decided(60, { room: 'scale-up', decision: 'launch: launched', job: '81', provider: 'FARGATE' });
    expect(told.view()).toMatchObject({ unheard: false, recovered: 'found by the sweep' });
  });

  test('counts the minutes that the clock was turned meanwhile, and no others', () => {
    const told = served().job(200, { id: '82' }).hear(210, { kind: 'turned', ms: 60_000 });
    expect([told.view('81').turnedMs, told.view('82').turnedMs]).toEqual([0, 60_000]);
  });
});

describe('runners that take another job', () => {
  test('are worth no word within a burst, where everybody has one', () => {
    const told = new Told()
      .job(0)
      .job(0, { id: '82' })
      .task(10, 'ci-81-1', 'PROVISIONING')
      .task(12, 'ci-82-1', 'PROVISIONING')
      .job(20, { id: '82', status: 'in_progress', runnerName: 'ci-81-1' });
    expect([told.view('81').notes, told.view('82').notes]).toEqual([[], []]);
    expect(told.view('81')).toMatchObject({ phase: 'task', runner: 'ci-82-1' });
  });

  test('are told of when the thief had none: the other one waits anew', () => {
    const told = new Told()
      .job(0)
      .hear(0, { kind: 'meddled', jobId: '81', fate: 'lost' })
      .job(1, { id: '82' })
      .task(10, 'ci-82-1', 'PROVISIONING')
      .job(20, { status: 'in_progress', runnerName: 'ci-82-1' });
    expect(told.view('81')).toMatchObject({
      notes: ['its delivery got lost', 'took the runner of #2'],
      recovered: 'served by the runner of another',
    });
    expect(told.view('82')).toMatchObject({ phase: 'queued', notes: ['its runner went to #1'] });
  });
});

describe('a delivery posted by hand', () => {
  const posted = {
    room: 'webhook',
    decision: 'delivery: launch',
    verdict: 'launch',
    job: '99',
    repository: 'acme/app',
  };

  test('puts a job on the board that GitHub does not know', () => {
    expect(new Told().decided(0, posted).view('99')).toMatchObject({ phase: 'queued', repository: 'acme/app' });
  });

  test('is over when the sweep has closed it', () => {
    const line = 'replenish: found what was never announced';
    const closed = { room: 'replenish', decision: line, job: '99', state: 'completed' };
    expect(new Told().decided(0, posted).decided(9, closed).view('99')).toMatchObject({ conclusion: 'gone' });
  });

  test('is over when GitHub says that there is no such job', () => {
    const drop = { room: 'scale-up', decision: 'launch: drop', job: '99', note: 'GitHub says the job is gone' };
    expect(new Told().decided(0, posted).decided(9, drop).view('99')).toMatchObject({
      phase: 'done',
      conclusion: 'gone',
    });
  });
});

describe('a runner that the sweep ends', () => {
  const sweep = { room: 'scale-down', runner: 'ci-81-1', ending: 'failed-to-start' };
  const started = () => new Told().job(0).task(10, 'ci-81-1', 'PROVISIONING').task(20, 'ci-81-1', 'STOPPED');

  test('is counted by its ending, with the sentence that the sweep gives', () => {
    const settled = { ...sweep, decision: 'scale-down: settle', note: 'TaskFailedToStart, no exit code' };
    const { board } = started().decided(30, settled);
    expect([...board.endings]).toEqual([['failed-to-start', 1]]);
    expect(board.runners).toMatchObject([{ ending: 'failed-to-start', note: 'TaskFailedToStart, no exit code' }]);
    expect(board.reaped).toBe(0);
  });

  test('is counted as reaped too when it was lost', () => {
    const lost = { ...sweep, ending: 'lost', decision: 'scale-down: lose', note: 'ECS knows no task of its name' };
    const { board } = started().decided(30, lost);
    expect([...board.endings]).toEqual([['lost', 1]]);
    expect(board.reaped).toBe(1);
  });
});

describe('a line of a log', () => {
  const read = (fields: Readonly<Record<string, unknown>>) =>
    readDecision({ functionName: 'scale-up', line: JSON.stringify({ level: 'INFO', ...fields }) } as LogLine);

  test('has a reason of the closed list, and a sentence', () => {
    const wait = { message: 'launch: wait', job: '81', reason: 'no-capacity', note: 'AWS has no room' };
    expect(read(wait)).toEqual({
      room: 'scale-up',
      level: 'INFO',
      decision: 'launch: wait',
      job: '81',
      reason: 'no-capacity',
      note: 'AWS has no room',
    });
  });

  test('of a failure has the error as its sentence', () => {
    expect(read({ level: 'ERROR', message: 'launch: failed', error: { message: 'no table' } })).toMatchObject({
      level: 'ERROR',
      note: 'no table',
    });
  });
});

describe('the summary', () => {
  test('takes every number from what was measured', () => {
    expect(percentiles([3, 1, 2, 4])).toEqual({ jobs: 4, p50: 2, p95: 4, least: 1, most: 4 });
    expect(percentiles([])).toBeUndefined();
  });

  test('keeps jobs that had to wait, and turned minutes, out of the seconds of the others', () => {
    const told = served()
      .job(200, { id: '82' })
      .hear(210, { kind: 'turned', ms: 60_000 })
      .job(1200, { id: '82', status: 'in_progress' });
    expect(measure(told.board, told.board.jobs)).toMatchObject({
      start: { jobs: 1, p50: 0.04 },
      held: undefined,
      turned: { jobs: 1, p50: 61 },
    });
  });

  test('says how many jobs there were and how they ended', () => {
    expect(summarize(served().board)[0]).toBe('jobs               1: 1 succeeded');
  });
});

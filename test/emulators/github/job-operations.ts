import type { Repository } from './accounts.ts';
import { JobConflict, judgeRun, type Job, type Run } from './jobs.ts';
import { notFound, refuse, takePage, type RestAnswer } from './rest-answers.ts';
import { findRepository, type RestCall, type RestOperation, type RestParts } from './rest-operation.ts';
import { formatTime } from './shapes.ts';

const created: RestAnswer = { status: 201, body: {} };
const accepted: RestAnswer = { status: 202, body: {} };

const attempt = (act: () => void, done: RestAnswer, conflict: number): RestAnswer => {
  try {
    act();
    return done;
  } catch (error) {
    if (error instanceof JobConflict) return refuse(conflict, error.message);
    throw error;
  }
};

/** Workflow runs and their jobs. */
export function defineJobOperations({ accounts, jobs, shapes }: RestParts): Record<string, RestOperation> {
  const inRepository = (
    permission: RestOperation['permission'],
    answer: (call: RestCall, repository: Repository) => RestAnswer,
  ): RestOperation => ({
    auth: 'installation',
    ...(permission && { permission }),
    answer: (call) => {
      const repository = findRepository(accounts, call);
      return repository === undefined ? notFound : answer(call, repository);
    },
  });
  const onRun = (level: 'read' | 'write', answer: (run: Run, call: RestCall) => RestAnswer) =>
    inRepository(['actions', level], (call, repository) => {
      const run = jobs.run(call.parameters['run_id'] ?? '');
      return run?.repository.id === repository.id ? answer(run, call) : notFound;
    });
  const onJob = (level: 'read' | 'write', answer: (job: Job) => RestAnswer) =>
    inRepository(['actions', level], ({ parameters }, repository) => {
      const job = jobs.job(parameters['job_id'] ?? '');
      return job?.repository.id === repository.id ? answer(job) : notFound;
    });
  const list = (found: readonly Job[], { query, base }: RestCall): RestAnswer => {
    const { items, headers } = takePage(found, query, base);
    return { status: 200, headers, body: { total_count: found.length, jobs: items.map((each) => shapes.job(each)) } };
  };
  const rerun = (choose: (job: Job) => boolean) =>
    onRun('write', (run) => attempt(() => jobs.rerun(run, choose), created, 403));
  const cancel = onRun('write', (run) => attempt(() => jobs.cancelRun(run), accepted, 409));
  return {
    'repos/get': inRepository(undefined, (_call, repository) => ({
      status: 200,
      body: shapes.fullRepository(repository),
    })),
    'actions/get-job-for-workflow-run': onJob('read', (job) => ({ status: 200, body: shapes.job(job) })),
    'actions/re-run-job-for-workflow-run': onJob('write', (job) => {
      const run = jobs.run(job.runId);
      return run === undefined ? notFound : attempt(() => jobs.rerun(run, ({ id }) => id === job.id), created, 403);
    }),
    'actions/list-workflow-runs-for-repo': inRepository(['actions', 'read'], ({ query, base }, repository) => {
      const status = query.get('status');
      const fits = (run: Run) => {
        if (!isCreatedWithin(run, query.get('created'))) return false;
        if ((query.get('branch') ?? run.headBranch) !== run.headBranch) return false;
        if ((query.get('head_sha') ?? run.headSha) !== run.headSha) return false;
        if ((query.get('event') ?? 'push') !== 'push') return false;
        const judged = judgeRun(run);
        return status === null || judged.status === status || judged.conclusion === status;
      };
      const found = jobs.runsOf(repository).filter(fits);
      // GitHub searches no further than a thousand results.
      const { items, headers } = takePage(found.slice(0, 1000), query, base);
      const body = { total_count: found.length, workflow_runs: items.map((each) => shapes.run(each)) };
      return { status: 200, headers, body };
    }),
    'actions/get-workflow-run': onRun('read', (run) => ({ status: 200, body: shapes.run(run) })),
    'actions/list-jobs-for-workflow-run': onRun('read', (run, call) =>
      list((call.query.get('filter') === 'all' ? run.attempts.flat() : run.attempts.at(-1)) ?? [], call),
    ),
    'actions/list-jobs-for-workflow-run-attempt': onRun('read', (run, call) => {
      const found = run.attempts[Number(call.parameters['attempt_number']) - 1];
      return found === undefined ? notFound : list(found, call);
    }),
    'actions/cancel-workflow-run': cancel,
    'actions/force-cancel-workflow-run': cancel,
    'actions/re-run-workflow': rerun(() => true),
    'actions/re-run-workflow-failed-jobs': rerun(({ conclusion }) => conclusion !== 'success'),
  };
}

/** GitHub's date search, as far as anyone here asks: `>=`, `>`, `<=`, `<` and `from..to`. */
function isCreatedWithin({ createdAt }: Run, search: string | null): boolean {
  if (search === null) return true;
  const at = formatTime(createdAt);
  const [from, to] = search.split('..');
  if (to !== undefined) return (from === '*' || at >= (from ?? '')) && (to === '*' || at <= to);
  const [, comparison = '', time = ''] = /^(>=|>|<=|<)?(.*)$/.exec(search) ?? [];
  const comparisons: Readonly<Record<string, boolean>> = {
    '>=': at >= time,
    '>': at > time,
    '<=': at <= time,
    '<': at < time,
    '': at.startsWith(time),
  };
  return comparisons[comparison] ?? false;
}

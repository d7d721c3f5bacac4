import type { LogLine } from '../../test/emulators/aws/lambda.ts';
import type { LocalFleet } from '../../test/emulators/local-fleet.ts';
import type { Decision, News } from './job-board.ts';

/** Passes on what the emulators and the tasks say. @returns what ends that */
export function watchFleet(fleet: LocalFleet, hear: (news: News) => void): () => void {
  const ends = [
    fleet.github.on('job', ({ id, name, repository, labels, runAttempt, status, conclusion, runner }) => {
      hear({
        kind: 'job',
        job: {
          id,
          name,
          repository: repository.fullName,
          labels,
          attempt: runAttempt,
          status,
          conclusion,
          runnerName: runner?.name,
        },
      });
    }),
    fleet.github.on('delivery', ({ payload, action, redelivery, statusCode, status }) => {
      const job = payload['workflow_job'] as { readonly id?: number } | undefined;
      const jobId = job?.id === undefined ? undefined : String(job.id);
      hear({ kind: 'delivery', jobId, action: action ?? '', redelivery, statusCode, status });
    }),
    fleet.ecs.onStateChange(({ detail }) => {
      const { startedBy, capacityProviderName, taskDefinitionArn, lastStatus, stoppedReason, containers } = detail;
      if (typeof startedBy !== 'string') return;
      const [container] = (containers ?? []) as readonly { readonly reason?: string }[];
      hear({
        kind: 'task',
        runnerId: startedBy,
        profile: /([^/]+):\d+$/.exec(String(taskDefinitionArn))?.[1] ?? '',
        provider: String(capacityProviderName),
        status: lastStatus,
        stopReason: container?.reason ?? (stoppedReason as string | undefined),
      });
    }),
    fleet.ecs.onLog(({ task, line }) => {
      const runnerId = task.startedBy ?? '';
      const scope = /^start-runner: claim for runner \S+ at https?:\/\/[^/]+\/(\S+)/.exec(line)?.[1];
      if (scope !== undefined) hear({ kind: 'claimed', runnerId, scope });
      if (line.startsWith('start-runner: registered ')) hear({ kind: 'registered', runnerId });
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}

/** A function's log line as a decision; undefined for metrics, and for text that is none of ours. */
export function readDecision({ functionName, line }: LogLine): Decision | undefined {
  const fields = parse(line);
  if (fields === undefined) return { room: functionName, level: 'ERROR', decision: line.slice(0, 300) };
  if (typeof fields['message'] !== 'string' || '_aws' in fields) return undefined;
  const text = (name: string): string | undefined => {
    const value = fields[name];
    return typeof value === 'string' ? value : undefined;
  };
  const { error, status } = fields;
  const failure = typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : undefined;
  const optional = {
    reason: text('reason'),
    note: text('note') ?? failure ?? describeProfile(fields),
    job: text('job'),
    runner: text('runner'),
    profile: text('profile'),
    repository: text('repository'),
    verdict: text('verdict'),
    ending: text('ending'),
    provider: text('provider'),
    stolenFrom: text('stolenFrom'),
    state: text('state'),
    result: text('result'),
    ...(typeof status === 'number' && { status }),
  };
  return {
    room: functionName,
    level: text('level') ?? 'INFO',
    decision: fields['message'],
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}

/** What replenish reports of a profile is numbers alone. */
function describeProfile({ live, busy, idle, launches, warm }: Record<string, unknown>): string | undefined {
  if (typeof live !== 'number') return undefined;
  return `${live} live, ${String(busy)} busy, ${String(idle)} idle; launches ${String(launches)}, warm ${String(warm)}`;
}

function parse(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

import type { WorkflowJobDelivery } from '../contracts/with-github/delivery.ts';
import { ownerOf } from '../contracts/between-rooms/job.ts';
import { admitJob } from '../fleet/admit-job.ts';
import type { JobEvent } from '../contracts/between-rooms/messages.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';

export type DeliveryDecision =
  | { readonly kind: 'launch'; readonly profile: string }
  | { readonly kind: 'track'; readonly event: JobEvent['kind']; readonly profile?: string }
  | { readonly kind: 'ignore'; readonly reason: string };

/** What a `workflow_job` delivery asks of this fleet. */
export function decideDelivery(delivery: WorkflowJobDelivery, fleet: Fleet): DeliveryDecision {
  const admission = admitJob(delivery.job, fleet);
  const event = eventOf(delivery);
  if (event === undefined) return { kind: 'ignore', reason: `action ${delivery.action} asks for nothing` };
  if (admission.kind === 'admitted') {
    const profile = admission.profile.name;
    return event === 'queued' ? { kind: 'launch', profile } : { kind: 'track', event, profile };
  }
  // Whoever registers a runner chooses its name: an owner who is not ours must not speak of our runners.
  if (!fleet.owners.includes(ownerOf(delivery.job.repository))) return { kind: 'ignore', reason: admission.reason };
  // A runner of ours may take a job that we would start none for: it is busy all the same.
  const onOurs = delivery.runnerName?.startsWith(`${fleet.prefix}-`) ?? false;
  if (onOurs && event !== 'queued') return { kind: 'track', event };
  return { kind: 'ignore', reason: admission.reason };
}

function eventOf({ action, status }: WorkflowJobDelivery): JobEvent['kind'] | 'queued' | undefined {
  switch (action) {
    case 'queued':
      // A job held by a deployment protection rule may be announced as queued while its status says waiting.
      return status === 'waiting' ? 'blocked' : 'queued';
    case 'waiting':
      return 'blocked';
    case 'in_progress':
    case 'completed':
      return action;
    default:
      return undefined;
  }
}

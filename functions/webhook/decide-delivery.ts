import { runnerOf, type JobSighting } from '../contracts/between-rooms/job-sighting.ts';
import { ownerOf } from '../contracts/between-rooms/job.ts';
import type { WorkflowJobDelivery } from '../contracts/with-github/delivery.ts';
import type { Fleet } from '../contracts/with-infra/settings.ts';
import { admitJob } from '../fleet/admit-job.ts';

export type DeliveryDecision =
  | { readonly kind: 'launch'; readonly profile: string }
  | { readonly kind: 'track'; readonly sighting: JobSighting; readonly profile?: string }
  | { readonly kind: 'ignore'; readonly note: string };

/** What a `workflow_job` delivery asks of this fleet. */
export function decideDelivery({ action, job, sighting }: WorkflowJobDelivery, fleet: Fleet): DeliveryDecision {
  const admission = admitJob(job, fleet);
  if (sighting === undefined) return { kind: 'ignore', note: `action ${action} asks for nothing` };
  const isQueued = sighting.state === 'queued';
  if (admission.kind === 'admitted') {
    const profile = admission.profile.name;
    return isQueued ? { kind: 'launch', profile } : { kind: 'track', sighting, profile };
  }
  // Anybody may give a runner any name: an owner who is not ours must not speak of our runners.
  if (!fleet.owners.includes(ownerOf(job.repository))) return { kind: 'ignore', note: admission.note };
  // A runner of ours may take a job that we would start none for: it is busy all the same.
  if (!isQueued && runnerOf(sighting, fleet.prefix) !== undefined) return { kind: 'track', sighting };
  return { kind: 'ignore', note: admission.note };
}

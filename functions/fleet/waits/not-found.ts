import type { JobRecord } from '../../contracts/between-rooms/ledger-records.ts';

/** In an outage GitHub answers 404 for jobs that live: one such answer proves nothing. */
const goneForMs = 5 * 60_000;

/** Does GitHub not know the job for good? Two looks this far apart must have come to that, with no sighting in between. */
export function isGone({ goneSince }: Pick<JobRecord, 'goneSince'>, now: number): boolean {
  return goneSince !== undefined && now - Date.parse(goneSince) >= goneForMs;
}

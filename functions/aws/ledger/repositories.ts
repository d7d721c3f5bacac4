import type { Repository } from '../../contracts/between-rooms/job.ts';
import { decodeRepositoryRecord, type RepositoryRecord } from '../../contracts/between-rooms/ledger-records.ts';
import { decodeEach, type Table } from './table.ts';

/** A repository without a job for so long is not asked any more. */
const keptSeconds = 30 * 24 * 3600;
/** How often a repository's record is written at most, by one function instance. */
const notedEveryMs = 10 * 60_000;

export type RepositoryLedger = {
  /** Remembers that a repository has jobs for this fleet. */
  readonly noteRepository: (repository: Repository) => Promise<void>;
  readonly noteAsked: (repositoryId: string) => Promise<void>;
  readonly listRepositories: () => Promise<readonly RepositoryRecord[]>;
};

export function repositoryLedger(table: Table, now: () => number): RepositoryLedger {
  const noted = new Map<string, number>();
  return {
    noteRepository: async (repository) => {
      const before = noted.get(repository.id);
      if (before !== undefined && now() - before < notedEveryMs) return;
      await table.change({
        id: `repo#${repository.id}`,
        set: {
          ...withoutId(repository),
          repositoryId: repository.id,
          seenAt: new Date(now()).toISOString(),
          expiresAt: Math.floor(now() / 1000) + keptSeconds,
          open: 'repo',
          openKey: repository.fullName.toLowerCase(),
        },
      });
      noted.set(repository.id, now());
    },
    noteAsked: async (repositoryId) => {
      await table.change({
        id: `repo#${repositoryId}`,
        set: { askedAt: new Date(now()).toISOString() },
        when: 'attribute_exists(#id)',
      });
    },
    listRepositories: async () =>
      decodeEach(await table.listOpen('repo'), (item) => decodeRepositoryRecord({ ...item, id: item['repositoryId'] })),
  };
}

// The item's own key is called id.
function withoutId({ fullName, ownerType, private: isPrivate }: Repository): object {
  return { fullName, ownerType, private: isPrivate };
}

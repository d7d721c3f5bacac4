import type { Repository } from '../../contracts/between-rooms/job.ts';
import { decodeRepositoryRecord, type RepositoryRecord } from '../../contracts/between-rooms/ledger-records.ts';
import type { Ledger } from '../../fleet/ledger.ts';
import { present } from './condition.ts';
import { decodeEach, type Table } from './table.ts';

/** A repository is forgotten this long after its last job. */
const keptSeconds = 30 * 24 * 3600;
/** One function instance writes a repository's record at most this often. */
const notedEveryMs = 10 * 60_000;

/** The item's own key is called `id`. */
type RepositoryItem = Omit<RepositoryRecord, 'id'> & { readonly repositoryId: string };

export function repositoryLedger(
  table: Table,
  now: () => number,
): Pick<Ledger, 'noteRepository' | 'noteAsked' | 'listRepositories'> {
  const noted = new Map<string, number>();
  return {
    noteRepository: async ({ id, fullName, ownerType, private: isPrivate }: Repository) => {
      const before = noted.get(id);
      if (before !== undefined && now() - before < notedEveryMs) return;
      await table.change<RepositoryItem>({
        id: `repo#${id}`,
        set: {
          fullName,
          ownerType,
          private: isPrivate,
          repositoryId: id,
          seenAt: new Date(now()).toISOString(),
          expiresAt: Math.floor(now() / 1000) + keptSeconds,
          open: 'repo',
          openKey: fullName.toLowerCase(),
        },
      });
      noted.set(id, now());
    },
    noteAsked: async (repositoryId) => {
      await table.change<RepositoryItem>({
        id: `repo#${repositoryId}`,
        set: { askedAt: new Date(now()).toISOString() },
        when: { repositoryId: present },
      });
    },
    listRepositories: async () =>
      decodeEach(await table.listOpen('repo'), (item) => decodeRepositoryRecord({ ...item, id: item['repositoryId'] })),
  };
}

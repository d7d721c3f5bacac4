import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Profile } from '../../functions/contracts/with-infra/profile.ts';
import { admitJob } from '../../functions/fleet/admit-job.ts';
import type { Fleet } from '../../infra/define-fleet.ts';
import { closeServer } from '../emulators/close-server.ts';
import type { GitHubEmulator } from '../emulators/github/server.ts';
import { until } from '../until.ts';

/** What a job needs so that this profile, of all of the fleet, serves it. */
type Asked = { readonly repo: string; readonly labels: readonly string[] };

/** Gives the fleet's owners what its profiles ask for: repositories, runner groups, an installation of the App. */
export function arrangeGitHub(github: GitHubEmulator, { choices }: Fleet): void {
  const places = choices.profiles.map((profile) => placeFor(profile, choices));
  const repositories = new Set(places.map(({ repo }) => repo));
  for (const login of choices.github.owners) {
    github.addAccount({ login, type: 'Organization' });
    for (const { runnerGroup } of choices.profiles) {
      if (runnerGroup !== undefined) github.addRunnerGroup(login, { name: runnerGroup });
    }
    for (const repo of repositories) if (repo.startsWith(`${login}/`)) github.addRepository(repo, { private: true });
    github.install(login);
  }
}

/** @throws Error when no job of ours would be this profile's */
export function placeFor(profile: Profile, { profiles, github: { owners } }: Fleet['choices']): Asked {
  const names = [
    ...profile.repositories.allow.map((glob) => glob.replaceAll(/\*+/g, 'app')),
    ...owners.map((owner) => `${owner}/app`),
  ];
  const labels = ['self-hosted', 'linux', profile.arch, ...profile.labels];
  for (const repo of names) {
    const admission = admitJob(
      {
        id: '1',
        runId: '1',
        attempt: 1,
        name: 'build',
        createdAt: new Date().toISOString(),
        labels,
        repository: { id: '1', fullName: repo, private: true, ownerType: 'Organization' },
      },
      { owners, profiles },
    );
    if (admission.kind === 'admitted' && admission.profile === profile) return { repo, labels };
  }
  throw new Error(`profile ${profile.name} must serve a job that asks for its labels in one of ${names.join(', ')}`);
}

/** A script that runs until `open` is called: what a job in a container can see is an address. */
export class Gate {
  readonly script: string;
  readonly #server: Server;
  #isOpen = false;

  private constructor(server: Server) {
    this.#server = server;
    const { port } = server.address() as AddressInfo;
    this.script = `until curl --silent --fail http://127.0.0.1:${port}; do sleep 0.1; done`;
    server.on('request', (_, response) => {
      response.writeHead(this.#isOpen ? 204 : 404).end();
    });
  }

  static async shut(): Promise<Gate> {
    const server = createServer();
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    return new Gate(server);
  }

  open(): void {
    this.#isOpen = true;
  }

  async remove(): Promise<void> {
    await closeServer(this.#server);
  }
}

/** Until it is so, with bounds for a whole stack on a machine four times slower. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  {
    withinSeconds = 120,
    everySeconds = 0.25,
    trouble,
  }: {
    readonly withinSeconds?: number;
    readonly everySeconds?: number;
    readonly trouble?: () => Promise<string>;
  } = {},
): Promise<void> {
  const described = async (): Promise<string> => (trouble === undefined ? what : `${what}, but ${await trouble()}`);
  await until(holds, described, withinSeconds * 1000, everySeconds * 1000);
}

/** Who owns what, and what the App may see of it. */

export type Account = {
  readonly id: number;
  readonly login: string;
  readonly type: 'Organization' | 'User';
};

export type Repository = {
  readonly id: number;
  readonly name: string;
  readonly fullName: string;
  readonly owner: Account;
  readonly private: boolean;
};

export type RunnerGroup = {
  readonly id: number;
  readonly name: string;
  readonly visibility: 'all' | 'selected' | 'private';
  /** Full names, for `selected`. */
  readonly repositories: readonly string[];
  readonly allowsPublicRepositories: boolean;
};

export type Permissions = Readonly<Record<string, string>>;

export type Installation = {
  readonly id: number;
  readonly account: Account;
  readonly permissions: Permissions;
  /** Full names; undefined means all. */
  readonly repositories: readonly string[] | undefined;
  readonly createdAt: number;
  suspendedAt: number | undefined;
};

export type AccountOptions = { readonly login: string; readonly type?: Account['type'] };
export type RepositoryOptions = { readonly private?: boolean };
export type RunnerGroupOptions = {
  readonly name: string;
  readonly visibility?: RunnerGroup['visibility'];
  readonly repositories?: readonly string[];
  /** As on GitHub, a group serves no public repository unless it says so. */
  readonly allowsPublicRepositories?: boolean;
};
export type InstallationOptions = {
  readonly repositories?: readonly string[];
  readonly permissions?: Permissions;
};

const usualPermissions: Permissions = {
  actions: 'write',
  administration: 'write',
  deployments: 'read',
  metadata: 'read',
  organization_self_hosted_runners: 'write',
};

const defaultGroup: RunnerGroup = {
  id: 1,
  name: 'Default',
  visibility: 'all',
  repositories: [],
  allowsPublicRepositories: false,
};

const fold = (name: string) => name.toLowerCase();

export class Accounts {
  readonly #accounts = new Map<string, Account>();
  readonly #repositories = new Map<string, Repository>();
  readonly #groups = new Map<string, RunnerGroup[]>();
  readonly #installations = new Map<number, Installation>();
  #lastAccount = 2000;
  #lastRepository = 1000;
  #lastInstallation = 4000;
  #lastGroup = 1;

  addAccount({ login, type = 'Organization' }: AccountOptions): Account {
    if (this.#accounts.has(fold(login))) throw new Error(`login must be new, got ${login}`);
    const account = { id: ++this.#lastAccount, login, type };
    this.#accounts.set(fold(login), account);
    this.#groups.set(fold(login), [defaultGroup]);
    return account;
  }

  addRepository(fullName: string, options: RepositoryOptions = {}): Repository {
    const [login = '', name = ''] = fullName.split('/');
    const owner = this.getAccount(login);
    const id = this.findRepository(fullName)?.id ?? ++this.#lastRepository;
    const repository = { id, name, fullName: `${owner.login}/${name}`, owner, private: options.private ?? true };
    this.#repositories.set(fold(fullName), repository);
    return repository;
  }

  /** Adds a group, or changes the one of that name (`Default` always exists). */
  addRunnerGroup(login: string, options: RunnerGroupOptions): RunnerGroup {
    const groups = this.groupsOf(login);
    const former = groups.find(({ name }) => fold(name) === fold(options.name));
    const group: RunnerGroup = {
      ...defaultGroup,
      ...former,
      ...options,
      id: former?.id ?? ++this.#lastGroup,
      name: former?.name ?? options.name,
    };
    this.#groups.set(fold(login), [...groups.filter(({ id }) => id !== group.id), group]);
    return group;
  }

  install(login: string, createdAt: number, options: InstallationOptions = {}): Installation {
    if (this.installationOf(login) !== undefined) throw new Error(`${login} must not have the App installed already`);
    const installation: Installation = {
      id: ++this.#lastInstallation,
      account: this.getAccount(login),
      permissions: { ...(options.permissions ?? usualPermissions), metadata: 'read' },
      repositories: options.repositories,
      createdAt,
      suspendedAt: undefined,
    };
    this.#installations.set(installation.id, installation);
    return installation;
  }

  uninstall(login: string): Installation {
    const installation = this.getInstallation(login);
    this.#installations.delete(installation.id);
    return installation;
  }

  suspend(login: string, at: number | undefined): Installation {
    const installation = this.getInstallation(login);
    installation.suspendedAt = at;
    return installation;
  }

  getAccount(login: string): Account {
    const account = this.findAccount(login);
    if (account === undefined) throw new Error(`account must be added first, got ${login}`);
    return account;
  }

  findAccount(login: string): Account | undefined {
    return this.#accounts.get(fold(login));
  }

  getRepository(fullName: string): Repository {
    const repository = this.findRepository(fullName);
    if (repository === undefined) throw new Error(`repository must be added first, got ${fullName}`);
    return repository;
  }

  findRepository(fullName: string): Repository | undefined {
    return this.#repositories.get(fold(fullName));
  }

  get repositories(): Repository[] {
    return [...this.#repositories.values()];
  }

  groupsOf(login: string): readonly RunnerGroup[] {
    return this.#groups.get(fold(login)) ?? [];
  }

  groupById(login: string, id: number): RunnerGroup | undefined {
    return this.groupsOf(login).find((group) => group.id === id);
  }

  get installations(): Installation[] {
    return [...this.#installations.values()];
  }

  installationById(id: number): Installation | undefined {
    return this.#installations.get(id);
  }

  installationOf(login: string): Installation | undefined {
    return this.installations.find(({ account }) => fold(account.login) === fold(login));
  }

  getInstallation(login: string): Installation {
    const installation = this.installationOf(login);
    if (installation === undefined) throw new Error(`${login} must have the App installed`);
    return installation;
  }

  covers({ account, repositories }: Installation, repository: Repository): boolean {
    if (repository.owner.id !== account.id) return false;
    return repositories === undefined || repositories.some((name) => fold(name) === fold(repository.fullName));
  }

  repositoriesOf(installation: Installation): Repository[] {
    return this.repositories.filter((repository) => this.covers(installation, repository));
  }
}

import { randomBytes, randomUUID } from 'node:crypto';
import type { Clock } from '../clock.ts';
import type { Account, Repository, RunnerGroup } from './accounts.ts';
import type { Behaviour } from './behaviour.ts';
import { Deadlines } from './deadlines.ts';
import type { Job } from './jobs.ts';

/** Where a runner is registered: an organization, or one repository. */
export type Scope = {
  /** `acme` or `acme/app`, in lower case. */
  readonly key: string;
  readonly account: Account;
  readonly repository: Repository | undefined;
};

type Assignment = {
  readonly request: string;
  readonly job: Job;
  readonly assignedAt: number;
  acquired: boolean;
};

export type Session = {
  readonly id: string;
  lastContact: number;
  /** Ends the poll that is held now, if any; it then looks at the runner again. */
  wake: (() => void) | undefined;
};

/**
 * `consumed` is the zombie of actions/runner#4617: the registration is used up without a job having run, REST does not
 * know the runner any more, and yet its polls are held as ever.
 */
type RegistrationState = 'registered' | 'consumed' | 'deleted';

export type Runner = {
  readonly id: number;
  readonly name: string;
  readonly scope: Scope;
  readonly groupId: number;
  readonly groupName: string;
  readonly labels: readonly string[];
  readonly ephemeral: boolean;
  readonly credential: string;
  readonly registeredAt: number;
  os: string;
  version: string | null;
  state: RegistrationState;
  session: Session | undefined;
  assignment: Assignment | undefined;
};

export type Registration = {
  readonly scope: Scope;
  readonly name: string;
  readonly group: RunnerGroup;
  readonly labels: readonly string[];
  readonly ephemeral: boolean;
  readonly os: string;
  readonly version: string | null;
  readonly replace: boolean;
};

export type RunnerToken = {
  readonly token: string;
  readonly kind: 'registration' | 'remove';
  readonly scope: Scope;
  readonly expiresAt: number;
};

export type RunnerWatcher = {
  /** The runner can take no job any more, if it could before. */
  retired(runner: Runner): void;
};

export function scopeOf(account: Account, repository?: Repository): Scope {
  return { key: (repository?.fullName ?? account.login).toLowerCase(), account, repository };
}

const nameKey = (scope: Scope, name: string) => `${scope.key}|${name.toLowerCase()}`;

/** Compares as the numbers they are made of. */
export function isOlder(version: string, minimum: string): boolean {
  return version.localeCompare(minimum, 'en', { numeric: true }) < 0;
}

/** Registrations and their sessions, and the tokens that make them. What a runner works on is for `assignments.ts`. */
export class Runners {
  readonly #clock: Clock;
  readonly #behaviour: () => Behaviour;
  readonly #watcher: RunnerWatcher;
  readonly #byId = new Map<number, Runner>();
  readonly #byName = new Map<string, Runner>();
  readonly #byScope = new Map<string, Set<Runner>>();
  /** The dead stay here: a credential is known as deleted for ever. */
  readonly #byCredential = new Map<string, Runner>();
  readonly #tokens = new Map<string, RunnerToken>();
  readonly #registrations = new Map<string, number[]>();
  readonly #ephemeralPurge: Deadlines<Runner>;
  readonly #ordinaryPurge: Deadlines<Runner>;
  #lastId = 20;

  constructor(clock: Clock, behaviour: () => Behaviour, watcher: RunnerWatcher) {
    this.#clock = clock;
    this.#behaviour = behaviour;
    this.#watcher = watcher;
    this.#ephemeralPurge = new Deadlines(clock, () => behaviour().ephemeralPurgeMs);
    this.#ordinaryPurge = new Deadlines(clock, () => behaviour().ordinaryPurgeMs);
  }

  get all(): IterableIterator<Runner> {
    return this.#byId.values();
  }

  issueToken(scope: Scope, kind: RunnerToken['kind']): RunnerToken {
    const expiresAt = this.#clock.now() + this.#behaviour().registrationTokenMs;
    const token = `A${randomBytes(18).toString('base64url').toUpperCase().replaceAll(/[-_]/g, 'X')}`;
    const issued = { token, kind, scope, expiresAt };
    this.#tokens.set(token, issued);
    return issued;
  }

  findToken(token: string, kind: RunnerToken['kind']): RunnerToken | undefined {
    const found = this.#tokens.get(token);
    return found?.kind === kind && found.expiresAt > this.#clock.now() ? found : undefined;
  }

  /** Counts a registration; false when there were too many in this scope of late. */
  countRegistration(scope: Scope): boolean {
    const { count, perMs } = this.#behaviour().registrationLimit;
    const now = this.#clock.now();
    const recent = this.#registrations.get(scope.key) ?? [];
    this.#registrations.set(scope.key, recent);
    const stale = recent.findIndex((at) => at > now - perMs);
    recent.splice(0, stale === -1 ? recent.length : stale);
    if (recent.length >= count) return false;
    recent.push(now);
    return true;
  }

  /** Undefined when the name is taken. */
  register({ scope, name, group, labels, replace, ...rest }: Registration): Runner | undefined {
    const former = this.#byName.get(nameKey(scope, name));
    if (former !== undefined && (!replace || former.assignment !== undefined)) return undefined;
    if (former !== undefined) this.remove(former, 'deleted');
    const runner: Runner = {
      id: former?.id ?? ++this.#lastId,
      name,
      scope,
      groupId: group.id,
      groupName: group.name,
      labels: [...new Map(labels.map((label) => [label.toLowerCase(), label])).values()],
      ...rest,
      credential: randomBytes(32).toString('hex'),
      registeredAt: this.#clock.now(),
      state: 'registered',
      session: undefined,
      assignment: undefined,
    };
    this.#byId.set(runner.id, runner);
    this.#byName.set(nameKey(scope, name), runner);
    this.#byCredential.set(runner.credential, runner);
    const siblings = this.#byScope.get(scope.key) ?? new Set();
    this.#byScope.set(scope.key, siblings.add(runner));
    this.#postponePurge(runner);
    return runner;
  }

  /** Takes a registration away. A `deleted` one's poll ends; a `consumed` one's is held as if nothing were. */
  remove(runner: Runner, state: 'consumed' | 'deleted'): void {
    if (runner.state !== 'registered') return;
    runner.state = state;
    this.#byId.delete(runner.id);
    this.#byName.delete(nameKey(runner.scope, runner.name));
    this.#byScope.get(runner.scope.key)?.delete(runner);
    this.#ephemeralPurge.clear(runner);
    this.#ordinaryPurge.clear(runner);
    this.#watcher.retired(runner);
    if (state === 'deleted') runner.session?.wake?.();
  }

  openSession(runner: Runner, version: string | null): Session | undefined {
    const now = this.#clock.now();
    const held = runner.session;
    if (held !== undefined && (held.wake !== undefined || now - held.lastContact <= this.#behaviour().offlineAfterMs)) {
      return undefined;
    }
    runner.version = version ?? runner.version;
    if (runner.os === 'unknown') runner.os = 'linux';
    runner.session = { id: randomUUID(), lastContact: now, wake: undefined };
    return runner.session;
  }

  closeSession(runner: Runner): void {
    const wake = runner.session?.wake;
    runner.session = undefined;
    this.#watcher.retired(runner);
    wake?.();
  }

  /** The runner was heard of. */
  notice(runner: Runner): void {
    if (runner.session !== undefined) runner.session.lastContact = this.#clock.now();
    if (runner.state === 'registered') this.#postponePurge(runner);
  }

  byId(scope: Scope, id: number): Runner | undefined {
    const runner = this.#byId.get(id);
    return runner?.scope.key === scope.key ? runner : undefined;
  }

  byName(scope: Scope, name: string): Runner | undefined {
    return this.#byName.get(nameKey(scope, name));
  }

  byCredential(credential: string): Runner | undefined {
    return this.#byCredential.get(credential);
  }

  of(scope: Scope): Runner[] {
    return [...(this.#byScope.get(scope.key) ?? [])];
  }

  isOnline(runner: Runner): boolean {
    const { session, assignment } = runner;
    if (session === undefined) return false;
    if (session.wake !== undefined) return true;
    // A working runner renews its job about once a minute and does not poll.
    const patience = this.#behaviour().offlineAfterMs * (assignment?.acquired ? 2 : 1);
    return this.#clock.now() - session.lastContact <= patience;
  }

  /** What REST shows, which lags behind; only deleting the runner tells the truth at once. */
  showsBusy({ assignment }: Runner): boolean {
    return assignment !== undefined && this.#clock.now() - assignment.assignedAt >= this.#behaviour().busyLagMs;
  }

  stop(): void {
    this.#ephemeralPurge.stop();
    this.#ordinaryPurge.stop();
    for (const { session } of this.#byCredential.values()) session?.wake?.();
  }

  rearm(): void {
    this.#ephemeralPurge.rearm();
    this.#ordinaryPurge.rearm();
  }

  #postponePurge(runner: Runner): void {
    const purge = runner.ephemeral ? this.#ephemeralPurge : this.#ordinaryPurge;
    purge.set(runner, () => {
      if (runner.assignment === undefined && runner.session?.wake === undefined) this.remove(runner, 'deleted');
      else this.#postponePurge(runner);
    });
  }
}

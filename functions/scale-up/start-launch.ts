import { recordVersion, type RunnerRecord } from '../contracts/between-rooms/ledger-records.ts';
import type { LaunchMessage } from '../contracts/between-rooms/messages.ts';
import { poolOf } from '../contracts/between-rooms/pool.ts';
import { GitHubError, MissingSecretError } from '../contracts/with-github/errors.ts';
import type { Registration } from '../contracts/with-github/registration.ts';
import { askedForMs, claimLifetimeMs, longestTurnMs } from '../contracts/with-infra/limits.ts';
import { runnerLabels, type Profile } from '../contracts/with-infra/profile.ts';
import type { Providers } from '../contracts/with-infra/providers.ts';
import { encodeClaim } from '../contracts/with-tasks/claim.ts';
import { fullProfile, type Capacity } from '../fleet/decide-start.ts';
import type { Ledger, LaunchToBegin } from '../fleet/ledger.ts';
import { withProbe } from '../fleet/waits/breaker.ts';
import { whileProbed } from '../fleet/waits/capacity.ts';
import { holdAfterMint } from '../fleet/waits/scope-hold.ts';
import type { LaunchDecision } from './decide-launch.ts';
import type { Seen } from './look.ts';
import { isOutcome, type Outcome, type Step } from './outcome.ts';

export type StartPorts = Pick<Ledger, 'takeTurn' | 'begin' | 'changeBreaker' | 'changeCapacity'> & {
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<void>;
  /**
   * The runners of the scope register with it. Secret.
   *
   * @param mintedAfter an older token was refused; ms since the epoch
   * @throws GitHubError, MissingSecretError
   */
  readonly readRegistration: (scope: string, mintedAfter: number) => Promise<Registration>;
  readonly newClaimId: () => string;
  readonly registrationUrl: (scope: string) => string;
  readonly taskDefinition: (profile: string) => string;
  readonly providers: (profile: string) => Providers;
};

type Start = Extract<LaunchDecision, { kind: 'start' }>;

export type Begun = { readonly runner: RunnerRecord; readonly profile: Profile };

/** Wait in the function for a turn within this time; otherwise send the message back with a delay. */
const waitedForMs = 1000;
const minute = 60_000;
/** A claim ends at least this long before the token in it. */
const tokenMarginMs = 5 * minute;

export type Turn = { readonly slot: number };

/**
 * Takes the launch's turn to register and to call RunTask. Nothing is begun yet, so nothing must be given back.
 *
 * @returns the turn when it is near, or the outcome when it is not
 */
export async function takeTurn(seen: Seen, ports: StartPorts): Promise<Step<Turn>> {
  const { message, scope } = seen;
  const slot = message.slot ?? (await ports.takeTurn(scope.scope));
  const now = ports.now();
  const delay = slot === undefined ? Infinity : slot - now;
  if (slot === undefined || delay > longestTurnMs) {
    const note = 'more is launched or registered than GitHub and Fargate take in five minutes';
    return { kind: 'wait', reason: 'pacing', note, until: now + minute };
  }
  if (delay <= waitedForMs) return { slot };
  if (message.kind === 'warm' && delay > askedForMs) {
    // Nothing in the ledger says that it is on its way: the next pass would ask for another one beside it.
    return { kind: 'wait', reason: 'pacing', note: 'its turn comes after the next pass, which asks for it again' };
  }
  const note = `its turn comes in ${Math.ceil(delay / 1000)} s`;
  // SQS counts in seconds: the message comes back a moment early, and waits for the rest in the function.
  const delayMs = Math.floor(delay / 1000) * 1000;
  return { kind: 'returned', note, message: { ...again(seen), slot }, delayMs };
}

/** Waits until the turn has come. The launch is begun by then, so that launches of one batch can begin together. */
export async function waitForTurn({ slot }: Turn, ports: Pick<StartPorts, 'now' | 'pause'>): Promise<void> {
  const delay = slot - ports.now();
  if (delay > 0) await ports.pause(delay);
}

/** The same launch, asked for again. The ledger knows the job by then, so the message need not carry it. */
export function again({ message, job, launch }: Seen): LaunchMessage {
  if (message.kind !== 'queued' || job === undefined) return message;
  const { profile, scope } = job;
  return { version: 1, kind: 'launch', jobId: job.job.id, launch, profile, scope, returns: message.returns };
}

/** Gets a registration token and the runner releases. */
export async function register(seen: Seen, ports: StartPorts): Promise<Step<Registration>> {
  const { scope, tokenRefusedAt } = seen.scope;
  try {
    return await ports.readRegistration(scope, tokenRefusedAt === undefined ? 0 : Date.parse(tokenRefusedAt));
  } catch (error) {
    if (!(error instanceof GitHubError || error instanceof MissingSecretError)) throw error;
    const now = ports.now();
    const hold = holdAfterMint(error, now);
    if (hold !== undefined)
      return { kind: 'wait', reason: 'scope-held', note: error.message, hold: { ...hold, scope } };
    return { kind: 'wait', reason: 'github-unavailable', note: error.message, until: now + minute / 2 };
  }
}

/** Takes the lease and issues the claim: from here on any invocation that gets the message can finish the launch. */
export async function begin(
  seen: Seen,
  start: Start,
  registration: Registration,
  ports: StartPorts,
): Promise<Step<Begun>> {
  const { profile } = start;
  const room = await probeRoom(seen, start, ports);
  if (isOutcome(room)) return room;
  const launch = launchToBegin(seen, { ...start, ...room }, registration, ports);
  const probedElsewhere = await probeBreaker(launch.runner, seen, start, ports);
  if (probedElsewhere !== undefined) return probedElsewhere;
  const result = await ports.begin(launch);
  switch (result.kind) {
    case 'begun':
      return { runner: launch.runner, profile };
    case 'full':
      return { kind: 'wait', ...fullProfile(profile, profile.maxRunners) };
    case 'held':
      return { kind: 'wait', reason: 'scope-held', note: `${seen.scope.scope} was put on hold a moment ago` };
    case 'overtaken':
      return { kind: 'drop', note: 'the job has moved on, or another delivery of this message has begun the launch' };
  }
}

function launchToBegin(
  { runnerId, job, before, isNews, launch, scope, warmMinutes }: Seen,
  { capacity, profile }: Start,
  { token, tokenExpiresAt, releases }: Registration,
  ports: StartPorts,
): LaunchToBegin {
  const now = ports.now();
  const at = new Date(now).toISOString();
  const idleMinutes = warmMinutes ?? profile.idleMinutes;
  const claimId = ports.newClaimId();
  return {
    job,
    before,
    isNews,
    cap: profile.maxRunners,
    runner: {
      version: recordVersion,
      runnerId,
      pool: poolOf(profile, scope.scope),
      profile: profile.name,
      scope: scope.scope,
      repository: job?.job.repository.fullName,
      createdAt: at,
      idleMinutes,
      maxHours: profile.maxHours,
      jobId: job?.job.id,
      launch: job && launch,
      claimId,
      claimedAt: at,
      provider: providerOf(capacity, profile, ports),
      taskDefinition: ports.taskDefinition(profile.name),
      revoked: false,
    },
    claim: {
      expiresAt: Math.min(now + claimLifetimeMs, tokenExpiresAt - tokenMarginMs),
      body: encodeClaim({
        url: ports.registrationUrl(scope.scope),
        token,
        name: runnerId,
        labels: runnerLabels(profile),
        group: profile.runnerGroup,
        idleSeconds: idleMinutes * 60,
        maxSeconds: profile.maxHours * 3600,
        release: releases[profile.arch],
      }),
    },
  };
}

/** Where AWS had no room before, exactly one launch finds out whether there is room again. @returns the capacity to take */
async function probeRoom(
  { room }: Seen,
  { probes, capacity, instead, profile }: Start,
  ports: StartPorts,
): Promise<Step<Pick<Start, 'capacity'>>> {
  if (!probes.room) return { capacity };
  const key = { profile: profile.name, provider: providerOf(capacity, profile, ports) };
  if (await ports.changeCapacity(key, whileProbed(room[capacity], ports.now()))) return { capacity };
  if (instead !== undefined) return { capacity: instead };
  const note = 'another launch finds out whether AWS has room again';
  return { kind: 'wait', reason: room[capacity].reason ?? 'no-capacity', note };
}

/**
 * Where starts failed before, exactly one launch finds out whether they succeed again.
 *
 * @returns the outcome when another launch finds out already
 */
async function probeBreaker(
  { runnerId, profile, scope }: RunnerRecord,
  { breaker }: Seen,
  { probes }: Start,
  ports: StartPorts,
): Promise<Outcome | undefined> {
  if (!probes.breaker) return undefined;
  if (await ports.changeBreaker({ profile, scope }, withProbe(breaker, runnerId, ports.now()))) return undefined;
  return { kind: 'wait', reason: 'breaker-open', note: 'another launch finds out whether starts succeed again' };
}

function providerOf(capacity: Capacity, { name }: Profile, ports: StartPorts): string {
  const { onDemand, spot } = ports.providers(name);
  return capacity === 'spot' ? spot : onDemand;
}

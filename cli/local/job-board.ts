/**
 * What became of each job, told by what the emulators and the functions say. All times are milliseconds since the start
 * of the show, in real time: turning the fleet's clock makes no bar longer, it is counted beside it.
 */

type Phase = 'queued' | 'task' | 'registered' | 'running';

export type HeardJob = {
  readonly id: string;
  readonly name: string;
  readonly repository: string;
  readonly labels: readonly string[];
  readonly attempt: number;
  readonly status: 'waiting' | 'queued' | 'in_progress' | 'completed';
  readonly conclusion: string | null;
  readonly runnerName: string | undefined;
};

/** One line of a function's log: what was decided, about what, and why. */
export type Decision = {
  readonly room: string;
  readonly level: string;
  readonly decision: string;
  /** An item of the closed list of wait reasons. */
  readonly reason?: string;
  /** The sentence. */
  readonly note?: string;
  readonly job?: string;
  readonly runner?: string;
  readonly profile?: string;
  readonly repository?: string;
  readonly verdict?: string;
  readonly status?: number;
  readonly ending?: string;
  readonly provider?: string;
  readonly stolenFrom?: string;
  readonly state?: string;
  readonly result?: string;
};

export type News =
  | { readonly kind: 'job'; readonly job: HeardJob }
  | {
      readonly kind: 'delivery';
      readonly jobId: string | undefined;
      readonly action: string;
      readonly redelivery: boolean;
      readonly statusCode: number;
      readonly status: string;
    }
  /** What the show did to a delivery on purpose. */
  | { readonly kind: 'meddled'; readonly jobId: string; readonly fate: 'lost' | 'failed' | 'doubled' }
  | {
      readonly kind: 'task';
      readonly runnerId: string;
      readonly profile: string;
      readonly provider: string;
      readonly status: string;
      readonly stopReason?: string | undefined;
    }
  | { readonly kind: 'claimed'; readonly runnerId: string; readonly scope: string }
  | { readonly kind: 'registered'; readonly runnerId: string }
  | { readonly kind: 'decision'; readonly decision: Decision }
  | { readonly kind: 'turned'; readonly ms: number }
  /** A sentence of whoever plays. */
  | { readonly kind: 'story'; readonly text: string };

type Segment = { readonly phase: Phase; readonly from: number; readonly to: number | undefined };

export type JobView = {
  readonly number: number;
  readonly id: string;
  readonly name: string;
  readonly repository: string;
  readonly profile: string;
  readonly attempt: number;
  readonly phase: Phase | 'done';
  readonly segments: readonly Segment[];
  readonly queuedAt: number;
  readonly startedAt: number | undefined;
  readonly endedAt: number | undefined;
  readonly conclusion: string | undefined;
  readonly runner: string | undefined;
  readonly launches: number;
  readonly waits: { readonly reason: string; readonly note: string } | undefined;
  /** Its delivery did not reach the fleet, and nothing else has yet. */
  readonly unheard: boolean;
  /** What was unusual on its way, oldest first. */
  readonly notes: readonly string[];
  /** Milliseconds that the fleet's clock was turned while the job waited for its runner. */
  readonly turnedMs: number;
  readonly recovered: Recovery | undefined;
  /** Every reason the job ever waited for. */
  readonly waitedFor: readonly string[];
};

/** How a job came to its runner that the fast path had failed. */
type Recovery = 'found by the sweep' | 'delivered again' | 'launched again' | 'served by the runner of another';

export type RunnerView = {
  readonly id: string;
  readonly profile: string;
  readonly scope: string | undefined;
  readonly provider: string;
  readonly state: 'starting' | 'idle' | 'busy' | 'ended';
  readonly warm: boolean;
  readonly jobId: string | undefined;
  readonly ending: string | undefined;
  /** Why it ended, as a sentence. */
  readonly note: string | undefined;
  readonly endedAt: number | undefined;
};

export type LoggedDecision = Decision & { readonly at: number };
export type Told = { readonly at: number; readonly text: string };

export type BoardListeners = {
  readonly onJob?: (job: JobView, at: number) => void;
  readonly onStory?: (told: Told) => void;
};

type Job = {
  readonly number: number;
  readonly id: string;
  name: string;
  repository: string;
  profile: string;
  attempt: number;
  status: HeardJob['status'];
  conclusion: string | undefined;
  runner: string | undefined;
  readonly queuedAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  waits: { readonly reason: string; readonly note: string } | undefined;
  turnedMs: number;
  recovered: Recovery | undefined;
  readonly notes: string[];
  launches: number;
  /** Its delivery did not reach the fleet. */
  unheard: boolean;
  /** The runner on its way that nobody else is going to take, as far as we can tell. */
  expected: string | undefined;
  readonly waitedFor: Set<string>;
  /** What was told last, so that only changes are. */
  told: string;
};

type Runner = {
  readonly id: string;
  readonly profile: string;
  readonly provider: string;
  /** What it was started for. */
  readonly jobId: string | undefined;
  readonly taskAt: number;
  scope: string | undefined;
  registeredAt: number | undefined;
  busy: boolean;
  endedAt: number | undefined;
  ending: string | undefined;
  note: string | undefined;
  /** Why scale-down laid hands on it. */
  reapedFor: string | undefined;
};

const mostDecisions = 200;
/** Looked through by scale-down and let be. */
const nothingDone = new Set(['busy', 'gone', 'it has a job']);

export class JobBoard {
  readonly #profileOf: (labels: readonly string[]) => string;
  readonly #listeners: BoardListeners[] = [];
  readonly #jobs = new Map<string, Job>();
  readonly #runners = new Map<string, Runner>();
  readonly #active = new Set<Job>();
  readonly #verdicts = new Map<string, number>();
  readonly #endings = new Map<string, number>();
  readonly #launches = new Map<string, number>();
  readonly decisions: LoggedDecision[] = [];
  readonly told: Told[] = [];
  turnedMs = 0;
  stolen = 0;
  reaped = 0;
  /** Grows with everything that is heard. */
  version = 0;
  changedAt = 0;

  constructor(profileOf: (labels: readonly string[]) => string) {
    this.#profileOf = profileOf;
  }

  listen(listeners: BoardListeners): void {
    this.#listeners.push(listeners);
  }

  hear(news: News, at: number): void {
    this.version += 1;
    this.changedAt = at;
    switch (news.kind) {
      case 'job':
        this.#hearJob(news.job, at);
        return;
      case 'delivery':
        this.#hearDelivery(news);
        return;
      case 'meddled':
        this.#hearMeddling(news.jobId, news.fate, at);
        return;
      case 'task':
        this.#hearTask(news, at);
        return;
      case 'claimed':
        this.#withRunner(news.runnerId, at, (runner) => {
          runner.scope = news.scope;
        });
        return;
      case 'registered':
        this.#withRunner(news.runnerId, at, (runner) => {
          runner.registeredAt ??= at;
        });
        return;
      case 'decision':
        this.#hearDecision(news.decision, at);
        return;
      case 'turned':
        this.turnedMs += news.ms;
        for (const job of this.#active) if (job.startedAt === undefined) job.turnedMs += news.ms;
        return;
      case 'story':
        this.#tell({ at, text: news.text });
        return;
    }
  }

  /** Oldest first. */
  get jobs(): JobView[] {
    return [...this.#jobs.values()].map((job) => this.#view(job));
  }

  get active(): JobView[] {
    return [...this.#active].map((job) => this.#view(job));
  }

  get activeCount(): number {
    return this.#active.size;
  }

  get jobCount(): number {
    return this.#jobs.size;
  }

  job(id: string): JobView | undefined {
    const job = this.#jobs.get(id);
    return job && this.#view(job);
  }

  get runners(): RunnerView[] {
    return [...this.#runners.values()].map(viewRunner);
  }

  get verdicts(): ReadonlyMap<string, number> {
    return this.#verdicts;
  }

  get endings(): ReadonlyMap<string, number> {
    return this.#endings;
  }

  /** By capacity provider. */
  get launches(): ReadonlyMap<string, number> {
    return this.#launches;
  }

  #hearJob(heard: HeardJob, at: number): void {
    const job = this.#jobs.get(heard.id) ?? this.#add(heard.id, at);
    job.name = heard.name;
    job.repository = heard.repository;
    job.attempt = heard.attempt;
    job.profile = this.#profileOf(heard.labels);
    job.status = heard.status;
    if (heard.runnerName !== undefined) job.runner = heard.runnerName;
    if (heard.status === 'in_progress') this.#start(job, at);
    if (heard.status === 'completed') this.#end(job, heard.conclusion ?? undefined, at);
    this.#changed(job, at);
  }

  #start(job: Job, at: number): void {
    if (job.startedAt !== undefined) return;
    job.startedAt = at;
    job.waits = undefined;
    const runner = job.runner === undefined ? undefined : this.#runners.get(job.runner);
    if (runner === undefined) return;
    runner.busy = true;
    if (runner.jobId === undefined) job.notes.push('took a warm runner');
    if (runner.id !== job.expected) this.#swap(job, runner);
    if (job.launches > 1) job.recovered ??= 'launched again';
  }

  /** Jobs of one burst take each other's runners all the time. That is worth a word only when one of them had none. */
  #swap(job: Job, runner: Runner): void {
    const victim = [...this.#active].find(({ expected }) => expected === runner.id);
    const spare = job.expected;
    job.expected = runner.id;
    if (victim !== undefined) victim.expected = spare;
    if (spare !== undefined || runner.jobId === undefined) return;
    const other = victim ?? this.#jobs.get(runner.jobId);
    job.notes.push(`took the runner of ${other === undefined ? 'another job' : `#${other.number}`}`);
    if (job.unheard) job.recovered ??= 'served by the runner of another';
    victim?.notes.push(`its runner went to #${job.number}`);
  }

  #end(job: Job, conclusion: string | undefined, at: number): void {
    if (job.endedAt !== undefined) return;
    job.endedAt = at;
    job.conclusion = conclusion;
    job.waits = undefined;
    this.#active.delete(job);
  }

  #hearDelivery(news: Extract<News, { kind: 'delivery' }>): void {
    const { statusCode, redelivery } = news;
    if (statusCode < 200 || statusCode > 299) {
      // An answer of the webhook's own is counted by its verdict.
      if (statusCode === 0 || statusCode >= 500) this.#count(this.#verdicts, 'failed on the way');
      return;
    }
    if (!redelivery) return;
    this.#count(this.#verdicts, 'redelivered');
    const job = news.jobId === undefined ? undefined : this.#jobs.get(news.jobId);
    if (job === undefined || job.launches > 0) return;
    job.notes.push('GitHub was asked to deliver it again');
    job.recovered ??= 'delivered again';
  }

  #hearMeddling(jobId: string, fate: 'lost' | 'failed' | 'doubled', at: number): void {
    if (fate === 'lost') this.#count(this.#verdicts, 'lost by GitHub');
    const job = this.#jobs.get(jobId) ?? this.#add(jobId, at);
    job.unheard = fate !== 'doubled';
    job.notes.push(
      { lost: 'its delivery got lost', failed: 'its delivery failed', doubled: 'its delivery came twice' }[fate],
    );
  }

  #hearTask({ runnerId, profile, provider, status, stopReason }: Extract<News, { kind: 'task' }>, at: number): void {
    const known = this.#runners.get(runnerId);
    if (known === undefined) {
      const jobId = jobOf(runnerId);
      const runner: Runner = {
        id: runnerId,
        profile,
        provider,
        jobId,
        taskAt: at,
        scope: undefined,
        registeredAt: undefined,
        busy: false,
        endedAt: undefined,
        ending: undefined,
        note: undefined,
        reapedFor: undefined,
      };
      this.#runners.set(runnerId, runner);
      const job = jobId === undefined ? undefined : this.#jobs.get(jobId);
      if (job !== undefined) this.#expect(job, runnerId);
    }
    this.#withRunner(runnerId, at, (runner) => {
      if (status !== 'STOPPED' && status !== 'DEPROVISIONING') return;
      runner.note ??= stopReason;
      if (runner.endedAt === undefined) this.#mourn(runner);
      runner.endedAt ??= at;
    });
  }

  #expect(job: Job, runnerId: string): void {
    job.launches += 1;
    if (job.startedAt !== undefined) return;
    job.expected = runnerId;
    job.waits = undefined;
    if (job.launches > 1) job.notes.push('launched again');
  }

  /** A runner that ended without a job leaves its job waiting. */
  #mourn(runner: Runner): void {
    const job = [...this.#active].find(({ expected }) => expected === runner.id);
    if (job === undefined || job.startedAt !== undefined) return;
    job.expected = undefined;
    job.notes.push(`its runner died: ${runner.note ?? 'nobody knows why'}`);
  }

  #hearDecision(decision: Decision, at: number): void {
    this.decisions.push({ ...decision, at });
    if (this.decisions.length > mostDecisions) this.decisions.shift();
    if (decision.level === 'ERROR') {
      const { room, note } = decision;
      this.#tell({ at, text: `${room}: ${decision.decision}${note === undefined ? '' : `: ${note}`}` });
    }
    switch (decision.room) {
      case 'webhook':
        this.#hearVerdict(decision, at);
        return;
      case 'scale-up':
        this.#hearLaunch(decision, at);
        return;
      case 'track-jobs':
        if (decision.stolenFrom !== undefined) this.stolen += 1;
        return;
      case 'task-stopped':
        this.#hearEnding(decision, at);
        return;
      case 'scale-down':
        this.#hearEnding(decision, at);
        if (!decision.decision.endsWith('settle')) this.#hearReaping(decision);
        return;
      case 'replenish':
        this.#hearFound(decision, at);
        return;
    }
  }

  #hearVerdict({ verdict, status, job: id, repository, profile, note }: Decision, at: number): void {
    if (verdict !== undefined) this.#count(this.#verdicts, verdict === 'refuse' ? `refuse ${status}` : verdict);
    if (verdict !== 'launch' || id === undefined || this.#jobs.has(id)) return;
    // Posted by hand: GitHub does not know it.
    const job = this.#add(id, at);
    job.name = 'a job posted by hand';
    job.repository = repository ?? 'unknown';
    job.profile = profile ?? '';
    job.notes.push(note ?? '');
    this.#changed(job, at);
  }

  #hearLaunch({ decision, provider, job: id, reason = 'unknown', note = '' }: Decision, at: number): void {
    const job = id === undefined ? undefined : this.#jobs.get(id);
    if (decision === 'launch: launched') this.#count(this.#launches, provider ?? 'unknown');
    if (job === undefined || job.endedAt !== undefined) return;
    job.unheard = false;
    if (decision === 'launch: wait' && job.startedAt === undefined) this.#wait(job, reason, note);
    // GitHub never had it, so GitHub will never end it.
    if (decision === 'launch: drop' && /GitHub says the job is gone/.test(note)) this.#end(job, 'gone', at);
    if (decision === 'launch: give-up') job.notes.push(`given up: ${note}`);
    this.#changed(job, at);
  }

  #hearEnding({ runner: runnerId, note, ending }: Decision, at: number): void {
    const runner = this.#runners.get(runnerId ?? '');
    // task-stopped and a sweep may both tell the same end.
    if (ending === undefined || runner === undefined || runner.ending !== undefined) return;
    this.#count(this.#endings, ending);
    runner.ending = ending;
    runner.note = [runner.reapedFor, note].filter((part) => part !== undefined).join('; ');
    const job = runner.jobId === undefined ? undefined : this.#jobs.get(runner.jobId);
    if (job === undefined || job.startedAt !== undefined || job.endedAt !== undefined) return;
    if (job.expected !== undefined || ending === 'ran-a-job') return;
    this.#wait(job, 'backing-off', `its runner ended without a job: ${ending}`);
    this.#changed(job, at);
  }

  #hearReaping({ decision, result, runner: runnerId, note }: Decision): void {
    if (/miss|found-again/.test(decision) || nothingDone.has(result ?? '')) return;
    this.reaped += 1;
    const runner = this.#runners.get(runnerId ?? '');
    if (runner !== undefined) runner.reapedFor = note;
  }

  #hearFound({ decision, job: id, state }: Decision, at: number): void {
    const job = id === undefined ? undefined : this.#jobs.get(id);
    if (job === undefined || !decision.includes('never announced')) return;
    if (state === 'queued') {
      job.notes.push('found by the sweep');
      job.recovered ??= 'found by the sweep';
    }
    // GitHub tells the end of its own jobs before the sweep can find it.
    if (state === 'completed') this.#end(job, 'gone', at);
    this.#changed(job, at);
  }

  #wait(job: Job, reason: string, note: string): void {
    job.waits = { reason, note };
    job.waitedFor.add(reason);
  }

  #add(id: string, at: number): Job {
    const job: Job = {
      number: this.#jobs.size + 1,
      id,
      name: id,
      repository: '',
      profile: '',
      attempt: 1,
      status: 'queued',
      conclusion: undefined,
      runner: undefined,
      queuedAt: at,
      startedAt: undefined,
      endedAt: undefined,
      waits: undefined,
      turnedMs: 0,
      recovered: undefined,
      notes: [],
      launches: 0,
      unheard: false,
      expected: undefined,
      waitedFor: new Set(),
      told: '',
    };
    this.#jobs.set(id, job);
    this.#active.add(job);
    return job;
  }

  #withRunner(runnerId: string, at: number, act: (runner: Runner) => void): void {
    const runner = this.#runners.get(runnerId);
    if (runner === undefined) return;
    act(runner);
    const job = runner.jobId === undefined ? undefined : this.#jobs.get(runner.jobId);
    if (job !== undefined) this.#changed(job, at);
  }

  #changed(job: Job, at: number): void {
    const view = this.#view(job);
    const told = `${view.phase} ${view.phase === 'queued' ? (view.waits?.reason ?? '') : ''}`;
    if (job.told === told) return;
    job.told = told;
    for (const { onJob } of this.#listeners) onJob?.(view, at);
  }

  #tell(told: Told): void {
    this.told.push(told);
    for (const { onStory } of this.#listeners) onStory?.(told);
  }

  #count(counts: Map<string, number>, what: string): void {
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }

  #view(job: Job): JobView {
    const serving = this.#serving(job);
    return {
      number: job.number,
      id: job.id,
      name: job.name,
      repository: job.repository,
      profile: job.profile,
      attempt: job.attempt,
      phase: phaseOf(job, serving),
      segments: segmentsOf(job, serving),
      queuedAt: job.queuedAt,
      startedAt: job.startedAt,
      endedAt: job.endedAt,
      conclusion: job.conclusion,
      runner: serving?.id ?? job.runner,
      launches: job.launches,
      waits: job.waits,
      unheard: job.unheard,
      notes: [...job.notes],
      turnedMs: job.turnedMs,
      recovered: job.recovered,
      waitedFor: [...job.waitedFor],
    };
  }

  /** The runner that has the job, or the one that is on its way to it. */
  #serving(job: Job): Runner | undefined {
    if (job.runner !== undefined) return this.#runners.get(job.runner);
    return this.#runners.get(job.expected ?? '');
  }
}

function phaseOf(job: Job, serving: Runner | undefined): JobView['phase'] {
  if (job.endedAt !== undefined) return 'done';
  if (job.startedAt !== undefined) return 'running';
  if (serving === undefined) return 'queued';
  return serving.registeredAt === undefined ? 'task' : 'registered';
}

/** A runner that was there before the job leaves no time for a task or a registration. */
function segmentsOf(job: Job, serving: Runner | undefined): Segment[] {
  const end = job.startedAt ?? job.endedAt;
  const within = (at: number | undefined): number | undefined =>
    at === undefined ? end : Math.min(Math.max(at, job.queuedAt), end ?? Infinity);
  const taskAt = within(serving?.taskAt);
  const registeredAt = within(serving?.registeredAt);
  const marks: Segment[] = [{ phase: 'queued', from: job.queuedAt, to: taskAt }];
  if (taskAt !== undefined) marks.push({ phase: 'task', from: taskAt, to: registeredAt });
  if (registeredAt !== undefined) marks.push({ phase: 'registered', from: registeredAt, to: end });
  if (job.startedAt !== undefined) marks.push({ phase: 'running', from: job.startedAt, to: job.endedAt });
  return marks.filter(({ from, to }) => to === undefined || to > from);
}

function viewRunner(runner: Runner): RunnerView {
  const { id, profile, scope, provider, jobId, ending, note, endedAt } = runner;
  const waiting = runner.registeredAt === undefined ? 'starting' : 'idle';
  return {
    id,
    profile,
    scope,
    provider,
    state: endedAt !== undefined ? 'ended' : runner.busy ? 'busy' : waiting,
    warm: jobId === undefined,
    jobId,
    ending,
    note,
    endedAt,
  };
}

/** `<prefix>-<job>-<launch>`; a warm runner's name holds no job. */
function jobOf(runnerId: string): string | undefined {
  return /-(\d+)-\d+$/.exec(runnerId)?.[1];
}

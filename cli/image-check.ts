import { statSync } from 'node:fs';
import {
  archOf,
  decideFitness,
  defaultPath,
  looksLikeRoot,
  startScriptPath,
  type Candidate,
  type Finding,
} from './image-check/decide-fitness.ts';
import { runCommand } from './command/run-command.ts';
import { findImage } from './image-check/engine.ts';
import { judgeProbe, judgeStart, probe, type Ended } from './image-check/judge-trial.ts';
import { parseOptions, usage, type Options } from './image-check/options.ts';
import { readDirectory } from './image-check/read-directory.ts';
import { runInDirectory } from './image-check/run-in-directory.ts';
import { readStartScript } from './image-check/start-script.ts';
import { findFile } from './image-check/tree.ts';

/** What is looked at, and how a program of it is run. */
type Subject = {
  readonly isDirectory: boolean;
  readonly candidate: Candidate;
  readonly run: (command: readonly string[], seconds: number) => Promise<Ended>;
};

/** .NET takes its time on a busy machine. */
const probeSeconds = 60;
const startSeconds = 30;

process.exitCode = await runCommand(
  { name: 'npm run image:check', usage, parse: parseOptions, run: check },
  process.argv.slice(2),
);

async function check(options: Options): Promise<number> {
  const stopping = listenForStop();
  let subject: Subject | string;
  let findings: Finding[];
  let notTried: string | undefined;
  try {
    subject = await lookAt(options, stopping);
    if (typeof subject === 'string') return refuse(subject);
    findings = decideFitness(subject.candidate, readStartScript());
    notTried = whyNotAllowed(options, subject) ?? whyNotTried(subject.candidate);
    if (notTried === undefined) {
      const trial = await tryOut(subject, findings);
      findings = [...findings, ...trial.findings];
      ({ notTried } = trial);
    }
  } catch (error) {
    if (stopping.aborted) return refuse('stopped');
    return refuse(`${options.subject} cannot be looked at: ${error instanceof Error ? error.message : String(error)}`);
  }

  const misses = findings.filter(({ weight }) => weight === 'miss');
  const looks = findings.filter(({ weight }) => weight === 'look');
  for (const { sentence } of misses) say(`wrong  ${sentence}`);
  for (const { sentence } of looks) say(`look   ${sentence}`);
  if (notTried !== undefined) say(`not tried, no program of it was run: ${notTried}`);
  const worth = looks.length === 0 ? '' : `, ${looks.length} worth a look`;
  say(misses.length === 0 ? `fit for jobs${worth}` : `${misses.length} must be put right${worth}`);
  return misses.length === 0 ? 0 : 1;
}

/** @returns what is looked at, or why nothing can be */
async function lookAt(options: Options, signal: AbortSignal): Promise<Subject | string> {
  const { subject, engines } = options;
  if (statSync(subject, { throwIfNoEntry: false })?.isDirectory() === true) {
    const tree = readDirectory(subject);
    if (!looksLikeRoot(tree)) {
      return `${subject} must be the root of a file system, it has no bin, usr/bin or etc`;
    }
    const { environment } = options;
    return {
      isDirectory: true,
      candidate: { tree, environment },
      run: async (command, seconds) =>
        runInDirectory(subject, { command, environment: { PATH: defaultPath, ...environment }, seconds }, signal),
    };
  }
  const search = await findImage(subject, engines, signal);
  if (search.kind === 'none') {
    return `${subject} must be a directory, or an image on this machine: ${search.reasons.join('; ')}`;
  }
  const { engine, image } = search;
  return {
    isDirectory: false,
    candidate: {
      ...image,
      tree: await engine.read(image),
      environment: { ...image.environment, ...options.environment },
    },
    run: async (command, seconds) => engine.run(image, { command, environment: options.environment, seconds }),
  };
}

function whyNotAllowed(options: Options, { isDirectory }: Subject): string | undefined {
  if (options.tryOut === 'nothing') return 'by --no-try';
  if (!isDirectory || options.tryOut === 'directories too') return undefined;
  return 'it is a directory, and they would run as root of this machine; --try runs them';
}

function whyNotTried({ tree, system }: Candidate): string | undefined {
  if (findFile(tree, '/bin/bash') === undefined) return 'it has no bash';
  const arch = archOf(tree);
  const here = process.arch;
  if (arch !== undefined && arch !== here) return `it is for ${arch}, this machine is ${here}`;
  return system === undefined || system === 'linux' ? undefined : `it is for ${system}`;
}

async function tryOut(
  { candidate, run }: Subject,
  known: readonly Finding[],
): Promise<{ findings: Finding[]; notTried: string | undefined }> {
  const probed = await run(['/bin/bash', '-c', probe], probeSeconds);
  if (probed.kind === 'not-tried') return { findings: [], notTried: probed.why };
  const findings = judgeProbe(probed);
  if (findFile(candidate.tree, startScriptPath) === undefined) return { findings, notTried: undefined };
  const started = await run([startScriptPath], startSeconds);
  const notTried = started.kind === 'not-tried' ? started.why : undefined;
  return { findings: [...findings, ...judgeStart(started, known)], notTried };
}

function listenForStop(): AbortSignal {
  const controller = new AbortController();
  // What was begun is taken away first. A second signal changes nothing: that takes a moment only.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => controller.abort());
  return controller.signal;
}

function refuse(sentence: string): number {
  process.stderr.write(`${sentence}\n`);
  return 2;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

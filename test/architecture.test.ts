import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path/posix';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../', import.meta.url));
const folders = ['functions', 'infra'];
/** What is not a room under `functions/`. */
const shared = ['contracts', 'fleet', 'aws', 'github'];

/** Flows that several rooms share. Everything else in `fleet/` is a decision. */
const flowsOfFleet = ['change-records.ts', 'end-runner.ts', 'record-sighting.ts', 'top-up-profile.ts'];

type Part = { readonly kind: 'handler' | 'flow' | 'decision'; readonly room: string } | { readonly kind: string };

/** Which part of the fleet a file belongs to, by its path. */
function partOf(path: string): Part {
  const [top = '', folder = '', file = ''] = path.split('/');
  if (top !== 'functions') return { kind: top };
  if (path === 'functions/fleet/ledger.ts') return { kind: 'port' };
  if (folder === 'fleet') return { kind: flowsOfFleet.includes(file) ? 'fleet flow' : 'fleet' };
  if (shared.includes(folder)) return { kind: folder };
  if (file === 'handler.ts') return { kind: 'handler', room: folder };
  return { kind: file.startsWith('decide-') || file.startsWith('verify-') ? 'decision' : 'flow', room: folder };
}

/** Who may import whom: DESIGN.md section 3. A room's own parts are told apart below. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  handler: ['flow', 'fleet flow', 'aws', 'github', 'contracts'],
  flow: ['flow', 'decision', 'fleet flow', 'fleet', 'port', 'contracts'],
  decision: ['decision', 'fleet', 'contracts'],
  'fleet flow': ['fleet flow', 'fleet', 'port', 'contracts'],
  fleet: ['fleet', 'contracts'],
  port: ['contracts'],
  // The ledger's interface is declared by those who use it.
  aws: ['aws', 'port', 'contracts'],
  github: ['github', 'contracts'],
  contracts: ['contracts'],
  infra: ['infra', 'contracts'],
};
/** Whose business it is to know a vendor's package; all others know only Node's own modules. */
const knowsPackages = new Set(['handler', 'aws', 'github', 'infra']);
const ownPackages: Readonly<Record<string, readonly string[]>> = { contracts: ['valibot', '@octokit/webhooks'] };

/** Every arrow that points where it must not, as `from -> to`. */
function wrongArrows(files: ReadonlyMap<string, string>): string[] {
  return [...files].flatMap(([path, text]) =>
    importsOf(text)
      .filter((specifier) => !isAllowed(path, specifier))
      .map((specifier) => `${path} -> ${specifier.startsWith('.') ? join(dirname(path), specifier) : specifier}`),
  );
}

/** Every pair of files that import each other, by however many steps, as `a -> b -> a`. */
function circles(files: ReadonlyMap<string, string>): string[] {
  const arrows = new Map(
    [...files].map(([path, text]) => [
      path,
      importsOf(text)
        .filter((specifier) => specifier.startsWith('.'))
        .map((specifier) => join(dirname(path), specifier)),
    ]),
  );
  const found: string[] = [];
  const done = new Set<string>();
  const follow = (path: string, way: readonly string[]): void => {
    const start = way.indexOf(path);
    if (start !== -1) found.push([...way.slice(start), path].join(' -> '));
    if (start !== -1 || done.has(path)) return;
    for (const to of arrows.get(path) ?? []) follow(to, [...way, path]);
    done.add(path);
  };
  for (const path of arrows.keys()) follow(path, []);
  return found;
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map(([, specifier = '']) => specifier);
}

function isAllowed(path: string, specifier: string): boolean {
  const from = partOf(path);
  if (!specifier.startsWith('.')) {
    if (specifier.startsWith('node:') || knowsPackages.has(from.kind)) return true;
    return ownPackages[from.kind]?.includes(specifier) ?? false;
  }
  const to = partOf(join(dirname(path), specifier));
  if ('room' in from && 'room' in to && from.room !== to.room) return false;
  return allowed[from.kind]?.includes(to.kind) ?? false;
}

const sources = new Map(
  folders
    .flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`),
    )
    .filter((path) => path.endsWith('.ts'))
    .map((path) => [path, readFileSync(join(root, path), 'utf8')]),
);

describe('the arrows between files', () => {
  test('all point one way: handler, flow, decision, contracts; adapters beside them', () => {
    expect(wrongArrows(sources)).toEqual([]);
  });

  test('never lead back to where they began', () => {
    expect(circles(sources)).toEqual([]);
  });

  test('that lead back are found, however long the way', () => {
    const files = [
      ['functions/a.ts', "import type { B } from './b.ts';"],
      ['functions/b.ts', "import { c } from './c.ts';"],
      ['functions/c.ts', "import { a } from './a.ts';"],
    ] as const;
    expect(circles(new Map(files.slice(0, 2)))).toEqual([]);
    expect(circles(new Map(files))).toEqual(['functions/a.ts -> functions/b.ts -> functions/c.ts -> functions/a.ts']);
  });

  test('are read from the whole fleet', () => {
    const arrows = [...sources.values()].flatMap((text) => importsOf(text));
    expect(sources.size).toBeGreaterThan(60);
    expect(arrows.length).toBeGreaterThan(250);
    const rooms = new Set(
      [...sources.keys()].map((path) => partOf(path)).flatMap((part) => ('room' in part ? [part.room] : [])),
    );
    expect([...rooms].toSorted()).toEqual([
      'build-image',
      'end-fleet',
      'redeliver',
      'replenish',
      'scale-down',
      'scale-up',
      'task-stopped',
      'track-jobs',
      'webhook',
    ]);
  });

  test.each([
    ['a room of another room', 'functions/scale-up/handler.ts', '../webhook/receive-delivery.ts'],
    ["a room of another room's decision", 'functions/replenish/top-up-pools.ts', '../scale-up/decide-launch.ts'],
    ['a flow of an adapter', 'functions/scale-up/launch-runner.ts', '../aws/queues.ts'],
    ['a flow of its handler', 'functions/scale-up/launch-runner.ts', './handler.ts'],
    ['a flow of a vendor', 'functions/scale-up/launch-runner.ts', '@aws-sdk/client-sqs'],
    ['a decision of its flow', 'functions/scale-up/decide-launch.ts', './launch-runner.ts'],
    ['a decision of an adapter', 'functions/scale-up/decide-launch.ts', '../github/jobs.ts'],
    ['a handler of a decision', 'functions/scale-up/handler.ts', './decide-launch.ts'],
    ['a decision of a flow that rooms share', 'functions/fleet/decide-top-up.ts', './top-up-profile.ts'],
    ['a rule with a state of a flow', 'functions/fleet/waits/breaker.ts', '../change-records.ts'],
    ["a room's decision of a flow that rooms share", 'functions/scale-up/decide-launch.ts', '../fleet/end-runner.ts'],
    ["a decision of the ledger's interface", 'functions/fleet/decide-start.ts', './ledger.ts'],
    ['an adapter of a rule', 'functions/aws/ledger/waits.ts', '../../fleet/waits/breaker.ts'],
    ['the fleet of a room', 'functions/fleet/supply.ts', '../scale-up/decide-launch.ts'],
    ['the fleet of an adapter', 'functions/fleet/supply.ts', '../aws/claims.ts'],
    ['a contract of anything but contracts', 'functions/contracts/between-rooms/job.ts', '../../fleet/supply.ts'],
    ['a contract of a vendor', 'functions/contracts/between-rooms/job.ts', '@octokit/rest'],
    ['an adapter of the other', 'functions/aws/claims.ts', '../github/runners.ts'],
    ['an adapter of a room', 'functions/github/jobs.ts', '../replenish/find-unannounced.ts'],
    ['infra of an adapter', 'infra/rooms/webhook.ts', '../../functions/aws/queues.ts'],
    ['infra of the emulators', 'infra/app.ts', '../test/emulators/local-fleet.ts'],
    ['a function of infra', 'functions/contracts/between-rooms/job.ts', '../../../infra/config.ts'],
  ])('must not point from %s', (_, from, to) => {
    const broken = new Map([[from, `import type { Thing } from '${to}';\n`]]);
    expect(wrongArrows(broken)).toHaveLength(1);
  });

  test.each([
    ["import { a } from './handler.ts';"],
    ["import type {\n  A,\n  B,\n} from './handler.ts';"],
    ["import './handler.ts';"],
    ["export { a } from './handler.ts';"],
    ["export * from './handler.ts';"],
    ["const { a } = await import('./handler.ts');"],
  ])('are seen however they are written: %j', (line) => {
    expect(wrongArrows(new Map([['functions/webhook/decide-delivery.ts', line]]))).toEqual([
      'functions/webhook/decide-delivery.ts -> functions/webhook/handler.ts',
    ]);
  });
});

import { describe, expect, test } from '@jest/globals';
import { defineFleet, WrongConfig, type Fleet, type FleetConfig } from '../../infra/define-fleet.ts';
import { codeSpans, tableRows, type Row } from './markdown-tables.ts';

const page = 'configuration.md';
type Values = Readonly<Record<string, unknown>>;

/** A heading of the page, and how an option under it gets into a config and out of a fleet. */
type Place = {
  readonly heading: string;
  /** Of a table with a column of that name: which of its rows are meant. */
  readonly kind?: string;
  /** Only what differs stands there. */
  readonly isPart?: true;
  readonly required: Values;
  readonly config: (options: Values) => unknown;
  readonly chosen: (fleet: Fleet) => Values;
};

const profile = { labels: ['fargate-small'] };
const root = { name: 'ci', github: { owners: ['acme'] }, profiles: { small: profile } };

const places: readonly Place[] = [
  {
    heading: 'Fleet',
    required: root,
    config: (options) => options,
    chosen: (fleet) => ({ ...fleet, ...fleet.choices, name: fleet.choices.fleet }),
  },
  networkOf('public', {}),
  networkOf('private', { kind: 'private', endpoints: true }),
  networkOf('existing', { kind: 'existing', vpcId: 'vpc-11111111', subnetIds: ['subnet-11111111'] }),
  {
    heading: 'Profile',
    required: profile,
    config: (options) => ({ ...root, profiles: { small: options } }),
    chosen: ({ choices, tasks }) => ({ ...choices.profiles[0], ...tasks['small'] }),
  },
  {
    heading: 'Docker',
    required: {},
    config: (docker) => ({ ...root, profiles: { small: { ...profile, docker: true } }, docker }),
    chosen: (fleet) => ({ ...fleet.docker }),
  },
  {
    heading: 'Docker profile',
    isPart: true,
    required: { ...profile, docker: true },
    config: (options) => ({ ...root, profiles: { small: options } }),
    chosen: ({ choices }) => ({ ...choices.profiles[0] }),
  },
  {
    heading: 'Warm window',
    required: { scope: 'acme', count: 1 },
    config: (options) => ({ ...root, profiles: { small: { ...profile, warm: [options] } } }),
    chosen: ({ choices }) => {
      const window = choices.profiles[0]?.warm[0];
      return { ...window, days: window?.days.length === 7 ? 'MON-SUN' : window?.days };
    },
  },
];

/** On a host of one's own, where no network is refused. */
function networkOf(kind: string, required: Values): Place {
  const github = { ...root.github, url: 'https://ghes.acme.com' };
  return {
    heading: 'Network',
    kind,
    required,
    config: (network) => ({ ...root, github, network }),
    chosen: ({ network }) => network,
  };
}

/** What an option's value is made of where a number of items, or of characters, is what is bounded. */
const items: Readonly<Record<string, (count: number) => unknown>> = {
  'github.owners': (count) => numbered(count, (at) => (at === 0 ? 'acme' : `owner${at}`)),
  profiles: (count) => Object.fromEntries(numbered(count, (at) => [`p${at}`, profile])),
  labels: (count) => numbered(count, (at) => `label-${at}`),
  'repositories.allow': (count) => numbered(count, (at) => `acme/app${at}`),
  'repositories.deny': (count) => numbered(count, (at) => `acme/app${at}`),
  warm: (count) => numbered(count, () => ({ scope: 'acme', count: 1 })),
  subnetIds: (count) => numbered(count, (at) => `subnet-${at.toString(16).padStart(8, '0')}`),
  securityGroupIds: (count) => numbered(count, (at) => `sg-${at.toString(16).padStart(8, '0')}`),
  keepOnDestroy: (count) => ['ledger', 'logs', 'images', 'claims'].slice(0, count),
};

const cases = places.flatMap((place) =>
  tableRows(page, place.heading).flatMap((row) => {
    const [option] = codeSpans(row['option'] ?? '');
    const meant = place.kind === undefined || codeSpans(row['kind'] ?? '').includes(place.kind);
    // The table of memory sizes stands under the same heading.
    if (option === undefined || !meant) return [];
    return [{ name: `${titleOf(place)}: ${option}`, option, place, row }];
  }),
);

/** A kind that must be named to be there at all has neither default nor bound. */
const tried = cases.filter(({ option, place }) => option !== 'kind' || place.kind === 'public');

describe('docs/configuration.md', () => {
  test.each(places.filter(({ isPart }) => !isPart).map((place) => ({ place, title: titleOf(place) })))(
    'names every option of $title, and no other',
    ({ place }) => {
      const documented = cases.filter((one) => one.place === place).map(({ option }) => option);
      const known = knownOptions(place.config, place.required, '');
      expect(documented.toSorted()).toEqual(known.toSorted());
    },
  );

  const isRequired = ({ row }: (typeof cases)[number]): boolean => row['default'] === 'required';

  test.each(tried.filter(isRequired))('says that $name is required', ({ option, place }) => {
    expect(attempt(place.config(without(place.required, option))).complaint).toContain(option);
  });

  test.each(tried.filter((one) => !isRequired(one)))('says the default of $name', ({ option, place, row }) => {
    const { fleet, complaint } = attempt(place.config(without(place.required, option)));
    expect(complaint).toBe('');
    const said = row['default'] ?? '';
    const value = fleet && valueAt(place.chosen(fleet), option);
    const isNone = ['undefined', '[]', '{}'].includes(JSON.stringify(value) ?? 'undefined');
    expect(isNone ? 'none' : value).toEqual(said === 'none' ? said : JSON.parse(codeSpans(said)[0] ?? 'nothing'));
  });

  test.each(tried.filter(({ row }) => row['bound'] !== 'one of the sizes below'))(
    'says the bound of $name',
    ({ option, place, row }) => {
      const complaintAbout = (value: unknown): string =>
        attempt(place.config(set(place.required, option, value))).complaint;
      const { legal, illegal, told } = probesOf(option, row);
      expect(legal.length * illegal.length).toBeGreaterThan(0);
      expect(legal.map((value) => [value, complaintAbout(value)])).toEqual(legal.map((value) => [value, '']));
      expect(illegal.filter((value) => !complaintAbout(value).includes(option))).toEqual([]);
      expect(complaintAbout('?')).toContain(told);
    },
  );

  const sizes = tableRows(page, 'Profile').filter((row) => row['option'] === undefined);

  test.each(sizes.map((row) => ({ cpu: Number(codeSpans(row['cpu'] ?? '')[0]), row })))(
    'says which memory goes with $cpu vCPU, and the default',
    ({ cpu, row }) => {
      const legal = sizesOf(row['memoryGiB'] ?? '');
      const takes = (memoryGiB?: number): Fleet | undefined =>
        attempt({ ...root, profiles: { small: { ...profile, cpu, ...(memoryGiB !== undefined && { memoryGiB }) } } })
          .fleet;
      const halves = Array.from({ length: 300 }, (_, half) => half / 2);
      expect(halves.filter((size) => takes(size) !== undefined)).toEqual(legal);
      expect(takes()?.choices.profiles[0]?.memoryGiB).toBe(Number(codeSpans(row['default'] ?? '')[0]));
    },
  );

  test('has a row for every vCPU size', () => {
    const { row } = cases.find(({ name }) => name === 'Profile: cpu') ?? {};
    expect(sizes.map((size) => codeSpans(size['cpu'] ?? '')[0])).toEqual(codeSpans(row?.['bound'] ?? ''));
  });
});

function titleOf({ heading, kind }: Place): string {
  return kind === undefined ? heading : `${heading} (${kind})`;
}

type Probes = {
  readonly legal: unknown[];
  readonly illegal: unknown[];
  /** What the complaint about nonsense says of the bound. */
  readonly told: string;
};

/** Values on both sides of a bound, read from its words. */
function probesOf(option: string, row: Row): Probes {
  const bound = row['bound'] ?? '';
  if (bound.startsWith('one of `')) {
    const legal = codeSpans(bound).map((code) => JSON.parse(code) as unknown);
    const texts = legal.filter((value) => typeof value === 'string');
    // A list of numbers must be all of them.
    const others = numbered(500, (number) => number).filter((number) => !legal.includes(number));
    return { legal, illegal: [17.5, ...others], told: texts.length > 0 ? `${texts.join(', ')}, got` : '' };
  }
  const [example = ''] = codeSpans(bound);
  if (bound.startsWith('such as `')) return { legal: [JSON.parse(example)], illegal: [17.5], told: option };

  const range = /^(above )?(\d+) to (\d+)(?:, (whole)| (items|characters))?$/.exec(bound);
  if (range === null) throw new Error(`a bound must be written so that it can be checked, got "${bound}"`);
  const [, above, low = '', high = '', whole, unit] = range;
  const [from, to] = [Number(low), Number(high)];
  if (unit !== undefined) {
    const make = unit === 'items' ? items[option] : (count: number) => 'a'.repeat(count);
    if (make === undefined) throw new Error(`the test must know how to make items of ${option}`);
    const tooFew = from > 0 ? [make(from - 1)] : [];
    return { legal: [make(from), make(to)], illegal: [...tooFew, make(to + 1)], told: '' };
  }
  const least = above === undefined ? from : from + 0.001;
  const legal = [least, to, ...(whole ? [] : [(least + to) / 2 + 0.25])];
  const illegal = [above === undefined ? from - 1 : from, to + 1, ...(whole ? [from + 0.5] : [])];
  return { legal, illegal, told: option };
}

/** `16 to 60, in steps of 4`, or the sizes themselves. */
function sizesOf(cell: string): number[] {
  const steps = /^(\d+) to (\d+), in steps of (\d+)$/.exec(cell);
  if (steps === null) return cell.split(', ').map(Number);
  const [from = 0, to = 0, step = 1] = steps.slice(1).map(Number);
  return numbered((to - from) / step + 1, (index) => from + index * step);
}

/** An unknown option is answered with those there are. */
function knownOptions(config: Place['config'], required: Values, path: string): string[] {
  const { complaint } = attempt(config(set(required, `${path}zzzzzzzzzzzzzzzz`, 1)));
  const list = /zzzzzzzzzzzzzzzz is no option; there are (.*)/.exec(complaint)?.[1] ?? '';
  return list
    .split(/, | and /)
    .filter((name) => !attempt(config(set(required, path + name, 17.5))).complaint.includes('is no option'))
    .flatMap((name) =>
      ['github', 'repositories', 'runnerImage'].includes(name)
        ? knownOptions(config, required, `${name}.`)
        : [path + name],
    );
}

function attempt(config: unknown): { readonly fleet?: Fleet; readonly complaint: string } {
  try {
    return { fleet: defineFleet(config as FleetConfig), complaint: '' };
  } catch (error) {
    if (error instanceof WrongConfig) return { complaint: error.message };
    throw error;
  }
}

function valueAt(values: Values, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Values | undefined)?.[key], values);
}

function set(values: Values, path: string, value: unknown): Values {
  const [key = '', ...rest] = path.split('.');
  if (rest.length === 0) return { ...values, [key]: value };
  return { ...values, [key]: set((values[key] ?? {}) as Values, rest.join('.'), value) };
}

function without(values: Values, path: string): Values {
  return JSON.parse(JSON.stringify(set(values, path, undefined))) as Values;
}

function numbered<T>(count: number, make: (at: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

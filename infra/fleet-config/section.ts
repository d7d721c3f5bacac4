import { nearestNumber, nearestWord } from './nearest.ts';

/**
 * One object of the config, read option by option. What is wrong becomes a complaint and the default stands in for it,
 * so that one pass finds everything.
 */
export type Section = {
  /** Where complaints go. One list for the whole config, but nobody's for what is no object and was told to be none. */
  readonly complaints: string[];
  /** `undefined` when the option is absent. */
  raw(key: string): unknown;
  /** Where a complaint about the option points: `profiles.small.cpu`. */
  at(key: string): string;
  complain(key: string, must: string, nearest?: unknown): void;
  number(key: string, rule: NumberRule): number;
  oneOf<T extends string | number>(key: string, legal: readonly T[], fallback: T, rule?: ChoiceRule<T>): T;
  flag(key: string, fallback: boolean): boolean;
  /** Text that `pattern` takes; without a fallback the option is required. */
  text(key: string, rule: TextRule): string;
  list(key: string, rule: { readonly must: string; readonly most: number }): readonly unknown[];
  section(key: string, options: readonly string[]): Section;
};

type NumberRule = {
  readonly from: number;
  readonly to: number;
  readonly whole: boolean;
  readonly fallback?: number;
  readonly why?: string;
};
type ChoiceRule<T> = { readonly why?: string; readonly alsoKnownAs?: Readonly<Record<string, T>> };
type TextRule = {
  readonly must: string;
  readonly pattern: RegExp;
  readonly fallback?: string;
  readonly nearest?: (value: string) => string | undefined;
};

export function readSection(value: unknown, path: string, options: readonly string[], told: string[]): Section {
  const at = (key: string): string => (path === '' ? key : `${path}.${key}`);
  const object: Record<string, unknown> = isPlainObject(value) ? value : {};
  const complaints = isPlainObject(value) ? told : [];
  if (!isPlainObject(value)) {
    told.push(
      describeComplaint(path === '' ? 'the config' : path, `must be an object with ${andList(options)}`, value),
    );
  }
  for (const key of Object.keys(object)) {
    if (options.includes(key)) continue;
    const nearest = nearestWord(key, options);
    complaints.push(
      `${at(key)} is no option; ${nearest === undefined ? `there are ${andList(options)}` : `the nearest is ${nearest}`}`,
    );
  }

  const section: Section = {
    complaints,
    at,
    raw: (key) => (Object.hasOwn(object, key) ? object[key] : undefined),
    complain: (key, must, nearest) => complaints.push(describeComplaint(at(key), must, section.raw(key), nearest)),

    number(key, { from, to, whole, fallback, why = '' }) {
      const came = section.raw(key);
      if (came === undefined && fallback !== undefined) return fallback;
      if (typeof came === 'number' && came >= from && came <= to && (!whole || Number.isInteger(came))) return came;
      const meant = numberIn(came);
      const nearest = meant === undefined ? undefined : clamp(whole ? Math.round(meant) : meant, from, to);
      section.complain(key, `must be a ${whole ? 'whole ' : ''}number from ${from} to ${to}${why}`, nearest);
      return fallback ?? from;
    },

    oneOf(key, legal, fallback, { why = '', alsoKnownAs = {} } = {}) {
      const came = section.raw(key) ?? fallback;
      const match = legal.find((item) => item === came);
      if (match !== undefined) return match;
      section.complain(key, `must be one of ${series(legal)}${why}`, nearestOf(came, legal, alsoKnownAs));
      return fallback;
    },

    flag(key, fallback) {
      const came = section.raw(key) ?? fallback;
      if (typeof came === 'boolean') return came;
      section.complain(key, 'must be true or false', came === 'true' ? true : came === 'false' ? false : undefined);
      return fallback;
    },

    text(key, { must, pattern, fallback, nearest }) {
      const came = section.raw(key) ?? fallback;
      if (typeof came === 'string' && pattern.test(came)) return came;
      const guess = typeof came === 'string' ? nearest?.(came) : undefined;
      section.complain(key, `must be ${must}`, guess !== undefined && pattern.test(guess) ? guess : undefined);
      return fallback ?? '';
    },

    list(key, { must, most }) {
      const came: unknown = section.raw(key) ?? [];
      const items: readonly unknown[] | undefined = Array.isArray(came) ? came : undefined;
      if (items === undefined) {
        section.complain(key, `must be a list of ${must}`, typeof came === 'string' ? [came] : undefined);
      } else if (items.length > most) {
        complaints.push(`${at(key)} must be at most ${most} ${must}, got ${items.length}`);
      }
      return items ?? [];
    },

    section: (key, inner) => readSection(section.raw(key) ?? {}, at(key), inner, complaints),
  };
  return section;
}

/** What must be, what came, and the nearest legal value where there is one. */
export function describeComplaint(where: string, must: string, came: unknown, nearest?: unknown): string {
  const got = came === undefined ? 'nothing' : show(came);
  return `${where} ${must}, got ${got}${nearest === undefined ? '' : `; the nearest is ${show(nearest)}`}`;
}

/** As JSON has it, but short, and without failing on what JSON cannot hold. */
export function show(value: unknown): string {
  if (typeof value === 'number') return value.toString();
  const text = (typeof value === 'function' ? 'a function' : JSON.stringify(value)) ?? typeof value;
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function nearestOf<T extends string | number>(
  came: unknown,
  legal: readonly T[],
  alsoKnownAs: Readonly<Record<string, T>>,
): T | undefined {
  const known = Object.entries(alsoKnownAs).find(([name]) => name === String(came).toLowerCase())?.[1];
  const near = legal.every(isNumber)
    ? nearestNumber(numberIn(came) ?? NaN, legal.map(Number))
    : nearestWord(String(came), legal.map(String));
  return known ?? legal.find((item) => item === near);
}

/** `"50"` in quotes is an honest mistake. */
function numberIn(came: unknown): number | undefined {
  const value = typeof came === 'string' && came.trim() !== '' ? Number(came) : came;
  return typeof value === 'number' && !Number.isNaN(value) ? value : undefined;
}

/** `4, 5, ... 16` for a long even series, every item of any other. */
function series(items: readonly (string | number)[]): string {
  const [first, second, ...rest] = items;
  const last = rest.at(-1);
  if (!isNumber(first) || !isNumber(second) || !isNumber(last) || items.length < 5) return items.join(', ');
  const even = items.every((item, index) => isNumber(item) && item === first + index * (second - first));
  return even ? `${first}, ${second}, ... ${last}` : items.join(', ');
}

/** `a, b and c`. */
export function andList(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number';
}

function clamp(value: number, from: number, to: number): number {
  return Math.min(Math.max(value, from), to);
}

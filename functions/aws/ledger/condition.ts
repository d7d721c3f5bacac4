/** What an attribute must be for a change to happen. */
export type Test =
  | { readonly kind: 'absent' | 'present' }
  | { readonly kind: 'is' | 'below' | 'above'; readonly value: unknown }
  | { readonly kind: 'absent-or'; readonly test: Test };

/** By attribute; all must hold. */
export type Condition<R> = { readonly [K in keyof R]?: Test | readonly Test[] };

export const absent: Test = { kind: 'absent' };
export const present: Test = { kind: 'present' };

export function is(value: unknown): Test {
  return { kind: 'is', value };
}

export function below(value: unknown): Test {
  return { kind: 'below', value };
}

export function above(value: unknown): Test {
  return { kind: 'above', value };
}

export function absentOr(test: Test): Test {
  return { kind: 'absent-or', test };
}

/** A count is absent until it is first written, and is read as 0 until then. */
export function isCount(count: number): Test {
  return count === 0 ? absentOr(is(0)) : is(count);
}

/** The attribute is what was read: the same value, or absent as before. */
export function asRead(value: unknown): Test {
  return value === undefined ? absent : is(value);
}

export type Clause = { readonly text: string; readonly values: Readonly<Record<string, unknown>> };

/** The condition as DynamoDB writes it; each name stands behind a `#`, each value behind a `:`. */
export function conditionExpression(condition: Readonly<Record<string, Test | readonly Test[] | undefined>>): Clause {
  const values: Record<string, unknown> = {};
  const bind = (name: string, value: unknown): string => {
    const alias = `:when${Object.keys(values).length}_${name}`;
    values[alias] = value;
    return alias;
  };
  const clauseOf = (name: string, test: Test): string => {
    switch (test.kind) {
      case 'absent':
        return `attribute_not_exists(#${name})`;
      case 'present':
        return `attribute_exists(#${name})`;
      case 'is':
        return `#${name} = ${bind(name, test.value)}`;
      case 'below':
        return `#${name} < ${bind(name, test.value)}`;
      case 'above':
        return `#${name} > ${bind(name, test.value)}`;
      case 'absent-or':
        return `(attribute_not_exists(#${name}) OR ${clauseOf(name, test.test)})`;
    }
  };
  const text = Object.entries(condition)
    .flatMap(([name, tests]) => [tests ?? []].flat().map((test) => clauseOf(name, test)))
    .join(' AND ');
  return { text, values };
}

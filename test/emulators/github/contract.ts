import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';

/** Something said on the wire that GitHub's own API description does not allow. */
export type ContractViolation = {
  readonly by: 'client' | 'emulator';
  readonly where: string;
  readonly problem: string;
};

export type Operation = {
  readonly id: string;
  readonly method: string;
  readonly path: string;
};

export type MatchedOperation = {
  readonly operation: Operation;
  readonly parameters: Readonly<Record<string, string>>;
};

export type ApiRequest = {
  readonly operation: Operation;
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: unknown;
};

/** Sent by GitHub anywhere, whether an operation declares them or not. */
const alwaysPossible = new Set([401, 403, 404, 429]);

type Schema = { readonly [key: string]: unknown };
type Parameter = {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
};
type DescribedOperation = {
  readonly operationId: string;
  readonly parameters?: ReadonlyArray<Parameter | { readonly $ref: string }>;
  readonly requestBody?: { readonly required?: boolean; readonly content: Record<string, unknown> };
  readonly responses: Readonly<Record<string, unknown>>;
};
type Description = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, DescribedOperation>>>>;
  readonly 'x-webhooks': Readonly<Record<string, unknown>>;
};

type PathNode = {
  readonly literals: Map<string, PathNode>;
  parameter?: { readonly name: string; readonly node: PathNode };
  readonly operations: Map<string, Operation>;
};

const root = 'github';

/** OpenAPI 3.0 writes "may be null" as a sibling keyword, which JSON Schema does not know beside `$ref` or `enum`. */
function spellOutNullable(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(spellOutNullable);
  if (typeof node !== 'object' || node === null) return node;
  const { nullable, ...schema } = Object.fromEntries(
    Object.entries(node).map(([key, value]) => [key, spellOutNullable(value)]),
  );
  return nullable === true ? { anyOf: [{ type: 'null' }, schema] } : schema;
}

const pointer = (...segments: readonly string[]) =>
  `${root}#/${segments.map((segment) => encodeURIComponent(segment.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/')}`;

const newNode = (): PathNode => ({ literals: new Map(), operations: new Map() });

function explain(errors: readonly ErrorObject[] | null | undefined): string {
  return (errors ?? [])
    .slice(0, 5)
    .map(
      ({ instancePath, message, params }) =>
        `${instancePath || 'it'} ${message ?? 'is wrong'} ${JSON.stringify(params)}`,
    )
    .join('; ');
}

/** GitHub's API description (see ../../fixtures/prune-github-openapi.ts) as a judge of what goes over the wire. */
export class Contract {
  readonly #description: Description;
  readonly #ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, logger: false });
  readonly #parameterAjv = new Ajv({ strict: false, allErrors: true, coerceTypes: true, logger: false });
  readonly #paths = newNode();
  readonly #compiled = new Map<string, ValidateFunction | undefined>();

  constructor(file = new URL('../../fixtures/github-openapi.json', import.meta.url)) {
    this.#description = spellOutNullable(JSON.parse(readFileSync(file, 'utf8'))) as Description;
    addFormats.default(this.#ajv);
    addFormats.default(this.#parameterAjv);
    this.#ajv.addSchema(this.#description, root);
    for (const [path, methods] of Object.entries(this.#description.paths)) {
      for (const [method, described] of Object.entries(methods)) {
        this.#addPath({ id: described.operationId, method: method.toUpperCase(), path });
      }
    }
  }

  get operations(): readonly Operation[] {
    return Object.entries(this.#description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, { operationId }]) => ({
        id: operationId,
        method: method.toUpperCase(),
        path,
      })),
    );
  }

  match(method: string, path: string): MatchedOperation | undefined {
    const parameters: Record<string, string> = {};
    let node = this.#paths;
    for (const segment of path.split('/').slice(1)) {
      const literal = node.literals.get(segment);
      if (literal !== undefined) {
        node = literal;
        continue;
      }
      if (node.parameter === undefined || segment === '') return undefined;
      parameters[node.parameter.name] = decodeURIComponent(segment);
      node = node.parameter.node;
    }
    const operation = node.operations.get(method);
    return operation && { operation, parameters };
  }

  /** What is wrong with a request; nothing when all is well. */
  judgeRequest({ operation, parameters, query, body }: ApiRequest): string[] {
    const described = this.#describe(operation);
    const problems: string[] = [];
    const known = new Set<string>();
    for (const parameter of this.#parametersOf(described)) {
      if (parameter.in === 'header') continue;
      known.add(parameter.name);
      const value = parameter.in === 'path' ? parameters[parameter.name] : (query.get(parameter.name) ?? undefined);
      if (value === undefined) {
        if (parameter.required) problems.push(`${parameter.in} parameter ${parameter.name} is missing`);
        continue;
      }
      const judge = this.#compileParameter(operation, parameter);
      const judged = { value };
      if (!judge(judged)) problems.push(`${parameter.name}=${value}: ${explain(judge.errors)}`);
    }
    for (const name of query.keys())
      if (!known.has(name)) problems.push(`query parameter ${name} is not in the description`);
    return [...problems, ...this.#judgeBody(operation, described, body)];
  }

  judgeResponse(operation: Operation, status: number, body: unknown): string[] {
    if (status === 304 || status >= 500) return [];
    const response = this.#describe(operation).responses[String(status)];
    if (response === undefined) {
      return alwaysPossible.has(status) ? [] : [`status ${status} is not in the description`];
    }
    const target = (response as { $ref?: string }).$ref;
    const at =
      target === undefined ? [...this.#place(operation), 'responses', String(status)] : target.slice(2).split('/');
    const judge = this.#compile([...at, 'content', 'application/json', 'schema']);
    if (judge === undefined)
      return body === undefined || status >= 400 || status === 202 ? [] : ['a body is not in the description'];
    return judge(body) ? [] : [explain(judge.errors)];
  }

  /** @param event as in X-GitHub-Event; events outside the description pass. */
  judgeWebhook(event: string, payload: unknown): string[] {
    const { action } = payload as { action?: string };
    const name = [event, action]
      .filter((part) => part !== undefined)
      .join('-')
      .replaceAll('_', '-');
    if (!(name in this.#description['x-webhooks'])) {
      return event === 'workflow_job' ? [`there is no action ${String(action)} of workflow_job`] : [];
    }
    const judge = this.#compile(['x-webhooks', name, 'post', 'requestBody', 'content', 'application/json', 'schema']);
    return judge === undefined || judge(payload) ? [] : [explain(judge.errors)];
  }

  #judgeBody(operation: Operation, { requestBody }: DescribedOperation, body: unknown): string[] {
    if (requestBody === undefined) return [];
    if (body === undefined) return requestBody.required ? ['a body is missing'] : [];
    const judge = this.#compile([...this.#place(operation), 'requestBody', 'content', 'application/json', 'schema']);
    return judge === undefined || judge(body) ? [] : [explain(judge.errors)];
  }

  #addPath(operation: Operation): void {
    let node = this.#paths;
    for (const segment of operation.path.split('/').slice(1)) {
      const name = /^\{(.+)\}$/.exec(segment)?.[1];
      if (name === undefined) {
        const next = node.literals.get(segment) ?? newNode();
        node.literals.set(segment, next);
        node = next;
        continue;
      }
      node.parameter ??= { name, node: newNode() };
      node = node.parameter.node;
    }
    node.operations.set(operation.method, operation);
  }

  #place({ path, method }: Operation): string[] {
    return ['paths', path, method.toLowerCase()];
  }

  #describe(operation: Operation): DescribedOperation {
    return this.#resolve(this.#place(operation)) as DescribedOperation;
  }

  #resolve(segments: readonly string[]): unknown {
    let node: unknown = this.#description;
    for (const segment of segments) node = (node as Record<string, unknown> | undefined)?.[segment];
    return node;
  }

  #parametersOf({ parameters = [] }: DescribedOperation): Parameter[] {
    return parameters.map((parameter) =>
      '$ref' in parameter ? (this.#resolve(parameter.$ref.slice(2).split('/')) as Parameter) : parameter,
    );
  }

  #compileParameter(operation: Operation, { name, schema }: Parameter): ValidateFunction {
    const key = `${operation.method} ${operation.path} ${name}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const judge = this.#parameterAjv.compile({ type: 'object', properties: { value: schema } });
    this.#compiled.set(key, judge);
    return judge;
  }

  /** Schemas are compiled when first needed: all of them at once would take seconds. */
  #compile(segments: readonly string[]): ValidateFunction | undefined {
    const key = pointer(...segments);
    if (this.#compiled.has(key)) return this.#compiled.get(key);
    const judge = this.#resolve(segments) === undefined ? undefined : this.#ajv.compile({ $ref: key });
    this.#compiled.set(key, judge);
    return judge;
  }
}

let shared: Contract | undefined;

/** One for the process: the compiled schemas hold no state. */
export function loadContract(): Contract {
  return (shared ??= new Contract());
}

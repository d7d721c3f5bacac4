import { runSimulation } from '@cloud-copilot/iam-simulate';
import { account, type DeployedTemplate } from './deployed-template.ts';

type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
export type Statement = {
  /** The reason it was given with. */
  readonly why: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly conditions: Conditions;
};
export type Role = {
  readonly name: string;
  /** Whose calls it is for, as LocalFleet names them: a function, or `task`; undefined for what AWS itself does as this role. */
  readonly caller: string | undefined;
  /** AWS's own policies, by name: no role has one that a function or a task has. */
  readonly managed: readonly string[];
  readonly statements: readonly Statement[];
};
/** One action on one resource, which some statement allows. */
export type Grant = {
  readonly role: Role;
  readonly action: string;
  readonly resource: string;
  readonly conditions: Conditions;
};
/** Something that is about to be done, as IAM sees it. */
export type Request = {
  readonly action: string;
  readonly resource: string;
  readonly context: Readonly<Record<string, string | readonly string[]>>;
};

type Document = { readonly Statement: readonly RawStatement[] };
type RawStatement = {
  readonly Sid?: string;
  readonly Effect: string;
  readonly Action?: string | readonly string[];
  readonly Resource?: string | readonly string[];
  readonly Principal?: unknown;
  readonly Condition?: Conditions;
};

/** Every role of a template, and those that it brings a policy for though they are made elsewhere. */
export function rolesOf(deployed: DeployedTemplate): Role[] {
  const own = deployed.resources('AWS::IAM::Role');
  const policies = deployed.resources('AWS::IAM::Policy').map(({ properties }) => ({
    roles: (properties['Roles'] ?? []) as readonly string[],
    statements: statementsOf(properties['PolicyDocument']),
  }));
  const names = new Set([...own.map(({ name }) => name), ...policies.flatMap(({ roles }) => roles)]);
  const callers = callersOf(deployed);
  return [...names].toSorted().map((name) => {
    const { properties = {} } = own.find((role) => role.name === name) ?? {};
    const managed = ((properties['ManagedPolicyArns'] ?? []) as readonly string[]).map(roleName);
    if (managed.length > 0 && callers.has(name))
      throw new Error(`${name} must say itself what it allows, without a managed policy`);
    const inline = (properties['Policies'] ?? []) as readonly { readonly PolicyDocument: unknown }[];
    return {
      name,
      caller: callers.get(name),
      managed,
      statements: [
        ...inline.flatMap(({ PolicyDocument }) => statementsOf(PolicyDocument)),
        ...policies.filter(({ roles }) => roles.includes(name)).flatMap(({ statements }) => statements),
      ],
    };
  });
}

/** What resources themselves allow others: services, mostly. */
export function resourcePermissionsOf(
  deployed: DeployedTemplate,
): { readonly who: string; readonly statement: Statement }[] {
  const invocations = deployed.resources('AWS::Lambda::Permission').map(({ properties }) => {
    const { Principal, Action, FunctionName, SourceArn } = properties;
    const conditions: Conditions = SourceArn === undefined ? {} : { ArnLike: { 'aws:SourceArn': String(SourceArn) } };
    const statement = { why: '-', actions: [String(Action)], resources: [String(FunctionName)], conditions };
    return { who: String(Principal), statement };
  });
  const policies = ['AWS::SQS::QueuePolicy', 'AWS::S3::BucketPolicy', 'AWS::SNS::TopicPolicy'].flatMap((type) =>
    deployed.resources(type).flatMap(({ properties }) =>
      (properties['PolicyDocument'] as Document).Statement.filter(({ Effect }) => Effect === 'Allow').map((raw) => ({
        who: JSON.stringify(raw.Principal),
        statement: statementOf(raw),
      })),
    ),
  );
  return [...invocations, ...policies];
}

export function grantsOf(role: Role): Grant[] {
  return role.statements.flatMap(({ actions, resources, conditions }) =>
    actions.flatMap((action) => resources.map((resource) => ({ role, action, resource, conditions }))),
  );
}

/** Evaluates as IAM does. @throws Error when a policy or a request is none that IAM would take */
export async function isAllowed(
  { action, resource, context }: Request,
  statements: readonly Pick<Statement, 'actions' | 'resources' | 'conditions'>[],
): Promise<boolean> {
  const policy = {
    Version: '2012-10-17',
    Statement: statements.map((statement) => ({
      Effect: 'Allow',
      Action: statement.actions,
      Resource: statement.resources,
      ...(Object.keys(statement.conditions).length > 0 && { Condition: statement.conditions }),
    })),
  };
  const result = await runSimulation(
    {
      request: {
        principal: `arn:aws:iam::${account}:role/whoever`,
        action,
        resource: { resource, accountId: account },
        contextVariables: Object.fromEntries(
          Object.entries(context).map(([key, value]) => [key, typeof value === 'string' ? value : [...value]]),
        ),
      },
      identityPolicies: [{ name: 'policy', policy }],
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    { simulationMode: 'Strict' },
  );
  if (result.resultType === 'error') throw new Error(`${action} on ${resource}: ${JSON.stringify(result.errors)}`);
  return result.overallResult === 'Allowed';
}

/** An ARN without what every ARN of a deployment has in common, and without what changes with each file. */
export function shortName(resource: string): string {
  return resource.replace(/^arn:aws:[a-z0-9-]+:[a-z0-9-]*:(?:\d{12})?:/, '').replaceAll(/[0-9a-f]{64}/g, 'HASH');
}

/** Who calls, as LocalFleet names it, by the name that a template has for its function. */
export function callerOf(functionName: string): string {
  return kebab(functionName.replace(/Function$/, ''));
}

/** A function has a role, and a task definition names the role of its tasks. */
function callersOf(deployed: DeployedTemplate): Map<string, string> {
  const functions = deployed
    .resources('AWS::Lambda::Function')
    .map(({ name, properties }) => [roleName(properties['Role']), callerOf(name)] as const);
  const tasks = deployed
    .resources('AWS::ECS::TaskDefinition')
    .map(({ properties }) => [roleName(properties['TaskRoleArn']), 'task'] as const);
  return new Map([...functions, ...tasks]);
}

function roleName(arn: unknown): string {
  return String(arn).split('/').at(-1) ?? '';
}

function kebab(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '-').toLowerCase();
}

function statementsOf(document: unknown): Statement[] {
  return (document as Document).Statement.map((raw) => statementOf(raw));
}

function statementOf(raw: RawStatement): Statement {
  const { Sid = '-', Effect, Action, Resource, Condition = {} } = raw;
  if (Effect !== 'Allow' || Action === undefined || Resource === undefined) {
    throw new Error(`the tests must know how to read ${JSON.stringify(raw)}`);
  }
  return { why: Sid, actions: listOf(Action), resources: listOf(Resource), conditions: Condition };
}

function listOf(value: string | readonly string[]): readonly string[] {
  return typeof value === 'string' ? [value] : value;
}

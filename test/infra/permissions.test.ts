import { describe, expect, test } from '@jest/globals';
import { account, DeployedTemplate, region } from './deployed-template.ts';
import { isAllowed, resourcePermissionsOf, rolesOf, shortName, type Request, type Statement } from './permissions.ts';
import { synthFleet } from './synth-fleet.ts';

const deployed = new DeployedTemplate(synthFleet());
const roles = rolesOf(deployed);

/** `who | why | actions | resources | conditions`: what a change of the stack changes here, a person should read. */
function line(who: string, { why, actions, resources, conditions }: Statement): string {
  const resourceNames = resources.map((resource) => shortName(resource));
  const conditionTexts = Object.entries(conditions).flatMap(([operator, keys]) =>
    Object.entries(keys).map(
      ([key, values]) =>
        `${operator} ${key} ${[values]
          .flat()
          .map((value) => shortName(value))
          .join(', ')}`,
    ),
  );
  return [who, why, actions.join(', '), resourceNames.join(', '), conditionTexts.join('; ')].join(' | ').trim();
}

function linesOf(template: DeployedTemplate): string[] {
  return [
    ...rolesOf(template).flatMap(({ name, managed, statements }) => [
      ...managed.map((policy) => `${name} | AWS's own ${policy}`),
      ...statements.map((statement) => line(name, statement)),
    ]),
    ...resourcePermissionsOf(template).map(({ who, statement }) => line(who, statement)),
  ];
}

function statementsOf(caller: string): readonly Statement[] {
  const found = roles.filter((role) => role.caller === caller);
  if (found.length !== 1) throw new Error(`there must be one role of ${caller}, there are ${found.length}`);
  return found.flatMap(({ statements }) => statements);
}

describe('permissions', () => {
  test('are these', () => {
    expect(`\n${linesOf(deployed).join('\n')}\n`).toMatchSnapshot();
  });

  test('of a profile with Docker are these besides', () => {
    const profiles = { small: { labels: ['small'] }, builds: { labels: ['docker'], docker: true } };
    const withDocker = linesOf(new DeployedTemplate(synthFleet({ profiles })));
    const without = new Set(linesOf(new DeployedTemplate(synthFleet({ profiles: { small: profiles.small } }))));
    expect(`\n${withDocker.filter((one) => !without.has(one)).join('\n')}\n`).toMatchSnapshot();
  });

  test('belong to one function each', () => {
    const functions = deployed.resources('AWS::Lambda::Function');
    expect(new Set(functions.map(({ properties }) => properties['Role'])).size).toBe(functions.length);
  });

  test('of functions and tasks say why they are given, each by another name', () => {
    const ours = roles.filter(({ caller }) => caller !== undefined);
    for (const { statements } of ours) {
      const whys = statements.map(({ why }) => why);
      expect(new Set(whys).size).toBe(whys.length);
    }
    const silent = ours.filter(({ statements }) => statements.some(({ why }) => why === '-'));
    expect(silent).toEqual([]);
  });

  test('pass two roles on, those of the tasks', () => {
    const passed = roles.flatMap(({ statements }) =>
      statements.filter(({ actions }) => actions.includes('iam:PassRole')),
    );
    expect(passed.flatMap(({ actions }) => actions)).toEqual(['iam:PassRole']);
    expect(passed.flatMap(({ resources }) => resources).map((resource) => shortName(resource))).toEqual([
      'role/RunnersExecutionRole',
      'role/RunnersTaskRole',
    ]);
  });
});

const parameter = (name: string): string => `arn:aws:ssm:${region}:${account}:parameter/github-runners/${name}`;
const table = (name: string): string => `arn:aws:dynamodb:${region}:${account}:table/${name}`;
const cluster = (name: string): string => `arn:aws:ecs:${region}:${account}:cluster/${name}`;
const role = (name: string): string => `arn:aws:iam::${account}:role/${name}`;

/** Who, what, on what, and the keys of the request that conditions look at. */
type Attempt = readonly [caller: string, action: string, resource: string, context?: Request['context']];

const ours = { 'ecs:cluster': cluster('RunnersCluster') };
const another = { 'ecs:cluster': cluster('Production') };
const small = `arn:aws:ecs:${region}:${account}:task-definition/github-runners-ci_small:7`;
const aTask = `arn:aws:ecs:${region}:${account}:task/RunnersCluster/0123456789abcdef0123456789abcdef`;
const toTasks = { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' };

const callers = roles.flatMap(({ caller }) => caller ?? []);
const others = (caller: string): string[] => callers.filter((one) => one !== caller);

/** Each stands beside the nearest that is allowed: that this is refused and not only misspelt is thereby seen. */
const pairs: readonly { readonly may: Attempt; readonly mayNot: readonly Attempt[] }[] = [
  {
    may: ['webhook', 'ssm:GetParameter', parameter('ci/webhook-secret')],
    mayNot: [
      ['webhook', 'ssm:GetParameter', parameter('ci/app-key')],
      ['webhook', 'ssm:GetParameter', parameter('ci/app-id')],
      ['scale-up', 'ssm:GetParameter', parameter('ci/webhook-secret')],
      ['track-jobs', 'ssm:GetParameter', parameter('ci/app-key')],
      ['task', 'ssm:GetParameter', parameter('ci/webhook-secret')],
      ['webhook', 'ssm:PutParameter', parameter('ci/webhook-secret')],
    ],
  },
  {
    may: ['scale-up', 'ssm:GetParameter', parameter('ci/app-key')],
    mayNot: callers.flatMap((caller): Attempt[] => [
      [caller, 'ssm:GetParameter', parameter('other/app-key')],
      [caller, 'ssm:GetParameter', parameter('other/webhook-secret')],
    ]),
  },
  {
    may: ['scale-up', 'ecs:RunTask', small, ours],
    mayNot: [
      ['scale-up', 'ecs:RunTask', small, another],
      ['scale-up', 'ecs:RunTask', small],
      ['scale-up', 'ecs:RunTask', small.replace('_small:', '_other:'), ours],
      ...others('scale-up').map((caller): Attempt => [caller, 'ecs:RunTask', small, ours]),
    ],
  },
  {
    may: ['scale-up', 'iam:PassRole', role('RunnersTaskRole'), toTasks],
    mayNot: [
      ['scale-up', 'iam:PassRole', role('RunnersTaskRole'), { 'iam:PassedToService': 'lambda.amazonaws.com' }],
      ['scale-up', 'iam:PassRole', role('ScaleUpRole'), toTasks],
      ['scale-up', 'iam:PassRole', role('Administrator'), toTasks],
      ...others('scale-up').map((caller): Attempt => [caller, 'iam:PassRole', role('RunnersTaskRole'), toTasks]),
    ],
  },
  {
    may: ['scale-up', 'ecs:TagResource', aTask, { 'ecs:CreateAction': 'RunTask' }],
    mayNot: [
      ['scale-up', 'ecs:TagResource', aTask],
      ['scale-up', 'ecs:TagResource', aTask, { 'ecs:CreateAction': 'CreateService' }],
    ],
  },
  {
    may: ['scale-down', 'ecs:StopTask', aTask, ours],
    mayNot: [
      ['scale-down', 'ecs:StopTask', aTask.replace('RunnersCluster', 'Production'), another],
      ['task-stopped', 'ecs:StopTask', aTask, ours],
      ['webhook', 'ecs:StopTask', aTask, ours],
      ['scale-down', 'ecs:ExecuteCommand', aTask, ours],
    ],
  },
  {
    may: ['scale-down', 'ecs:ListTasks', '*', ours],
    mayNot: [['scale-down', 'ecs:ListTasks', '*', another]],
  },
  {
    may: ['task', 'dynamodb:DeleteItem', table('TablesClaims'), { 'dynamodb:LeadingKeys': ['claim#abc'] }],
    mayNot: [
      ['task', 'dynamodb:DeleteItem', table('TablesClaims'), { 'dynamodb:LeadingKeys': ['token#acme'] }],
      ['task', 'dynamodb:DeleteItem', table('TablesClaims'), { 'dynamodb:LeadingKeys': ['claim#abc', 'token#acme'] }],
      ['task', 'dynamodb:DeleteItem', table('TablesLedger'), { 'dynamodb:LeadingKeys': ['claim#abc'] }],
      ...['GetItem', 'PutItem', 'UpdateItem', 'Query', 'BatchGetItem', 'ConditionCheckItem'].map((action): Attempt => [
        'task',
        `dynamodb:${action}`,
        table('TablesClaims'),
        { 'dynamodb:LeadingKeys': ['claim#abc'] },
      ]),
    ],
  },
  {
    may: ['scale-up', 'dynamodb:GetItem', table('TablesClaims')],
    mayNot: [
      ['track-jobs', 'dynamodb:GetItem', table('TablesClaims')],
      ['scale-down', 'dynamodb:GetItem', table('TablesClaims')],
      ['task-stopped', 'dynamodb:GetItem', table('TablesClaims')],
      ['webhook', 'dynamodb:GetItem', table('TablesClaims')],
      ...callers.flatMap((caller): Attempt[] => [
        [caller, 'dynamodb:Scan', table('TablesClaims')],
        [caller, 'dynamodb:Query', table('TablesClaims')],
        [caller, 'dynamodb:Scan', table('TablesLedger')],
      ]),
    ],
  },
];

describe('a function or a task', () => {
  test.each(titled(pairs.map(({ may }) => may)))('may: %s', async (_, attempt) => {
    expect(await isDone(attempt)).toBe(true);
  });

  test.each(titled(pairs.flatMap(({ mayNot }) => mayNot)))('may not: %s', async (_, attempt) => {
    expect(await isDone(attempt)).toBe(false);
  });
});

async function isDone([caller, action, resource, context = {}]: Attempt): Promise<boolean> {
  return isAllowed({ action, resource, context }, statementsOf(caller));
}

function titled(given: readonly Attempt[]): [string, Attempt][] {
  return given.map((attempt) => {
    const [caller, action, resource, context = {}] = attempt;
    const texts = Object.entries(context).map(
      ([key, value]) =>
        `${key} ${[value]
          .flat()
          .map((one) => shortName(one))
          .join(', ')}`,
    );
    return [[caller, action, shortName(resource), ...texts].join(' '), attempt];
  });
}

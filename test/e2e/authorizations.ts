import type { FleetCall } from '../emulators/local-fleet.ts';
import { account, region, type DeployedTemplate } from '../infra/deployed-template.ts';
import { callerOf, type Request } from '../infra/permissions.ts';

export type FleetRequest = Request & { readonly caller: FleetCall['caller'] };

type Input = FleetCall['input'];
type Key = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
type Tag = { readonly key?: string; readonly value?: string; readonly Key?: string; readonly Value?: string };
type ItemInput = { readonly TableName: string; readonly Key?: Key; readonly Item?: Key; readonly IndexName?: string };

/**
 * What IAM is asked when a call is made, with the names of the machine replaced by those of the deployment.
 * https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
 */
export class Authorizations {
  readonly #deployed: DeployedTemplate;
  readonly #names: ReadonlyMap<string, string>;

  /** @param local the environment that a function has on this machine: beside that of the deployment it says what is called what */
  constructor(deployed: DeployedTemplate, local: Readonly<Record<string, string>>) {
    this.#deployed = deployed;
    const [one] = deployed.resources('AWS::Lambda::Function');
    const { Variables } = (one?.properties['Environment'] ?? {}) as { Variables?: Readonly<Record<string, string>> };
    this.#names = new Map(
      Object.entries(local).flatMap(([name, value]) => pairsOf(parsed(value), parsed(Variables?.[name] ?? ''))),
    );
  }

  of({ caller, service, operation, input }: FleetCall): FleetRequest[] {
    return this.#requests(`${service}:${operation}`, input, caller).map((request) => ({ ...request, caller }));
  }

  #requests(call: string, input: Input, caller: FleetCall['caller']): Request[] {
    switch (call) {
      case 'dynamodb:GetItem':
      case 'dynamodb:PutItem':
      case 'dynamodb:UpdateItem':
      case 'dynamodb:DeleteItem':
      case 'dynamodb:Query':
        return [this.#onItem(call, input as ItemInput)];
      case 'dynamodb:BatchGetItem':
        return Object.entries(input['RequestItems'] as Readonly<Record<string, { readonly Keys: readonly Key[] }>>).map(
          ([TableName, { Keys }]) => ({
            ...this.#onItem(call, { TableName }),
            context: { 'dynamodb:LeadingKeys': Keys.map((key) => String(key['id']?.['S'])) },
          }),
        );
      case 'dynamodb:TransactWriteItems':
        // There is no right to a transaction, only to each of its parts.
        return (input['TransactItems'] as readonly Readonly<Record<string, ItemInput>>[]).flatMap((item) =>
          Object.entries(item).map(([kind, part]) => this.#onItem(`dynamodb:${kind}Item`, part)),
        );
      case 'sqs:SendMessage':
      case 'sqs:SendMessageBatch':
        return [{ action: 'sqs:SendMessage', resource: this.#queueArn(input), context: {} }];
      case 'sqs:ReceiveMessage':
      case 'sqs:DeleteMessage':
      case 'sqs:DeleteMessageBatch':
      case 'sqs:GetQueueAttributes':
        return [{ action: call.replace(/Batch$/, ''), resource: this.#polledArn(caller), context: {} }];
      case 'ssm:GetParameter': {
        // SecureStrings under the AWS managed key need no right of their own to decrypt: its key policy gives it.
        const resource = arn('ssm', `parameter${this.#deployedName(input['Name'])}`);
        return [{ action: call, resource, context: {} }];
      }
      case 'ecs:RunTask':
        return this.#runTask(input);
      case 'ecs:StopTask':
        return [this.#onTask(call, input, input['task'])];
      case 'ecs:DescribeTasks':
        // Tags may be included without a right to ecs:ListTagsForResource.
        return (input['tasks'] as readonly string[]).map((task) => this.#onTask(call, input, task));
      case 'ecs:ListTasks':
        return [{ action: call, resource: '*', context: this.#inCluster(input) }];
      case 'ecr:DescribeImages': {
        const resource = arn('ecr', `repository/${this.#deployedName(input['repositoryName'])}`);
        return [{ action: call, resource, context: {} }];
      }
      case 'codebuild:StartBuild': {
        const resource = arn('codebuild', `project/${this.#deployedName(input['projectName'])}`);
        return [{ action: call, resource, context: {} }];
      }
      default:
        throw new Error(`the audit must know what right ${call} needs`);
    }
  }

  #onItem(action: string, { TableName, Key, Item, IndexName }: ItemInput): Request {
    const table = `table/${this.#deployedName(TableName)}`;
    const { id } = Key ?? Item ?? {};
    return {
      action,
      resource: arn('dynamodb', IndexName === undefined ? table : `${table}/index/${IndexName}`),
      context: id === undefined ? {} : { 'dynamodb:LeadingKeys': [String(id['S'])] },
    };
  }

  #queueArn(input: Input): string {
    const [, name] = /\/\d+\/([^/]+)$/.exec(this.#deployedName(input['QueueUrl'])) ?? [];
    return arn('sqs', String(name));
  }

  /** A poller knows its queue from the event source mapping, not from what the function was told. */
  #polledArn(caller: FleetCall['caller']): string {
    const mapping = this.#deployed
      .resources('AWS::Lambda::EventSourceMapping')
      .find(({ properties }) => callerOf(String(properties['FunctionName'])) === caller);
    if (mapping === undefined) throw new Error(`the template must have an event source mapping of ${caller}`);
    return String(mapping.properties['EventSourceArn']);
  }

  /** Starting a task is also tagging it, and handing it its roles. */
  #runTask(input: Input): Request[] {
    const inCluster = this.#inCluster(input);
    const tags = (input['tags'] ?? []) as readonly Tag[];
    const [, local = '', revision] = /([^/:]+):(\d+)$/.exec(String(input['taskDefinition'])) ?? [];
    const profile = valueOf(tags, profileTag);
    // Families are called after the stack, which has another name here; the profile is the same.
    const defined = this.#deployed
      .resources('AWS::ECS::TaskDefinition')
      .find(({ properties }) => valueOf((properties['Tags'] ?? []) as readonly Tag[], profileTag) === profile);
    if (defined === undefined || profile === undefined || !local.endsWith(profile)) {
      throw new Error(`the template must define ${local} for profile ${profile}`);
    }
    const resource = arn('ecs', `task-definition/${String(defined.properties['Family'])}:${revision}`);
    const overrides = (input['overrides'] ?? {}) as Readonly<Record<string, unknown>>;
    const roles = [
      overrides['taskRoleArn'] ?? defined.properties['TaskRoleArn'],
      overrides['executionRoleArn'] ?? defined.properties['ExecutionRoleArn'],
    ];
    return [
      { action: 'ecs:RunTask', resource, context: inCluster },
      ...(tags.length === 0
        ? []
        : [
            {
              action: 'ecs:TagResource',
              resource: this.#taskArn(input, '0'.repeat(32)),
              context: { 'ecs:CreateAction': 'RunTask', 'aws:TagKeys': tags.flatMap(({ key = '' }) => key) },
            },
          ]),
      ...roles.map((role) => ({
        action: 'iam:PassRole',
        resource: String(role),
        context: { 'iam:PassedToService': 'ecs-tasks.amazonaws.com' },
      })),
    ];
  }

  #onTask(action: string, input: Input, task: unknown): Request {
    return { action, resource: this.#taskArn(input, String(task)), context: this.#inCluster(input) };
  }

  #taskArn(input: Input, task: string): string {
    return arn('ecs', `task/${this.#cluster(input).split('/').at(-1)}/${task.split('/').at(-1)}`);
  }

  #inCluster(input: Input): Request['context'] {
    return { 'ecs:cluster': this.#cluster(input) };
  }

  #cluster(input: Input): string {
    return this.#deployedName(input['cluster']);
  }

  #deployedName(local: unknown): string {
    const name = this.#names.get(String(local));
    if (name === undefined) throw new Error(`no function was told of ${String(local)}, which it named in a call`);
    return name;
  }
}

const profileTag = 'github-runners:profile';

/** Of tags as the API writes them, or as a template does. */
function valueOf(tags: readonly Tag[], name: string): string | undefined {
  const tag = tags.find(({ key, Key }) => (key ?? Key) === name);
  return tag?.value ?? tag?.Value;
}

function arn(service: string, resource: string): string {
  return `arn:aws:${service}:${region}:${account}:${resource}`;
}

/** Each text in one value beside that in the same place of the other. */
function pairsOf(local: unknown, deployed: unknown): [string, string][] {
  if (typeof local === 'string' && typeof deployed === 'string') return [[local, deployed]];
  if (typeof local !== 'object' || local === null || typeof deployed !== 'object' || deployed === null) return [];
  return Object.entries(local).flatMap(([key, value]) => pairsOf(value, (deployed as Record<string, unknown>)[key]));
}

function parsed(value: string): unknown {
  return value.startsWith('{') ? (JSON.parse(value) as unknown) : value;
}

import type { Template } from 'aws-cdk-lib/assertions';

type Resource = { readonly Type: string; readonly Properties?: Readonly<Record<string, unknown>> };

export const account = '111122223333';
export const region = 'us-east-1';

/** How the ARN of each type ends, behind its service, and which property names it where the template does. */
const arns: Readonly<Record<string, readonly [arn: string, nameProperty: string]>> = {
  'AWS::CodeBuild::Project': [`codebuild:${region}:${account}:project/NAME`, 'Name'],
  'AWS::DynamoDB::Table': [`dynamodb:${region}:${account}:table/NAME`, 'TableName'],
  'AWS::ECR::Repository': [`ecr:${region}:${account}:repository/NAME`, 'RepositoryName'],
  'AWS::ECS::Cluster': [`ecs:${region}:${account}:cluster/NAME`, 'ClusterName'],
  'AWS::ECS::TaskDefinition': [`ecs:${region}:${account}:task-definition/NAME:7`, 'Family'],
  'AWS::Events::Rule': [`events:${region}:${account}:rule/NAME`, 'Name'],
  'AWS::IAM::InstanceProfile': [`iam::${account}:instance-profile/NAME`, 'InstanceProfileName'],
  'AWS::IAM::Role': [`iam::${account}:role/NAME`, 'RoleName'],
  'AWS::Lambda::Function': [`lambda:${region}:${account}:function:NAME`, 'FunctionName'],
  'AWS::Logs::LogGroup': [`logs:${region}:${account}:log-group:NAME:*`, 'LogGroupName'],
  'AWS::S3::Bucket': ['s3:::NAME', 'BucketName'],
  'AWS::Scheduler::ScheduleGroup': [`scheduler:${region}:${account}:schedule-group/NAME`, 'Name'],
  'AWS::SNS::Topic': [`sns:${region}:${account}:NAME`, 'TopicName'],
  'AWS::SQS::Queue': [`sqs:${region}:${account}:NAME`, 'QueueName'],
};

/** A template as CloudFormation might deploy it: names and ARNs where it has references. */
export class DeployedTemplate {
  readonly #resources: Readonly<Record<string, Resource>>;

  constructor(template: Template) {
    this.#resources = (template.toJSON() as { Resources: Record<string, Resource> }).Resources;
    const names = Object.keys(this.#resources).map((id) => readable(id));
    const twice = names.find((name, at) => names.indexOf(name) !== at);
    if (twice !== undefined)
      throw new Error(`two resources must not be called ${twice}: tell them apart by their hash`);
  }

  /** What there is of a type, by the logical id without its hash; the properties as they are deployed. */
  resources(type: string): { readonly name: string; readonly properties: Readonly<Record<string, unknown>> }[] {
    return Object.entries(this.#resources)
      .filter(([, resource]) => resource.Type === type)
      .map(([id, { Properties }]) => ({
        name: readable(id),
        properties: this.resolve(Properties ?? {}) as Readonly<Record<string, unknown>>,
      }));
  }

  /** A value with all of its references followed. */
  resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item)).filter((item) => item !== undefined);
    if (typeof value !== 'object' || value === null) return value;
    const entries = Object.entries(value as Record<string, unknown>);
    const [first] = entries;
    if (entries.length === 1 && first !== undefined) {
      const [name, argument] = first;
      if (name === 'Ref') return this.#ref(String(argument));
      if (name.startsWith('Fn::')) return this.#call(name, argument);
    }
    return Object.fromEntries(entries.map(([name, inner]) => [name, this.resolve(inner)]));
  }

  #call(name: string, argument: unknown): unknown {
    if (name === 'Fn::GetAtt') return this.#attribute(...(argument as [string, string]));
    if (name === 'Fn::Sub') {
      const [text, values = {}] = Array.isArray(argument)
        ? (argument as [string, Record<string, unknown>])
        : [argument];
      return String(text).replaceAll(/\$\{([^}]+)\}/g, (_, key: string) => {
        const [id = '', attribute] = key.split('.');
        if (key in values) return String(this.resolve(values[key]));
        return String(attribute === undefined ? this.#ref(id) : this.#attribute(id, attribute));
      });
    }
    if (name === 'Fn::GetAZs') return [`${region}a`, `${region}b`, `${region}c`];
    const resolved = this.resolve(argument) as unknown[];
    if (name === 'Fn::Join') return (resolved[1] as unknown[]).map(String).join(String(resolved[0]));
    if (name === 'Fn::Split') return String(resolved[1]).split(String(resolved[0]));
    if (name === 'Fn::Select') return (resolved[1] as unknown[])[Number(resolved[0])];
    throw new Error(`the tests must know how to follow ${name}`);
  }

  #ref(id: string): unknown {
    const pseudo: Readonly<Record<string, string | undefined>> = {
      'AWS::AccountId': account,
      'AWS::Region': region,
      'AWS::Partition': 'aws',
      'AWS::URLSuffix': 'amazonaws.com',
      'AWS::StackName': 'the-stack',
      'AWS::StackId': `arn:aws:cloudformation:${region}:${account}:stack/the-stack/1`,
    };
    if (id in pseudo || id === 'AWS::NoValue') return pseudo[id];
    const type = this.#resources[id]?.Type;
    if (type === 'AWS::SQS::Queue') return `https://sqs.${region}.amazonaws.com/${account}/${this.#nameOf(id)}`;
    if (type === 'AWS::ECS::TaskDefinition' || type === 'AWS::SNS::Topic') return this.#attribute(id, 'Arn');
    return this.#nameOf(id);
  }

  #attribute(id: string, attribute: string): string {
    if (!attribute.endsWith('Arn')) return `${this.#nameOf(id)}.${attribute}`;
    const type = this.#resources[id]?.Type ?? '';
    const [arn] = arns[type] ?? [];
    // A made-up one might be allowed, or not, by mistake.
    if (arn === undefined) throw new Error(`the tests must know what an ARN of ${type} looks like`);
    return `arn:aws:${arn.replace('NAME', this.#nameOf(id))}`;
  }

  #nameOf(id: string): string {
    const { Type: type, Properties: properties = {} } = this.#resources[id] ?? { Type: '' };
    const [, property = ''] = arns[type] ?? [];
    const given = this.resolve(properties[property]);
    return typeof given === 'string' ? given : readable(id);
  }
}

/** A logical id without the hash that CDK puts at its end. */
function readable(id: string): string {
  return id.replace(/[0-9A-F]{8}$/, '');
}

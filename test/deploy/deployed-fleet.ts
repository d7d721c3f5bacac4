import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { DynamoDBClient, GetItemCommand, ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { DescribeImagesCommand } from '@aws-sdk/client-ecr';
import { DescribeTaskDefinitionCommand, ListClustersCommand } from '@aws-sdk/client-ecs';
import { GetQueueAttributesCommand, ListQueuesCommand } from '@aws-sdk/client-sqs';
import { PutParameterCommand } from '@aws-sdk/client-ssm';
import { ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { Fleet } from '../../infra/define-fleet.ts';
import { TurnableClock } from '../emulators/clock.ts';
import { GitHubEmulator } from '../emulators/github/server.ts';
import { Aws, region, textsOf } from './aws.ts';
import { Cdk } from './cdk.ts';
import { Fargate } from './fargate.ts';
import { Gateway, type Answered } from './gateway.ts';
import { ImageBuilder } from './image-builder.ts';
import { MiniStack } from './ministack.ts';
import { emulateFleet, writePlan } from './plan.ts';
import { removeUnsupported, type Removal } from './removals.ts';
import { eventually } from './workload.ts';

const wrapper = fileURLToPath(new URL('emulated-config.ts', import.meta.url));
const webhookSecret = 'It is a secret to everybody';

export type Resource = { readonly type: string; readonly logicalId: string; readonly physicalId: string };

type Template = {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
  readonly DeletionPolicy?: string;
};

type Deployment = {
  /** What the CLI printed. */
  readonly printed: string;
  readonly removals: readonly Removal[];
};

/** The stack, deployed by the stock CLI into an emulated AWS, with an emulated GitHub before it and containers as tasks. */
export class DeployedFleet {
  /** The fleet that was asked for, as it is deployed first. */
  readonly fleet: Fleet;
  readonly github: GitHubEmulator;
  readonly aws: Aws;
  /** Calls to AWS that failed for want of a permission or of a valid signature. Nobody here should lack one. */
  readonly denials: string[] = [];
  readonly images: ImageBuilder;
  readonly #config: string;
  readonly #scratch: string;
  readonly #clock: TurnableClock;
  readonly #gateway: Gateway;
  readonly #miniStack: MiniStack;
  readonly #cdk: Cdk;
  #fargate: Fargate | undefined;
  #outputs: Readonly<Record<string, string>> = {};
  #stackName = '';
  #directory = '';

  private constructor(parts: {
    readonly fleet: Fleet;
    readonly github: GitHubEmulator;
    readonly config: string;
    readonly scratch: string;
    readonly clock: TurnableClock;
    readonly gateway: Gateway;
    readonly miniStack: MiniStack;
    readonly aws: Aws;
    readonly images: ImageBuilder;
  }) {
    this.fleet = parts.fleet;
    this.github = parts.github;
    this.#config = parts.config;
    this.#scratch = parts.scratch;
    this.#clock = parts.clock;
    this.#gateway = parts.gateway;
    this.#miniStack = parts.miniStack;
    this.aws = parts.aws;
    this.#cdk = new Cdk({ awsUrl: parts.gateway.url, home: parts.scratch });
    this.images = parts.images;
    parts.gateway.onAnswer = (answered) => {
      if (isDenial(answered)) this.denials.push(`${answered.call}: ${answered.answer}`);
      this.images.hear(answered);
    };
  }

  /** An empty account, bootstrapped for CDK. @param config the file of an operator's config */
  static async start(config: string): Promise<DeployedFleet> {
    const scratch = await mkdtemp(join(tmpdir(), 'deployed-fleet-'));
    const clock = new TurnableClock();
    const github = await GitHubEmulator.start({ clock, webhookSecret });
    const { default: asked } = (await import(pathToFileURL(resolve(config)).href)) as { readonly default: Fleet };
    const fleet = emulateFleet(asked, { githubUrl: github.url });
    const gateway = await Gateway.start();
    const miniStack = new MiniStack({ scratch, awsUrl: gateway.url });
    const aws = new Aws(gateway.url);
    const images = await ImageBuilder.start(aws);
    github.behave({ runnerDownloads: ['x64', 'arm64'].map((arch) => images.describeDownload(arch)) });
    const parts = { fleet, github, config: resolve(config), scratch, clock, gateway, miniStack, aws, images };
    const deployed = new DeployedFleet(parts);
    try {
      gateway.leadTo(await miniStack.start());
      await deployed.#cdk.bootstrap();
    } catch (error) {
      await deployed.stop();
      throw error;
    }
    return deployed;
  }

  /** Synthesises the stack and deploys it, the first time or again. */
  async deploy({ changed = false }: { readonly changed?: boolean } = {}): Promise<Deployment> {
    const { directory, removals } = await this.#synthesise(changed);
    this.#directory = directory;
    const outputs = join(this.#scratch, 'outputs.json');
    const how = ['--require-approval', 'never', '--outputs-file', outputs];
    const printed = await this.#cdk.run(['deploy', '--app', directory, ...how]);
    const [[name, found] = []] = Object.entries(
      JSON.parse(await readFile(outputs, 'utf8')) as Record<string, Record<string, string>>,
    );
    this.#stackName = name ?? '';
    this.#outputs = found ?? {};
    this.github.setWebhook({ url: this.#gateway.siteUrl(this.output('WebhookUrl')) });
    this.#fargate ??= await Fargate.start({
      clock: this.#clock,
      aws: this.aws,
      gateway: this.#gateway,
      cluster: (await this.only('AWS::ECS::Cluster')).physicalId,
      images: this.images,
      startScript: { QUIET_SECONDS: '0', RUNNER_STANDIN_RENEW_SECONDS: '0.5', RUNNER_STANDIN_TERM_AFTER: '0.5' },
    });
    return { printed, removals };
  }

  async #synthesise(changed: boolean): Promise<{ directory: string; removals: Removal[] }> {
    const directory = join(this.#scratch, changed ? 'cdk.out.changed' : 'cdk.out');
    await this.#cdk.run(
      ['synth', '--quiet', '--no-lookups', '--output', directory, '--context', `config=${wrapper}`],
      writePlan({ config: this.#config, githubUrl: this.github.url, changed }),
    );
    return { directory, removals: removeUnsupported(directory) };
  }

  async destroy(): Promise<string> {
    return this.#cdk.run(['destroy', '--app', this.#directory, '--force']);
  }

  output(name: string): string {
    const value = this.#outputs[name];
    if (value === undefined)
      throw new Error(`the stack must have an output ${name}, it has ${this.outputs.join(', ')}`);
    return value;
  }

  get outputs(): readonly string[] {
    return Object.keys(this.#outputs);
  }

  get webhookSecret(): string {
    return webhookSecret;
  }

  get awsUrl(): string {
    return this.#gateway.url;
  }

  get fargate(): Fargate {
    if (this.#fargate === undefined) throw new Error('nothing was deployed yet');
    return this.#fargate;
  }

  /** Does what the README tells an operator to do after the first deployment. */
  async putSecrets(): Promise<void> {
    const { id, privateKey } = this.github.app;
    for (const [output, value] of [
      ['AppIdParameter', id],
      ['AppKeyParameter', privateKey],
      ['WebhookSecretParameter', webhookSecret],
    ] as const) {
      await this.aws.ssm.send(
        new PutParameterCommand({ Name: this.output(output), Value: value, Type: 'SecureString', Overwrite: true }),
      );
    }
  }

  /** Lets the ten minutes come round until there is a runner image for each architecture that needs one. */
  async awaitImages(): Promise<void> {
    const needed = this.fleet.choices.profiles.filter(({ image }) => image === undefined).map(({ arch }) => arch);
    await eventually(
      'there is an image for each architecture',
      async () => {
        for (const { functionName } of await this.scheduled('rate(10 minutes)')) {
          // It fails while it cannot know which runner to build with.
          await this.aws.invoke(functionName).catch(() => undefined);
        }
        const tags = await this.#imageTags();
        return needed.every((arch) => tags.includes(arch));
      },
      // A function that found no secret looks for it again after a minute.
      // Of the first build here Debian is made, too.
      { withinSeconds: 280, everySeconds: 10, trouble: async () => this.describe([]) },
    );
  }

  /** Everything CloudFormation says it made. */
  async resources(): Promise<Resource[]> {
    const xml = await this.aws.query('cloudformation', {
      Action: 'DescribeStackResources',
      Version: '2010-05-15',
      StackName: this.#stackName,
    });
    const [types, logicalIds, physicalIds] = ['ResourceType', 'LogicalResourceId', 'PhysicalResourceId'].map(
      (element) => textsOf(xml, element),
    );
    return (types ?? []).map((type, at) => ({
      type,
      logicalId: logicalIds?.[at] ?? '',
      physicalId: physicalIds?.[at] ?? '',
    }));
  }

  async allOf(type: string): Promise<Resource[]> {
    return (await this.resources()).filter((resource) => resource.type === type);
  }

  async only(type: string): Promise<Resource> {
    const [resource, ...others] = await this.allOf(type);
    if (resource === undefined || others.length > 0) throw new Error(`there must be one ${type}`);
    return resource;
  }

  /** The items of both tables. */
  async items(): Promise<Record<string, unknown>[]> {
    const tables = await this.allOf('AWS::DynamoDB::Table');
    const found = await Promise.all(
      tables.map(async ({ physicalId }) => this.aws.tables.send(new ScanCommand({ TableName: physicalId }))),
    );
    return found.flatMap(({ Items = [] }) => Items);
  }

  async itemOf(id: string): Promise<Record<string, unknown> | undefined> {
    return (await this.items()).find((item) => item['id'] === id);
  }

  /** How many messages each queue has, in whatever state, by logical id; those without any left out. */
  async messages(): Promise<Record<string, number>> {
    const queues = await this.allOf('AWS::SQS::Queue');
    const depths = await Promise.all(
      queues.map(async ({ logicalId, physicalId }) => {
        const { Attributes = {} } = await this.aws.sqs.send(
          new GetQueueAttributesCommand({ QueueUrl: physicalId, AttributeNames: ['All'] }),
        );
        const counts = Object.entries(Attributes).filter(([name]) => name.startsWith('ApproximateNumberOfMessages'));
        return [logicalId, counts.reduce((sum, [, count]) => sum + Number(count), 0)] as const;
      }),
    );
    return Object.fromEntries(depths.filter(([, depth]) => depth > 0));
  }

  /** The functions that a schedule runs, by its expression, such as `rate(10 minutes)`. */
  async scheduled(
    expression: string,
  ): Promise<readonly { readonly functionName: string; readonly logGroup: string }[]> {
    const template = await this.template();
    const names = new Map((await this.resources()).map(({ logicalId, physicalId }) => [logicalId, physicalId]));
    return Object.values(template).flatMap(({ Type, Properties = {} }) => {
      if (Type !== 'AWS::Scheduler::Schedule' || Properties['ScheduleExpression'] !== expression) return [];
      const [target = ''] = (Properties['Target'] as { readonly Arn: { readonly 'Fn::GetAtt': readonly string[] } })
        .Arn['Fn::GetAtt'];
      const logging = template[target]?.Properties?.['LoggingConfig'] as {
        readonly LogGroup: { readonly Ref: string };
      };
      return [{ functionName: names.get(target) ?? '', logGroup: names.get(logging.LogGroup.Ref) ?? '' }];
    });
  }

  /** The resources of the template that was deployed last. */
  async template(): Promise<Record<string, Template>> {
    const text = await readFile(join(this.#directory, `${this.#stackName}.template.json`), 'utf8');
    return (JSON.parse(text) as { readonly Resources: Record<string, Template> }).Resources;
  }

  /** Every line in these log groups; in all of the stack's unless some are named. */
  async logs(names?: readonly string[]): Promise<string[]> {
    const groups = names?.map((physicalId) => ({ physicalId })) ?? (await this.allOf('AWS::Logs::LogGroup'));
    const found = await Promise.all(
      groups.map(async ({ physicalId }) => {
        const lines: string[] = [];
        let nextToken: string | undefined;
        do {
          const page = (await this.aws.call('logs', 'Logs_20140328.FilterLogEvents', {
            logGroupName: physicalId,
            nextToken,
          })) as { readonly events?: readonly { readonly message: string }[]; readonly nextToken?: string };
          lines.push(...(page.events ?? []).map(({ message }) => message));
          nextToken = page.nextToken;
        } while (nextToken !== undefined);
        return lines;
      }),
    );
    return found.flat();
  }

  get liveTasks(): number {
    return [...this.fargate.ecs.tasks.values()].filter(({ lastStatus }) => lastStatus !== 'STOPPED').length;
  }

  /** Of all images in the stack's repositories. */
  async #imageTags(): Promise<string[]> {
    const found = await Promise.all(
      (await this.allOf('AWS::ECR::Repository')).map(async ({ physicalId }) =>
        this.aws.images.send(new DescribeImagesCommand({ repositoryName: physicalId })),
      ),
    );
    return found.flatMap(({ imageDetails = [] }) => imageDetails.flatMap(({ imageTags = [] }) => imageTags));
  }

  /** What the harness itself could not do. */
  get failures(): unknown[] {
    return [...this.images.failures, ...(this.#fargate?.failures ?? [])];
  }

  /** What must be nothing once all jobs are over. */
  async left(): Promise<Record<string, unknown>> {
    const items = await this.items();
    const left = {
      tasks: this.liveTasks,
      leases: items.reduce((sum, { leases }) => sum + Number(leases ?? 0), 0),
      liveRunners: items.filter(({ open }) => open === 'runner').length,
      registrations: this.github.runners.length,
      claims: items.filter(({ id }) => String(id).startsWith('claim#')).length,
    };
    return {
      ...Object.fromEntries(Object.entries(left).filter(([, count]) => count > 0)),
      ...(await this.messages()),
    };
  }

  /** For a person who reads why a test failed. @param jobs those to tell of */
  async describe(jobs: readonly string[]): Promise<string> {
    const items = await Promise.all(jobs.map(async (id) => (await this.itemOf(`job#${id}`)) ?? `job#${id} is unknown`));
    const complaints = (await this.logs())
      .filter((line) => /"level":"(ERROR|WARN)"|Task timed out/.test(line))
      .slice(-5);
    const failed = this.github.deliveries.filter(({ statusCode }) => statusCode < 200 || statusCode > 299);
    return JSON.stringify(
      {
        left: await this.left(),
        jobs: items,
        deliveries: failed
          .map(({ event, action, status, response }) => ({ event, action, status, response }))
          .slice(-5),
        denials: this.denials.slice(-5),
        failures: this.failures.map(String).slice(-5),
        complaints,
      },
      undefined,
      1,
    );
  }

  /** @throws Error as a task's own role may not */
  async readLedgerAsTask(): Promise<void> {
    const [{ physicalId: definition } = { physicalId: '' }] = await this.allOf('AWS::ECS::TaskDefinition');
    const { taskDefinition } = await this.aws.ecs.send(
      new DescribeTaskDefinitionCommand({ taskDefinition: definition }),
    );
    const client = new DynamoDBClient({
      endpoint: this.#gateway.url,
      region,
      credentials: await this.aws.assume(taskDefinition?.taskRoleArn ?? ''),
    });
    const tables = await this.allOf('AWS::DynamoDB::Table');
    try {
      for (const { physicalId } of tables) {
        await client.send(new GetItemCommand({ TableName: physicalId, Key: { id: { S: 'profile#small' } } }));
      }
    } finally {
      client.destroy();
    }
  }

  /** What the operator wants kept when the stack is deleted. */
  async keepsakes(): Promise<string[]> {
    const template = await this.template();
    const kept = (await this.resources()).filter(({ logicalId }) => template[logicalId]?.DeletionPolicy === 'Retain');
    return kept.map(({ physicalId }) => physicalId);
  }

  /** What is in the account that can be asked for here and is not CDK's own. */
  async remains(): Promise<string[]> {
    const [tables, queues, clusters, groups, roles] = await Promise.all([
      this.aws.tables.send(new ListTablesCommand({})),
      this.aws.sqs.send(new ListQueuesCommand({})),
      this.aws.ecs.send(new ListClustersCommand({})),
      this.aws.call('logs', 'Logs_20140328.DescribeLogGroups', {}) as Promise<{
        readonly logGroups: readonly { readonly logGroupName: string }[];
      }>,
      this.aws.query('iam', { Action: 'ListRoles', Version: '2010-05-08' }),
    ]);
    return [
      ...(tables.TableNames ?? []),
      ...(queues.QueueUrls ?? []),
      ...(clusters.clusterArns ?? []),
      ...groups.logGroups.map(({ logGroupName }) => logGroupName),
      ...textsOf(roles, 'RoleName').filter((name) => !name.startsWith('cdk-')),
    ];
  }

  /** Ends everything that was started, and leaves nothing behind. */
  async stop(): Promise<void> {
    await this.#fargate?.stop();
    await this.images.stop();
    await this.#miniStack.stop();
    await this.#gateway.stop();
    await this.github.stop();
    this.aws.stop();
    this.#clock.stop();
    await rm(this.#scratch, { recursive: true, force: true, maxRetries: 5 });
  }
}

function isDenial({ status, answer }: Answered): boolean {
  return (
    status === 403 ||
    (status >= 400 && /AccessDenied|NotAuthorized|UnrecognizedClient|SignatureDoesNotMatch/.test(answer))
  );
}

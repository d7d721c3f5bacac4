import { hash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Duration, RemovalPolicy, Stack } from 'aws-cdk-lib/core';
import {
  ComputeType,
  LinuxArmBuildImage,
  LinuxBuildImage,
  Project,
  Source,
  type IBuildImage,
} from 'aws-cdk-lib/aws-codebuild';
import { Repository, TagStatus } from 'aws-cdk-lib/aws-ecr';
import type { IRepository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import type { ContainerDefinition, ContainerImageConfig } from 'aws-cdk-lib/aws-ecs';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { PolicyStatementProps } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import { imageTag, type Arch } from '../functions/contracts/with-infra/runner-image.ts';
import type { NamesToEncode } from '../functions/contracts/with-infra/settings.ts';
import type { Fleet } from './define-fleet.ts';
import { removalOf } from './removal.ts';

/** A build takes some minutes. */
const mostMinutes = 45;
const buildImages: Readonly<Record<Arch, IBuildImage>> = {
  x64: LinuxBuildImage.AMAZON_LINUX_2023_5,
  arm64: LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
};

function yesOrNo(value: boolean): 'yes' | 'no' {
  return value ? 'yes' : 'no';
}

type ImageProject = { readonly arch: Arch; readonly project: Project };

/** An image that the execution role may pull, by the name the operator wrote: CDK's own would give it another host. */
class OwnEcrImage extends ContainerImage {
  readonly #repository: IRepository;
  readonly #imageName: string;

  constructor(repository: IRepository, imageName: string) {
    super();
    this.#repository = repository;
    this.#imageName = imageName;
  }

  bind(_: Construct, { taskDefinition }: ContainerDefinition): ContainerImageConfig {
    this.#repository.grantPull(taskDefinition.obtainExecutionRole());
    return { imageName: this.#imageName };
  }
}

/**
 * The image that runners start from: where it is kept, and for each architecture that a profile needs, what builds it. When a build
 * is due `build-image` decides. A build moves the tag that tasks name only when the new image has proved to start.
 */
export class RunnerImage extends Construct {
  readonly repository: Repository;
  readonly projects: readonly ImageProject[];
  readonly #ownRepositories = new Map<string, IRepository>();
  readonly #source: Asset;
  readonly #fleet: Fleet;

  constructor(scope: Construct, id: string, fleet: Fleet) {
    super(scope, id);
    this.#fleet = fleet;
    const removalPolicy = removalOf(fleet, 'images');
    this.repository = new Repository(this, 'Repository', {
      imageScanOnPush: true,
      removalPolicy,
      emptyOnDelete: removalPolicy === RemovalPolicy.DESTROY,
    });
    this.#source = new Asset(this, 'Source', { path: fileURLToPath(new URL('../runner-image', import.meta.url)) });
    const needed = fleet.choices.profiles.flatMap(({ arch, image }) => (image === undefined ? [arch] : []));
    this.projects = [...new Set(needed)].map((arch) => ({ arch, project: this.#define(arch) }));
    this.#throwAway();
  }

  /** Undefined when every profile brings an image of its own. */
  get names(): NamesToEncode['images'] {
    if (this.projects.length === 0) return undefined;
    return {
      repository: this.repository.repositoryName,
      source: this.#hash(),
      projects: Object.fromEntries(this.projects.map(({ arch, project }) => [arch, project.projectName])),
    };
  }

  /** What the operator chose of it, as build-image.sh takes it. */
  get #choices(): Readonly<Record<string, string>> {
    const { sudo, buildTools } = this.#fleet.runnerImage;
    return { SUDO: yesOrNo(sudo), BUILD_TOOLS: yesOrNo(buildTools) };
  }

  /** Of the files and of what was chosen: an image that either would be otherwise is due. */
  #hash(): string {
    return hash('sha256', `${this.#source.assetHash} ${JSON.stringify(this.#choices)}`).slice(0, 16);
  }

  /** The profile's own image where the operator brings one. */
  imageFor(arch: Arch, own: string | undefined): ContainerImage {
    if (own === undefined) return ContainerImage.fromEcrRepository(this.repository, imageTag(arch));
    // With or without FIPS, and with or without IPv6: https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-requests.html
    const ecr = /^(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.[a-z.]+\/([^:@]+)(?:[:@].+)?$/.exec(own);
    if (ecr === null) return ContainerImage.fromRegistry(own);
    const [, account = '', region = '', name = ''] = ecr;
    const repositoryArn = Stack.of(this).formatArn({
      service: 'ecr',
      account,
      region,
      resource: 'repository',
      resourceName: name,
    });
    const repository =
      this.#ownRepositories.get(repositoryArn) ??
      Repository.fromRepositoryAttributes(this, `Own${this.#ownRepositories.size}`, {
        repositoryArn,
        repositoryName: name,
      });
    this.#ownRepositories.set(repositoryArn, repository);
    return new OwnEcrImage(repository, own);
  }

  /**
   * ECR judges an image by the first rule that its tags match, and by no other. So the rules that keep come first: a build tag that could
   * not be deleted does not take the image in use with it.
   */
  #throwAway(): void {
    for (const { arch } of this.projects) {
      // Only an image that was tried gets such a tag, and a tag moves on with the next image: the image in use has the newest.
      this.repository.addLifecycleRule({
        description: `Images for ${arch} with older runners`,
        maxImageCount: 20,
        tagPatternList: [`${arch}-*.*.*`],
      });
      this.repository.addLifecycleRule({
        description: `Images for ${arch} from older files`,
        maxImageCount: 20,
        tagPatternList: [`${arch}-source-*`],
      });
    }
    this.repository.addLifecycleRule({
      description: 'What builds that were cut off left',
      maxImageAge: Duration.days(1),
      tagPrefixList: ['build-'],
    });
    // A task may load its image lazily as long as it runs: five days, after those in which the image was in use, which are more when builds fail. By age, as any number
    // could be built in that time. What the list of an image in use names, such as its index, ECR keeps.
    this.repository.addLifecycleRule({
      description: 'Images whose tags moved on',
      maxImageAge: Duration.days(14),
      tagStatus: TagStatus.UNTAGGED,
    });
  }

  #define(arch: Arch): Project {
    const log = new LogGroup(this, `${arch}Log`, {
      retention: this.#fleet.logRetentionDays,
      removalPolicy: removalOf(this.#fleet, 'logs'),
    });
    const role = new Role(this, `${arch}Role`, {
      assumedBy: new ServicePrincipal('codebuild.amazonaws.com', {
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
      description: `Builds the runner image for ${arch}`,
    });
    for (const statement of this.#permissions(log)) role.addToPolicy(new PolicyStatement(statement));
    const project = new Project(this, `${arch}Build`, {
      description: `Builds the runner image for ${arch} from runner-image/`,
      source: Source.s3({ bucket: this.#source.bucket, path: this.#source.s3ObjectKey }),
      environment: {
        buildImage: buildImages[arch],
        computeType: ComputeType.SMALL,
        // Without it there is no Docker.
        privileged: true,
      },
      environmentVariables: {
        REPOSITORY_URI: { value: this.repository.repositoryUri },
        ...Object.fromEntries(Object.entries(this.#choices).map(([name, value]) => [name, { value }])),
      },
      // What CDK would allow is more than a build needs.
      role: role.withoutPolicyUpdates(),
      grantReportGroupPermissions: false,
      logging: { cloudWatch: { logGroup: log } },
      timeout: Duration.minutes(mostMinutes),
      // Two at once would race for the tag.
      concurrentBuildLimit: 1,
    });
    // A build may begin as soon as there is a project.
    project.node.addDependency(role);
    return project;
  }

  #permissions(log: LogGroup): PolicyStatementProps[] {
    return [
      { sid: 'WriteItsLog', actions: ['logs:CreateLogStream', 'logs:PutLogEvents'], resources: [log.logGroupArn] },
      {
        sid: 'ReadItsSource',
        actions: ['s3:GetObject', 's3:GetObjectVersion'],
        resources: [this.#source.bucket.arnForObjects(this.#source.s3ObjectKey)],
      },
      // It has no resource to name.
      { sid: 'LogIntoTheRegistry', actions: ['ecr:GetAuthorizationToken'], resources: ['*'] },
      {
        sid: 'PushImages',
        actions: [
          'ecr:BatchCheckLayerAvailability',
          'ecr:BatchDeleteImage',
          'ecr:BatchGetImage',
          'ecr:CompleteLayerUpload',
          'ecr:GetDownloadUrlForLayer',
          'ecr:InitiateLayerUpload',
          'ecr:PutImage',
          'ecr:UploadLayerPart',
        ],
        resources: [this.repository.repositoryArn],
      },
    ];
  }
}

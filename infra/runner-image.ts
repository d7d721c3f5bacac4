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
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { PolicyStatementProps } from 'aws-cdk-lib/aws-iam';
import { LogGroup } from 'aws-cdk-lib/aws-logs';
import { Asset } from 'aws-cdk-lib/aws-s3-assets';
import { Construct } from 'constructs';
import { imageTag, type Arch } from '../functions/contracts/runner-image.ts';
import type { NamesToEncode } from '../functions/contracts/settings.ts';
import type { Fleet } from './define-fleet.ts';
import { removalOf } from './removal.ts';

/** A build takes some minutes. */
const mostMinutes = 45;
const buildImages: Readonly<Record<Arch, IBuildImage>> = {
  x64: LinuxBuildImage.AMAZON_LINUX_2023_5,
  arm64: LinuxArmBuildImage.AMAZON_LINUX_2023_STANDARD_3_0,
};

type ImageProject = { readonly arch: Arch; readonly project: Project };

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
    for (const { arch } of this.projects) this.#throwAway(arch);
    // An index for lazy loading counts as an image or two without a tag, and is not thrown away before its image.
    this.repository.addLifecycleRule({
      description: 'Images whose tags moved on',
      maxImageCount: 15,
      tagStatus: TagStatus.UNTAGGED,
    });
  }

  /** Undefined when every profile brings an image of its own. */
  get names(): NamesToEncode['images'] {
    if (this.projects.length === 0) return undefined;
    return {
      repository: this.repository.repositoryName,
      source: this.#source.assetHash.slice(0, 16),
      projects: Object.fromEntries(this.projects.map(({ arch, project }) => [arch, project.projectName])),
    };
  }

  /** The profile's own image where the operator brings one. */
  imageFor(arch: Arch, own: string | undefined): ContainerImage {
    if (own === undefined) return ContainerImage.fromEcrRepository(this.repository, imageTag(arch));
    const ecr = /^(\d{12})\.dkr\.ecr\.([a-z0-9-]+)\.[a-z.]+\/([^:@]+)[:@](.+)$/.exec(own);
    if (ecr === null) return ContainerImage.fromRegistry(own);
    // Named as a repository, so that the execution role may pull from it.
    const [, account = '', region = '', name = '', tagOrDigest = ''] = ecr;
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
    return ContainerImage.fromEcrRepository(repository, tagOrDigest);
  }

  /** The image in use has the newest of these tags. One before it may still be read by a task that loads it lazily, for five days at most. */
  #throwAway(arch: Arch): void {
    this.repository.addLifecycleRule({
      description: `What a build for ${arch} that was cut off left`,
      maxImageAge: Duration.days(1),
      tagPrefixList: [`${arch}-build-`],
    });
    this.repository.addLifecycleRule({
      description: `Forerunners of the image for ${arch}`,
      maxImageCount: 7,
      tagPrefixList: [`${arch}-`],
    });
  }

  #define(arch: Arch): Project {
    const log = new LogGroup(this, `${arch}Log`, {
      retention: this.#fleet.logRetentionDays,
      removalPolicy: removalOf(this.#fleet, 'logs'),
    });
    const role = new Role(this, `${arch}Role`, {
      assumedBy: new ServicePrincipal('codebuild.amazonaws.com'),
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
      environmentVariables: { REPOSITORY_URI: { value: this.repository.repositoryUri } },
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

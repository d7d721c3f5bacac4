import { RemovalPolicy, Stack } from 'aws-cdk-lib/core';
import { Repository, TagStatus } from 'aws-cdk-lib/aws-ecr';
import type { IRepository } from 'aws-cdk-lib/aws-ecr';
import { ContainerImage } from 'aws-cdk-lib/aws-ecs';
import { Construct } from 'constructs';
import type { Profile } from '../functions/contracts/profile.ts';

/** Where the stack's own image is kept: one tag for each architecture. */
export class RunnerImage extends Construct {
  readonly repository: Repository;
  readonly #ownRepositories = new Map<string, IRepository>();

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.repository = new Repository(this, 'Repository', {
      imageScanOnPush: true,
      removalPolicy: RemovalPolicy.DESTROY,
      emptyOnDelete: true,
    });
    this.repository.addLifecycleRule({
      description: 'Images whose tag moved on',
      maxImageCount: 5,
      tagStatus: TagStatus.UNTAGGED,
    });
  }

  /** The profile's own image where the operator brings one. */
  imageFor(arch: Profile['arch'], own: string | undefined): ContainerImage {
    if (own === undefined) return ContainerImage.fromEcrRepository(this.repository, arch);
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
}
